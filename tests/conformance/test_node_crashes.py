"""A node's processes are killed at moments that matter: what ran goes on, nothing is started twice, nothing is
left."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from podium.runtime.containerd.process import listener
from tests.conformance.conftest import LocalCluster
from tests.conformance.kubectl import Kubectl
from tests.conformance.objects import Obj, container, pod, sh
from tests.conformance.survival import invariants
from tests.conformance.survival.processes import run_dir, shims
from tests.conformance.survival.progress import following
from tests.conformance.waiting import eventually

SEED = 20
ROUNDS = 2
COUNTING = [{"name": "count", "mountPath": "/count"}]
NOTES: Obj = {"volumes": [{"name": "count", "emptyDir": {}}]}
# Each attempt leaves a mark that outlives it, and prints numbers without end.
MARKED = (
    "echo started >> /count/starts; trap 'exit 0' TERM; i=0; "
    "while :; do echo $i; i=$((i + 1)); sleep 0.05 & wait $!; done"
)


def marked(name: str, node: str, **spec: Any) -> Obj:
    return pod(name, sh(MARKED, volumeMounts=COUNTING), nodeName=node, **NOTES, **spec)


def starts(kubectl: Kubectl, name: str) -> int:
    return kubectl("exec", name, "--", "cat", "/count/starts").count("started")


def restarts(kubectl: Kubectl, name: str) -> int:
    return int(kubectl.get(f"pod/{name}")["status"]["containerStatuses"][0]["restartCount"])


def running_on(cluster: LocalCluster, node: str) -> Path:
    return run_dir(cluster, cluster.nodes(), node)


def kill_daemon(cluster: LocalCluster, node: str) -> None:
    os.kill(int((running_on(cluster, node) / "node.pid").read_text().split()[0]), signal.SIGKILL)
    cluster.node("start", node)


def kill_containerd(cluster: LocalCluster, node: str) -> None:
    pid = listener(str(running_on(cluster, node) / "containerd" / "containerd.sock"))
    assert pid
    os.kill(pid, signal.SIGKILL)


def clean(cluster: LocalCluster, kubectl: Kubectl, node: str) -> None:
    """Nothing is on the node but what its pods have."""

    def wrong() -> list[str]:
        pods = kubectl.get("pods", "--all-namespaces", f"--field-selector=spec.nodeName={node}")["items"]
        known = {each["metadata"]["uid"] for each in pods}
        running = {each["metadata"]["uid"] for each in pods if each["status"]["phase"] == "Running"}
        return list(invariants.node(cluster, node, running_on(cluster, node), known, running))

    eventually(wrong, lambda found: not found)


def whole_log(kubectl: Kubectl, name: str) -> None:
    numbers = kubectl("logs", name).split()
    assert numbers == [str(each) for each in range(len(numbers))]


@pytest.mark.parametrize("kill", [kill_daemon, kill_containerd], ids=["the daemon", "containerd"])
def test_killed_at_any_moment_while_pods_come_and_go_nothing_is_repeated_and_nothing_lost(
    cluster: LocalCluster, kubectl: Kubectl, victim: str, kill: Callable[[LocalCluster, str], None]
) -> None:
    moments = random.Random(SEED)
    kubectl.apply(marked("steady", victim))
    kubectl.wait("pod/steady", "condition=Ready")
    with following(kubectl) as progress:
        for number in range(ROUNDS):
            kubectl.apply(*(marked(f"p-{number}-{each}", victim) for each in range(3)))
            if number:
                kubectl("delete", "pod", "--wait=false", *(f"p-{number - 1}-{each}" for each in range(2)))
            progress.after(moments.randrange(8))
            kill(cluster, victim)
        kept = [f"p-{number}-2" for number in range(ROUNDS)] + [f"p-{ROUNDS - 1}-{each}" for each in (0, 1)]
        for name in kept:
            kubectl.wait(f"pod/{name}", "condition=Ready")
        eventually(lambda: len(kubectl.get("pods")["items"]), lambda count: count == len(kept) + 1)
    assert not progress.wrong
    for name in ("steady", *kept):
        assert (name, starts(kubectl, name), restarts(kubectl, name)) == (name, 1, 0)
    whole_log(kubectl, "steady")
    clean(cluster, kubectl, victim)


def test_a_killed_shim_is_its_containers_end_and_no_other_pods(
    cluster: LocalCluster, kubectl: Kubectl, victim: str
) -> None:
    socket = running_on(cluster, victim) / "containerd" / "containerd.sock"
    kubectl.apply(marked("bystander", victim))
    kubectl.wait("pod/bystander", "condition=Ready")
    others = set(shims(socket))
    kubectl.apply(marked("again", victim), marked("once", victim, restartPolicy="Never"))
    for name in ("again", "once"):
        kubectl.wait(f"pod/{name}", "condition=Ready")
    for pid in set(shims(socket)) - others:
        os.kill(pid, signal.SIGKILL)
    kubectl.wait("pod/once", "jsonpath={.status.phase}=Failed")
    eventually(lambda: restarts(kubectl, "again"), lambda count: count == 1)
    kubectl.wait("pod/again", "condition=Ready")
    ended = kubectl.get("pod/again")["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert ended["exitCode"] in (137, 255)
    assert starts(kubectl, "again") == 2
    assert (starts(kubectl, "bystander"), restarts(kubectl, "bystander")) == (1, 0)
    whole_log(kubectl, "bystander")
    clean(cluster, kubectl, victim)


def test_after_a_reboot_pods_run_again_in_new_sandboxes_with_their_data_and_a_restart_more(
    cluster: LocalCluster, kubectl: Kubectl, victim: str
) -> None:
    kubectl.apply(marked("always", victim), marked("never", victim, restartPolicy="Never"))
    for name in ("always", "never"):
        kubectl.wait(f"pod/{name}", "condition=Ready")
    before = kubectl.get("pod/always")["metadata"]["uid"]
    cluster.node("kill", victim)
    cluster.node("start", victim)
    eventually(lambda: restarts(kubectl, "always"), lambda count: count == 1)
    kubectl.wait("pod/always", "condition=Ready")
    kubectl.wait("pod/never", "jsonpath={.status.phase}=Failed")
    assert kubectl.get("pod/always")["metadata"]["uid"] == before
    assert starts(kubectl, "always") == 2
    clean(cluster, kubectl, victim)


def test_what_the_api_server_forgot_while_no_daemon_ran_is_removed(
    cluster: LocalCluster, kubectl: Kubectl, victim: str
) -> None:
    kubectl.apply(*(marked(f"forgotten-{each}", victim) for each in range(3)), marked("kept", victim))
    for name in ("forgotten-0", "forgotten-1", "forgotten-2", "kept"):
        kubectl.wait(f"pod/{name}", "condition=Ready")
    os.kill(int((running_on(cluster, victim) / "node.pid").read_text().split()[0]), signal.SIGKILL)
    kubectl(
        "delete", "pod", "-l", "app in (forgotten-0,forgotten-1,forgotten-2)", "--force", "--grace-period=0"
    )
    cluster.node("start", victim)
    clean(cluster, kubectl, victim)
    assert (starts(kubectl, "kept"), restarts(kubectl, "kept")) == (1, 0)


LINES = 40
CRASHES = f"""
n=$(cat /count/$NAME 2>/dev/null || echo 0); echo $((n + 1)) > /count/$NAME
i=0; while [ $i -lt {LINES} ]; do echo "$n $i"; i=$((i + 1)); done; printf 'end of %s' $n; exit 3
"""


def test_containers_that_crash_all_at_once_lose_no_line_and_no_restart(kubectl: Kubectl, victim: str) -> None:
    def crashing(name: str) -> Obj:
        return sh(CRASHES, name, env=[{"name": "NAME", "value": name}], volumeMounts=COUNTING)

    names = [f"crash-{each}" for each in range(8)]
    kubectl.apply(*(pod(name, crashing("a"), crashing("b"), nodeName=victim, **NOTES) for name in names))

    def twice(pods: list[Obj]) -> bool:
        statuses = [status for each in pods for status in each["status"].get("containerStatuses", ())]
        return len(statuses) == 2 * len(names) and all(s["restartCount"] >= 1 for s in statuses)

    eventually(lambda: kubectl.get("pods")["items"], twice, timeout=60)
    for name in names:
        for which in "ab":
            status = next(
                s for s in kubectl.get(f"pod/{name}")["status"]["containerStatuses"] if s["name"] == which
            )
            assert status["lastState"]["terminated"]["exitCode"] == 3
            # The last attempt that has ended, by its own count; more may have ended since the status was read.
            printed = kubectl("logs", name, "-c", which, "--previous")
            number = int(printed.split()[0])
            assert printed == "".join(f"{number} {line}\n" for line in range(LINES)) + f"end of {number}"
            assert status["restartCount"] - 1 <= number <= status["restartCount"] + 1


def test_pods_that_are_stuck_in_every_way_delay_no_other(
    cluster: LocalCluster, kubectl: Kubectl, victim: str
) -> None:
    silent = "import socket,time; s=socket.create_server(('127.0.0.1',5999)); time.sleep(60)"
    run = running_on(cluster, victim)
    entered = ["nsenter", f"--net={run / 'net'}"] if (run / "net").exists() else []
    registry = subprocess.Popen([*entered, "python3", "-c", silent])
    try:
        slow = container(lifecycle={"preStop": {"exec": {"command": ["sleep", "30"]}}})
        secret = {"name": "s", "secret": {"secretName": "not-there"}}
        mounted = container(volumeMounts=[{"name": "s", "mountPath": "/s"}])
        kubectl.apply(
            *(
                pod(f"stops-{each}", slow, nodeName=victim, terminationGracePeriodSeconds=30)
                for each in range(3)
            )
        )
        for each in range(3):
            kubectl.wait(f"pod/stops-{each}", "condition=Ready")
        kubectl("delete", "pod", "--all", "--wait=false")
        kubectl.apply(
            *(
                pod(f"pulls-{each}", container(image=f"127.0.0.1:5999/none:{each}"), nodeName=victim)
                for each in range(3)
            ),
            *(pod(f"mounts-{each}", mounted, nodeName=victim, volumes=[secret]) for each in range(3)),
        )
        kubectl.apply(*(pod(f"good-{each}", nodeName=victim) for each in range(3)))
        for each in range(3):
            kubectl.wait(f"pod/good-{each}", "condition=Ready", timeout=15)
        kubectl("delete", "pod", "good-0", "good-1", "good-2", "--timeout=10s")
        stuck = {each["metadata"]["name"] for each in kubectl.get("pods")["items"]}
        assert {re.sub(r"-\d", "", name) for name in stuck} == {"stops", "pulls", "mounts"}
        kubectl("delete", "pod", "--all", "--force", "--grace-period=0")
    finally:
        registry.kill()
        registry.wait()
    clean(cluster, kubectl, victim)


def test_a_full_disk_is_told_and_those_who_run_go_on(
    cluster: LocalCluster, kubectl: Kubectl, victim: str
) -> None:
    """A small file system lies over the folder of the node's pods."""
    pods = next(cluster.data.glob(f"**/{victim}/**/node/pods"), None) or next(
        cluster.data.glob(f"**/{victim}/**/pods")
    )
    eventually(lambda: list(pods.iterdir()), lambda left: not left)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "small", str(pods)], check=True)
    try:
        kubectl.apply(marked("steady", victim))
        kubectl.wait("pod/steady", "condition=Ready")
        filler = pods / "filler"
        filled = subprocess.run(
            ["dd", "if=/dev/zero", f"of={filler}", "bs=4k"], capture_output=True, text=True, check=False
        )
        assert "No space left" in filled.stderr
        kubectl.apply(marked("late", victim))
        told = "jsonpath={.items[*].message}"
        eventually(
            lambda: kubectl("get", "events", "--field-selector=involvedObject.name=late", "-o", told),
            lambda text: "No space left on device" in text or "no space left on device" in text,
        )
        assert kubectl.get("pod/late")["status"]["phase"] == "Pending"
        filler.unlink()
        kubectl.wait("pod/late", "condition=Ready")
        assert restarts(kubectl, "steady") == 0
        whole_log(kubectl, "steady")
        kubectl("delete", "pod", "--all")
        clean(cluster, kubectl, victim)
    finally:
        subprocess.run(["umount", "-l", str(pods)], check=True)
