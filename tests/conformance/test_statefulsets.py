"""StatefulSets as their users meet them: pods with names and places that outlive every single one."""

from __future__ import annotations

import json
from typing import Any

from tests.conformance.conftest import LocalCluster
from tests.conformance.coverage_report import covers
from tests.conformance.kubectl import Kubectl
from tests.conformance.objects import ECHO_V1, ECHO_V2, container, pod, service, sh, stateful_set
from tests.conformance.waiting import eventually

BASIC = "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic]"
# Not ready until somebody says so.
UNREADY = {"exec": {"command": ["test", "-e", "/tmp/ready"]}}


def pods(kubectl: Kubectl, app: str = "web") -> dict[str, Any]:
    found = kubectl.get("pods", "-l", f"app={app}")["items"]
    return {item["metadata"]["name"]: item for item in found}


def is_ready(pod: dict[str, Any]) -> bool:
    return any(
        (entry["type"], entry["status"]) == ("Ready", "True") for entry in pod["status"].get("conditions", ())
    )


def images(kubectl: Kubectl, app: str = "web") -> dict[str, str]:
    return {name: pod["spec"]["containers"][0]["image"] for name, pod in pods(kubectl, app).items()}


def status(kubectl: Kubectl, *arguments: str) -> str:
    return kubectl("rollout", "status", *arguments, "--timeout=60s")


def peers() -> dict[str, Any]:
    return service("web-peers", {"port": 8080}, selector={"app": "web"}, clusterIP="None")


def test_pods_have_stable_names_that_dns_knows_and_come_one_after_the_other(kubectl: Kubectl) -> None:
    kubectl.apply(peers(), stateful_set("web", 3))
    status(kubectl, "sts/web")
    found = pods(kubectl)
    assert list(found) == ["web-0", "web-1", "web-2"]
    started = [
        next(entry for entry in pod["status"]["conditions"] if entry["type"] == "Ready")["lastTransitionTime"]
        for pod in found.values()
    ]
    created = [pod["metadata"]["creationTimestamp"] for pod in found.values()]
    assert all(later >= earlier for earlier, later in zip(started[:2], created[1:], strict=True))
    assert kubectl("exec", "web-1", "--", "hostname").strip() == "web-1"
    name = f"web-2.web-peers.{kubectl.namespace}.svc.cluster.local"
    address = found["web-2"]["status"]["podIP"]
    eventually(lambda: kubectl.run("exec", "web-0", "--", "nslookup", name).out, lambda told: address in told)
    before = found["web-1"]["metadata"]["uid"]
    kubectl("delete", "pod", "web-1")
    eventually(
        lambda: pods(kubectl).get("web-1"),
        lambda pod: pod is not None and pod["metadata"]["uid"] != before and is_ready(pod),
    )
    told = kubectl("get", "events", "--field-selector=involvedObject.name=web,reason=SuccessfulCreate")
    assert "Create Pod web-1 in StatefulSet web successful" in told


@covers(f"{BASIC} should perform rolling updates and roll backs of template modifications [Conformance]")
def test_an_update_goes_through_the_pods_from_the_last_and_can_be_undone(kubectl: Kubectl) -> None:
    kubectl.apply(stateful_set("web", 2, container("c", ECHO_V1)))
    status(kubectl, "sts/web")
    kubectl("annotate", "sts/web", "kubernetes.io/change-cause=the second")
    kubectl("set", "image", "sts/web", f"c={ECHO_V2}")
    status(kubectl, "sts/web")
    assert set(images(kubectl).values()) == {ECHO_V2}
    history = kubectl("rollout", "history", "sts/web")
    assert "the second" in history
    assert ECHO_V1 in kubectl("rollout", "history", "sts/web", "--revision=1")
    made = {name: pod["metadata"]["creationTimestamp"] for name, pod in pods(kubectl).items()}
    assert made["web-1"] <= made["web-0"]
    kubectl("rollout", "undo", "sts/web")
    status(kubectl, "sts/web")
    assert set(images(kubectl).values()) == {ECHO_V1}
    found = kubectl.get("sts", "web")["status"]
    assert found["currentRevision"] == found["updateRevision"]
    numbers = sorted(item["revision"] for item in kubectl.get("controllerrevisions")["items"])
    assert numbers == [2, 3]


@covers(
    f"{BASIC} should perform canary updates and phased rolling updates of template modifications"
    " [Conformance]"
)
def test_a_partition_rolls_out_to_a_canary_and_then_to_all(kubectl: Kubectl) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
    kubectl.apply(stateful_set("web", 3, container("c", ECHO_V1), updateStrategy=strategy))
    status(kubectl, "sts/web")
    kubectl("set", "image", "sts/web", f"c={ECHO_V2}")
    status(kubectl, "sts/web")
    assert images(kubectl) == {"web-0": ECHO_V1, "web-1": ECHO_V1, "web-2": ECHO_V2}
    kubectl("delete", "pod", "web-0", "web-2")
    eventually(lambda: pods(kubectl), lambda found: len(found) == 3 and all(map(is_ready, found.values())))
    assert images(kubectl) == {"web-0": ECHO_V1, "web-1": ECHO_V1, "web-2": ECHO_V2}
    kubectl("patch", "sts", "web", "-p", '{"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}}}}')
    status(kubectl, "sts/web")
    assert set(images(kubectl).values()) == {ECHO_V2}


@covers(
    f"{BASIC} Scaling should happen in predictable order and halt if any stateful pod is unhealthy [Slow]"
    " [Conformance]"
)
def test_scaling_halts_at_a_pod_that_is_not_ready_in_both_directions(kubectl: Kubectl) -> None:
    probed = container(readinessProbe={**UNREADY, "periodSeconds": 1, "failureThreshold": 1})
    kubectl.apply(stateful_set("web", 2, probed))
    kubectl.wait("pod/web-0", "jsonpath={.status.phase}=Running")
    assert list(pods(kubectl)) == ["web-0"]
    kubectl("exec", "web-0", "--", "touch", "/tmp/ready")
    eventually(lambda: pods(kubectl), lambda found: len(found) == 2)
    kubectl.wait("pod/web-1", "jsonpath={.status.phase}=Running")
    kubectl("exec", "web-1", "--", "touch", "/tmp/ready")
    status(kubectl, "sts/web")
    for name in ("web-0", "web-1"):
        kubectl("exec", name, "--", "rm", "/tmp/ready")
    for name in ("web-0", "web-1"):
        kubectl.wait(f"pod/{name}", "condition=Ready=false")
    kubectl("scale", "sts/web", "--replicas=0")
    observed = kubectl.get("sts", "web")["metadata"]["generation"]
    kubectl.wait("sts/web", f"jsonpath={{.status.observedGeneration}}={observed}")
    assert list(pods(kubectl)) == ["web-0", "web-1"]
    # It goes, being healthy, and then the first pod, which is the only one that keeps no other from being next.
    kubectl("exec", "web-1", "--", "touch", "/tmp/ready")
    eventually(lambda: pods(kubectl), lambda found: not found)


@covers(
    f"{BASIC} Burst scaling should run to completion even with unhealthy pods [Slow] [Conformance]",
    f"{BASIC} should have a working scale subresource [Conformance]",
)
def test_a_parallel_set_scales_at_once_through_its_scale_subresource(kubectl: Kubectl) -> None:
    probed = container(readinessProbe=UNREADY)
    kubectl.apply(stateful_set("web", 1, probed, podManagementPolicy="Parallel"))
    path = f"/apis/apps/v1/namespaces/{kubectl.namespace}/statefulsets/web/scale"
    scale = json.loads(kubectl("get", "--raw", path))
    assert (scale["kind"], scale["spec"]["replicas"]) == ("Scale", 1)
    scale["spec"]["replicas"] = 3
    kubectl("replace", "--raw", path, "-f", "-", stdin=json.dumps(scale))
    eventually(lambda: sorted(pods(kubectl)), lambda found: found == ["web-0", "web-1", "web-2"])
    kubectl("scale", "sts/web", "--replicas=0")
    eventually(lambda: pods(kubectl), lambda found: not found)


def test_a_pods_data_survives_it_and_goes_with_the_set_where_asked(kubectl: Kubectl) -> None:
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "4Mi"}}},
    }
    keeper = sh(
        "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done",
        volumeMounts=[{"name": "data", "mountPath": "/data"}],
    )
    kubectl.apply(
        stateful_set(
            "web",
            2,
            keeper,
            volumeClaimTemplates=[claim],
            ordinals={"start": 3},
            persistentVolumeClaimRetentionPolicy={"whenScaled": "Delete", "whenDeleted": "Delete"},
        )
    )
    status(kubectl, "sts/web")
    assert sorted(pods(kubectl)) == ["web-3", "web-4"]
    kubectl("exec", "web-3", "--", "sh", "-c", "echo kept > /data/told; sync")
    before = pods(kubectl)["web-3"]["metadata"]["uid"]
    kubectl("delete", "pod", "web-3")
    eventually(
        lambda: pods(kubectl).get("web-3"),
        lambda pod: pod is not None and pod["metadata"]["uid"] != before and is_ready(pod),
    )
    assert kubectl("exec", "web-3", "--", "cat", "/data/told").strip() == "kept"
    kubectl("scale", "sts/web", "--replicas=1")

    def claims() -> list[str]:
        return [item["metadata"]["name"] for item in kubectl.get("pvc")["items"]]

    eventually(claims, lambda names: names == ["data-web-3"])
    kubectl("delete", "sts", "web")
    eventually(claims, lambda names: not names)


@covers(f"{BASIC} Should recreate evicted statefulset [Conformance]")
def test_a_pod_that_its_node_refuses_is_made_again_until_there_is_room(
    cluster: LocalCluster, kubectl: Kubectl
) -> None:
    node, port = cluster.nodes()[0], {"containerPort": 21017, "hostPort": 21017}
    kubectl.apply(pod("holder", container(ports=[port]), nodeName=node))
    kubectl.wait("pod/holder", "condition=Ready")
    made = stateful_set("web", 1, container(ports=[port]))
    made["spec"]["template"]["spec"]["nodeName"] = node
    kubectl.apply(made)
    told = ("get", "events", "--field-selector=reason=NodePorts")
    eventually(lambda: kubectl(*told), lambda text: "Predicate NodePorts failed" in text)
    eventually(
        lambda: kubectl("get", "events", "--field-selector=reason=SuccessfulDelete"),
        lambda text: "Delete Pod web-0 in StatefulSet web successful" in text,
    )
    kubectl("delete", "pod", "holder", "--grace-period=1")
    status(kubectl, "sts/web")


@covers(
    f"{BASIC} should list, patch and delete a collection of StatefulSets [Conformance]",
    f"{BASIC} should validate Statefulset Status endpoints [Conformance]",
)
def test_what_others_note_in_a_status_stays_and_a_collection_goes_at_once(kubectl: Kubectl) -> None:
    kubectl.apply(stateful_set("web", 1), stateful_set("other", 1))
    status(kubectl, "sts/web")
    noted = {"type": "StatusPatched", "status": "True"}
    patch = json.dumps({"status": {"conditions": [noted]}})
    kubectl("patch", "sts", "web", "--subresource=status", "--type=merge", "-p", patch)
    kubectl("scale", "sts/web", "--replicas=2")
    status(kubectl, "sts/web")
    path = f"/apis/apps/v1/namespaces/{kubectl.namespace}/statefulsets"
    assert json.loads(kubectl("get", "--raw", f"{path}/web/status"))["status"]["conditions"] == [noted]
    kubectl("label", "sts", "--all", "seen=yes")
    kubectl("delete", "sts", "-l", "seen=yes")
    eventually(lambda: kubectl.get("pods")["items"], lambda found: not found)
