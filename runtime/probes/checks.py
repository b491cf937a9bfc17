"""Asking a container once how it is."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass

import grpc
import grpc.aio

from podium.api.types import Obj
from podium.runtime.commands import Commands
from podium.runtime.containerd import ContainerdError
from podium.runtime.probes import http

_HEALTH = "/grpc.health.v1.Health/Check"
_SERVING = 1
_NAMES = {0: "UNKNOWN", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether it is well, and what to tell if it is not, or if there is something to be `warned` of."""

    ok: bool
    message: str = ""
    warned: bool = False


class ProbeError(Exception):
    """The probe itself could not be made: the answer does not count."""


@dataclass(frozen=True, slots=True)
class Target:
    """The container to ask. `host` is the pod's address."""

    container: Obj
    container_id: str
    host: str


async def check(probe: Obj, target: Target, commands: Commands) -> Outcome:
    """One probe. Raises ProbeError."""
    timeout = float(probe.get("timeoutSeconds", 1))
    if "exec" in probe:
        return await _exec(probe["exec"].get("command") or [], target, commands, timeout)
    if "httpGet" in probe:
        return await _http(probe["httpGet"], target, timeout)
    if "tcpSocket" in probe:
        return await _tcp(probe["tcpSocket"], target, timeout)
    if "grpc" in probe:
        return await _grpc(probe["grpc"], target, timeout)
    raise ProbeError(f"missing probe handler for container {target.container['name']}")


async def _exec(command: list[str], target: Target, commands: Commands, within: float) -> Outcome:
    try:
        result = await commands.run(target.container_id, command, within)
    except ContainerdError as error:
        raise ProbeError(f"failed to exec in container: {error.rpc()}") from error
    if result.code is None:
        line = " ".join(command)
        return Outcome(False, f'command timed out: "{line}" timed out after {_seconds(within)}')
    return Outcome(result.code == 0, result.output)


async def _http(action: Obj, target: Target, within: float) -> Outcome:
    try:
        url = http.url_of(action, target.container, target.host)
    except ValueError as error:
        raise ProbeError(str(error)) from error
    try:
        async with asyncio.timeout(within):
            answer = await http.get(url, http.headers_of(action))
    except TimeoutError:
        late = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        return Outcome(False, f'Get "{url}": {late}')
    except (OSError, http.HttpFailure) as error:
        return Outcome(False, f'Get "{url}": {_words(error, _address(url))}')
    if answer.elsewhere:
        return Outcome(True, f"Probe terminated redirects, Response body: {answer.body}", warned=True)
    if 200 <= answer.status < 400:
        return Outcome(True, answer.body)
    return Outcome(False, f"HTTP probe failed with statuscode: {answer.status}")


async def _tcp(action: Obj, target: Target, within: float) -> Outcome:
    try:
        port = http.port_of(action["port"], target.container)
    except ValueError as error:
        raise ProbeError(str(error)) from error
    host = action.get("host") or target.host
    try:
        async with asyncio.timeout(within):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return Outcome(False, f"dial tcp {host}:{port}: i/o timeout")
    except OSError as error:
        return Outcome(False, _words(error, f"{host}:{port}"))
    writer.close()
    return Outcome(True)


async def _grpc(action: Obj, target: Target, within: float) -> Outcome:
    """The gRPC health protocol. Its two messages have one field each, so that they are written by hand
    here."""
    address = f"{target.host}:{action['port']}"
    service = (action.get("service") or "").encode()
    request = b"\x0a" + bytes([len(service)]) + service if service else b""
    async with grpc.aio.insecure_channel(address) as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(_HEALTH)
        try:
            reply = await call(request, timeout=within)
        except grpc.aio.AioRpcError as error:
            if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                what = f'failed to connect service "{address}" within {_seconds(within)}'
                return Outcome(False, f"timeout: {what}: {error.details()}")
            return Outcome(False, f"error: health rpc probe failed: {error.details()}")
    status = reply[1] if len(reply) > 1 and reply[0] == 0x08 else 0
    if status == _SERVING:
        return Outcome(True)
    return Outcome(False, f'service unhealthy (responded with "{_NAMES.get(status, "UNKNOWN")}")')


def _seconds(duration: float) -> str:
    return f"{duration:g}s"


def _address(url: str) -> str:
    return url.partition("://")[2].partition("/")[0]


def _words(error: Exception, address: str) -> str:
    """A network error in the words that Go has for it."""
    if isinstance(error, ConnectionResetError):
        return f"read tcp {address}: read: connection reset by peer"
    if isinstance(error, OSError) and error.errno:
        return f"dial tcp {address}: connect: {os.strerror(error.errno).lower()}"
    return str(error) or "EOF"
