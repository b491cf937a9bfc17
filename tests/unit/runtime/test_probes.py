"""Probes and hooks over the network, against servers of the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from podium.api.types import Obj
from podium.runtime import hooks
from podium.runtime.commands import Commands
from podium.runtime.containerd import Containerd
from podium.runtime.probes.checks import Outcome, ProbeError, Target, check
from podium.runtime.probes.http import headers_of, url_of
from tests.unit.runtime.making import container

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(*answers: bytes) -> AsyncIterator[tuple[int, list[str]]]:
    """A server that gives one answer per connection, the last one again and again; yields its port and what
    it was asked."""
    asked: list[str] = []
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(left.pop(0) if len(left) > 1 else left[0])
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1], asked
    finally:
        listening.close()


def answer(status: int, body: str = "", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + f"\r\nContent-Length: {len(body)}\r\n\r\n{body}").encode()


@pytest.fixture
async def commands(tmp_path: Path) -> AsyncIterator[Commands]:
    """Nothing runs: for checks that need no command."""
    containerd = Containerd(str(tmp_path / "nowhere.sock"))
    yield Commands(containerd, tmp_path)
    await containerd.close()


def target(**more: object) -> Target:
    return Target(container(**more), "id", "127.0.0.1")


async def asked(probe: Obj, commands: Commands) -> Outcome:
    return await check(probe, target(), commands)


@pytest.mark.parametrize(
    ("status", "ok", "message"),
    [
        (200, True, "fine"),
        (399, True, "fine"),
        (404, False, "HTTP probe failed with statuscode: 404"),
        (500, False, "HTTP probe failed with statuscode: 500"),
    ],
)
async def test_the_status_code_is_the_answer(commands: Commands, status: int, ok: bool, message: str) -> None:
    async with server(answer(status, "fine")) as (port, requests):
        probe = {"httpGet": {"port": port, "path": "/healthz?x=1"}}
        assert await asked(probe, commands) == Outcome(ok, message)
    assert requests[0].startswith(f"GET /healthz?x=1 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n")
    assert "User-Agent: kube-probe/" in requests[0]


async def test_redirects_on_the_same_host_are_followed(commands: Commands) -> None:
    async with server(answer(302, Location="/there"), answer(200, "ok")) as (port, requests):
        assert await asked({"httpGet": {"port": port}}, commands) == Outcome(True, "ok")
    assert requests[1].startswith("GET /there ")


async def test_a_redirect_to_another_host_counts_as_an_answer(commands: Commands) -> None:
    async with server(answer(302, Location="http://192.0.2.1/")) as (port, _):
        assert (await asked({"httpGet": {"port": port}}, commands)).ok


async def test_a_refused_connection_is_told_in_the_words_users_know(commands: Commands) -> None:
    async with server(answer(200)) as (port, _):
        pass
    outcome = await asked({"httpGet": {"port": port}}, commands)
    refused = f"dial tcp 127.0.0.1:{port}: connect: connection refused"
    assert outcome == Outcome(False, f'Get "http://127.0.0.1:{port}/": {refused}')
    assert await asked({"tcpSocket": {"port": port}}, commands) == Outcome(False, refused)


async def test_an_open_port_satisfies_a_tcp_probe(commands: Commands) -> None:
    async with server(b"") as (port, _):
        assert await asked({"tcpSocket": {"port": port}}, commands) == Outcome(True)


async def test_a_server_that_does_not_speak_http_fails(commands: Commands) -> None:
    async with server(b"hello\r\n\r\n") as (port, _):
        outcome = await asked({"httpGet": {"port": port}}, commands)
    assert outcome.message.endswith('malformed HTTP response "hello"')


async def test_a_server_that_hangs_up_fails(commands: Commands) -> None:
    async with server(b"") as (port, _):
        assert (await asked({"httpGet": {"port": port}}, commands)).message.endswith(": EOF")


async def test_ports_have_names_and_unknown_ones_do_not_count_as_answers(commands: Commands) -> None:
    named = container(ports=[{"name": "web", "containerPort": 8080}])
    assert url_of({"port": "web", "path": "x", "scheme": "HTTPS"}, named, "::1") == "https://[::1]:8080/x"
    with pytest.raises(ProbeError, match="couldn't find port: nope"):
        await asked({"tcpSocket": {"port": "nope"}}, commands)


def test_the_probes_own_headers_win() -> None:
    headers = headers_of(
        {"httpHeaders": [{"name": "user-agent", "value": "me"}, {"name": "X-A", "value": "1"}]}
    )
    assert headers == {"User-Agent": "me", "Accept": "*/*", "X-A": "1"}


async def test_an_http_hook_fails_on_an_error_answer(commands: Commands) -> None:
    async with server(answer(200), answer(500)) as (port, requests):
        hook = {"httpGet": {"port": port, "path": "/stop"}}
        await hooks.run(hook, target(), commands)
        with pytest.raises(hooks.HookError, match="HTTP status 500"):
            await hooks.run(hook, target(), commands)
    assert "User-Agent: kube-lifecycle/" in requests[0]


async def test_a_grpc_server_that_is_not_there_fails(commands: Commands) -> None:
    async with server(b"") as (port, _):
        pass
    outcome = await asked({"grpc": {"port": port}}, commands)
    assert outcome.message.startswith(f'timeout: failed to connect service "127.0.0.1:{port}" within 1s')
