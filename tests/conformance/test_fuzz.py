"""Requests that nobody would send, by the thousand: none breaks the server, none keeps it from the others, and each is
answered in due form. What is tried follows from a seed, which is printed; PODIUM_FUZZ_SEED repeats a run and
PODIUM_FUZZ_SECONDS makes it longer (the time of the random requests; the rest grows with it)."""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.conformance.fuzz.calls import ELSEWHERE, Call, Calls, Operation
from tests.conformance.fuzz.campaign import Campaign, documents, raw_documents, tamed
from tests.conformance.fuzz.target import Target, fault
from tests.conformance.objects import Obj
from tests.unit.api.contract.examples import EXAMPLES

SECONDS = float(os.environ.get("PODIUM_FUZZ_SECONDS", "6"))
SEED = int(os.environ.get("PODIUM_FUZZ_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
CONFIG_MAPS = "/api/v1/namespaces/fuzz/configmaps"
# MiB that a server may grow by while it is fired at: caches fill up, and what was deleted stays in the history.
GROWTH = 120.0
SETTLED = settings(
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    print(f"PODIUM_FUZZ_SEED={SEED}")
    found = Target(tmp_path_factory.mktemp("fuzz") / "server.log")
    yield found
    alive = found.alive
    found.close()
    assert alive, found.log.read_text()[-3000:]
    assert "Traceback" not in found.log.read_text(), found.log.read_text()[-5000:]


@pytest.fixture
async def session(target: Target) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(ssl=target.tls)
    timeout = aiohttp.ClientTimeout(total=15)
    async with aiohttp.ClientSession(target.url, connector=connector, timeout=timeout) as found:
        async with found.post("/api/v1/namespaces", json={"metadata": {"name": "fuzz"}}):
            pass
        yield found


def examples() -> dict[str, list[Obj]]:
    """By the path of their collection."""
    found: dict[str, list[Obj]] = {}
    for example in EXAMPLES:
        namespace = "{namespace}" if example.resource.namespaced else ""
        found.setdefault(example.resource.path(namespace), []).append(example.made("a"))
    return found


async def test_random_requests_are_answered_in_due_form_and_keep_nobody_waiting(target: Target) -> None:
    before, began = target.rss(), target.clock()
    report = await Campaign(target, SEED, examples()).run(SECONDS)
    took = min(SECONDS, target.clock() - began)
    assert target.alive, target.log.read_text()[-3000:]
    assert not report.faults, f"seed {SEED}\n" + "\n".join(report.faults.values())
    # Others, such as a conflict, are met in one request of a thousand.
    assert {200, 201, 400, 404, 415, 422} <= set(report.codes), report.codes
    assert sum(report.codes.values()) > 50 * took
    assert report.percentile(0.99) < 1, "others wait"
    assert target.rss() - before < GROWTH, report.memory


async def test_requests_made_by_schemathesis_are_answered_in_due_form(
    target: Target, session: aiohttp.ClientSession
) -> None:
    """Of each group's document some operations, within the time there is; all of them when it is long."""
    chosen = random.Random(SEED)
    operations = []
    for _, document in await raw_documents(session):
        schema = schemathesis.openapi.from_dict(document)
        operations += [found.ok() for found in schema.get_all_operations()]
    chosen.shuffle(operations)
    end, tried, faults = time.monotonic() + SECONDS, 0, []
    for operation in operations:
        if time.monotonic() > end and tried > SECONDS:
            break
        if any(part in operation.path for part in ELSEWHERE):
            continue
        for call in generated(operation, 3):
            known = tamed(Operation(operation.method, operation.path, {}, ()), call)
            if known is None or known.watches:
                continue
            tried += 1
            if what := fault(known, *await target.send(session, known)):
                faults.append(f"{known.method} {known.target[:300]} {known.body[:800]!r}: {what}")
    print(f"{tried} requests")
    assert not faults, "\n".join(faults)
    assert tried > SECONDS


def generated(operation: Any, count: int) -> list[Call]:
    """Requests that fit the document, as schemathesis makes them, from the run's seed."""
    found: list[Call] = []

    @settings(SETTLED, max_examples=count, phases=[Phase.generate])
    @given(operation.as_strategy())
    def collect(case: Any) -> None:
        found.append(as_call(case))

    collect()
    return found


def as_call(case: Any) -> Call:
    """What would be sent for it."""
    prepared = case.as_transport_kwargs(base_url="https://podium")
    request = requests.Request(
        **{key: value for key, value in prepared.items() if key != "timeout"}
    ).prepare()
    assert request.url is not None
    body = request.body.encode() if isinstance(request.body, str) else request.body or b""
    headers = {
        name: str(value)
        for name, value in request.headers.items()
        if name.lower() in ("content-type", "accept")
    }
    return Call(str(request.method), request.url.removeprefix("https://podium"), headers, bytes(body))


# --- one after the other, from hypothesis


class Caller:
    """Requests of synchronous tests, on a loop of their own."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._session = self._loop.run_until_complete(self._open())
        self.documents = self._loop.run_until_complete(documents(self._session))

    async def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(ssl=self._target.tls)
        return aiohttp.ClientSession(
            self._target.url, connector=connector, timeout=aiohttp.ClientTimeout(total=15)
        )

    def __call__(
        self, method: str, target: str, body: Any = None, media: str = "application/json"
    ) -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return self.send(Call(method, target, {"Content-Type": media} if data else {}, data))

    def send(self, call: Call) -> tuple[int, Any]:
        """Fails the test for an answer that is not in due form."""
        code, body = self._loop.run_until_complete(self._target.send(self._session, call))
        assert not (what := fault(call, code, body)), f"{what}\n{call}"
        try:
            return code, json.loads(body)
        except ValueError:
            return code, body

    def close(self) -> None:
        self._loop.run_until_complete(self._session.close())
        self._loop.close()


@pytest.fixture(scope="module")
def ask(target: Target) -> Iterator[Caller]:
    caller = Caller(target)
    caller("POST", "/api/v1/namespaces", {"metadata": {"name": "fuzz"}})
    yield caller
    caller.close()


def test_what_was_made_is_read_patched_applied_and_deleted_as_it_is(ask: Caller) -> None:
    """Examples of many kinds with a place or two spoiled: whatever the server takes, it keeps to."""

    @settings(SETTLED, max_examples=int(8 * SECONDS))
    @given(st.integers(0, 2**32 - 1), st.sampled_from(EXAMPLES))
    def life(seed: int, example: Any) -> None:
        # What is drawn depends on what the server answers: a seed, not draws, is what can be repeated.
        chance = random.Random(seed)
        values = Calls(chance, ask.documents).values
        collection = example.resource.path("fuzz" if example.resource.namespaced else "")
        code, obj = ask("POST", collection, values.spoiled(example.made("life")))
        if code != 201:
            assert 400 <= code < 500
            return
        path = f"{collection}/{obj['metadata']['name']}"
        try:
            assert ask("GET", path) == (200, obj)
            # What changes nothing makes no revision.
            assert ask("PATCH", path, {}, "application/merge-patch+json")[1] == obj
            assert ask("PATCH", path, {}, "application/strategic-merge-patch+json")[1] == obj
            assert ask("PATCH", path, [], "application/json-patch+json")[1] == obj
            assert (
                ask("PUT", path, obj)[1]["metadata"]["resourceVersion"] == obj["metadata"]["resourceVersion"]
            )
            mine = {key: value for key, value in obj.items() if key != "status"}
            mine["metadata"] = {"name": obj["metadata"]["name"], "labels": {"applied": "1"}}
            if example.resource.kind != "Event":
                code, applied = ask(
                    "PATCH", f"{path}?fieldManager=fuzz&force=true", mine, "application/apply-patch+yaml"
                )
                assert (code, applied["metadata"].get("labels", {}).get("applied")) in (
                    (200, "1"),
                    (422, None),
                    (400, None),
                ), applied
            ask("PATCH", path, values.json_patch(obj), "application/json-patch+json")
        finally:
            ask("PATCH", path, {"metadata": {"finalizers": None}}, "application/merge-patch+json")
            ask("DELETE", f"{path}?gracePeriodSeconds=0")
            ask("PATCH", path, {"metadata": {"finalizers": None}}, "application/merge-patch+json")
        code, left = ask("GET", path)
        # A namespace waits to be emptied, and nobody here does that.
        assert code == 404 or (example.resource.kind, left["status"]["phase"]) == ("Namespace", "Terminating")

    life()


def test_names_and_paths_of_any_text_reach_nothing_else(ask: Caller) -> None:
    @settings(SETTLED, max_examples=int(8 * SECONDS))
    @given(
        st.one_of(st.text(max_size=40), st.from_regex(r"(\.\.|%2e|/|//|\\|;|%00|\x00|[a-z]){1,8}")),
        st.booleans(),
    )
    def reach(text: str, encoded: bool) -> None:
        part = quote(text, safe="" if encoded else "/.;")
        for target in (
            f"{CONFIG_MAPS}/{part}",
            f"/api/v1/namespaces/{part}/pods/x",
            f"/apis/{part}",
            f"/{part.lstrip('/')}",
        ):
            code, answered = ask("GET", target)
            assert code in (200, 301, 307, 400, 404, 405, 403, 406), (target, code)
            assert b"root:" not in (answered if isinstance(answered, bytes) else b"")

    reach()


def test_bytes_that_are_no_request_end_their_own_connection_only(target: Target, ask: Caller) -> None:
    head = b"GET /version HTTP/1.1\r\nHost: x\r\n"
    known = [
        b"\x16\x03\x01", b"GET / HTTP/9.9\r\n\r\n", b"GET /\r\n\r\n", b"\r\n" * 100, head + b"A" * 100_000, head + b"A: b\r\n" * 5000 + b"\r\n",
        head + b"Content-Length: -1\r\n\r\n", head + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", head + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n",
        head + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", head + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", head + b"\x00: \x00\r\n\r\n",
        head + b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n\xff\xff", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", b"GET " + b"/a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        head + b"Authorization: Bearer " + b"a" * 60_000 + b"\r\n\r\n", head + b"Impersonate-User: \xff\xfe\r\n\r\n", b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", head + b"Expect: 100-continue\r\nContent-Length: 10\r\n\r\n",
    ]  # fmt: skip

    @settings(SETTLED, max_examples=int(5 * SECONDS))
    @given(
        st.one_of(
            st.sampled_from(known),
            st.binary(max_size=300),
            st.binary(max_size=60).map(lambda noise: head + noise + b"\r\n\r\n"),
        )
    )
    def fire(noise: bytes) -> None:
        with (
            socket.create_connection(target.address, timeout=10) as plain,
            target.tls.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            try:
                connection.sendall(noise)
                connection.settimeout(0.05)
                first = connection.recv(65536)
            except (TimeoutError, OSError):
                # It waits for the rest, or has hung up.
                return
            assert not first or first.startswith(b"HTTP/1.1 "), first[:100]
            assert not first.startswith(b"HTTP/1.1 5"), first[:300]

    fire()
    for noise in known:
        with socket.create_connection(target.address, timeout=10) as plain:
            plain.sendall(noise)
    assert ask("GET", "/version")[0] == 200


# --- what was made to hurt

DOUBLING = [{"op": "copy", "from": "/data", "path": f"/data/x{turn}"} for turn in range(40)]
LONG = [
    {"op": "add", "path": "/data/a", "value": "x" * 900_000},
    *({"op": "copy", "from": "/data/a", "path": f"/data/b{turn}"} for turn in range(5000)),
]
BIGGEST = 3 * 2**20


@pytest.mark.parametrize(
    ("method", "target_path", "media", "body", "codes"),
    [
        ("PATCH", "/hurt", "application/json-patch+json", DOUBLING, {413}),
        ("PATCH", "/hurt", "application/json-patch+json", LONG, {413}),
        ("PATCH", "/hurt", "application/json-patch+json", [{"op": "test", "path": "/kind", "value": "ConfigMap"}] * 10_001, {413}),
        ("PATCH", "/hurt", "application/json-patch+json", [{"op": "add", "path": f"/data/k{turn}", "value": "v"} for turn in range(10_000)], {200}),
        ("PATCH", "/hurt?fieldManager=f", "application/apply-patch+yaml", b"[" * (BIGGEST - 1), {400}),
        ("PATCH", "/hurt?fieldManager=f", "application/apply-patch+yaml", b"- " * (BIGGEST // 2 - 1), {400}),
        ("PATCH", "/hurt", "application/merge-patch+json", b'{"a":' * (BIGGEST // 6), {400}),
        ("PATCH", "/hurt", "application/strategic-merge-patch+json", b'{"data":{"a":' + b"[" * 190 + b"]" * 190 + b"}}", {400, 422}),
        ("POST", "", "application/json", b"[" * (BIGGEST - 1), {400}),
        ("POST", "", "application/json", b'{"metadata":{"name":"n"},"data":{"a":1e999999999}}', {400}),
        ("POST", "", "application/json", b'{"metadata":{"name":"n","generation":1' + b"0" * 100_000 + b"}}", {400}),
        ("POST", "", "application/json", b'{"metadata":{"name":"n"},"data":{"a":NaN}}', {400}),
        ("POST", "", "application/json", b'{"metadata":{"name":"\xff\xfe"}}', {400}),
        ("POST", "", "application/json", b'{"metadata":{"name":"\\ud800"}}', {400}),
        ("POST", "?fieldValidation=Strict", "application/json", b'{"metadata":{"name":"n"},' + b",".join([b'"x":1'] * 300_000) + b"}", {400}),
        ("POST", "", "application/yaml", b"metadata: {name: n}\ndata:\n" + b"".join(b"  k%d: v\n" % turn for turn in range(30_000)), {201, 409, 413}),
        ("POST", "", "application/vnd.kubernetes.protobuf", b"k8s\x00" + b"\x0a\xff\xff\xff\xff\x0f" * 10_000, {400}),
        ("POST", "", "application/vnd.kubernetes.protobuf", b"k8s\x00" + b"\x12\xff\x7f" * 100_000, {400}),
        ("POST", "", "application/json", b"x" * (BIGGEST + 1), {413}),
        ("GET", "?labelSelector=" + "a," * 20_000 + "a", "", None, {200}),
        ("GET", "?labelSelector=a+in+(" + "b," * 20_000 + "c)", "", None, {200}),
        ("GET", "?fieldSelector=" + "metadata.name=a," * 3_000 + "metadata.name=a", "", None, {200, 400}),
    ],
    ids=lambda value: str(value)[:28] if isinstance(value, (str, set)) else "",
)  # fmt: skip
def test_what_is_made_to_hurt_is_over_soon(
    target: Target, ask: Caller, method: str, target_path: str, media: str, body: Any, codes: set[int]
) -> None:
    ask("POST", CONFIG_MAPS, {"metadata": {"name": "hurt"}, "data": {"a": "b"}})
    began = target.clock()
    code, answered = ask(method, f"{CONFIG_MAPS}{target_path}", body, media)
    took = target.clock() - began
    assert code in codes, answered
    assert took < 5, took


def test_expressions_and_patterns_that_would_take_ages_do_not(target: Target, ask: Caller) -> None:
    """A pattern is matched in linear time; what an expression may cost is known before it is let in, and counted while it
    runs."""
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

    def definition(plural: str, spec: Obj) -> Obj:
        schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": spec}}}
        version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
        names = {"kind": plural.capitalize(), "plural": plural}
        return {
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"{plural}.fuzz.example"},
            "spec": {"group": "fuzz.example", "names": names, "scope": "Cluster", "versions": [version]},
        }  # fmt: skip

    rule = {"rule": "self.all(x, self.all(y, self.all(z, x == y || y == z || x != z)))"}
    words = {"type": "array", "items": {"type": "string"}, "x-kubernetes-validations": [rule]}
    code, status = ask("POST", definitions, definition("cubes", {"l": words}))
    assert (code, "cost" in status["message"]) == (422, True)
    assert (
        ask("POST", definitions, definition("regs", {"r": {"type": "string", "pattern": "^(a+)+$"}}))[0]
        == 201
    )
    # Served within a second of its definition.
    end = target.clock() + 5
    while ask("GET", "/apis/fuzz.example/v1/regs")[0] != 200:
        assert target.clock() < end
    began = target.clock()
    bad = {
        "apiVersion": "fuzz.example/v1",
        "kind": "Regs",
        "metadata": {"name": "r"},
        "spec": {"r": "a" * 100_000 + "!"},
    }
    assert ask("POST", "/apis/fuzz.example/v1/regs", bad)[0] == 422
    assert target.clock() - began < 2
    ask("DELETE", f"{definitions}/regs.fuzz.example")


def test_long_texts_and_vast_numbers_take_no_memory_that_stays(target: Target, ask: Caller) -> None:
    """What is remembered for speed is remembered of what is short."""
    levels = "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations"
    vast = {"queues": 10_000_000, "handSize": 1, "queueLengthLimit": 2**31 - 1}
    limited = {"nominalConcurrencyShares": 1, "limitResponse": {"type": "Queue", "queuing": vast}}
    before = target.rss()
    spec = {"type": "Limited", "limited": limited}
    assert ask("POST", levels, {"metadata": {"name": "vast"}, "spec": spec})[0] == 201
    for turn in range(40):
        long = f"{turn}{'a' * 1_000_000}"
        ask("POST", CONFIG_MAPS, {"metadata": {"name": long}})
        ask("POST", CONFIG_MAPS, {"metadata": {"name": "long", "labels": {long: long}}})
        ask("GET", f"/api/v1/namespaces/{long[:50_000]}/configmaps")
        ask("GET", f"{CONFIG_MAPS}/a/{long[:50_000]}")
    assert ask("DELETE", f"{levels}/vast")[0] == 200
    assert target.rss() - before < 60
