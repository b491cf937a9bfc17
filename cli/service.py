"""What `podium server` and `podium node` have in common: logging, signals, and an orderly end."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import resource
import signal
import sys

from podium.cli.jsonlog import JSON, TEXT, JsonFormatter

_LIBC = ctypes.CDLL(None)
_M_ARENA_MAX = -8
"""malloc.h"""


def configure_logging(form: str = TEXT) -> None:
    """`form` is of LOG_FORMATS."""
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonFormatter() if form == JSON else text)
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def raise_file_limit() -> None:
    """Lets this process, and what it starts, have as many files open as it may. A shell gives 1024, which the
    watches of the clients or the outputs of a full node's pods can use up."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def share_arenas() -> None:
    """Lets all threads take memory from one place: with one for each of a pool's threads, most of what one
    has freed serves no other. To be called before there is a second thread."""
    _LIBC.mallopt(_M_ARENA_MAX, 1)


def settle_memory() -> None:
    """What there is now stays: the collector need not look at it again, and what starting up took goes
    back."""
    gc.collect()
    gc.freeze()
    _LIBC.malloc_trim(0)


def stop_on_signals() -> asyncio.Event:
    """Set by SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


async def until_stopped(stop: asyncio.Event, *parts: asyncio.Task[None]) -> None:
    """Waits for the signal. A part that ends before it takes the process with it, and its error is raised."""
    waiting = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait({waiting, *parts}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    for part in done - {waiting}:
        part.result()
        raise RuntimeError(f"{part.get_name()} ended by itself")
