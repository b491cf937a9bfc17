"""Port forwarding for clients without SPDY."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import WSMsgType

from podium.runtime.interfaces import PodView
from tests.unit.runtime.nodeapi.bench import Bench, pod

PATH = "/portForward/default/p"
PORT, CLOSED = (8080).to_bytes(2, "little"), (81).to_bytes(2, "little")


@pytest.fixture(scope="module")
def netns() -> Iterator[Path]:
    """A network namespace with a server on port 8080 that answers one line to one line, and hangs up."""
    name = f"podium-chan-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    server = None
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        inside = ["ip", "netns", "exec", name, "busybox"]
        answer = "read line; echo got $line"
        server = subprocess.Popen([*inside, "nc", "-ll", "-p", "8080", "-e", "busybox", "sh", "-c", answer])
        while (
            b":8080 "
            not in subprocess.run([*inside, "netstat", "-ltn"], capture_output=True, check=True).stdout
        ):
            assert server.poll() is None
        yield Path("/run/netns") / name
    finally:
        if server:
            server.kill()
            server.wait()
        subprocess.run(["ip", "netns", "del", name], check=True)


@pytest.fixture(autouse=True)
def known(bench: Bench, netns: Path) -> None:
    bench.pods.known["default", "p"] = PodView(pod("p", {"name": "c"}), str(netns), {})


@pytest.mark.parametrize("protocols", [(), ("v4.channel.k8s.io",)])
async def test_a_port_is_a_channel_for_data_and_one_for_errors(
    bench: Bench, protocols: tuple[str, ...]
) -> None:
    async with bench.client.ws_connect(f"{PATH}?ports=8080", protocols=protocols) as socket:
        assert socket.protocol == (protocols[0] if protocols else None)
        assert [await socket.receive_bytes() for _ in range(2)] == [b"\0" + PORT, b"\1" + PORT]
        await socket.send_bytes(b"\0hello\n")
        assert await socket.receive_bytes() == b"\0got hello\n"
        assert (await socket.receive()).type in (WSMsgType.CLOSE, WSMsgType.CLOSED)


async def test_several_ports_have_channels_of_their_own(bench: Bench) -> None:
    async with bench.client.ws_connect(f"{PATH}?ports=81,8080&ports=8080") as socket:
        seen: dict[int, bytes] = {}

        async def take() -> None:
            message = await socket.receive_bytes()
            seen[message[0]] = seen.get(message[0], b"") + message[1:]

        while len(seen) < 6 or seen[1] == CLOSED:
            await take()
        assert seen[1].startswith(CLOSED + b"error forwarding port 81 to pod uid-p, uid uid-p: ")
        await socket.send_bytes(b"\4second\n")
        while seen[4] == PORT:
            await take()
        assert (seen[4], seen[2]) == (PORT + b"got second\n", PORT)


async def test_text_carries_base64(bench: Bench) -> None:
    protocol = "v4.base64.channel.k8s.io"
    async with bench.client.ws_connect(f"{PATH}?ports=8080", protocols=(protocol,)) as socket:
        assert await socket.receive_str() == "0" + base64.b64encode(PORT).decode()
        assert await socket.receive_str() == "1" + base64.b64encode(PORT).decode()
        await socket.send_str("0" + base64.b64encode(b"hi\n").decode())
        assert await socket.receive_str() == "0" + base64.b64encode(b"got hi\n").decode()


@pytest.mark.parametrize(
    "ports", ["", "?ports=", "?ports=0", "?ports=x", "?ports=65536", "?ports=80,", "?ports=-1"]
)
async def test_what_is_no_port_is_refused(bench: Bench, ports: str) -> None:
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    async with bench.client.get(f"{PATH}{ports}", headers=headers) as response:
        assert response.status == 400


async def test_who_writes_to_the_channel_of_errors_is_hung_up_on(bench: Bench) -> None:
    async with bench.client.ws_connect(f"{PATH}?ports=8080") as socket:
        for _ in range(2):
            await socket.receive_bytes()
        await socket.send_bytes(b"\1mine")
        assert (await socket.receive()).type in (WSMsgType.CLOSE, WSMsgType.CLOSED)
