from __future__ import annotations

import asyncio
import copy

from podium.api.server import ApiServer
from tests.unit.api.http.harness import (
    DEFAULT,
    JSON_PATCH,
    MERGE,
    STRATEGIC,
    Http,
    config_map,
    deployment,
    pod,
)

MAPS = f"{DEFAULT}/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


async def test_an_update_replaces_what_is_the_clients_and_keeps_what_is_the_servers(http: Http) -> None:
    old = await http.made(MAPS, config_map("a", x="1"))
    new = copy.deepcopy(old)
    new["data"] = {"y": "2"}
    new["metadata"]["creationTimestamp"] = "2001-01-01T00:00:00Z"
    reply = await http.put(f"{MAPS}/a", new)
    assert reply.code == 200
    assert reply.obj["data"] == {"y": "2"}
    assert reply.obj["metadata"]["creationTimestamp"] == old["metadata"]["creationTimestamp"]
    assert int(reply.version) > int(old["metadata"]["resourceVersion"])


async def test_a_stale_version_conflicts(http: Http) -> None:
    old = await http.made(MAPS, config_map("a"))
    await http.patch(f"{MAPS}/a", {"data": {"x": "y"}})
    reply = await http.put(f"{MAPS}/a", old)
    assert (reply.code, reply.reason) == (409, "Conflict")
    assert reply.message == (
        'Operation cannot be fulfilled on configmaps "a": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )


async def test_without_a_version_the_last_one_wins(http: Http) -> None:
    await http.made(MAPS, config_map("a", x="1"))
    assert (await http.put(f"{MAPS}/a", config_map("a", x="2"))).obj["data"] == {"x": "2"}


async def test_a_kind_may_insist_on_a_version(http: Http) -> None:
    leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
    await http.made(leases, {"metadata": {"name": "a"}, "spec": {}})
    reply = await http.put(f"{leases}/a", {"metadata": {"name": "a"}, "spec": {"holderIdentity": "me"}})
    assert reply.code == 422
    assert "metadata.resourceVersion: Invalid value: 0: must be specified for an update" in reply.message


async def test_another_objects_uid_conflicts(http: Http) -> None:
    await http.made(MAPS, config_map("a"))
    other = config_map("a")
    other["metadata"]["uid"] = "another"
    reply = await http.put(f"{MAPS}/a", other)
    assert reply.code == 409
    assert "Precondition failed: UID in precondition: another" in reply.message


async def test_the_name_of_object_and_path_must_agree(http: Http) -> None:
    await http.made(MAPS, config_map("a"))
    reply = await http.put(f"{MAPS}/a", config_map("b"))
    assert (reply.code, reply.message) == (
        400,
        "the name of the object (b) does not match the name on the URL (a)",
    )


async def test_what_is_not_there_is_not_updated(http: Http) -> None:
    assert (await http.put(f"{MAPS}/a", config_map("a"))).code == 404
    assert (await http.patch(f"{MAPS}/a", {})).code == 404


async def test_a_change_of_nothing_writes_nothing(http: Http, server: ApiServer) -> None:
    old = await http.made(MAPS, config_map("a", x="1"))
    before = server.store.revision
    assert (await http.put(f"{MAPS}/a", old)).obj == old
    assert (await http.patch(f"{MAPS}/a", {"data": {"x": "1"}})).obj == old
    assert server.store.revision == before


async def test_a_dry_run_of_an_update_keeps_the_old(http: Http) -> None:
    old = await http.made(MAPS, config_map("a", x="1"))
    assert (await http.patch(f"{MAPS}/a", {"data": {"x": "2"}}, dryRun="All")).obj["data"] == {"x": "2"}
    assert (await http.get(f"{MAPS}/a")).obj == old


async def test_the_generation_counts_what_is_wanted_not_what_is(http: Http) -> None:
    await http.made(DEPLOYMENTS, deployment("web"))
    changed = await http.patch(f"{DEPLOYMENTS}/web", {"spec": {"replicas": 3}})
    assert changed.obj["metadata"]["generation"] == 2
    labelled = await http.patch(f"{DEPLOYMENTS}/web", {"metadata": {"labels": {"a": "b"}}})
    assert labelled.obj["metadata"]["generation"] == 2
    status = await http.patch(f"{DEPLOYMENTS}/web/status", {"status": {"replicas": 3}})
    assert status.obj["metadata"]["generation"] == 2


async def test_merge_patch_merges(http: Http) -> None:
    await http.made(MAPS, config_map("a", x="1", y="2"))
    reply = await http.patch(f"{MAPS}/a", {"data": {"x": None, "z": "3"}}, MERGE)
    assert reply.obj["data"] == {"y": "2", "z": "3"}


async def test_json_patch_goes_step_by_step(http: Http) -> None:
    await http.made(MAPS, config_map("a", x="1"))
    steps = [
        {"op": "test", "path": "/data/x", "value": "1"},
        {"op": "move", "from": "/data/x", "path": "/data/y"},
        {"op": "add", "path": "/data/z", "value": "3"},
    ]
    assert (await http.patch(f"{MAPS}/a", steps, JSON_PATCH)).obj["data"] == {"y": "1", "z": "3"}
    failed = await http.patch(f"{MAPS}/a", steps, JSON_PATCH)
    assert failed.code == 422
    assert (await http.patch(f"{MAPS}/a", [{"op": "replace", "path": "", "value": 7}], JSON_PATCH)).code < 500


async def test_strategic_patch_knows_lists_by_their_keys(http: Http) -> None:
    await http.made(DEPLOYMENTS, deployment("web"))
    sidecar = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "busybox"}]}}}}
    reply = await http.patch(f"{DEPLOYMENTS}/web", sidecar, STRATEGIC)
    names = [container["name"] for container in reply.obj["spec"]["template"]["spec"]["containers"]]
    assert sorted(names) == ["main", "side"]


async def test_a_patch_may_name_the_version_it_is_meant_for(http: Http) -> None:
    old = await http.made(MAPS, config_map("a"))
    version = old["metadata"]["resourceVersion"]
    patch = {"metadata": {"resourceVersion": version}, "data": {"x": "1"}}
    assert (await http.patch(f"{MAPS}/a", patch)).code == 200
    patch["data"] = {"x": "2"}
    assert (await http.patch(f"{MAPS}/a", patch)).code == 409


async def test_a_patch_cannot_rename(http: Http) -> None:
    await http.made(MAPS, config_map("a"))
    assert (await http.patch(f"{MAPS}/a", {"metadata": {"name": "b"}})).code == 400
    assert (await http.patch(f"{MAPS}/a", {"metadata": {"uid": "other"}})).code == 409
    assert (await http.patch(f"{MAPS}/a", {"kind": "Secret"})).code == 400


async def test_a_patch_with_an_unknown_field_is_strict_when_asked(http: Http) -> None:
    await http.made(MAPS, config_map("a"))
    reply = await http.patch(f"{MAPS}/a", {"color": "red"}, fieldValidation="Strict")
    assert reply.code in (400, 422)
    assert 'unknown field "color"' in reply.message
    warned = await http.patch(f"{MAPS}/a", {"color": "red"})
    assert warned.headers["Warning"] == '299 - "unknown field \\"color\\""'


async def test_patches_at_the_same_time_all_arrive(http: Http) -> None:
    await http.made(MAPS, config_map("a"))
    patches = [http.patch(f"{MAPS}/a", {"data": {f"key-{index}": "x"}}) for index in range(20)]
    assert {reply.code for reply in await asyncio.gather(*patches)} == {200}
    assert len((await http.get(f"{MAPS}/a")).obj["data"]) == 20


async def test_a_lease_can_be_created_by_an_update(http: Http) -> None:
    leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
    reply = await http.put(f"{leases}/a", {"metadata": {"name": "a"}, "spec": {"holderIdentity": "me"}})
    assert reply.code == 201
    assert reply.obj["metadata"]["uid"]


async def test_the_status_is_changed_through_its_subresource_only(http: Http) -> None:
    pods = f"{DEFAULT}/pods"
    await http.made(pods, pod("a"))
    through_spec = await http.patch(
        f"{pods}/a", {"status": {"phase": "Running"}, "metadata": {"labels": {"x": "y"}}}
    )
    assert through_spec.obj["status"]["phase"] == "Pending"
    patch = {"status": {"phase": "Running"}, "spec": {"nodeName": "elsewhere"}}
    through_status = await http.patch(f"{pods}/a/status", patch)
    assert through_status.obj["status"]["phase"] == "Running"
    assert "nodeName" not in through_status.obj["spec"]
    assert (await http.get(f"{pods}/a/status")).obj == through_status.obj
