"""Several nodes: added, removed, stopped, killed and cut off while the cluster runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.request
from typing import Any

import pytest

from tests.conformance.conftest import CGROUP, LocalCluster
from tests.conformance.kubectl import Kubectl
from tests.conformance.objects import ECHO_V1, container, deployment, pod
from tests.conformance.waiting import eventually


def ready(kubectl: Kubectl, name: str) -> str:
    conditions = kubectl.get(f"node/{name}")["status"].get("conditions", ())
    return next((entry["status"] for entry in conditions if entry["type"] == "Ready"), "")


def refused(cluster: LocalCluster, *arguments: str) -> str:
    done = cluster.podium("node", *arguments, "--data-dir", str(cluster.data))
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stderr


def container_of(kubectl: Kubectl, name: str) -> Any:
    return kubectl.get(f"pod/{name}")["status"]["containerStatuses"][0]


def answers(address: str) -> bool:
    """Whether the echo server at an address is reached from the first node."""
    try:
        with urllib.request.urlopen(f"http://{address}/", timeout=1):
            return True
    except OSError:
        return False


def left_of(cluster: LocalCluster, name: str) -> list[str]:
    """Everything on the machine that names the node."""
    mounts = [line.split(" on ")[1] for line in subprocess.check_output(["mount"], text=True).splitlines()]
    found = [mount for mount in mounts if mount.startswith(f"{cluster.root}/") and name in mount]
    for folder, folders, files in os.walk(cluster.root):
        found += [f"{folder}/{each}" for each in (*folders, *files) if each == name]
    found += subprocess.run(
        ["pgrep", "--full", f"{cluster.root}/run/n/{name}/"], capture_output=True, text=True, check=False
    ).stdout.split()
    found += [folder for folder, _, _ in os.walk("/sys/fs/cgroup") if f"/{CGROUP}/{name}" in folder]
    links = json.loads(subprocess.check_output(["ip", "-j", "-d", "link"]))
    return [*found, *(each["ifname"] for each in links if name in str(each))]


def test_the_status_tells_of_all_nodes(cluster: LocalCluster) -> None:
    done = cluster.podium("status", "--data-dir", str(cluster.data))
    assert done.returncode == 0
    nodes = cluster.status()["nodes"]
    assert [entry["ready"] for entry in nodes] == [True] * 3
    for entry in nodes:
        assert f"node {entry['name']}: running, pid {entry['pid']}, Ready" in done.stdout
    assert len({entry["address"] for entry in nodes}) == 3


def test_each_node_has_a_host_name_and_an_address_of_its_own(cluster: LocalCluster, kubectl: Kubectl) -> None:
    for entry in cluster.status()["nodes"][1:]:
        name = entry["name"]
        assert cluster.inside(name, "hostname").stdout.strip() == name
        addresses = cluster.inside(name, "ip", "-4", "-o", "address", "show", "eth0").stdout
        assert f" {entry['address']}/24 " in addresses
        routes = cluster.inside(name, "ip", "route").stdout
        assert "unreachable 10.42.0.0/16" in routes
        assert "unreachable 10.43.0.0/16" in routes
        kubectl.apply(pod(name, nodeName=name, hostNetwork=True))
        kubectl.wait(f"pod/{name}", "condition=Ready")
        assert kubectl.get(f"pod/{name}")["status"]["podIP"] == entry["address"]
        assert kubectl("exec", name, "--", "hostname") == f"{name}\n"
        # The API server is reached by its Service's address from everywhere.
        kubectl("exec", name, "--", "nc", "-w", "5", "10.43.0.1", "443", "-e", "/bin/true")


def test_names_outside_of_the_cluster_are_found_from_every_node(
    cluster: LocalCluster, kubectl: Kubectl
) -> None:
    nodes = cluster.nodes()
    kubectl.apply(*(pod(f"on-{number}", nodeName=name) for number, name in enumerate(nodes)))
    for number in range(len(nodes)):
        kubectl.wait(f"pod/on-{number}", "condition=Ready")
        assert "192.0.2.53" in kubectl("exec", f"on-{number}", "--", "nslookup", "example.test.")


def test_a_node_is_added_with_its_images_and_removed_without_a_trace(
    cluster: LocalCluster, kubectl: Kubectl
) -> None:
    made = json.loads(cluster.node("add", "--name", "extra", "-o", "json"))
    try:
        assert made["name"] == "extra"
        assert ready(kubectl, "extra") == "True"
        assert "there is a node 'extra' already" in refused(cluster, "add", "--name", "extra")
        # No registry is reached from here.
        kubectl.apply(pod("there", nodeSelector={"kubernetes.io/hostname": "extra"}))
        kubectl.wait("pod/there", "condition=Ready")
        assert kubectl("exec", "there", "--", "echo", "here") == "here\n"
    finally:
        cluster.node("rm", "extra")
    assert kubectl.run("get", "node", "extra").code == 1
    eventually(lambda: kubectl.run("get", "pod", "there").code, lambda code: code == 1)
    assert eventually(lambda: left_of(cluster, "extra"), lambda left: not left) == []


def test_a_node_goes_only_when_its_pods_may(cluster: LocalCluster, kubectl: Kubectl) -> None:
    made = json.loads(cluster.node("add", "-o", "json"))["name"]
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "all"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "kept"}}},
    }
    try:
        wanted = deployment("kept", 1)
        wanted["spec"]["template"]["spec"]["affinity"] = {
            "nodeAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "weight": 100,
                        "preference": {
                            "matchExpressions": [
                                {"key": "kubernetes.io/hostname", "operator": "In", "values": [made]}
                            ]
                        },
                    }
                ]
            }
        }
        kubectl.apply(wanted, budget)
        kubectl("rollout", "status", "deploy/kept", "--timeout=60s")
        eventually(
            lambda: kubectl.get("pdb/all").get("status", {}).get("currentHealthy"), lambda count: count == 1
        )
        (before,) = kubectl.get("pods", "-l", "app=kept")["items"]
        assert before["spec"]["nodeName"] == made
        said = refused(cluster, "rm", made, "--drain-timeout", "2s")
        assert f"{kubectl.namespace}/{before['metadata']['name']}" in said
        assert kubectl.get(f"node/{made}")["spec"]["unschedulable"]
        assert kubectl.get(f"pod/{before['metadata']['name']}")["status"]["phase"] == "Running"
        kubectl("delete", "pdb", "all")
        cluster.node("rm", made)
        kubectl("rollout", "status", "deploy/kept", "--timeout=60s")
    finally:
        if made in cluster.nodes():
            cluster.node("rm", made, "--force", "--drain-timeout", "1s")


def test_a_stopped_daemon_leaves_its_containers_alone(
    cluster: LocalCluster, kubectl: Kubectl, victim: str
) -> None:
    kubectl.apply(pod("steady", container(image=ECHO_V1), nodeName=victim))
    kubectl.wait("pod/steady", "condition=Ready")
    before = container_of(kubectl, "steady")
    address = kubectl.get("pod/steady")["status"]["podIP"]
    cluster.node("stop", victim)
    assert cluster.podium("status", "--data-dir", str(cluster.data)).returncode == 1
    eventually(lambda: answers(address), bool)
    cluster.node("start", victim)
    after = container_of(kubectl, "steady")
    assert (after["containerID"], after["restartCount"]) == (before["containerID"], 0)
    assert "steady" in kubectl("exec", "steady", "--", "cat", "/etc/hostname")


def test_a_killed_node_comes_back_with_its_pods(cluster: LocalCluster, kubectl: Kubectl, victim: str) -> None:
    kubectl.apply(pod("steady", container(image=ECHO_V1), nodeName=victim))
    kubectl.wait("pod/steady", "condition=Ready")
    address = kubectl.get("pod/steady")["status"]["podIP"]
    cluster.node("kill", victim)
    run = cluster.root / "run" / "n" / victim
    assert not run.exists()
    assert str(run) not in subprocess.check_output(["mount"], text=True)
    assert not answers(address)
    cluster.node("start", victim)
    eventually(lambda: container_of(kubectl, "steady")["restartCount"], lambda count: count == 1, 60)
    kubectl.wait("pod/steady", "condition=Ready")
    assert "steady" in kubectl("exec", "steady", "--", "cat", "/etc/hostname")


def test_a_node_that_is_cut_off_is_reached_again_when_it_is_mended(
    cluster: LocalCluster, kubectl: Kubectl, victim: str
) -> None:
    kubectl.apply(pod("steady", container(image=ECHO_V1), nodeName=victim))
    kubectl.wait("pod/steady", "condition=Ready")
    address = kubectl.get("pod/steady")["status"]["podIP"]

    eventually(lambda: answers(address), bool)
    cluster.node("cut", victim)
    assert not answers(address)
    cluster.node("mend", victim)
    eventually(lambda: answers(address), bool)
    assert container_of(kubectl, "steady")["restartCount"] == 0


def test_after_a_power_cut_one_command_brings_everything_back(
    cluster: LocalCluster, kubectl: Kubectl
) -> None:
    nodes = cluster.nodes()
    kubectl.apply(*(pod(f"on-{number}", nodeName=name) for number, name in enumerate(nodes)))
    for number in range(len(nodes)):
        kubectl.wait(f"pod/on-{number}", "condition=Ready")
    os.kill(cluster.pid("server"), signal.SIGKILL)
    for name in nodes:
        cluster.node("kill", name)
    # What a boot finds where folders outlive it: a pid file of somebody else's, a pin that pins nothing.
    stale = cluster.root / "run" / "n" / nodes[1]
    stale.mkdir(parents=True)
    (stale / "node.pid").write_text(f"{os.getpid()} 1\n")
    (stale / "net").touch()
    done = cluster.up()
    assert done.returncode == 0, done.stderr
    assert cluster.nodes() == nodes
    for number in range(len(nodes)):
        eventually(
            lambda number=number: container_of(kubectl, f"on-{number}"),
            lambda seen: seen["restartCount"] >= 1 and seen["ready"],
            60,
        )


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("rm", "nowhere"), "this cluster has no node 'nowhere' on this machine: it has "),
        (("start", "nowhere"), "this cluster has no node 'nowhere' on this machine: it has "),
        (("rm", "{first}"), "cannot be removed: it is this machine"),
        (("cut", "{first}"), "cannot be cut off: it is this machine"),
        (("add", "--name", "Not_A_Name"), "'Not_A_Name' cannot be a node's name"),
    ],
)
def test_what_cannot_be_done_is_said(cluster: LocalCluster, arguments: tuple[str, ...], why: str) -> None:
    first = cluster.nodes()[0]
    assert why in refused(cluster, *(each.format(first=first) for each in arguments))
