"""What the server says in its documents is what it does."""

from __future__ import annotations

import copy
import gzip
import logging
from typing import Any

import orjson
import pytest

from podium.api.contract import ContractCheck, Fault
from podium.api.schema.openapi import Document, Documents
from podium.api.server import ApiServer
from podium.api.types import Obj
from tests.unit.api.contract.examples import EXAMPLES, POD_SPEC, Example
from tests.unit.api.http.harness import CORE, DEFAULT, JSON_PATCH, STRATEGIC, TABLE, Http, config_map, pod

LABEL = {"metadata": {"labels": {"more": "1"}}}


async def faults(server: ApiServer) -> list[str]:
    assert server.contract is not None
    await server.contract.settle()
    return [str(fault) for fault in server.contract.faults]


async def checked(server: ApiServer) -> int:
    assert server.contract is not None
    await server.contract.settle()
    return server.contract.checked


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.resource.plural for example in EXAMPLES])
async def test_every_verb_keeps_to_the_document(server: ApiServer, http: Http, example: Example) -> None:
    path = f"{example.path}/a"
    codes = [
        (await http.post(example.path, example.made("dry"), dryRun="All", fieldManager="me")).code,
        (await http.post(example.path, example.made("a"), fieldValidation="Strict")).code,
        (await http.get(path, pretty="true")).code,
        (await http.get(example.path, limit=1, labelSelector="app=web", resourceVersion="")).code,
        (await http.get(example.resource.path(), timeoutSeconds=5, watch="false")).code,
        (await http.put(path, (await http.get(path)).obj, dryRun="All")).code,
        (await http.patch(path, LABEL)).code,
        (await http.patch(path, LABEL, STRATEGIC, force="")).code,
        (
            await http.patch(path, [{"op": "add", "path": "/metadata/labels/j", "value": "1"}], JSON_PATCH)
        ).code,
        (await http.delete(path, {"dryRun": ["All"]})).code,
        (await http.delete(path, propagationPolicy="Background", gracePeriodSeconds=0)).code,
    ]
    assert codes == [201, 201, *[200] * 9]
    assert await faults(server) == []
    assert await checked(server) == len(codes) + 1


@pytest.mark.parametrize("example", EXAMPLES[:4], ids=[example.resource.plural for example in EXAMPLES[:4]])
async def test_collections_are_deleted_by_the_document(
    server: ApiServer, http: Http, example: Example
) -> None:
    await http.made(example.path, example.made("a"))
    assert (await http.delete(example.path, labelSelector="app=web", gracePeriodSeconds=0)).code == 200
    assert await faults(server) == []


async def test_subresources_keep_to_the_document(server: ApiServer, http: Http) -> None:
    made = {example.resource.plural: example for example in EXAMPLES}
    for plural in ("pods", "deployments", "namespaces", "nodes", "serviceaccounts"):
        await http.made(made[plural].path, made[plural].made("a"))
    for plural in ("pods", "deployments", "namespaces", "nodes"):
        path = f"{made[plural].path}/a/status"
        current = await http.get(path)
        assert (await http.put(path, current.obj)).code == 200
        assert (await http.patch(path, {"metadata": {"annotations": {"c": "d"}}})).code == 200
    scale = f"{made['deployments'].path}/a/scale"
    assert (await http.patch(scale, {"spec": {"replicas": 3}})).code == 200
    assert (await http.put(scale, (await http.get(scale)).obj)).code == 200
    assert (
        await http.put(f"{CORE}/namespaces/a/finalize", (await http.get(f"{CORE}/namespaces/a")).obj)
    ).code == 200
    token: Obj = {"spec": {"audiences": [], "expirationSeconds": 600}}
    assert (await http.post(f"{DEFAULT}/serviceaccounts/a/token", token)).code == 201
    binding = {"metadata": {"name": "a"}, "target": {"kind": "Node", "name": "a"}}
    assert (await http.post(f"{DEFAULT}/pods/a/binding", binding)).code == 201
    assert (await http.post(f"{DEFAULT}/pods/a/eviction", {"metadata": {"name": "a"}})).code == 201
    assert await faults(server) == []


async def test_refusals_are_statuses_whatever_was_asked(server: ApiServer, http: Http) -> None:
    maps = f"{DEFAULT}/configmaps"
    await http.made(maps, config_map("a", x="1"))
    current = (await http.get(f"{maps}/a")).obj
    stale = {**current, "metadata": {**current["metadata"], "resourceVersion": "1"}}
    codes = [
        (await http.get(f"{maps}/none")).code,
        (await http.get(f"{DEFAULT}/nothings")).code,
        (await http.post(maps, config_map("a"))).code,
        (await http.put(f"{maps}/a", stale)).code,
        (await http.post(maps, {"metadata": {"name": "Not A Name"}})).code,
        (await http.post(maps, {"metadata": {"name": "b"}, "data": {"x": 1}})).code,
        (await http.post(maps, {"metadata": {"name": "b"}, "date": {}}, fieldValidation="Strict")).code,
        (await http.post(maps, "{")).code,
        (await http.get(maps, limit="many")).code,
        (await http("PATCH", f"{maps}/a", "{}", {"Content-Type": "text/plain"})).code,
        (await http("PUT", maps, "{}")).code,
        (await http.delete(f"{maps}/a", {"preconditions": {"uid": "other"}})).code,
    ]
    assert codes == [404, 404, 409, 409, 422, 400, 400, 400, 400, 415, 405, 409]
    assert await faults(server) == []


async def test_what_has_no_document_passes_unchecked(server: ApiServer, http: Http) -> None:
    await http.made(f"{DEFAULT}/configmaps", config_map("a"))
    before = await checked(server)
    assert (await http("GET", f"{DEFAULT}/configmaps", headers={"Accept": TABLE})).obj["kind"] == "Table"
    async with http.watch(f"{DEFAULT}/configmaps") as events:
        assert (await events.next())["type"] == "ADDED"
    for path in ("/api", "/api/v1", "/apis/apps/v1", "/version", "/openapi/v3"):
        assert (await http.get(path)).code == 200
    assert await checked(server) == before


async def test_a_large_list_is_checked_as_it_was_before_it_was_compressed(
    server: ApiServer, http: Http
) -> None:
    for index in range(8):
        await http.made(f"{DEFAULT}/configmaps", config_map(f"a-{index}", text="x" * 30_000))
    before = await checked(server)
    assert len((await http.get(f"{DEFAULT}/configmaps")).names) == 8
    assert await checked(server) == before + 1
    assert await faults(server) == []


class Untrue(Documents):
    """Documents with one thing changed."""

    def __init__(self, schema: str, properties: Obj, required: list[str] | None = None) -> None:
        super().__init__()
        self._changed = (schema, properties, required)

    def v3(self, path: str) -> Document | None:
        found = super().v3(path)
        assert found is not None
        document = orjson.loads(found.body())
        schema, properties, required = self._changed
        node = document["components"]["schemas"][schema]
        node["properties"] |= properties
        node["required"] = required or []
        return found._replace(compressed=gzip.compress(orjson.dumps(document)))


async def exchange(documents: Documents, call: Obj, code: int, answer: Any) -> list[Fault]:
    """Of one request to an application that gives that answer, whatever it is asked."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": code, "headers": headers})
        await send({"type": "http.response.body", "body": orjson.dumps(answer)})

    async def receive() -> Obj:
        return {"type": "http.request", "body": call.get("body", b"")}

    async def send(message: Any) -> None:
        pass

    check = ContractCheck(app, documents)
    scope = {"type": "http", "method": "GET", "query_string": b"", "headers": [], **call}
    await check(scope, receive, send)
    await check.settle()
    check.close()
    assert check.checked == 1
    assert check.found == len(check.faults)
    return check.faults


POD = {**pod("a"), "spec": POD_SPEC}
GET = {"path": f"{DEFAULT}/pods/a"}
POST = {"path": f"{DEFAULT}/pods", "method": "POST", "body": orjson.dumps(POD)}
CORE_V1 = "io.k8s.api.core.v1"


async def test_a_document_that_is_not_true_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    documents = Untrue(f"{CORE_V1}.Container", {"image": {"type": "integer"}})
    with caplog.at_level(logging.WARNING):
        found = await exchange(documents, GET, 200, POD)
    assert [str(fault) for fault in found] == [
        f"GET {DEFAULT}/pods/a (200): answer: spec.containers[0].image: 'nginx' is not of type 'integer'"
    ]
    assert caplog.messages == [f"contract: {found[0]}"]


async def test_an_answer_without_what_the_document_requires_is_reported() -> None:
    broken = copy.deepcopy(POD)
    del broken["spec"]["containers"]
    found = await exchange(Documents(), GET, 200, broken)
    assert [fault.what for fault in found] == ["answer: spec: 'containers' is a required property"]


async def test_a_request_that_was_taken_against_the_document_is_reported() -> None:
    documents = Untrue(f"{CORE_V1}.PodSpec", {"volumes": {"type": "object"}})
    found = await exchange(documents, POST, 201, {"kind": "Pod"})
    assert [fault.what.partition(": [")[0] for fault in found] == ["request: spec.volumes"]


@pytest.mark.parametrize(
    ("call", "code", "what"),
    [
        ({**GET, "path": f"{DEFAULT}/pods/a/secrets"}, 200, "request: Path not found"),
        ({**GET, "method": "POST"}, 200, "request: Operation post not found"),
        (GET, 202, "answer: Unknown response http status: 202"),
        ({"path": f"{DEFAULT}/pods", "query_string": b"limit=many"}, 200, "request: "),
    ],
)
async def test_traffic_that_the_document_does_not_know_is_reported(call: Obj, code: int, what: str) -> None:
    listed = {"kind": "PodList", "metadata": {}, "items": [POD]}
    answer = listed if call["path"].endswith("pods") else POD
    (fault,) = await exchange(Documents(), call, code, answer)
    assert fault.what.startswith(what)
    assert (fault.method, fault.code) == (call.get("method", "GET"), code)


async def test_an_error_that_is_no_status_is_reported() -> None:
    found = await exchange(Documents(), GET, 404, {"kind": "Status", "code": "none"})
    assert [fault.what for fault in found] == ["answer: code: 'none' is not of type 'integer'"]
