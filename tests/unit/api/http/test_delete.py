from __future__ import annotations

import pytest

from podium.api.server import ApiServer
from tests.unit.api.http.harness import CORE, DEFAULT, Http, config_map, deployment, pod

MAPS = f"{DEFAULT}/configmaps"
PODS = f"{DEFAULT}/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


async def test_a_deleted_object_is_gone_and_a_status_says_which(http: Http) -> None:
    obj = await http.made(MAPS, config_map("a"))
    reply = await http.delete(f"{MAPS}/a")
    assert (reply.code, reply.obj["status"]) == (200, "Success")
    assert reply.obj["details"] == {"name": "a", "kind": "configmaps", "uid": obj["metadata"]["uid"]}
    assert (await http.get(f"{MAPS}/a")).code == 404


async def test_some_kinds_are_shown_a_last_time(http: Http) -> None:
    await http.made(f"{DEFAULT}/serviceaccounts", {"metadata": {"name": "a"}})
    assert (await http.delete(f"{DEFAULT}/serviceaccounts/a")).obj["kind"] == "ServiceAccount"


async def test_preconditions_must_hold(http: Http) -> None:
    obj = await http.made(MAPS, config_map("a"))
    for wrong in ({"uid": "another"}, {"resourceVersion": "1"}):
        reply = await http.delete(f"{MAPS}/a", {"preconditions": wrong})
        assert (reply.code, reply.reason) == (409, "Conflict")
    right = {"uid": obj["metadata"]["uid"], "resourceVersion": obj["metadata"]["resourceVersion"]}
    assert (await http.delete(f"{MAPS}/a", {"preconditions": right})).code == 200


@pytest.mark.parametrize("seconds", [10**12, 99999999999999])
async def test_grace_without_an_end_ends_at_some_time(http: Http, seconds: int) -> None:
    await http.made(PODS, pod("a", node="one"))
    reply = await http.delete(f"{PODS}/a", {"gracePeriodSeconds": seconds})
    assert (reply.code, reply.obj["metadata"]["deletionTimestamp"][:2]) == (200, "21")
    assert (await http.delete(f"{PODS}/a", gracePeriodSeconds=seconds)).code == 200


async def test_preconditions_are_nothing_for_a_query(http: Http) -> None:
    await http.made(MAPS, {"metadata": {"name": "a"}})
    assert (await http.delete(f"{MAPS}/a", preconditions="x")).code == 200


async def test_finalizers_keep_an_object_until_they_are_gone(http: Http) -> None:
    wanted = config_map("a")
    wanted["metadata"]["finalizers"] = ["example.com/mine"]
    await http.made(MAPS, wanted)
    marked = (await http.delete(f"{MAPS}/a")).obj
    assert marked["kind"] == "ConfigMap"
    assert marked["metadata"]["deletionTimestamp"]
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 0
    assert (await http.delete(f"{MAPS}/a")).obj == marked
    kept = await http.patch(f"{MAPS}/a", {"metadata": {"deletionTimestamp": None}})
    assert "deletionTimestamp" in kept.obj["metadata"]
    async with http.watch(MAPS, resourceVersion=kept.version) as events:
        freed = await http.patch(f"{MAPS}/a", {"metadata": {"finalizers": None}})
        assert freed.code == 200
        assert await events.take(1) == [("DELETED", "a")]
    assert (await http.get(f"{MAPS}/a")).code == 404


async def test_the_propagation_policy_is_recorded_for_the_collector(http: Http) -> None:
    for policy, finalizer in (("Orphan", "orphan"), ("Foreground", "foregroundDeletion")):
        await http.made(DEPLOYMENTS, deployment(policy.lower()))
        path = f"{DEPLOYMENTS}/{policy.lower()}"
        reply = await http.delete(path, {"propagationPolicy": policy})
        assert reply.obj["metadata"]["finalizers"] == [finalizer]
        assert reply.obj["metadata"]["generation"] == 2
        assert (await http.get(path)).code == 200
    await http.made(DEPLOYMENTS, deployment("background"))
    await http.delete(f"{DEPLOYMENTS}/background", propagationPolicy="Background")
    assert (await http.get(f"{DEPLOYMENTS}/background")).code == 404


async def test_a_dry_run_deletes_nothing(http: Http) -> None:
    await http.made(MAPS, config_map("a"))
    assert (await http.delete(f"{MAPS}/a", {"dryRun": ["All"]})).code == 200
    assert (await http.delete(f"{MAPS}/a", dryRun="All")).code == 200
    assert (await http.get(f"{MAPS}/a")).code == 200


async def test_a_pod_on_no_node_goes_at_once(http: Http) -> None:
    await http.made(PODS, pod("a"))
    assert (await http.delete(f"{PODS}/a")).obj["kind"] == "Pod"
    assert (await http.get(f"{PODS}/a")).code == 404


async def test_a_pod_on_a_node_waits_for_the_node(http: Http) -> None:
    await http.made(PODS, pod("a", node="one"))
    marked = (await http.delete(f"{PODS}/a")).obj["metadata"]
    assert marked["deletionGracePeriodSeconds"] == 30
    assert marked["deletionTimestamp"] > marked["creationTimestamp"]
    assert (await http.delete(f"{PODS}/a")).obj["metadata"] == marked
    longer = await http.delete(f"{PODS}/a", gracePeriodSeconds=60)
    assert longer.obj["metadata"] == marked
    shorter = (await http.delete(f"{PODS}/a", gracePeriodSeconds=5)).obj["metadata"]
    assert shorter["deletionGracePeriodSeconds"] == 5
    assert shorter["deletionTimestamp"] < marked["deletionTimestamp"]
    assert (await http.delete(f"{PODS}/a", {"gracePeriodSeconds": 0})).code == 200
    assert (await http.get(f"{PODS}/a")).code == 404


async def test_a_namespace_is_terminated_and_goes_when_it_is_finalized(http: Http) -> None:
    namespaces = f"{CORE}/namespaces"
    await http.made(namespaces, {"metadata": {"name": "a"}})
    marked = (await http.delete(f"{namespaces}/a")).obj
    assert marked["status"]["phase"] == "Terminating"
    assert marked["metadata"]["deletionTimestamp"]
    assert marked["spec"]["finalizers"] == ["kubernetes"]
    refused = await http.post(f"{namespaces}/a/configmaps", config_map("late"))
    assert refused.code == 403
    assert "because it is being terminated" in refused.message
    marked["spec"] = {}
    finalized = await http.put(f"{namespaces}/a/finalize", marked)
    assert finalized.code == 200
    assert (await http.get(f"{namespaces}/a")).code == 404


async def test_a_collection_is_deleted_as_far_as_it_is_selected(http: Http) -> None:
    for index in range(6):
        await http.made(MAPS, config_map(f"map-{index}", {"half": "first" if index < 3 else "second"}))
    await http.made(f"{CORE}/namespaces/kube-system/configmaps", config_map("elsewhere"))
    reply = await http.delete(MAPS, labelSelector="half=first")
    assert (reply.code, len(reply.obj["items"])) == (200, 3)
    assert (await http.get(MAPS)).names == ["map-3", "map-4", "map-5"]
    await http.delete(MAPS)
    assert (await http.get(MAPS)).names == []
    assert "elsewhere" in (await http.get(f"{CORE}/configmaps")).names


async def test_a_collection_is_deleted_as_the_options_say(http: Http) -> None:
    for name in ("a", "b", "c"):
        await http.made(MAPS, config_map(name))
    tried = await http.delete(MAPS, {"dryRun": ["All"]})
    assert (tried.code, tried.names) == (200, ["a", "b", "c"])
    assert (await http.delete(MAPS, dryRun="All")).names == ["a", "b", "c"]
    assert (await http.get(MAPS)).names == ["a", "b", "c"]
    assert (await http.delete(MAPS, {"preconditions": {"uid": "another"}})).code == 409
    kept = await http.delete(MAPS, {"propagationPolicy": "Foreground"}, fieldSelector="metadata.name!=c")
    assert kept.names == ["a", "b"]
    held = (await http.get(f"{MAPS}/a")).obj["metadata"]
    assert (held["finalizers"], "deletionTimestamp" in held) == (["foregroundDeletion"], True)
    assert (await http.delete(MAPS, limit=1)).names == ["a"]
    assert "deletionTimestamp" not in (await http.get(f"{MAPS}/c")).obj["metadata"]
    refused = await http.delete(MAPS, {"propagationPolicy": "Sideways"})
    assert (refused.code, refused.reason) == (422, "Invalid")


async def test_a_deletion_has_a_revision_of_its_own(http: Http, server: ApiServer) -> None:
    obj = await http.made(MAPS, config_map("a"))
    async with http.watch(MAPS, resourceVersion=obj["metadata"]["resourceVersion"]) as events:
        await http.delete(f"{MAPS}/a")
        event = await events.next()
    assert event["object"]["metadata"]["resourceVersion"] == str(server.store.revision)
