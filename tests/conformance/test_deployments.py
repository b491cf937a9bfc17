"""Deployments on bad days: every one of them ends in the state that was asked for, or says why not."""

from __future__ import annotations

import json
from typing import Any

from tests.conformance.coverage_report import covers
from tests.conformance.kubectl import Kubectl
from tests.conformance.objects import ECHO_V1, ECHO_V2, config_map, container, deployment
from tests.conformance.waiting import eventually


def web(replicas: int, **spec: Any) -> dict[str, Any]:
    return deployment("web", replicas, container("c", ECHO_V1), **spec)


def rolled_out(kubectl: Kubectl) -> None:
    kubectl("rollout", "status", "deploy/web", "--timeout=60s")


def pods(kubectl: Kubectl) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = kubectl.get("pods", "-l", "app=web")["items"]
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def images(kubectl: Kubectl) -> list[str]:
    return sorted(pod["spec"]["containers"][0]["image"] for pod in pods(kubectl))


def condition(kubectl: Kubectl, kind: str) -> dict[str, Any]:
    entries = kubectl.get("deploy", "web")["status"].get("conditions", ())
    return next((entry for entry in entries if entry["type"] == kind), {})


def test_a_rollout_to_a_broken_image_keeps_the_old_pods_and_can_be_undone(kubectl: Kubectl) -> None:
    kubectl.apply(web(3, progressDeadlineSeconds=3))
    rolled_out(kubectl)
    before = {pod["metadata"]["uid"] for pod in pods(kubectl)}
    kubectl("set", "image", "deploy/web", "c=podium.io/none:v0")
    said = kubectl.refused("rollout", "status", "deploy/web", "--timeout=30s")
    assert "exceeded its progress deadline" in said
    assert condition(kubectl, "Progressing")["reason"] == "ProgressDeadlineExceeded"
    assert condition(kubectl, "Available")["status"] == "True"
    assert images(kubectl).count(ECHO_V1) == 3
    kubectl("rollout", "undo", "deploy/web")
    rolled_out(kubectl)
    assert {pod["metadata"]["uid"] for pod in pods(kubectl)} == before
    assert images(kubectl) == [ECHO_V1] * 3


@covers("[sig-apps] Deployment deployment should support rollover [Conformance]")
def test_of_two_rollouts_at_once_the_last_one_wins_and_leaves_no_other_pod(kubectl: Kubectl) -> None:
    kubectl.apply(web(3))
    rolled_out(kubectl)
    kubectl("set", "image", "deploy/web", "c=podium.io/none:v0")
    kubectl("set", "image", "deploy/web", f"c={ECHO_V2}")
    rolled_out(kubectl)
    eventually(lambda: images(kubectl), lambda found: found == [ECHO_V2] * 3)
    sizes = sorted(item["spec"]["replicas"] for item in kubectl.get("rs", "-l", "app=web")["items"])
    assert sizes[-1] == 3
    assert not any(sizes[:-1])


def test_a_paused_rollout_waits_until_it_is_resumed(kubectl: Kubectl) -> None:
    kubectl.apply(web(2))
    rolled_out(kubectl)
    kubectl("rollout", "pause", "deploy/web")
    kubectl("set", "image", "deploy/web", f"c={ECHO_V2}")
    kubectl("scale", "deploy/web", "--replicas=3")
    kubectl.wait("deploy/web", "jsonpath={.status.availableReplicas}=3")
    assert images(kubectl) == [ECHO_V1] * 3
    assert condition(kubectl, "Progressing")["reason"] == "DeploymentPaused"
    kubectl("rollout", "resume", "deploy/web")
    rolled_out(kubectl)
    eventually(lambda: images(kubectl), lambda found: found == [ECHO_V2] * 3)
    assert "REVISION" in kubectl("rollout", "history", "deploy/web")


@covers(
    "[sig-apps] Deployment RecreateDeployment should delete old pods and create new ones [Conformance]",
    "[sig-apps] Deployment deployment should delete old replica sets [Conformance]",
)
def test_recreate_never_runs_two_templates_at_once_and_old_revisions_go(kubectl: Kubectl) -> None:
    kubectl.apply(web(2, strategy={"type": "Recreate"}, revisionHistoryLimit=0))
    rolled_out(kubectl)
    kubectl("set", "image", "deploy/web", f"c={ECHO_V2}")
    rolled_out(kubectl)
    assert images(kubectl) == [ECHO_V2] * 2
    ended = kubectl.get("events", "--field-selector=reason=ScalingReplicaSet")["items"]
    told = [entry["message"] for entry in sorted(ended, key=lambda entry: str(entry["metadata"]["name"]))]
    assert [message.split(" from ")[1] for message in told] == ["0 to 2", "2 to 0", "0 to 2"]
    eventually(lambda: kubectl.get("rs", "-l", "app=web")["items"], lambda found: len(found) == 1)


@covers("[sig-apps] Deployment deployment should support proportional scaling [Conformance]")
def test_scaling_in_the_middle_of_a_rollout_is_shared_in_proportion(kubectl: Kubectl) -> None:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}
    kubectl.apply(web(10, strategy=rolling))
    rolled_out(kubectl)
    kubectl("set", "image", "deploy/web", "c=podium.io/none:v0")

    def sizes() -> list[int]:
        return sorted(item["spec"]["replicas"] for item in kubectl.get("rs", "-l", "app=web")["items"])

    eventually(sizes, lambda found: found == [5, 8])
    kubectl("scale", "deploy/web", "--replicas=30")
    eventually(sizes, lambda found: found == [13, 20])


def test_a_quota_hit_halfway_is_told_and_the_rest_comes_when_there_is_room(kubectl: Kubectl) -> None:
    kubectl("create", "quota", "few", "--hard=pods=2")
    kubectl.apply(web(4))
    kubectl.wait("deploy/web", "condition=ReplicaFailure")
    failure = condition(kubectl, "ReplicaFailure")
    assert failure["reason"] == "FailedCreate"
    assert "exceeded quota: few, requested: pods=1, used: pods=2, limited: pods=2" in failure["message"]
    kubectl.wait("deploy/web", "jsonpath={.status.readyReplicas}=2")
    told = kubectl("get", "events", "--field-selector=reason=FailedCreate")
    assert "Error creating: pods" in told
    kubectl("patch", "quota", "few", "-p", '{"spec":{"hard":{"pods":"4"}}}')
    kubectl.wait("deploy/web", "jsonpath={.status.readyReplicas}=4", timeout=120)
    assert not condition(kubectl, "ReplicaFailure")


def test_deployments_whose_selectors_overlap_leave_each_others_pods_alone(kubectl: Kubectl) -> None:
    other = deployment("other", 1, container("c", ECHO_V2))
    for part in (other["spec"]["selector"]["matchLabels"], other["spec"]["template"]["metadata"]["labels"]):
        part["app"] = "web"
    kubectl.apply(web(2), other)
    rolled_out(kubectl)
    kubectl("rollout", "status", "deploy/other", "--timeout=60s")
    assert images(kubectl) == [ECHO_V1, ECHO_V1, ECHO_V2]
    kubectl("scale", "deploy/web", "--replicas=1")
    eventually(lambda: images(kubectl), lambda found: found == [ECHO_V1, ECHO_V2])


def test_owners_that_own_each_other_go_together_and_owners_elsewhere_do_not_count(kubectl: Kubectl) -> None:
    kubectl.apply(config_map("one"), config_map("two"), config_map("far"))
    uid = {name: kubectl.get("configmap", name)["metadata"]["uid"] for name in ("one", "two")}

    def own(name: str, owner: str, owner_uid: str) -> None:
        reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": owner_uid}
        patch = {"metadata": {"ownerReferences": [{**reference, "blockOwnerDeletion": True}]}}
        kubectl("patch", "configmap", name, "-p", json.dumps(patch))

    own("one", "two", uid["two"])
    own("two", "one", uid["one"])
    kubectl("delete", "configmap", "one", "--cascade=foreground", "--timeout=60s")
    kubectl.wait("configmap/two", "delete")
    elsewhere = kubectl.get("configmap", "-n", "kube-system", "kube-root-ca.crt")["metadata"]
    own("far", "kube-root-ca.crt", elsewhere["uid"])
    kubectl.wait("configmap/far", "delete")
    eventually(
        lambda: kubectl("get", "events", "--field-selector=reason=OwnerRefInvalidNamespace"),
        lambda told: f'does not exist in namespace "{kubectl.namespace}"' in told,
    )
