"""Clients that are slow, broken, gone or malicious, on raw connections: each is refused or survived."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from podium.api.forwarding import forwarded
from podium.api.server import ApiServer, ServerConfig
from podium.api.types.resources import CONFIG_MAPS, SERVICE_ACCOUNTS
from podium.api.unfinished import MAX_HEAD, Unfinished
from tests.unit.api.http.harness import CORE, DEFAULT, Http, config_map, deployment
from tests.unit.api.http.node import Node
from tests.unit.api.http.sample import API, Sample

MAPS = f"{DEFAULT}/configmaps"
PATIENCE = 10.0  # seconds after which a test is lost


class Raw:
    """One TLS connection of the administrator's."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, text: str | bytes) -> None:
        self.writer.write(text if isinstance(text, bytes) else text.encode())

    async def answer(self) -> tuple[int, bytes]:
        """The code, and the body of an answer that says how long it is."""
        async with asyncio.timeout(PATIENCE):
            head = await self.reader.readuntil(b"\r\n\r\n")
            lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
            body = await self.reader.readexactly(int(lines.get(b"content-length", b"0")))
            return int(head.split(b" ", 2)[1]), body

    async def end(self) -> bytes:
        """What comes until the server has closed."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""


Connect = Callable[[], Awaitable[Raw]]


@pytest.fixture
async def connect(server: ApiServer, address: tuple[str, int]) -> AsyncIterator[Connect]:
    context = ssl.create_default_context(cafile=server.ca_file)
    pair = server.admin()
    context.load_cert_chain(pair.cert, pair.key)
    made: list[Raw] = []

    async def connect() -> Raw:
        made.append(Raw(*await asyncio.open_connection(*address, ssl=context)))
        return made[-1]

    yield connect
    for raw in made:
        raw.writer.transport.abort()


def unfinished(server: ApiServer) -> Unfinished:
    assert server._listeners is not None
    return server._listeners._state.unfinished


@asynccontextmanager
async def hasty() -> AsyncIterator[tuple[ApiServer, Http]]:
    """A server that waits a tenth of a second for what is slow."""
    server = ApiServer(ServerConfig(request_timeout=0.1))
    await server.start()
    http = Http(server, await server.serve(tls=True), server.admin())
    unfinished(server)._head_time = unfinished(server)._body_time = 0.1
    try:
        yield server, http
    finally:
        await http.close()
        await server.close()


@pytest.mark.parametrize("said", ["", "GET /version HTTP/1.1\r\nHost: x\r\n", "GET /version?" + "x" * 5000])
async def test_who_does_not_finish_his_headers_is_cut_off(
    server: ApiServer, connect: Connect, said: str
) -> None:
    unfinished(server)._head_time = 0.1
    raw = await connect()
    raw.send(said)
    assert await raw.end() == b""
    assert unfinished(server).cut == 1
    assert not len(unfinished(server))


async def test_who_sends_a_byte_now_and_then_is_cut_off_too(server: ApiServer, connect: Connect) -> None:
    unfinished(server)._head_time = 0.2
    raw = await connect()

    async def drip() -> None:
        raw.send("GET /version HTTP/1.1\r\nx: ")
        while True:
            raw.send("y")
            await asyncio.sleep(0.01)

    dripping = asyncio.create_task(drip())
    assert await raw.end() == b""
    dripping.cancel()


async def test_a_body_that_does_not_come_ends_with_the_requests_deadline() -> None:
    async with hasty() as (server, http):
        pair, host = server.admin(), http.base.removeprefix("https://").split(":")
        context = ssl.create_default_context(cafile=server.ca_file)
        context.load_cert_chain(pair.cert, pair.key)
        raw = Raw(*await asyncio.open_connection(host[0], int(host[1]), ssl=context))
        raw.send(f"POST {MAPS} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n")
        raw.send('content-length: 100\r\n\r\n{"met')
        code, body = await raw.answer()
        assert (code, json.loads(body)["reason"]) == (504, "Timeout")
        assert await raw.end() == b""


async def test_requests_that_are_sent_at_once_are_answered_one_after_the_other(connect: Connect) -> None:
    raw = await connect()
    raw.send("GET /api/v1/namespaces/default HTTP/1.1\r\nhost: x\r\n\r\n" * 2)
    raw.send("GET /api/v1/namespaces/none HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    answers = [await raw.answer() for _ in range(3)]
    assert [code for code, _ in answers] == [200, 200, 404]
    assert [json.loads(body)["kind"] for _, body in answers] == ["Namespace", "Namespace", "Status"]
    assert await raw.end() == b""


async def test_a_body_that_nobody_reads_does_not_keep_the_connection(
    server: ApiServer, connect: Connect
) -> None:
    unfinished(server)._body_time = 0.1
    raw = await connect()
    raw.send("GET /version HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nab")
    assert (await raw.answer())[0] == 200
    raw.send("c")
    assert await raw.end() == b""


async def test_headers_without_end_are_refused(connect: Connect) -> None:
    raw = await connect()
    raw.send("GET /version HTTP/1.1\r\nhost: x\r\n")
    for number in range(MAX_HEAD // 1000 + 20):
        raw.send(f"x-{number:05}: " + "y" * 1000 + "\r\n")
    assert (await raw.answer())[0] == 431


@pytest.mark.parametrize(
    "head",
    [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: -1\r\n",
        "content-length: 99999999999999999999999999\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding : chunked\r\n",
        "x\0y: z\r\n",
    ],
)
async def test_a_head_that_could_be_read_in_two_ways_is_refused(connect: Connect, head: str) -> None:
    raw = await connect()
    raw.send(f"POST {MAPS} HTTP/1.1\r\nhost: x\r\n{head}\r\n0\r\n\r\nGET /version HTTP/1.1\r\n\r\n")
    said = await raw.end()
    assert said.startswith(b"HTTP/1.1 400 ")
    assert said.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(
    "line",
    [b"GET /\xff\xfe HTTP/1.1", b"GET  HTTP/1.1", b"\x16\x03\x01", b"GET / HTTP/9.9", b"BREW /api HTTP/1.1"],
)
async def test_what_is_no_request_is_refused(connect: Connect, line: bytes) -> None:
    raw = await connect()
    raw.send(line + b"\r\nhost: x\r\n\r\n")
    assert (await raw.end()).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("..", 400, "Name parameter invalid: \"..\": may not be '..'"),
        ("%2e%2e", 400, "Name parameter invalid: \"..\": may not be '..'"),
        ("%2E", 400, "Name parameter invalid: \".\": may not be '.'"),
        ("a%25b", 400, "Name parameter invalid: \"a%b\": may not contain '%'"),
        ("..%2f..%2fsecrets%2fx", 404, ""),
        ("a%00b", 404, ""),
        ("%ff%fe", 404, ""),
        ("a/../../../kube-system/secrets/x", 404, ""),
        ("a//", 404, ""),
    ],
)
async def test_a_path_does_not_lead_out_of_its_place(
    connect: Connect, name: str, code: int, message: str
) -> None:
    raw = await connect()
    raw.send(f"GET {MAPS}/{name} HTTP/1.1\r\nhost: x\r\n\r\n")
    found, body = await raw.answer()
    assert found == code
    status = json.loads(body)
    assert status["kind"] == "Status"
    assert message in status["message"]


async def test_a_watch_of_a_client_that_is_gone_ends(server: ApiServer, connect: Connect) -> None:
    raw = await connect()
    raw.send(f"GET {MAPS}?watch=1 HTTP/1.1\r\nhost: x\r\n\r\n")
    async with asyncio.timeout(PATIENCE):
        await raw.reader.readuntil(b"\r\n\r\n")
        assert len(server._core.streams) == 1
        raw.writer.close()
        await until(lambda: not server._core.streams and not server._running.open)


async def test_two_thousand_idle_watches_cost_little_and_all_are_told(server: ApiServer) -> None:
    host, port = await server.serve(tls=False)
    client, account = server.client, {"metadata": {"name": "watcher"}}
    await client.create(SERVICE_ACCOUNTS, account, "default")
    made = await client.create(SERVICE_ACCOUNTS, {"spec": {}}, "default", name="watcher", subresource="token")
    head = f"GET {MAPS}?watch=1&resourceVersion={server.store.revision} HTTP/1.1\r\nhost: x\r\n"
    head += f"authorization: Bearer {made['status']['token']}\r\n\r\n"
    before = resident()
    watches = []
    for _ in range(20):
        more = await asyncio.gather(*(asyncio.open_connection(host, port) for _ in range(100)))
        for _, writer in more:
            writer.write(head.encode())
        for reader, _ in more:
            await reader.readuntil(b"\r\n\r\n")
        watches += more
    # Both ends are in this process.
    assert (resident() - before) / len(watches) < 60 << 10
    await client.create(CONFIG_MAPS, config_map("told"), "default")
    async with asyncio.timeout(PATIENCE):
        for reader, _ in watches:
            assert b'"told"' in await reader.readuntil(b"\n\r\n")
    for _, writer in watches:
        writer.transport.abort()


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("soon", 'time: invalid duration "soon"'),
        ("5", 'time: missing unit in duration "5"'),
        ("5y", 'time: unknown unit "y" in duration "5y"'),
    ],
)
async def test_a_timeout_that_is_none_is_a_bad_request(http: Http, text: str, why: str) -> None:
    reply = await http.get(MAPS, timeout=text)
    assert (reply.code, reply.reason) == (400, "BadRequest")
    assert reply.message == f"invalid timeout specified in the request URL - {why}"


async def test_a_client_may_want_to_wait_less_but_not_more(connect: Connect, http: Http) -> None:
    for text in ("0s", "-1s", "1h", "1m30.5s", "32s"):
        assert (await http.get(MAPS, timeout=text)).code == 200
    raw = await connect()
    raw.send(f"POST {MAPS}?timeout=50ms HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n")
    raw.send("content-length: 100\r\n\r\n{")
    code, body = await raw.answer()
    assert (code, json.loads(body)["reason"]) == (504, "Timeout")


async def test_a_watch_has_no_such_deadline(http: Http) -> None:
    async with http.watch(MAPS, timeout="50ms", timeoutSeconds=1) as events:
        await events.rest()
        assert events.response.status == 200


async def test_an_object_that_is_too_large_is_refused_whichever_way_it_comes(http: Http) -> None:
    obj = deployment("big")
    [main] = obj["spec"]["template"]["spec"]["containers"]
    path = "/apis/apps/v1/namespaces/default/deployments"
    await http.made(path, obj)
    main["env"] = [{"name": f"A{number}", "value": "x" * 100_000} for number in range(16)]
    patched = await http.patch(f"{path}/big", {"spec": obj["spec"]})
    obj["metadata"]["name"] = "other"
    for reply in (patched, await http.post(path, obj)):
        assert (reply.code, reply.reason) == (413, "RequestEntityTooLarge")
        assert "request is too large" in reply.message


def test_what_a_client_says_of_itself_or_of_its_connection_goes_no_further() -> None:
    given = {
        b"accept": b"*/*", b"connection": b"keep-alive, X-Mine", b"x-mine": b"1", b"x-remote-user": b"root",
        b"x_remote_group": b"system:masters", b"x-remote-extra-a": b"b", b"impersonate-user": b"root",
        b"transfer-encoding": b"chunked", b"te": b"trailers", b"proxy-authorization": b"x", b"cookie": b"c",
        b"authorization": b"Bearer t", b"content-type": b"a/b",
    }  # fmt: skip
    assert dict(forwarded(given.items())) == {b"accept": b"*/*", b"content-type": b"a/b"}


async def available(http: Http) -> None:
    while (await http.get(f"{API}/namespaces/default/flunders")).code != 200:  # noqa: ASYNC110
        await asyncio.sleep(0.02)


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def test_no_header_of_a_clients_is_taken_for_the_servers_word(http: Http, tmp_path: Path) -> None:
    published = await http.get(f"{CORE}/namespaces/kube-system/configmaps/extension-apiserver-authentication")
    sample = Sample(published.obj["data"]["requestheader-client-ca-file"], tmp_path)
    await sample.start()
    try:
        await sample.register(http)
        async with asyncio.timeout(PATIENCE):
            await available(http)
        sample.headers.clear()
        smuggled = {"X-Remote-User": "root", "X_Remote_User": "root", "X-Remote-Group": "g", "X-Mine": "1",
                    "Connection": "X-Mine, X-Remote-User"}  # fmt: skip
        assert (await http("GET", f"{API}/namespaces/default/flunders", headers=smuggled)).code == 200
        [headers] = sample.headers
        assert headers.getall("X-Remote-User") == ["kubernetes-admin"]
        assert "X_Remote_User" not in headers
        assert "X-Mine" not in headers
    finally:
        await sample.stop()


async def test_who_is_refused_an_upgrade_cannot_speak_on_in_the_servers_name(
    server: ApiServer, http: Http, connect: Connect
) -> None:
    node = Node(server)
    await node.start(http)
    node.status, node.stays_open = "403 Forbidden", True
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        heard.append(await reader.read())

    node._serve = answer  # type: ignore[method-assign]
    node.stop_listening()
    node._server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=node._context)
    port = node._server.sockets[0].getsockname()[1]
    status = {"daemonEndpoints": {"kubeletEndpoint": {"Port": port}}}
    await http.patch(f"{CORE}/nodes/{node.name}/status", {"status": status})
    raw = await connect()
    raw.send(f"GET {CORE}/nodes/{node.name}/proxy/pods HTTP/1.1\r\nhost: x\r\n")
    raw.send("connection: Upgrade\r\nupgrade: websocket\r\n\r\n")
    assert await raw.answer() == (403, b"no")
    raw.send("GET /exec/kube-system/a/b HTTP/1.1\r\nhost: x\r\nX-Remote-User: root\r\n\r\n")
    await raw.writer.drain()
    raw.writer.close()
    async with asyncio.timeout(PATIENCE):
        await until(lambda: bool(heard))
    assert heard == [b""]
    node.stop_listening()
