"""What every kind that is stored does, over the wire: it is made, read, changed and deleted, and a status is
nobody's who writes the object."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from podium.api.server import ApiServer, ServerConfig
from podium.api.strategy import registry
from podium.api.types import Obj
from podium.api.types.resources import BUILT_IN, Resource
from tests.unit.api.groups.least import STORED, least, name_of
from tests.unit.api.http.harness import Http

STRATEGIES = registry()
CONDITION = {
    "type": "Example",
    "status": "True",
    "reason": "Tested",
    "message": "told by a test",
    "lastTransitionTime": "2026-01-02T11:00:00Z",
}


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http() -> AsyncIterator[Http]:
    """One server for all kinds, since each test leaves nothing behind that another meets."""
    server = ApiServer(ServerConfig())
    await server.start()
    client = Http(server, await server.serve(), server.admin())
    yield client
    await client.close()
    await server.close()


def collection(resource: Resource) -> str:
    return resource.path(namespace="default")


async def written(http: Http, path: str, change: Callable[[Obj], Obj]) -> Obj:
    """A PUT of a changed object to a subresource or the object itself, again when the server's own tasks were
    in between (they write the status of what they serve)."""
    for _ in range(20):
        now = (await http.get(path.removesuffix("/status"))).obj
        reply = await http.put(path, change(now))
        if reply.code != 409:
            break
    assert reply.code == 200, reply.text
    answer: Obj = reply.obj
    return answer


def labelled(obj: Obj) -> Obj:
    """With another label, and a status that its sender has no say in."""
    labels = {**obj["metadata"].get("labels", {}), "changed": "yes"}
    status = {**(obj.get("status") or {}), "conditions": [CONDITION]}
    told = {"status": status} if "status" in obj else {}
    return {**obj, **told, "metadata": {**obj["metadata"], "labels": labels}}


def without_spec(obj: Obj) -> Obj:
    return {key: value for key, value in obj.items() if key != "spec"}


@pytest.mark.parametrize("resource", STORED, ids=lambda entry: f"{entry.plural}.{entry.group}")
async def test_an_object_is_made_read_changed_and_deleted(http: Http, resource: Resource) -> None:
    strategy = STRATEGIES[resource.group, resource.version, resource.plural]
    made = await http.made(collection(resource), least(resource))
    path = resource.path(namespace="default", name=name_of(resource))
    generation = made["metadata"].get("generation")
    assert generation == (1 if strategy.has_generation else None)
    found = (await http.get(path)).obj
    assert (found["metadata"]["uid"], found.get("spec")) == (made["metadata"]["uid"], made.get("spec"))

    changed = await written(http, path, labelled)
    assert changed["metadata"]["labels"]["changed"] == "yes"
    assert changed["metadata"].get("generation") == generation
    if strategy.has_status:
        conditions = (changed.get("status") or {}).get("conditions") or ()
        assert CONDITION not in conditions, "the status is nobody's who writes the object"
        kept = await written(http, f"{path}/status", without_spec)
        assert kept.get("spec") == changed.get("spec"), "who writes the status writes nothing else"
        assert kept["metadata"].get("generation") == generation

    gone = await http.delete(path, {"propagationPolicy": "Background"})
    assert gone.code in (200, 202), gone.text
    after = await http.get(path)
    assert after.code == 404 or after.obj["metadata"]["deletionTimestamp"], "gone, or on its way"


@pytest.mark.parametrize("resource", STORED, ids=lambda entry: f"{entry.plural}.{entry.group}")
async def test_no_object_is_named_by_a_path(http: Http, resource: Resource) -> None:
    obj = least(resource)
    obj["metadata"]["name"] = "a/b"
    reply = await http.post(collection(resource), obj)
    assert reply.code == 422, reply.text
    [cause] = [each for each in reply.obj["details"]["causes"] if each["field"] == "metadata.name"][:1]
    assert cause["reason"] == "FieldValueInvalid"


async def test_discovery_tells_every_kind_as_it_is(http: Http) -> None:
    for group, version in sorted({(entry.group, entry.version) for entry in BUILT_IN}):
        path = f"/apis/{group}/{version}" if group else f"/api/{version}"
        told = {entry["name"]: entry for entry in (await http.get(path)).obj["resources"]}
        for resource in BUILT_IN:
            if (resource.group, resource.version) != (group, version):
                continue
            entry = told[resource.plural]
            assert (entry["kind"], entry["namespaced"]) == (resource.kind, resource.namespaced)
            assert sorted(entry["verbs"]) == sorted(resource.verbs)
            assert tuple(entry.get("shortNames", ())) == resource.short_names
            assert tuple(entry.get("categories", ())) == resource.categories
            assert entry["singularName"] == resource.singular_name
            assert all(f"{resource.plural}/{part}" in told for part in resource.subresources)


async def test_the_schema_of_every_kind_is_served(http: Http) -> None:
    for group, version in sorted({(entry.group, entry.version) for entry in BUILT_IN}):
        path = f"apis/{group}/{version}" if group else f"api/{version}"
        schemas = (await http.get(f"/openapi/v3/{path}")).obj["components"]["schemas"].values()
        served = {
            (kind["group"], kind["version"], kind["kind"])
            for schema in schemas
            for kind in schema.get("x-kubernetes-group-version-kind", ())
            if schema.get("properties") and schema.get("description")
        }
        for resource in BUILT_IN:
            if (resource.group, resource.version) == (group, version):
                assert (group, version, resource.kind) in served
