"""ReplicaSets and ReplicationControllers without a Deployment above them, and budgets over their pods."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance.coverage_report import covers
from tests.conformance.kubectl import Kubectl
from tests.conformance.objects import ECHO_V1, container, pod
from tests.conformance.waiting import eventually

LABELS = {"app": "web"}


def replicas(kind: str, count: int) -> dict[str, Any]:
    spec = {"terminationGracePeriodSeconds": 1, "containers": [container("c", ECHO_V1)]}
    template = {"metadata": {"labels": LABELS}, "spec": spec}
    group, selector = ("apps/v1", {"matchLabels": LABELS}) if kind == "ReplicaSet" else ("v1", LABELS)
    return {
        "apiVersion": group,
        "kind": kind,
        "metadata": {"name": "web", "labels": LABELS},
        "spec": {"replicas": count, "selector": selector, "template": template},
    }


def owners(kubectl: Kubectl, name: str) -> list[str]:
    found = kubectl.get("pod", name)["metadata"].get("ownerReferences", ())
    return [entry["kind"] for entry in found]


@covers(
    "[sig-apps] ReplicationController should adopt matching pods on creation [Conformance]",
    "[sig-apps] ReplicationController should release no longer matching pods [Conformance]",
    "[sig-apps] ReplicationController should test the lifecycle of a ReplicationController [Conformance]",
)
@pytest.mark.parametrize("kind", ["ReplicaSet", "ReplicationController"])
def test_matching_pods_are_adopted_and_those_that_match_no_more_are_released(
    kubectl: Kubectl, kind: str
) -> None:
    kubectl.apply(pod("early", container("c", ECHO_V1), labels=LABELS))
    kubectl.apply(replicas(kind, 1))
    eventually(lambda: owners(kubectl, "early"), lambda found: found == [kind])
    assert len(kubectl.get("pods", "-l", "app=web")["items"]) == 1
    kubectl("label", "pod", "early", "app=other", "--overwrite")
    eventually(lambda: owners(kubectl, "early"), lambda found: not found)
    eventually(lambda: kubectl.get("pods", "-l", "app=web")["items"], lambda found: len(found) == 1)
    kubectl("scale", kind, "web", "--replicas=3")
    kubectl.wait(f"{kind}/web", "jsonpath={.status.readyReplicas}=3")
    kubectl("delete", kind, "web", "--cascade=orphan")
    left = kubectl.get("pods", "-l", "app=web")["items"]
    assert len(left) == 3
    assert not any(item["metadata"].get("ownerReferences") for item in left)


@covers(
    "[sig-apps] ReplicaSet should serve a basic image on each replica with a public image [Conformance]",
    "[sig-apps] ReplicationController should serve a basic image on each replica with a public image"
    " [Conformance]",
    "[sig-apps] ReplicationController should surface a failure condition on a common issue like exceeded"
    " quota [Conformance]",
)
@pytest.mark.parametrize("kind", ["ReplicaSet", "ReplicationController"])
def test_a_quota_is_told_in_a_condition_that_goes_when_less_is_wanted(kubectl: Kubectl, kind: str) -> None:
    kubectl("create", "quota", "few", "--hard=pods=2")
    kubectl.apply(replicas(kind, 3))
    kubectl.wait(f"{kind}/web", "condition=ReplicaFailure")
    kubectl.wait(f"{kind}/web", "jsonpath={.status.readyReplicas}=2")
    for item in kubectl.get("pods", "-l", "app=web")["items"]:
        path = f"/api/v1/namespaces/{kubectl.namespace}/pods/{item['metadata']['name']}:8080/proxy/"
        assert item["metadata"]["name"] in kubectl("get", "--raw", path)
    kubectl("scale", kind, "web", "--replicas=2")
    eventually(lambda: kubectl.get(kind, "web")["status"].get("conditions"), lambda found: not found)


@covers(
    "[sig-apps] DisruptionController should create a PodDisruptionBudget [Conformance]",
    "[sig-apps] DisruptionController should observe PodDisruptionBudget status updated [Conformance]",
    "[sig-apps] DisruptionController should update/patch PodDisruptionBudget status [Conformance]",
    "[sig-apps] DisruptionController Listing PodDisruptionBudgets for all namespaces should list and delete a"
    " collection of PodDisruptionBudgets [Conformance]",
)
def test_a_budget_follows_what_the_workload_wants(kubectl: Kubectl) -> None:
    kubectl("create", "pdb", "web", "--selector=app=web", "--max-unavailable=50%")
    kubectl.apply(replicas("ReplicaSet", 3))
    kubectl.wait("pdb/web", "jsonpath={.status.disruptionsAllowed}=2")
    found = kubectl.get("pdb", "web")["status"]
    assert (found["expectedPods"], found["desiredHealthy"], found["currentHealthy"]) == (3, 1, 3)
    kubectl("scale", "rs", "web", "--replicas=1")
    kubectl.wait("pdb/web", "jsonpath={.status.expectedPods}=1")
    noted = {"type": "Noted", "status": "True", "reason": "Seen", "message": ""}
    noted["lastTransitionTime"] = "2026-01-01T00:00:00Z"
    patch = json.dumps({"status": {"conditions": [noted]}})
    kubectl("patch", "pdb", "web", "--subresource=status", "--type=merge", "-p", patch)
    kubectl.wait("pdb/web", "condition=DisruptionAllowed")
    kinds = {entry["type"] for entry in kubectl.get("pdb", "web")["status"]["conditions"]}
    assert kinds == {"Noted", "DisruptionAllowed"}
    assert kubectl.namespace in kubectl("get", "pdb", "-A")
    kubectl("delete", "pdb", "--all")
    assert not kubectl.get("pdb")["items"]
