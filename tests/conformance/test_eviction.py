"""A node that runs short ends pods before it is itself in danger."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.conftest import LocalCluster
from tests.conformance.kubectl import Kubectl
from tests.conformance.objects import container, pod
from tests.conformance.waiting import eventually

MB = 1 << 20
DEFAULTS = (
    "--eviction-hard=memory.available<100Mi,nodefs.available<10%,nodefs.inodesFree<5%,imagefs.available<15%,"
    "imagefs.inodesFree<5%",
    "--system-reserved=pid=0",
)


def start(cluster: LocalCluster, node: str, *settings: str) -> None:
    cluster.node("stop", node)
    done = cluster.podium("node", *settings, "--data-dir", str(cluster.data), "start", node, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def narrow(cluster: LocalCluster, victim: str, kubectl: Kubectl) -> Iterator[str]:
    """A node that has 400 MiB for its pods, and wants 200 MiB of these free."""
    memory = int(kubectl.get(f"node/{victim}")["status"]["capacity"]["memory"][:-2]) * 1024
    kubectl("cordon", victim)
    start(
        cluster, victim, f"--system-reserved=memory={memory - 400 * MB}",
        "--eviction-hard=memory.available<200Mi", "--eviction-pressure-transition-period=1",
    )  # fmt: skip
    yield victim
    start(cluster, victim, *DEFAULTS, "--eviction-pressure-transition-period=300")


def on(node: str, name: str, script: str, **more: Any) -> dict[str, Any]:
    filled = {"volumeMounts": [{"name": "m", "mountPath": "/m"}]}
    volumes = [{"name": "m", "emptyDir": {"medium": "Memory"}}]
    made = pod(name, container(command=["sh", "-c", script], **filled, **more), volumes=volumes)
    made["spec"]["nodeName"] = node
    return made


def test_short_of_memory_a_node_ends_the_pod_that_takes_more_than_it_asked_for(
    kubectl: Kubectl, narrow: str
) -> None:
    node = kubectl.get(f"node/{narrow}")["status"]
    assert node["allocatable"]["memory"] == "200Mi"
    asked = {"resources": {"requests": {"memory": "40Mi"}}}
    kubectl.apply(on(narrow, "modest", "dd if=/dev/zero of=/m/x bs=1000000 count=20; sleep 1000", **asked))
    kubectl.wait("pod/modest", "condition=Ready")
    kubectl.apply(on(narrow, "greedy", "dd if=/dev/zero of=/m/x bs=1000000 count=260; sleep 1000"))
    ended = eventually(lambda: kubectl.get("pod/greedy"), lambda it: it["status"]["phase"] == "Failed", 60)
    status = ended["status"]
    assert status["reason"] == "Evicted"
    assert "The node was low on resource: memory. Threshold quantity: 200Mi, available: " in status["message"]
    assert "request is 0, has larger consumption of memory." in status["message"]
    (condition,) = [each for each in status["conditions"] if each["type"] == "DisruptionTarget"]
    assert (condition["status"], condition["reason"]) == ("True", "TerminationByKubelet")
    assert kubectl.get("pod/modest")["status"]["phase"] == "Running"
    eventually(
        lambda: {each["reason"] for each in kubectl.get("events")["items"]}, lambda it: "Evicted" in it, 20
    )
    eventually(
        lambda: {
            each["type"]: each["status"] for each in kubectl.get(f"node/{narrow}")["status"]["conditions"]
        },
        lambda it: it["MemoryPressure"] == "False",
        30,
    )
