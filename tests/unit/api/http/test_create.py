from __future__ import annotations

import asyncio

from tests.unit.api.http.harness import CORE, DEFAULT, Http, config_map, deployment

MAPS = f"{DEFAULT}/configmaps"


async def test_a_created_object_has_what_the_server_sets(http: Http) -> None:
    obj = await http.made(MAPS, config_map("a", key="value"))
    meta = obj["metadata"]
    assert (obj["kind"], obj["apiVersion"]) == ("ConfigMap", "v1")
    assert meta["namespace"] == "default"
    assert meta["uid"]
    assert meta["creationTimestamp"].endswith("Z")
    assert int(meta["resourceVersion"]) > 0
    assert (await http.get(f"{MAPS}/a")).obj == obj


async def test_what_only_the_server_sets_cannot_be_brought_along(http: Http) -> None:
    wanted = config_map("a")
    wanted["metadata"] |= {
        "uid": "mine",
        "creationTimestamp": "2001-01-01T00:00:00Z",
        "deletionTimestamp": "2001-01-01T00:00:00Z",
        "generation": 7,
    }
    meta = (await http.made(MAPS, wanted))["metadata"]
    assert meta["uid"] != "mine"
    assert not meta["creationTimestamp"].startswith("2001")
    assert "deletionTimestamp" not in meta
    assert "generation" not in meta


async def test_creates_at_the_same_time_do_not_get_over_a_quota_together(http: Http) -> None:
    quota = {"metadata": {"name": "few"}, "spec": {"hard": {"count/configmaps": "2"}}}
    await http.made(f"{DEFAULT}/resourcequotas", quota)
    replies = await asyncio.gather(*(http.post(MAPS, config_map(name)) for name in "abcde"))
    assert sorted(reply.code for reply in replies) == [201, 201, 403, 403, 403]


async def test_a_kind_with_a_generation_begins_at_one(http: Http) -> None:
    obj = await http.made("/apis/apps/v1/namespaces/default/deployments", deployment("web"))
    assert obj["metadata"]["generation"] == 1


async def test_a_name_can_be_generated(http: Http) -> None:
    names = {
        (await http.made(MAPS, {"metadata": {"generateName": "a-"}}))["metadata"]["name"] for _ in range(3)
    }
    assert len(names) == 3
    assert all(name.startswith("a-") and len(name) == 7 for name in names)


async def test_a_second_object_of_the_same_name_is_refused(http: Http) -> None:
    await http.made(MAPS, config_map("a"))
    reply = await http.post(MAPS, config_map("a"))
    assert (reply.code, reply.reason) == (409, "AlreadyExists")
    assert reply.message == 'configmaps "a" already exists'
    assert reply.obj["details"] == {"name": "a", "kind": "configmaps"}


async def test_an_object_without_a_name_is_refused(http: Http) -> None:
    reply = await http.post(MAPS, {"metadata": {}})
    assert (reply.code, reply.reason) == (422, "Invalid")
    assert "metadata.name: Required value: name or generateName is required" in reply.message


async def test_an_object_that_says_another_namespace_is_refused(http: Http) -> None:
    wanted = config_map("a")
    wanted["metadata"]["namespace"] = "kube-system"
    reply = await http.post(MAPS, wanted)
    assert reply.code == 400
    assert (
        "the namespace of the provided object does not match the namespace sent on the request"
        in reply.message
    )


async def test_a_namespace_that_is_not_there_is_named(http: Http) -> None:
    reply = await http.post(f"{CORE}/namespaces/nowhere/configmaps", config_map("a"))
    assert (reply.code, reply.message) == (404, 'namespaces "nowhere" not found')


async def test_a_resource_version_cannot_be_chosen(http: Http) -> None:
    wanted = config_map("a")
    wanted["metadata"]["resourceVersion"] = "5"
    reply = await http.post(MAPS, wanted)
    assert (reply.code, reply.message) == (400, "resourceVersion should not be set on objects to be created")


async def test_a_dry_run_answers_and_keeps_nothing(http: Http) -> None:
    obj = await http.made(MAPS, config_map("a"), dryRun="All")
    assert obj["metadata"]["uid"]
    assert (await http.get(f"{MAPS}/a")).code == 404
    assert (await http.post(MAPS, config_map("a"), dryRun="Some")).code == 422


async def test_unknown_fields_are_an_error_a_warning_or_nothing_as_asked(http: Http) -> None:
    wanted = config_map("a") | {"color": "red"}
    strict = await http.post(MAPS, wanted, fieldValidation="Strict")
    assert strict.code == 400
    assert 'strict decoding error: unknown field "color"' in strict.message
    warned = await http.post(MAPS, wanted, fieldValidation="Warn")
    assert warned.code == 201
    assert warned.headers.getall("Warning") == ['299 - "unknown field \\"color\\""']
    assert "color" not in warned.obj
    ignored = await http.post(MAPS, config_map("b") | {"color": "red"}, fieldValidation="Ignore")
    assert ignored.code == 201
    assert "Warning" not in ignored.headers
    assert (await http.post(MAPS, wanted, fieldValidation="Maybe")).code == 422


async def test_a_duplicate_field_is_found(http: Http) -> None:
    reply = await http.post(MAPS, b'{"metadata":{"name":"a","name":"b"}}', fieldValidation="Strict")
    assert reply.code == 400
    assert 'duplicate field "metadata.name"' in reply.message


async def test_yaml_is_as_good_as_json(http: Http) -> None:
    body = "kind: ConfigMap\napiVersion: v1\nmetadata:\n  name: a\ndata:\n  key: value\n"
    reply = await http("POST", MAPS, body, {"Content-Type": "application/yaml"})
    assert reply.code == 201
    assert reply.obj["data"] == {"key": "value"}
    shown = await http("GET", f"{MAPS}/a", headers={"Accept": "application/yaml"})
    assert "key: value" in shown.text
