from __future__ import annotations

import base64
import json

import pytest

from podium.api.server import ApiServer
from tests.unit.api.http.harness import CORE, DEFAULT, MERGE, Http, deployment, pod

PODS = f"{DEFAULT}/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
ACCOUNTS = f"{DEFAULT}/serviceaccounts"


async def test_a_scale_stands_for_the_replicas(http: Http) -> None:
    obj = await http.made(DEPLOYMENTS, deployment("web", 2))
    scale = (await http.get(f"{DEPLOYMENTS}/web/scale")).obj
    assert (scale["kind"], scale["apiVersion"]) == ("Scale", "autoscaling/v1")
    assert scale["spec"] == {"replicas": 2}
    assert scale["metadata"]["uid"] == obj["metadata"]["uid"]
    scale["spec"]["replicas"] = 5
    assert (await http.put(f"{DEPLOYMENTS}/web/scale", scale)).obj["spec"] == {"replicas": 5}
    patched = await http.patch(f"{DEPLOYMENTS}/web/scale", {"spec": {"replicas": 0}}, MERGE)
    assert patched.obj["spec"] == {}
    final = (await http.get(f"{DEPLOYMENTS}/web")).obj
    assert final["spec"]["replicas"] == 0
    assert final["metadata"]["generation"] == 3


async def test_a_scale_is_checked(http: Http) -> None:
    await http.made(DEPLOYMENTS, deployment("web", 2))
    scale = (await http.get(f"{DEPLOYMENTS}/web/scale")).obj
    negative = await http.put(f"{DEPLOYMENTS}/web/scale", {**scale, "spec": {"replicas": -1}})
    assert negative.code == 422
    assert "spec.replicas: Invalid value: -1: must be greater than or equal to 0" in negative.message
    await http.patch(f"{DEPLOYMENTS}/web", {"metadata": {"labels": {"a": "b"}}})
    assert (await http.put(f"{DEPLOYMENTS}/web/scale", scale)).code == 409
    assert (await http.get(f"{DEPLOYMENTS}/nothing/scale")).code == 404
    assert (await http.get(f"{PODS}/a/scale")).code == 404


async def test_a_binding_puts_a_pod_on_a_node_once(http: Http) -> None:
    await http.made(PODS, pod("a"))
    binding = {
        "metadata": {"name": "a", "annotations": {"x": "y"}},
        "target": {"kind": "Node", "name": "one"},
    }
    reply = await http.post(f"{PODS}/a/binding", binding)
    assert (reply.code, reply.obj["status"]) == (201, "Success")
    bound = (await http.get(f"{PODS}/a")).obj
    assert bound["spec"]["nodeName"] == "one"
    assert bound["metadata"]["annotations"]["x"] == "y"
    scheduled = bound["status"]["conditions"][-1]
    assert (scheduled["type"], scheduled["status"]) == ("PodScheduled", "True")
    again = await http.post(f"{PODS}/a/binding", binding)
    assert again.code == 409
    assert 'pod a is already assigned to node "one"' in again.message


async def test_a_bound_pod_takes_the_bindings_labels_and_its_nodes_zone(http: Http) -> None:
    labels = {"topology.kubernetes.io/zone": "z1", "disk": "ssd"}
    await http.made(f"{CORE}/nodes", {"metadata": {"name": "one", "labels": labels}})
    own = {"app": "web", "topology.kubernetes.io/zone": "mine"}
    await http.made(PODS, pod("a", **own))
    binding = {"metadata": {"name": "a", "labels": {"tier": "gold"}}, "target": {"name": "one"}}
    assert (await http.post(f"{PODS}/a/binding", binding)).code == 201
    bound = (await http.get(f"{PODS}/a")).obj
    expected = {"app": "web", "tier": "gold", "topology.kubernetes.io/zone": "z1"}
    assert bound["metadata"]["labels"] == expected
    direct = pod("b")
    direct["spec"]["nodeName"] = "one"
    made = await http.made(PODS, direct)
    assert made["metadata"]["labels"]["topology.kubernetes.io/zone"] == "z1"


async def test_a_binding_can_be_posted_to_its_own_collection(http: Http) -> None:
    await http.made(PODS, pod("a"))
    binding = {"metadata": {"name": "a"}, "target": {"name": "one"}}
    assert (await http.post(f"{DEFAULT}/bindings", binding)).code == 201
    assert (await http.get(f"{PODS}/a")).obj["spec"]["nodeName"] == "one"


async def test_a_binding_needs_a_target_and_the_right_pod(http: Http) -> None:
    uid = (await http.made(PODS, pod("a")))["metadata"]["uid"]
    assert (await http.post(f"{PODS}/a/binding", {"metadata": {"name": "a"}, "target": {}})).code == 422
    target = {"target": {"name": "one"}}
    assert (await http.post(f"{PODS}/a/binding", {"metadata": {"name": "b"}, **target})).code == 400
    assert (
        await http.post(f"{PODS}/a/binding", {"metadata": {"name": "a", "uid": "x"}, **target})
    ).code == 409
    assert (
        await http.post(f"{PODS}/a/binding", {"metadata": {"name": "a", "uid": uid}, **target})
    ).code == 201


async def test_an_eviction_deletes_unless_a_budget_forbids(http: Http) -> None:
    budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
    await http.made(PODS, pod("a", "one", app="web"))
    await http.patch(f"{PODS}/a/status", {"status": {"phase": "Running"}})
    await http.made(
        budgets,
        {"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}},
    )
    await http.patch(f"{budgets}/b/status", {"status": {"disruptionsAllowed": 0, "observedGeneration": 1}})
    eviction = {"metadata": {"name": "a"}, "deleteOptions": {"gracePeriodSeconds": 0}}
    refused = await http.post(f"{PODS}/a/eviction", eviction)
    assert (refused.code, refused.reason) == (429, "TooManyRequests")
    assert refused.message == "Cannot evict pod as it would violate the pod's disruption budget."
    assert refused.obj["details"]["causes"][0]["reason"] == "DisruptionBudget"
    await http.patch(f"{budgets}/b/status", {"status": {"disruptionsAllowed": 1}})
    assert (await http.post(f"{PODS}/a/eviction", eviction, dryRun="All")).code == 201
    assert (await http.post(f"{PODS}/a/eviction", eviction)).code == 201
    assert (await http.get(f"{PODS}/a")).code == 404
    status = (await http.get(f"{budgets}/b")).obj["status"]
    assert status["disruptionsAllowed"] == 0
    assert list(status["disruptedPods"]) == ["a"]


@pytest.mark.parametrize(
    ("policy", "healthy", "code"),
    [("AlwaysAllow", 0, 201), ("IfHealthyBudget", 0, 429), ("IfHealthyBudget", 1, 201)],
)
async def test_a_pod_that_is_not_ready_may_cost_its_budget_nothing(
    http: Http, policy: str, healthy: int, code: int
) -> None:
    budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
    await http.made(PODS, pod("a", "one", app="web"))
    await http.patch(f"{PODS}/a/status", {"status": {"phase": "Running"}})
    spec = {
        "minAvailable": 1,
        "selector": {"matchLabels": {"app": "web"}},
        "unhealthyPodEvictionPolicy": policy,
    }
    await http.made(budgets, {"metadata": {"name": "b"}, "spec": spec})
    status = {
        "disruptionsAllowed": 0,
        "observedGeneration": 1,
        "currentHealthy": healthy,
        "desiredHealthy": 1,
    }
    await http.patch(f"{budgets}/b/status", {"status": status})
    eviction = {"metadata": {"name": "a"}, "deleteOptions": {"gracePeriodSeconds": 0}}
    reply = await http.post(f"{PODS}/a/eviction", eviction)
    assert reply.code == code
    if code == 429:
        cause = reply.obj["details"]["causes"][0]["message"]
        assert cause == "The disruption budget b needs 1 healthy pods and has 0 currently"


async def test_a_token_names_its_account_and_pod(http: Http) -> None:
    created = await http.made(PODS, pod("a"))
    reference = {"kind": "Pod", "apiVersion": "v1", "name": "a", "uid": created["metadata"]["uid"]}
    request = {"spec": {"audiences": ["them"], "expirationSeconds": 700, "boundObjectRef": reference}}
    reply = await http.post(f"{ACCOUNTS}/default/token", request)
    assert reply.code == 201
    payload = reply.obj["status"]["token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["sub"] == "system:serviceaccount:default:default"
    assert claims["aud"] == ["them"]
    assert claims["exp"] - claims["iat"] == 700
    assert claims["kubernetes.io"]["pod"] == {"name": "a", "uid": created["metadata"]["uid"]}
    assert claims["kubernetes.io"]["serviceaccount"]["name"] == "default"


async def test_a_token_request_is_checked(http: Http) -> None:
    short = await http.post(f"{ACCOUNTS}/default/token", {"spec": {"expirationSeconds": 5}})
    assert short.code == 422
    assert "may not specify a duration less than 10 minutes" in short.message
    assert (await http.post(f"{ACCOUNTS}/nobody/token", {"spec": {}})).code == 404
    lost = {"kind": "Pod", "apiVersion": "v1", "name": "lost"}
    assert (await http.post(f"{ACCOUNTS}/default/token", {"spec": {"boundObjectRef": lost}})).code == 404


async def test_ephemeral_containers_are_added_through_their_subresource(http: Http) -> None:
    await http.made(PODS, pod("a"))
    present = (await http.get(f"{PODS}/a")).obj
    present["spec"]["ephemeralContainers"] = [{"name": "debug", "image": "busybox"}]
    present["spec"]["nodeName"] = "elsewhere"
    reply = await http.put(f"{PODS}/a/ephemeralcontainers", present)
    assert reply.code == 200, reply.text
    assert [entry["name"] for entry in reply.obj["spec"]["ephemeralContainers"]] == ["debug"]
    assert "nodeName" not in reply.obj["spec"]


async def test_a_resize_changes_resources_and_nothing_else(http: Http) -> None:
    wanted = pod("a")
    wanted["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "100m"}}
    await http.made(PODS, wanted)
    present = (await http.get(f"{PODS}/a")).obj
    present["spec"]["containers"][0] |= {"resources": {"requests": {"cpu": "200m"}}, "image": "other"}
    reply = await http.put(f"{PODS}/a/resize", present)
    assert reply.code == 200, reply.text
    container = reply.obj["spec"]["containers"][0]
    assert container["resources"]["requests"] == {"cpu": "200m"}
    assert container["image"] == "busybox"


async def test_the_first_objects_are_there(http: Http, server: ApiServer) -> None:
    names = (await http.get(f"{CORE}/namespaces")).names
    assert names == ["default", "kube-node-lease", "kube-public", "kube-system"]
    service = (await http.get(f"{DEFAULT}/services/kubernetes")).obj
    assert service["spec"]["clusterIP"] == "10.43.0.1"
    dns = (await http.get(f"{CORE}/namespaces/kube-system/services/kube-dns")).obj
    assert dns["spec"]["clusterIP"] == "10.43.0.10"
    assert [port["name"] for port in dns["spec"]["ports"]] == ["dns", "dns-tcp"]
    classes = await http.get("/apis/scheduling.k8s.io/v1/priorityclasses")
    assert classes.names == ["system-cluster-critical", "system-node-critical"]
    record = (await http.get("/apis/networking.k8s.io/v1/servicecidrs/kubernetes")).obj
    assert record["spec"]["cidrs"] == ["10.43.0.0/16"]
    assert [(entry["type"], entry["status"]) for entry in record["status"]["conditions"]] == [
        ("Ready", "True")
    ]


async def test_a_pod_says_that_it_was_evicted(http: Http) -> None:
    made = pod("a", "one")
    made["metadata"]["finalizers"] = ["example.com/keep"]
    await http.made(PODS, made)
    eviction = {"metadata": {"name": "a"}, "deleteOptions": {"gracePeriodSeconds": 0}}
    assert (await http.post(f"{PODS}/a/eviction", eviction)).code == 201
    (target,) = [
        entry
        for entry in (await http.get(f"{PODS}/a")).obj["status"]["conditions"]
        if entry["type"] == "DisruptionTarget"
    ]
    assert (target["status"], target["reason"], target["message"]) == (
        "True",
        "EvictionByEvictionAPI",
        "Eviction API: evicting",
    )
