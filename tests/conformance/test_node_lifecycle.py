"""What becomes of pods when their node falls silent, comes back, or is emptied on purpose."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tests.conformance.conftest import LocalCluster
from tests.conformance.coverage_report import covers
from tests.conformance.kubectl import Kubectl
from tests.conformance.objects import daemon_set, deployment
from tests.conformance.waiting import eventually

UNREACHABLE = "node.kubernetes.io/unreachable"
PATIENCE = 2  # seconds that pods tolerate


def patient_deployment(node: str, replicas: int = 1) -> dict[str, Any]:
    """Its first pods come to `node`; they leave a node that is in trouble after PATIENCE."""
    keys = ("node.kubernetes.io/not-ready", UNREACHABLE)
    wanted = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    preferred = [{"weight": 100, "preference": {"matchExpressions": [wanted]}}]
    made = deployment("moves", replicas)
    made["spec"]["template"]["spec"] |= {
        "tolerations": [
            {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": PATIENCE}
            for key in keys
        ],
        "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}},
    }
    return made


def pods(kubectl: Kubectl, app: str = "moves") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = kubectl.get("pods", "-l", f"app={app}")["items"]
    return found


def condition(obj: dict[str, Any], kind: str) -> dict[str, Any]:
    entries = obj["status"].get("conditions", ())
    return next((entry for entry in entries if entry["type"] == kind), {})


def is_ready(obj: dict[str, Any]) -> bool:
    return bool(condition(obj, "Ready").get("status") == "True")


def taints(kubectl: Kubectl, node: str) -> dict[tuple[str, str], str]:
    entries = kubectl.get("node", node)["spec"].get("taints", ())
    return {(entry["key"], entry["effect"]): entry.get("timeAdded", "") for entry in entries}


def settle(kubectl: Kubectl, node: str) -> None:
    kubectl("rollout", "status", "deploy/moves", "--timeout=60s")
    assert {item["spec"]["nodeName"] for item in pods(kubectl)} == {node}


def test_a_killed_nodes_pods_run_elsewhere_and_go_for_good_once_it_is_said_to_be_out_of_service(
    cluster: LocalCluster, kubectl: Kubectl, victim: str
) -> None:
    kubectl.apply(patient_deployment(victim))
    settle(kubectl, victim)
    (before,) = pods(kubectl)
    cluster.node("kill", victim)
    added = eventually(lambda: taints(kubectl, victim).get((UNREACHABLE, "NoExecute")), bool, timeout=40)
    assert added
    moved = eventually(
        lambda: [item for item in pods(kubectl) if item["spec"].get("nodeName") != victim],
        lambda found: len(found) == 1 and is_ready(found[0]),
    )
    running = condition(moved[0], "Ready")["lastTransitionTime"]
    took = datetime.fromisoformat(running) - datetime.fromisoformat(added)
    # Both are whole seconds.
    assert took.total_seconds() <= PATIENCE + 3 + 1
    node = kubectl.get("node", victim)
    assert condition(node, "Ready")["reason"] == "NodeStatusUnknown"
    assert (UNREACHABLE, "NoSchedule") in taints(kubectl, victim)
    told = kubectl("get", "events", "-A", "--field-selector", f"involvedObject.name={victim}")
    assert f"Node {victim} status is now: NodeNotReady" in told
    # Nobody can say whether the old pod is gone, so that it stays, not ready, until its node says it.
    old = kubectl.get("pod", before["metadata"]["name"])
    assert "deletionTimestamp" in old["metadata"]
    assert condition(old, "DisruptionTarget")["reason"] == "DeletionByTaintManager"
    assert not is_ready(old)
    try:
        kubectl("taint", "node", victim, "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute")
        kubectl.wait(f"pod/{before['metadata']['name']}", "delete")
    finally:
        kubectl("taint", "node", victim, "node.kubernetes.io/out-of-service-")
    cluster.node("start", victim)
    kubectl.wait(f"node/{victim}", "condition=Ready")
    eventually(lambda: taints(kubectl, victim), lambda found: not found)


def test_a_node_that_is_cut_off_now_and_then_keeps_its_pods_and_one_cut_off_for_long_lets_go_of_them(
    cluster: LocalCluster, kubectl: Kubectl, victim: str
) -> None:
    kubectl.apply(patient_deployment(victim))
    settle(kubectl, victim)
    (before,) = pods(kubectl)
    for action in ("cut", "mend", "cut", "mend"):
        cluster.node(action, victim)
    (same,) = pods(kubectl)
    assert same["metadata"]["uid"] == before["metadata"]["uid"]
    assert "deletionTimestamp" not in same["metadata"]
    cluster.node("cut", victim)
    eventually(
        lambda: [item for item in pods(kubectl) if item["spec"].get("nodeName") not in ("", victim)],
        lambda found: len(found) == 1 and is_ready(found[0]),
        timeout=40,
    )
    assert before["metadata"]["name"] in [item["metadata"]["name"] for item in pods(kubectl)]
    cluster.node("mend", victim)
    kubectl.wait(f"node/{victim}", "condition=Ready")
    kubectl.wait(f"pod/{before['metadata']['name']}", "delete")


@covers(
    "[sig-apps] DisruptionController should block an eviction until the PDB is updated to allow it [Conformance]"
)
def test_a_drain_moves_pods_as_far_as_their_budget_allows(kubectl: Kubectl, victim: str) -> None:
    kubectl.apply(patient_deployment(victim, replicas=2), daemon_set("agent"))
    settle(kubectl, victim)
    kubectl("rollout", "status", "ds/agent", "--timeout=60s")
    kubectl("create", "pdb", "moves", "--selector=app=moves", "--min-available=2")
    kubectl.wait("pdb/moves", "jsonpath={.status.currentHealthy}=2")
    drain = ("drain", victim, "--delete-emptydir-data", "--pod-selector=app in (moves,agent)")
    assert "DaemonSet-managed Pods" in kubectl.refused(*drain)
    assert kubectl.get("node", victim)["spec"]["unschedulable"]
    said = kubectl.refused(*drain, "--ignore-daemonsets", "--timeout=2s")
    assert "Cannot evict pod as it would violate the pod's disruption budget." in said
    assert {item["spec"]["nodeName"] for item in pods(kubectl)} == {victim}
    kubectl("patch", "pdb", "moves", "-p", '{"spec":{"minAvailable":1}}')
    kubectl(*drain, "--ignore-daemonsets", "--timeout=40s")
    left = [item for item in pods(kubectl) if "deletionTimestamp" not in item["metadata"]]
    assert victim not in {item["spec"].get("nodeName") for item in left}
    assert (UNREACHABLE, "NoExecute") not in taints(kubectl, victim)
    assert victim in {item["spec"]["nodeName"] for item in pods(kubectl, "agent")}
