"""The cluster itself: brought up once, killed, stopped and brought up again, without losing what it was
told."""

from __future__ import annotations

import os
import signal
import socket
import subprocess

from tests.conformance.conftest import LocalCluster
from tests.conformance.kubectl import Kubectl
from tests.conformance.objects import config_map, deployment, pod
from tests.conformance.waiting import eventually


def everything_runs(pods: list[dict[str, object]]) -> bool:
    return all(
        any(
            entry["type"] == "Ready" and entry["status"] == "True"
            for entry in item["status"].get("conditions", ())
        )  # type: ignore[attr-defined, index]
        for item in pods
    )


def test_the_nodes_are_ready_and_say_what_they_are(kubectl: Kubectl) -> None:
    nodes = kubectl.get("nodes")["items"]
    assert len(nodes) == 3
    for node in nodes:
        conditions = {entry["type"]: entry["status"] for entry in node["status"]["conditions"]}
        assert conditions["Ready"] == "True"
        assert (
            conditions["MemoryPressure"] == conditions["DiskPressure"] == conditions["PIDPressure"] == "False"
        )
        assert int(node["status"]["capacity"]["cpu"]) == os.cpu_count()
        assert node["status"]["nodeInfo"]["containerRuntimeVersion"].startswith("containerd://")
    ranges = {node["spec"]["podCIDR"] for node in nodes}
    assert len(ranges) == 3
    assert all(entry.startswith("10.42.") and entry.endswith(".0/24") for entry in ranges)


def test_bringing_it_up_a_second_time_says_so_and_changes_nothing(cluster: LocalCluster) -> None:
    before = cluster.pid("server"), cluster.pid("node")
    done = cluster.up()
    assert done.returncode == 0
    assert "up already" in done.stdout
    assert (cluster.pid("server"), cluster.pid("node")) == before


def test_a_killed_control_plane_comes_back_with_everything_and_no_container_restarts(
    cluster: LocalCluster, kubectl: Kubectl
) -> None:
    kubectl.apply(deployment("steady", 3))
    kubectl("rollout", "status", "deploy/steady", "--timeout=60s")
    before = {
        item["metadata"]["name"]: item["status"]["containerStatuses"] for item in kubectl.get("pods")["items"]
    }
    for number in range(20):
        kubectl("create", "configmap", f"told-{number}", f"--from-literal=number={number}")
    os.kill(cluster.pid("server"), signal.SIGKILL)
    done = cluster.up()
    assert done.returncode == 0, done.stderr
    assert (
        len(
            [
                item
                for item in kubectl.get("configmaps")["items"]
                if item["metadata"]["name"].startswith("told-")
            ]
        )
        == 20
    )
    kubectl("create", "configmap", "afterwards")
    after = {
        item["metadata"]["name"]: item["status"]["containerStatuses"] for item in kubectl.get("pods")["items"]
    }
    assert {name: entry[0]["containerID"] for name, entry in after.items()} == {
        name: entry[0]["containerID"] for name, entry in before.items()
    }
    assert all(entry[0]["restartCount"] == 0 for entry in after.values())


def test_a_killed_node_daemon_comes_back_and_no_container_restarts(
    cluster: LocalCluster, kubectl: Kubectl
) -> None:
    kubectl.apply(pod("steady"), pod("doomed", restartPolicy="Never"))
    kubectl.wait("pod/steady", "condition=Ready")
    kubectl.wait("pod/doomed", "condition=Ready")
    before = kubectl.get("pod/steady")["status"]["containerStatuses"][0]
    os.kill(cluster.pid("node"), signal.SIGKILL)
    kubectl("delete", "pod", "doomed", "--wait=false")
    done = cluster.up()
    assert done.returncode == 0, done.stderr
    kubectl.wait("pod/doomed", "delete")
    after = kubectl.get("pod/steady")["status"]["containerStatuses"][0]
    assert (after["containerID"], after["restartCount"]) == (before["containerID"], 0)
    assert kubectl("exec", "steady", "--", "echo", "here") == "here\n"


def test_what_was_stopped_comes_back_with_its_objects_and_applications(
    cluster: LocalCluster, kubectl: Kubectl
) -> None:
    kubectl.apply(deployment("app", 2), config_map("kept", word="yes"))
    kubectl("rollout", "status", "deploy/app", "--timeout=60s")
    done = cluster.down()
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list((cluster.root / "run").rglob("*.pid"))
    assert (
        str(cluster.root) not in subprocess.run(["mount"], capture_output=True, text=True, check=True).stdout
    )
    assert "podium" not in subprocess.run(["ip", "link"], capture_output=True, text=True, check=True).stdout
    assert (
        "podium"
        not in subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
    )
    done = cluster.up()
    assert done.returncode == 0, done.stderr
    assert kubectl.get("configmap/kept")["data"] == {"word": "yes"}
    eventually(
        lambda: kubectl.get("pods", "-l", "app=app")["items"],
        lambda pods: len(pods) == 2 and everything_runs(pods),
        60,
    )


def test_a_busy_port_is_named(cluster: LocalCluster, tmp_path: object) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = cluster.podium(
            "up", "--data-dir", f"{tmp_path}/data", "--run-dir", f"{tmp_path}/run", "--api-port", str(port)
        )
    assert done.returncode == 1
    assert f"port {port} on 127.0.0.1 is busy" in done.stderr
    assert "--api-port" in done.stderr


def test_without_root_it_says_what_to_do(tmp_path: object) -> None:
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "bash", "hack/up"],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.returncode == 1
    assert "need root" in done.stderr


def test_without_space_it_says_how_much_is_needed(cluster: LocalCluster, tmp_path: object) -> None:
    full = f"{tmp_path}/full"
    os.mkdir(full)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", full], check=True)
    try:
        done = cluster.podium(
            "up",
            "--data-dir",
            f"{full}/data",
            "--run-dir",
            f"{tmp_path}/run",
            "--api-port",
            "16443",
            "--node-port",
            "20250",
        )
    finally:
        subprocess.run(["umount", full], check=True)
    assert done.returncode == 1
    assert "MiB free, at least" in done.stderr
