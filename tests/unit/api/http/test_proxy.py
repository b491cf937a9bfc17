from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator

import pytest

from podium.api.server import ApiServer
from tests.unit.api.http.harness import CORE, DEFAULT, Http, pod
from tests.unit.api.http.node import Node

PODS = f"{DEFAULT}/pods"
EXEC = f"{PODS}/a/exec?command=echo&command=a%20b&stdout=true&stderr=true&container=main"


@pytest.fixture
async def node(server: ApiServer, http: Http) -> AsyncIterator[Node]:
    node = Node(server)
    await node.start(http)
    await http.made(PODS, pod("a", node="one"))
    yield node
    node.stop_listening()


class Raw:
    """A connection of which every byte is seen."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, server: ApiServer, address: tuple[str, int], *, certified: bool = True) -> Raw:
        context = ssl.create_default_context(cafile=server.ca_file)
        if certified:
            pair = server.admin()
            context.load_cert_chain(pair.cert, pair.key)
        return cls(*await asyncio.open_connection(*address, ssl=context))

    async def upgrade(self, target: str, protocol: str = "websocket", method: str = "GET") -> str:
        """The head of the answer."""
        head = f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n"
        self.writer.write(
            head.encode() + b"Sec-WebSocket-Protocol: v5.channel.k8s.io\r\nAuthorization: Bearer x\r\n\r\n"
        )
        return (await self.reader.readuntil(b"\r\n\r\n")).decode()

    async def refusal(self, target: str, method: str = "GET") -> dict[str, object]:
        head = await self.upgrade(target, method=method)
        status: dict[str, object] = json.loads(await self.reader.read())
        assert head.startswith(f"HTTP/1.1 {status['code']} ")
        return status


async def test_a_log_comes_from_the_pods_node(http: Http, node: Node) -> None:
    reply = await http.get(f"{PODS}/a/log", tailLines=5, follow="true", timestamps="true")
    assert (reply.code, reply.text) == (200, "a line\n")
    [request] = node.requests
    assert request.startswith(
        "GET /containerLogs/default/a/main?follow=true&timestamps=true&tailLines=5 HTTP/1.1"
    )
    assert node.users == ["system:kube-apiserver"]


async def test_a_long_log_arrives_whole(http: Http, node: Node) -> None:
    node.body = b"0123456789abcde\n" * (1 << 18)
    assert len((await http.get(f"{PODS}/a/log")).text) == 4 << 20


async def test_a_container_must_be_chosen_where_there_are_several(http: Http, node: Node) -> None:
    two = pod("b", node="one")
    two["spec"]["containers"].append({"name": "side", "image": "busybox"})
    two["spec"]["initContainers"] = [{"name": "first", "image": "busybox"}]
    await http.made(PODS, two)
    reply = await http.get(f"{PODS}/b/log")
    assert (reply.code, reply.message) == (
        400,
        "a container name must be specified for pod b, choose one of: [main side] "
        "or one of the init containers: [first]",
    )
    assert (await http.get(f"{PODS}/b/log", container="side")).code == 200
    wrong = await http.get(f"{PODS}/b/log", container="none")
    assert (wrong.code, wrong.message) == (400, "container none is not valid for pod b")


async def test_a_log_that_there_cannot_be_says_why(http: Http, node: Node) -> None:
    assert (await http.get(f"{PODS}/lost/log")).code == 404
    await http.made(PODS, pod("waiting"))
    assert (await http.get(f"{PODS}/waiting/log")).message == "pod waiting does not have a host assigned"
    assert (await http.get(f"{PODS}/a/log", tailLines="few")).code == 400
    assert (await http.get(f"{PODS}/a/log", sinceSeconds=1, sinceTime="2030-01-01T00:00:00Z")).code == 400
    node.status, node.body = "404 Not Found", b'previous terminated container "main" not found'
    lost = await http.get(f"{PODS}/a/log", previous="true")
    assert (lost.code, lost.message) == (404, node.body.decode())


async def test_a_node_that_does_not_answer_is_unavailable(http: Http, node: Node) -> None:
    node.stop_listening()
    reply = await http.get(f"{PODS}/a/log")
    assert (reply.code, reply.reason) == (503, "ServiceUnavailable")


async def test_a_client_that_stops_following_is_not_followed_any_longer(
    server: ApiServer, address: tuple[str, int], node: Node
) -> None:
    node.stays_open = True
    raw = await Raw.open(server, address)
    raw.writer.write(f"GET {PODS}/a/log?follow=true HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await raw.reader.readuntil(b"a line\n")
    raw.writer.close()
    async with asyncio.timeout(5):
        await node.left.wait()


async def test_a_followed_log_ends_with_the_server(
    server: ApiServer, address: tuple[str, int], node: Node
) -> None:
    node.stays_open = True
    raw = await Raw.open(server, address)
    raw.writer.write(f"GET {PODS}/a/log?follow=true HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await raw.reader.readuntil(b"a line\n")
    await server.close()
    assert (await raw.reader.read()).endswith(b"0\r\n\r\n")


async def test_an_upgraded_connection_is_relayed_both_ways(
    server: ApiServer, address: tuple[str, int], node: Node
) -> None:
    raw = await Raw.open(server, address)
    head = await raw.upgrade(EXEC)
    assert head.startswith("HTTP/1.1 101 Switching Protocols")
    assert await raw.reader.readexactly(5) == b"hello"
    sent = bytes(range(256)) * 20_000
    raw.writer.write(sent)
    assert await raw.reader.readexactly(len(sent)) == sent
    raw.writer.close()
    [request] = node.requests
    assert request.startswith("GET /exec/default/a/main?output=1&error=1&command=echo&command=a+b HTTP/1.1")
    assert "v5.channel.k8s.io" in request
    assert "bearer" not in request.lower()


async def _left_with_a_spare(server: ApiServer, address: tuple[str, int], node: Node) -> None:
    """Somebody has used an upgraded connection, and the next one to the node stands."""
    raw = await Raw.open(server, address)
    await raw.upgrade(EXEC)
    node.connected.clear()
    raw.writer.close()
    # The server's side of the handshake is over before the node's is.
    await node.connected.wait()


async def test_the_next_upgrade_finds_its_connection_to_the_node_ready(
    server: ApiServer, address: tuple[str, int], node: Node
) -> None:
    await _left_with_a_spare(server, address, node)
    assert len(node.connections) == 2
    raw = await Raw.open(server, address)
    assert " 101 " in await raw.upgrade(EXEC)
    assert await raw.reader.readexactly(5) == b"hello"
    raw.writer.write(b"both ways")
    assert await raw.reader.readexactly(9) == b"both ways"
    assert len(node.connections) == 2
    raw.writer.close()


async def test_a_node_that_goes_without_an_answer_is_unavailable(
    server: ApiServer, address: tuple[str, int], node: Node
) -> None:
    await _left_with_a_spare(server, address, node)
    node.silent = True
    raw = await Raw.open(server, address)
    assert (await raw.refusal(EXEC))["code"] == 503


async def test_attach_and_port_forward_have_the_nodes_paths(
    server: ApiServer, address: tuple[str, int], node: Node
) -> None:
    for target, path in (
        (f"{PODS}/a/attach?stdin=true&tty=true", "GET /attach/default/a/main?input=1&tty=1 "),
        (f"{PODS}/a/portforward?ports=80", "GET /portForward/default/a?ports=80 "),
    ):
        raw = await Raw.open(server, address)
        assert " 101 " in await raw.upgrade(target)
        raw.writer.close()
        assert node.requests[-1].startswith(path)


async def test_a_log_may_come_over_an_upgraded_connection(
    server: ApiServer, address: tuple[str, int], node: Node
) -> None:
    raw = await Raw.open(server, address)
    assert " 101 " in await raw.upgrade(f"{PODS}/a/log?follow=true")
    raw.writer.close()
    assert node.requests[-1].startswith("GET /containerLogs/default/a/main?follow=true ")
    raw = await Raw.open(server, address)
    assert (await raw.refusal(f"{PODS}/a/log", method="POST"))["code"] == 405


async def test_a_refusal_before_the_upgrade_is_an_ordinary_answer(
    server: ApiServer, address: tuple[str, int], http: Http, node: Node
) -> None:
    await http.made(PODS, pod("waiting"))
    for target, code, message in (
        (EXEC.replace("/a/", "/lost/"), 404, 'pods "lost" not found'),
        (EXEC.replace("/a/", "/waiting/"), 400, "pod waiting does not have a host assigned"),
        (EXEC.replace("=main", "=none"), 400, "container none is not valid for pod a"),
        (f"{PODS}/a/exec?stdout=1", 400, "you must specify at least one command for the container"),
        (f"{PODS}/a/exec?command=x", 400, "you must specify at least 1 of stdin, stdout, stderr"),
        (f"{PODS}/a", 404, "the server could not find the requested resource"),
        ("/version", 404, "the server could not find the requested resource"),
    ):
        raw = await Raw.open(server, address)
        status = await raw.refusal(target)
        assert (status["code"], status["message"]) == (code, message)


async def test_nobody_upgrades(server: ApiServer, address: tuple[str, int], node: Node) -> None:
    raw = await Raw.open(server, address, certified=False)
    assert (await raw.refusal(EXEC))["code"] == 401
    assert node.requests == []


async def test_what_the_node_says_instead_of_upgrading_is_passed_on(
    server: ApiServer, address: tuple[str, int], node: Node
) -> None:
    node.status, node.body = "500 Internal Server Error", b"no shell"
    raw = await Raw.open(server, address)
    assert (await raw.upgrade(EXEC)).startswith("HTTP/1.1 500 ")
    assert await raw.reader.readexactly(8) == b"no shell"


async def test_exec_without_an_upgrade_is_a_bad_request(http: Http, node: Node) -> None:
    reply = await http("POST", f"{PODS}/a/exec?command=x&stdout=1")
    assert (reply.code, reply.message) == (400, "Upgrade request required")


async def test_the_end_of_either_side_ends_the_other(
    server: ApiServer, address: tuple[str, int], node: Node
) -> None:
    raw = await Raw.open(server, address)
    await raw.upgrade(EXEC)
    await raw.reader.readexactly(5)
    await server.close()
    assert await raw.reader.read() == b""


async def test_a_nodes_own_paths_can_be_reached(http: Http, node: Node) -> None:
    assert (await http.get(f"{CORE}/nodes/one/proxy/stats/summary", only="cpu")).text == "a line\n"
    assert node.requests[-1].startswith("GET /stats/summary?only=cpu HTTP/1.1")
    assert (await http.get(f"{CORE}/nodes/lost/proxy/healthz")).code == 404


async def test_a_service_is_reached_through_its_endpoints(http: Http, server: ApiServer) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 201 Created\r\nX-Own: yes\r\nContent-Length: %d\r\n\r\n" % len(head) + head)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as backend:
        port = backend.sockets[0].getsockname()[1]
        await http.made(
            f"{DEFAULT}/services",
            {
                "metadata": {"name": "web"},
                "spec": {"ports": [{"name": "http", "port": 80, "targetPort": port}]},
            },
        )
        empty = await http.get(f"{DEFAULT}/services/web/proxy/x")
        assert (empty.code, empty.message) == (503, 'no endpoints available for service "web"')
        # Put there directly: no client may name a loopback address.
        piece = {
            "metadata": {
                "name": "web-1",
                "namespace": "default",
                "labels": {"kubernetes.io/service-name": "web"},
            },
            "endpoints": [{"addresses": ["127.0.0.1"]}],
            "ports": [{"name": "http", "port": port}],
        }
        await server.store.create("/registry/discovery.k8s.io/endpointslices/default/web-1", piece)
        reply = await http.get(f"{DEFAULT}/services/web:http/proxy/x/y", q="1")
        assert (reply.code, reply.headers["X-Own"]) == (201, "yes")
        assert reply.text.startswith("GET /x/y?q=1 HTTP/1.1")


class Site:
    """A server in a pod, put there directly: no client may name a loopback address."""

    def __init__(self, page: bytes, *headers: bytes) -> None:
        self.requests: list[str] = []
        size = b"Content-Length: %d" % len(page)
        self._answer = b"\r\n".join([b"HTTP/1.1 200 OK", size, *headers, b"", page])

    async def start(self, server: ApiServer, context: ssl.SSLContext | None = None) -> str:
        """Returns the port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        made = pod("site", node="one") | {"status": {"podIP": "127.0.0.1"}}
        made["metadata"]["namespace"] = "default"
        await server.store.create("/registry/core/pods/default/site", made)
        return str(self._server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(self._answer)
        await writer.drain()
        writer.close()

    def close(self) -> None:
        self._server.close()


@pytest.fixture
def served(server: ApiServer) -> ssl.SSLContext:
    """TLS with a certificate that nobody has to trust."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    pair = server.admin()
    context.load_cert_chain(pair.cert, pair.key)
    return context


@pytest.fixture
def open_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pods may be on this machine."""
    monkeypatch.setattr("podium.api.proxy.is_a_pods", lambda address: True)


@pytest.mark.usefixtures("open_pods")
async def test_a_pod_is_reached_over_tls_whoever_signed_its_certificate(
    http: Http, server: ApiServer, served: ssl.SSLContext
) -> None:
    site = Site(b'<a href="/b">', b"Content-Type: text/html; charset=utf-8", b"Location: /c")
    port = await site.start(server, served)
    prefix = f"{PODS}/https:site:{port}/proxy"
    reply = await http.get(f"{prefix}/a")
    assert (reply.code, reply.text) == (200, f'<a href="{prefix}/b">')
    assert reply.headers["Location"] == f"{prefix}/c"
    site.close()


@pytest.mark.usefixtures("open_pods")
async def test_what_is_no_page_passes_as_it_is(http: Http, server: ApiServer) -> None:
    site = Site(b'<a href="/b">', b"Content-Type: text/plain")
    port = await site.start(server)
    reply = await http.get(f"{PODS}/site:{port}/proxy/a%20b;c/d", q="1 2")
    assert reply.text == '<a href="/b">'
    assert site.requests[0].startswith("GET /a%20b;c/d?q=1+2 HTTP/1.1")
    site.close()


@pytest.mark.parametrize("named", ["127.0.0.1", "169.254.169.254", "0.0.0.0", "::ffff:127.0.0.1", "x"])
async def test_what_a_pod_calls_its_address_does_not_lead_to_this_machine(
    http: Http, server: ApiServer, named: str
) -> None:
    made = pod("liar", node="one") | {"status": {"podIP": named}}
    made["metadata"]["namespace"] = "default"
    await server.store.create("/registry/core/pods/default/liar", made)
    refused = await http.get(f"{PODS}/liar:22/proxy/")
    assert (refused.code, refused.message) == (400, "address not allowed")


async def test_a_service_that_is_elsewhere_is_not_reached_through_the_server(http: Http) -> None:
    spec = {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": 22}]}
    await http.made(f"{DEFAULT}/services", {"metadata": {"name": "away"}, "spec": spec})
    refused = await http.get(f"{DEFAULT}/services/away:22/proxy/")
    assert (refused.code, refused.message) == (503, 'no endpoints available for service "away"')


async def test_a_service_leads_to_addresses_and_not_to_names(http: Http) -> None:
    spec = {"ports": [{"port": 22}]}
    await http.made(f"{DEFAULT}/services", {"metadata": {"name": "named"}, "spec": spec})
    await http.made(
        "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
        {
            "metadata": {"name": "named", "labels": {"kubernetes.io/service-name": "named"}},
            "addressType": "FQDN",
            "ports": [{"port": 22}],
            "endpoints": [{"addresses": ["server.internal"]}],
        },
    )
    refused = await http.get(f"{DEFAULT}/services/named:22/proxy/")
    assert (refused.code, refused.message) == (503, 'no endpoints available for service "named"')


@pytest.mark.parametrize("port", ["99999999", "0", "²", "-1"])
async def test_a_proxys_port_is_one(http: Http, node: Node, port: str) -> None:
    refused = await http.get(f"{CORE}/nodes/one:{port}/proxy/")
    assert (refused.code, refused.message) == (400, f'invalid node request "one:{port}"')


@pytest.mark.usefixtures("open_pods")
async def test_a_proxy_without_a_path_redirects_to_the_root(http: Http, server: ApiServer) -> None:
    site = Site(b"root")
    port = await site.start(server)
    prefix = f"{PODS}/http:site:{port}/proxy"
    reply = await http("GET", prefix, q="1", redirects=False)
    assert (reply.code, reply.headers["Location"]) == (301, f"{prefix}/?q=1")
    assert (await http.delete(prefix)).text == "root"
    assert site.requests[0].startswith("DELETE / HTTP/1.1")
    site.close()
