"""Programs that providers run: a request on standard input, an answer on standard output, both JSON."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from typing import Any

import orjson

from podium.control.nodescaling.provider import ProviderError

# What is quoted of a program's complaints.
QUOTED = 400
# A program ends with the process that asked: it may hold a lock that whoever starts that one again waits for.
WITH_US = ("setpriv", "--pdeathsig", "TERM")


async def run(command: Sequence[str], request: Any, limit: float) -> Any:
    """The program's answer. It is killed when it takes longer than `limit` seconds, or when nobody waits
    any more. Raises ProviderError when it cannot be started, fails or answers with anything but an object."""
    name = command[0]
    try:
        process = await asyncio.create_subprocess_exec(
            *WITH_US,
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise ProviderError(f"{name}: {error.strerror or error}") from None
    try:
        async with asyncio.timeout(limit):
            out, complaints = await process.communicate(orjson.dumps(request))
    except TimeoutError:
        raise ProviderError(f"{name}: no answer within {limit:.0f} s") from None
    finally:
        if process.returncode is None:
            # With what it started itself, which would hold its output open.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return _answer(name, process.returncode or 0, out, complaints)


def _answer(name: str, code: int, out: bytes, complaints: bytes) -> Any:
    try:
        answer = orjson.loads(out) if out.strip() else {}
    except orjson.JSONDecodeError as error:
        answer = None
        why = f"answered no JSON: {error}"
    if isinstance(answer, dict) and answer.get("error"):
        raise ProviderError(f"{name}: {answer['error']}")
    if code:
        said = complaints.decode(errors="replace").strip()[-QUOTED:] or f"exit code {code}"
        raise ProviderError(f"{name}: {said}")
    if answer is None:
        raise ProviderError(f"{name} {why}")
    if not isinstance(answer, dict):
        raise ProviderError(f"{name} answered no object")
    return answer
