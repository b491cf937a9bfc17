"""SPDY: its frames, and kubectl's older and newer ways of using it, on real containers and sockets."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from podium.runtime.interfaces import PodView
from podium.runtime.nodeapi.spdy import frames
from podium.runtime.nodeapi.spdy.frames import Frame, FrameError, FrameParser
from podium.runtime.nodeapi.spdy.headers import MAX_BLOCK, HeaderError, HeaderReader, HeaderWriter
from tests.unit.runtime.nodeapi.bench import Bench, pod
from tests.unit.runtime.nodeapi.conftest import client_tls
from tests.unit.runtime.nodeapi.spdyclient import SpdyClient

SUCCESS = {"metadata": {}, "status": "Success"}


def test_frames_are_found_however_the_bytes_are_cut() -> None:
    wire = (
        frames.syn_stream(1, b"block")
        + frames.data(1, b"hello")
        + frames.data(1, b"", fin=True)
        + frames.ping(7)
    )
    expected = [
        Frame(frames.SYN_STREAM, 1, 0, b"block"),
        Frame(0, 1, 0, b"hello"),
        Frame(0, 1, frames.FIN, b""),
        Frame(frames.PING, 7, 0, b""),
    ]
    for size in (1, 3, 8, 1000):
        parser = FrameParser()
        pieces = [wire[start : start + size] for start in range(0, len(wire), size)]
        assert [frame for piece in pieces for frame in parser.feed(piece)] == expected


@pytest.mark.parametrize(
    "wire",
    [
        b"GET / HT",
        b"\x80\x02\x00\x01" + bytes(4),
        b"\x80\x03\x00\x01\x00\x00\x00\x02ab",
        b"\x00" * 4 + b"\xff" * 4,
    ],
)
def test_what_is_no_frame_is_an_error(wire: bytes) -> None:
    parser = FrameParser()
    with pytest.raises(FrameError):
        list(parser.feed(wire + bytes(100)))


def test_headers_go_through_one_compressed_stream() -> None:
    writer, reader = HeaderWriter(), HeaderReader()
    for headers in ({"streamType": "data", "port": "80"}, {}, {"requestID": "1"}):
        lower = {name.lower(): value for name, value in headers.items()}
        assert reader.decode(writer.encode(headers)) == lower


def test_broken_headers_are_an_error() -> None:
    with pytest.raises(HeaderError):
        HeaderReader().decode(b"not zlib")
    with pytest.raises(HeaderError):
        HeaderReader().decode(HeaderWriter().encode({"x": "y" * MAX_BLOCK}))


@asynccontextmanager
async def upgraded(bench: Bench, certificates: Path, path: str, *protocols: str) -> AsyncIterator[SpdyClient]:
    """A connection that was upgraded to SPDY, as kubectl before 1.30 does."""
    where = urlsplit(bench.url)
    context: ssl.SSLContext = client_tls(certificates, "apiserver")
    reader, writer = await asyncio.open_connection(where.hostname, where.port, ssl=context)
    offered = "".join(f"X-Stream-Protocol-Version: {protocol}\r\n" for protocol in protocols)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n{offered}\r\n"
    writer.write(head.encode())
    answer = (await reader.readuntil(b"\r\n\r\n")).decode()
    assert answer.startswith("HTTP/1.1 101 "), answer
    assert f"X-Stream-Protocol-Version: {protocols[0]}\r\n" in answer

    async def write(data: bytes) -> None:
        writer.write(data)
        await writer.drain()

    try:
        yield SpdyClient(lambda: reader.read(65536), write)
    finally:
        writer.close()


EXEC = "/exec/default/p/c?input=1&output=1&error=1"
V4 = ("v4.channel.k8s.io", "v3.channel.k8s.io", "channel.k8s.io")


async def test_exec_over_spdy(bench: Bench, certificates: Path) -> None:
    await bench.start("p", "sleep", "1000")
    command = "&command=sh&command=-c&command=cat;echo%20oops%20>%262;exit%203"
    async with upgraded(bench, certificates, EXEC + command, *V4) as client:
        error, stdin, stdout, stderr = [
            await client.open(streamType=kind) for kind in ("error", "stdin", "stdout", "stderr")
        ]
        await client.send(stdin, b"hello ")
        await client.send(stdin, b"there\n", fin=True)
        await client.until(lambda: {error, stdout, stderr} <= client.finished)
        assert (client.received[stdout], client.received[stderr]) == (b"hello there\n", b"oops\n")
        assert json.loads(client.received[error])["details"]["causes"][0]["message"] == "3"


async def test_a_terminal_over_spdy(bench: Bench, certificates: Path) -> None:
    await bench.start("p", "sleep", "1000")
    path = "/exec/default/p/c?input=1&output=1&tty=1&command=sh"
    async with upgraded(bench, certificates, path, *V4) as client:
        error, stdin, stdout, resize = [
            await client.open(streamType=kind) for kind in ("error", "stdin", "stdout", "resize")
        ]
        await client.send(resize, b'{"Width":111,"Height":44}\n')
        await client.write(frames.ping(1))
        await client.until(lambda: client.pings == [1])
        await client.send(stdin, b"stty size; exit\n")
        await client.until(lambda: error in client.finished)
        assert b"44 111\r\n" in client.received[stdout]
        assert json.loads(client.received[error]) == SUCCESS


async def test_megabytes_over_spdy(bench: Bench, certificates: Path) -> None:
    await bench.start("p", "sleep", "1000")
    path = "/exec/default/p/c?input=1&output=1&command=cat"
    async with upgraded(bench, certificates, path, *V4) as client:
        error, stdin, stdout = [await client.open(streamType=kind) for kind in ("error", "stdin", "stdout")]

        async def send() -> None:
            for _ in range(160):
                await client.send(stdin, b"x" * 32_768)
            await client.send(stdin, b"", fin=True)

        sending = asyncio.create_task(send())
        await client.until(lambda: error in client.finished)
        await sending
        assert len(client.received[stdout]) == 160 * 32_768


async def test_a_spdy_client_that_leaves_takes_its_process_along(bench: Bench, certificates: Path) -> None:
    id = await bench.start("p", "sleep", "1000")
    path = "/exec/default/p/c?output=1&command=sh&command=-c&command=echo%20on;exec%20sleep%20999"
    async with upgraded(bench, certificates, path, *V4) as client:
        await client.open(streamType="error")
        stdout = await client.open(streamType="stdout")
        await client.until(lambda: client.received[stdout] == b"on\n")
        (exec_id,) = os.listdir(bench.node.config.run_dir)
    async with asyncio.timeout(20):
        while await bench.node.containerd.tasks.get(id, exec_id) is not None:
            await bench.client.get("/healthz")


@pytest.fixture
def netns() -> Iterator[Path]:
    """A network namespace with a server on port 8080 that sends back what it gets, in capitals."""
    name = f"podium-test-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    server = None
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        serve = ["busybox", "nc", "-ll", "-p", "8080", "-e", "busybox", "tr", "a-z", "A-Z"]
        server = subprocess.Popen(["ip", "netns", "exec", name, *serve])
        listening = ["ip", "netns", "exec", name, "busybox", "netstat", "-ltn"]
        while b":8080 " not in subprocess.run(listening, capture_output=True, check=True).stdout:
            assert server.poll() is None
        yield Path("/run/netns") / name
    finally:
        if server:
            server.kill()
            server.wait()
        subprocess.run(["ip", "netns", "del", name], check=True)


@asynccontextmanager
async def tunnelled(bench: Bench, path: str) -> AsyncIterator[SpdyClient]:
    """SPDY in the messages of a WebSocket, as kubectl since 1.31 does."""
    async with bench.client.ws_connect(path, protocols=("SPDY/3.1+portforward.k8s.io",)) as socket:
        assert socket.protocol == "SPDY/3.1+portforward.k8s.io"

        async def read() -> bytes:
            message = await socket.receive()
            return message.data if isinstance(message.data, bytes) else b""

        yield SpdyClient(read, socket.send_bytes)


async def connection(client: SpdyClient, request: str, port: int) -> tuple[int, int]:
    """The pair of streams of one forwarded connection."""
    error = await client.open(streamType="error", port=str(port), requestID=request)
    return error, await client.open(streamType="data", port=str(port), requestID=request)


@pytest.mark.parametrize("way", ["tunnel", "bare"])
async def test_connections_are_forwarded_into_the_pods_network(
    bench: Bench, certificates: Path, netns: Path, way: str
) -> None:
    bench.pods.known["default", "p"] = PodView(pod("p", {"name": "c"}), str(netns), {})
    path = "/portForward/default/p"
    way_in = (
        tunnelled(bench, path)
        if way == "tunnel"
        else upgraded(bench, certificates, path, "portforward.k8s.io")
    )
    async with way_in as client:
        first = await connection(client, "0", 8080)
        second = await connection(client, "1", 8080)
        for (_, data), text in ((first, b"one\n"), (second, b"two\n")):
            await client.send(data, text, fin=True)
        await client.until(lambda: {*first, *second} <= client.finished)
        assert (client.received[first[1]], client.received[second[1]]) == (b"ONE\n", b"TWO\n")
        assert client.received[first[0]] == b""


async def test_a_port_that_nobody_listens_on_is_an_error_of_that_connection(
    bench: Bench, netns: Path
) -> None:
    bench.pods.known["default", "p"] = PodView(pod("p", {"name": "c"}), str(netns), {})
    async with tunnelled(bench, "/portForward/default/p") as client:
        error, data = await connection(client, "0", 81)
        await client.until(lambda: error in client.finished and data in client.refused)
        assert client.received[error].startswith(b"error forwarding port 81 to pod uid-p, uid uid-p: ")
        assert b"onnection refused" in client.received[error]
        assert (await connection(client, "1", 8080))[1] in client.replied


async def test_streams_without_a_port_are_refused(bench: Bench, netns: Path) -> None:
    bench.pods.known["default", "p"] = PodView(pod("p", {"name": "c"}), str(netns), {})
    async with tunnelled(bench, "/portForward/default/p") as client:
        for headers in ({"streamType": "data"}, {"streamType": "data", "port": "0"}, {"port": "80"}):
            assert await client.open(**headers) in client.refused


async def test_forwarding_to_a_pod_that_is_not_here_is_refused(bench: Bench) -> None:
    async with bench.client.post("/portForward/default/none") as response:
        assert (response.status, await response.text()) == (404, "pod does not exist")
