from __future__ import annotations

import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import orjson
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from podium.api.types import Obj
from podium.api.types.errors import StatusError, expired, modified, too_many_requests
from podium.api.types.resources import NODES, PODS
from podium.client.https import HttpsClient, lines
from podium.client.kubeconfig import Connection

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Pair(NamedTuple):
    cert: bytes
    key: bytes


def self_signed(name: str) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    form, encryption = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return Pair(cert.public_bytes(pem), key.private_bytes(pem, form, encryption))


class Server:
    """A TLS server on 127.0.0.1 that wants a certificate or a token, and answers as its `handler` says."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], bytes, str]] = []
        self.handler: Handler | None = None
        self.peers: set[str] = set()
        self.pair, self.client = self_signed("server"), self_signed("client")
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        kind = request.headers.get("Content-Type", "")
        body = await request.read()
        self.requests.append((request.method, request.path, dict(request.query), body, kind))
        assert request.transport is not None
        if request.transport.get_extra_info("peercert"):
            self.peers.add("certificate")
        if "Authorization" in request.headers:
            self.peers.add(request.headers["Authorization"])
        assert self.handler is not None
        return await self.handler(request)

    def connect(self, **more: object) -> HttpsClient:
        parameters: dict[str, object] = {"ca": self.pair.cert, **more}
        return HttpsClient(Connection(self.url, **parameters))  # type: ignore[arg-type]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    made = Server()
    (tmp_path / "pair").write_bytes(made.pair.cert + made.pair.key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=made.client.cert.decode())
    context.load_cert_chain(tmp_path / "pair")
    context.verify_mode = ssl.CERT_OPTIONAL
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    made.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


def replies(*answers: Obj | StatusError) -> Handler:
    remaining = list(answers)

    async def handle(_: web.Request) -> web.StreamResponse:
        answer = remaining.pop(0)
        if isinstance(answer, StatusError):
            return web.json_response(answer.status(), status=answer.code)
        return web.json_response(answer)

    return handle


def streams(*chunks: bytes) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        return response

    return handle


POD: Obj = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "ns"}}


async def test_a_client_certificate_is_shown_and_the_servers_is_checked(server: Server) -> None:
    server.handler = replies(POD)
    client = server.connect(client_cert=server.client.cert, client_key=server.client.key)
    assert await client.get(PODS, "a", "ns") == POD
    assert server.peers == {"certificate"}
    await client.close()
    stranger = HttpsClient(Connection(server.url, ca=self_signed("other").cert))
    with pytest.raises(ConnectionError, match="certificate verify failed"):
        await stranger.get(PODS, "a", "ns")
    await stranger.close()


async def test_a_token_is_sent(server: Server) -> None:
    server.handler = replies(POD)
    client = server.connect(token="secret")
    await client.get(PODS, "a", "ns")
    assert server.peers == {"Bearer secret"}
    await client.close()


async def test_every_verb_has_its_path_parameters_and_body(server: Server) -> None:
    server.handler = replies(*[POD] * 7)
    client = server.connect()
    await client.create(PODS, POD)
    await client.create(PODS, {"target": {}}, "ns", name="a", subresource="binding")
    await client.update(PODS, POD, subresource="status")
    await client.patch(PODS, "a", {"x": 1}, "ns", kind="strategic")
    await client.patch(NODES, "n", [{"op": "add"}], kind="json", subresource="status")
    await client.patch(PODS, "a", POD, "ns", kind="apply")
    await client.delete(PODS, "a", "ns", grace_seconds=0, uid="u", propagation="Orphan")
    await client.close()
    assert [(method, path) for method, path, *_ in server.requests] == [
        ("POST", "/api/v1/namespaces/ns/pods"),
        ("POST", "/api/v1/namespaces/ns/pods/a/binding"),
        ("PUT", "/api/v1/namespaces/ns/pods/a/status"),
        ("PATCH", "/api/v1/namespaces/ns/pods/a"),
        ("PATCH", "/api/v1/nodes/n/status"),
        ("PATCH", "/api/v1/namespaces/ns/pods/a"),
        ("DELETE", "/api/v1/namespaces/ns/pods/a"),
    ]
    kinds = [kind for *_, kind in server.requests]
    assert kinds[3:6] == [
        "application/strategic-merge-patch+json",
        "application/json-patch+json",
        "application/apply-patch+yaml",
    ]
    assert server.requests[5][2] == {"fieldManager": "podium", "force": "true"}
    options = orjson.loads(server.requests[6][3])
    assert options["gracePeriodSeconds"] == 0
    assert options["preconditions"] == {"uid": "u"}
    assert options["propagationPolicy"] == "Orphan"


async def test_a_list_is_read_in_pages_and_its_items_name_their_kind(server: Server) -> None:
    first = {"metadata": {"resourceVersion": "7", "continue": "t"}, "items": [{"metadata": {"name": "a"}}]}
    last = {"metadata": {"resourceVersion": "7"}, "items": [{"metadata": {"name": "b"}}]}
    server.handler = replies(first, last)
    client = server.connect()
    found = await client.list(PODS, labels="app=x", fields="spec.nodeName=n")
    await client.close()
    assert found.resource_version == "7"
    assert [(item["kind"], item["metadata"]["name"]) for item in found.items] == [("Pod", "a"), ("Pod", "b")]
    assert server.requests[1][2] == {
        "labelSelector": "app=x",
        "fieldSelector": "spec.nodeName=n",
        "limit": "500",
        "continue": "t",
    }


async def test_a_list_whose_pages_expire_is_read_in_one(server: Server) -> None:
    first = {"metadata": {"resourceVersion": "7", "continue": "t"}, "items": []}
    whole = {"metadata": {"resourceVersion": "9"}, "items": []}
    server.handler = replies(first, expired("the provided continue parameter is too old"), whole)
    client = server.connect()
    assert (await client.list(PODS)).resource_version == "9"
    await client.close()
    assert "limit" not in server.requests[2][2]


async def test_a_failure_is_the_servers_status(server: Server) -> None:
    server.handler = replies(modified("pods", "a"))
    client = server.connect()
    with pytest.raises(StatusError, match="the object has been modified") as caught:
        await client.update(PODS, POD)
    await client.close()
    assert (caught.value.code, caught.value.reason) == (409, "Conflict")


async def test_a_failure_without_a_status_keeps_its_code_and_text(server: Server) -> None:
    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(status=502, text="bad gateway\n")

    server.handler = handle
    client = server.connect()
    with pytest.raises(StatusError, match="bad gateway") as caught:
        await client.get(PODS, "a", "ns")
    await client.close()
    assert caught.value.code == 502


async def test_a_throttled_request_is_sent_again(server: Server) -> None:
    answers = [too_many_requests("slow down", 1), None]

    async def handle(_: web.Request) -> web.StreamResponse:
        if error := answers.pop(0):
            return web.json_response(error.status(), status=429, headers={"Retry-After": "0"})
        return web.json_response(POD)

    server.handler = handle
    client = server.connect()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("podium.client.https.asyncio.sleep", _no_wait)
        assert await client.get(PODS, "a", "ns") == POD
    await client.close()


async def _no_wait(_: float) -> None:
    return None


async def test_a_server_that_is_not_there_is_a_connection_error(server: Server) -> None:
    client = HttpsClient(Connection("https://127.0.0.1:1", ca=server.pair.cert))
    with pytest.raises(ConnectionError, match=r"GET https://127\.0\.0\.1:1/api/v1/nodes/n"):
        await client.get(NODES, "n")
    await client.close()


async def test_a_watch_yields_events_however_the_bytes_are_cut_and_ends_with_the_stream(
    server: Server,
) -> None:
    wire = b"".join(
        orjson.dumps({"type": kind, "object": {**POD, "metadata": {"resourceVersion": version}}}) + b"\n"
        for kind, version in (("ADDED", "1"), ("MODIFIED", "2"), ("BOOKMARK", "3"))
    )
    server.handler = streams(wire[:10], wire[10:-30], wire[-30:])
    client = server.connect()
    events = [
        (event.type, event.object["metadata"]["resourceVersion"])
        async for event in client.watch(PODS, "ns", resource_version="0")
    ]
    await client.close()
    assert events == [("ADDED", "1"), ("MODIFIED", "2"), ("BOOKMARK", "3")]
    query = server.requests[0][2]
    assert (query["watch"], query["resourceVersion"], query["allowWatchBookmarks"]) == ("true", "0", "true")
    assert 300 <= int(query["timeoutSeconds"]) <= 600


async def test_an_error_event_of_a_watch_is_raised(server: Server) -> None:
    server.handler = streams(orjson.dumps({"type": "ERROR", "object": expired("too old").status()}) + b"\n")
    client = server.connect()
    with pytest.raises(StatusError, match="too old") as caught:
        async for _ in client.watch(PODS, resource_version="1"):
            pass
    await client.close()
    assert caught.value.code == 410


async def test_an_unfinished_last_line_is_dropped() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in (b"a", b"b\nc\n\nd", b"e\n", b"cut"):
            yield chunk

    assert [line async for line in lines(chunks())] == [b"ab", b"c", b"de"]
