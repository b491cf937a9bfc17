"""DaemonSets as their users meet them: one pod on every node that suits."""

from __future__ import annotations

import json
from typing import Any

from tests.conformance.conftest import LocalCluster
from tests.conformance.coverage_report import covers
from tests.conformance.kubectl import Kubectl
from tests.conformance.objects import ECHO_V1, ECHO_V2, container, daemon_set
from tests.conformance.waiting import eventually

SEEN = '{.metadata.name} {.spec.nodeName} {.status.conditions[?(@.type=="Ready")].status}{"\\n"}'


def by_node(kubectl: Kubectl) -> dict[str, Any]:
    found = kubectl.get("pods", "-l", "app=agent")["items"]
    return {item["spec"].get("nodeName", ""): item for item in found}


def status(kubectl: Kubectl) -> str:
    return kubectl("rollout", "status", "ds/agent", "--timeout=60s")


def uids(kubectl: Kubectl) -> set[str]:
    return {pod["metadata"]["uid"] for pod in by_node(kubectl).values()}


@covers(
    "[sig-apps] Daemon set [Serial] should run and stop simple daemon [Conformance]",
    "[sig-apps] Daemon set [Serial] should retry creating failed daemon pods [Conformance]",
)
def test_every_node_has_one_pod_and_what_is_lost_comes_back(cluster: LocalCluster, kubectl: Kubectl) -> None:
    kubectl.apply(daemon_set("agent"))
    status(kubectl)
    found, nodes = by_node(kubectl), cluster.nodes()
    assert set(found) == set(nodes)
    some = found[nodes[0]]["metadata"]
    kubectl("delete", "pod", some["name"])
    eventually(lambda: uids(kubectl), lambda now: len(now) == 3 and some["uid"] not in now)
    status(kubectl)
    failed = by_node(kubectl)[nodes[1]]["metadata"]
    patch = '{"status":{"phase":"Failed"}}'
    kubectl("patch", "pod", failed["name"], "--subresource=status", "-p", patch)
    eventually(lambda: uids(kubectl), lambda now: len(now) == 3 and failed["uid"] not in now)
    status(kubectl)
    told = kubectl("get", "events", "--field-selector=reason=FailedDaemonPod")
    assert f"Found failed daemon pod {kubectl.namespace}/{failed['name']} on node" in told


@covers("[sig-apps] Daemon set [Serial] should run and stop complex daemon [Conformance]")
def test_pods_follow_the_labels_and_taints_of_their_nodes(cluster: LocalCluster, kubectl: Kubectl) -> None:
    first, second, _ = cluster.nodes()
    key = f"{kubectl.namespace}/color"
    kubectl.apply(daemon_set("agent", pod_spec={"nodeSelector": {key: "blue"}}))
    try:
        kubectl("label", "node", first, second, f"{key}=blue")
        eventually(lambda: set(by_node(kubectl)), lambda nodes: nodes == {first, second})
        status(kubectl)
        kubectl("label", "node", second, f"{key}=green", "--overwrite")
        eventually(lambda: set(by_node(kubectl)), lambda nodes: nodes == {first})
        kubectl("taint", "node", first, f"{key}=x:NoExecute")
        eventually(lambda: by_node(kubectl), lambda pods: not pods)
    finally:
        kubectl("taint", "node", first, f"{key}-")
        kubectl("label", "node", first, second, f"{key}-")


@covers(
    "[sig-apps] Daemon set [Serial] should update pod when spec was updated and update strategy is"
    " RollingUpdate [Conformance]",
    "[sig-apps] Daemon set [Serial] should rollback without unnecessary restarts [Conformance]",
)
def test_an_update_to_a_broken_image_stops_at_one_node_and_going_back_restarts_no_other(
    kubectl: Kubectl,
) -> None:
    kubectl.apply(daemon_set("agent", container("c", ECHO_V1)))
    status(kubectl)
    kubectl("set", "image", "ds/agent", f"c={ECHO_V2}")
    status(kubectl)
    good = uids(kubectl)
    kubectl("set", "image", "ds/agent", "c=podium.io/none:v0")
    kubectl.wait("ds/agent", "jsonpath={.status.updatedNumberScheduled}=1")
    eventually(lambda: uids(kubectl), lambda now: len(now & good) == 2 and len(now) == 3)
    kubectl("rollout", "undo", "ds/agent")
    status(kubectl)
    assert len(uids(kubectl) & good) == 2
    numbers = [item["revision"] for item in kubectl.get("controllerrevisions")["items"]]
    assert sorted(numbers) == [1, 3, 4]


@covers(
    "[sig-apps] Daemon set [Serial] should verify changes to a daemon set status [Conformance]",
    "[sig-apps] Daemon set [Serial] should list and delete a collection of DaemonSets [Conformance]",
    "[sig-apps] ControllerRevision [Serial] should manage the lifecycle of a ControllerRevision"
    " [Conformance]",
)
def test_what_others_note_in_a_status_stays_and_revisions_go_with_the_set(kubectl: Kubectl) -> None:
    kubectl.apply(daemon_set("agent", container("c", ECHO_V1)))
    status(kubectl)
    noted = {"type": "StatusPatched", "status": "True"}
    patch = json.dumps({"status": {"conditions": [noted]}})
    kubectl("patch", "ds", "agent", "--subresource=status", "--type=merge", "-p", patch)
    kubectl("set", "image", "ds/agent", f"c={ECHO_V2}")
    status(kubectl)
    assert kubectl.get("ds", "agent")["status"]["conditions"] == [noted]
    first, second = sorted(
        kubectl.get("controllerrevisions", "-l", "app=agent")["items"], key=lambda item: int(item["revision"])
    )
    name = first["metadata"]["name"]
    said = kubectl.refused("patch", "controllerrevision", name, "--type=merge", "-p", '{"data":{"x":1}}')
    assert "field is immutable" in said
    kubectl("label", "controllerrevision", name, "old=yes")
    kubectl("delete", "controllerrevision", "-l", "old=yes")
    assert [item["revision"] for item in kubectl.get("controllerrevisions")["items"]] == [second["revision"]]
    kubectl("delete", "ds", "--all")
    eventually(lambda: kubectl.get("controllerrevisions")["items"], lambda found: not found)
    eventually(lambda: kubectl.get("pods")["items"], lambda found: not found)


def test_a_surge_never_leaves_a_node_without_a_ready_pod(cluster: LocalCluster, kubectl: Kubectl) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    kubectl.apply(daemon_set("agent", container("c", ECHO_V1), updateStrategy=strategy))
    status(kubectl)
    nodes = set(cluster.nodes())
    with kubectl.background("get", "pods", "-l", "app=agent", "--watch", "-o", f"jsonpath={SEEN}") as watch:
        assert watch.stdout is not None
        ready: dict[tuple[str, str], bool] = {}
        while sum(ready.values()) < 3:
            note(ready, watch.stdout.readline())
        kubectl("set", "image", "ds/agent", f"c={ECHO_V2}")
        status(kubectl)
        eventually(lambda: len(by_name(kubectl)), lambda count: count == 3)
        last = by_name(kubectl)
        while not {name for name, _ in ready} >= last:
            note(ready, watch.stdout.readline())
            assert {node for (_, node), is_ready in ready.items() if is_ready} >= nodes


def note(ready: dict[tuple[str, str], bool], line: str) -> None:
    """Takes in one line of SEEN: which pod, where, and whether it is ready."""
    name, node, is_ready = (*line.split(), "", "")[:3]
    ready[name, node] = is_ready == "True"


def by_name(kubectl: Kubectl) -> set[str]:
    return {pod["metadata"]["name"] for pod in by_node(kubectl).values()}
