"""Transactions on nftables: text in, applied as a whole or not at all.

libnftables (it comes with the `nft` command) is called in a worker thread: one transaction costs half a
millisecond there, against a dozen for starting `nft`. Where the library cannot be loaded, `nft` is started
after all.
"""

from __future__ import annotations

import asyncio
import ctypes
import ctypes.util
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson

# nft_ctx_output_flags of <nftables/libnftables.h>.
OUTPUT_JSON, OUTPUT_TERSE = 1 << 4, 1 << 11
# After a transaction of that many bytes the allocator is asked to give back what it kept.
LARGE = 1 << 17


class NftError(RuntimeError):
    """What nftables said about a transaction that it refused; nothing of it was applied."""


class _Library:
    """libnftables. A context per call: its cache of what is in the kernel is then never stale."""

    def __init__(self) -> None:
        self._lib = lib = ctypes.CDLL(ctypes.util.find_library("nftables") or "libnftables.so.1")
        lib.nft_ctx_new.restype = ctypes.c_void_p
        lib.nft_ctx_new.argtypes = [ctypes.c_uint32]
        for name in ("nft_ctx_free", "nft_ctx_buffer_error", "nft_ctx_buffer_output"):
            getattr(lib, name).argtypes = [ctypes.c_void_p]
        for name in ("nft_ctx_get_error_buffer", "nft_ctx_get_output_buffer"):
            getattr(lib, name).argtypes = [ctypes.c_void_p]
            getattr(lib, name).restype = ctypes.c_char_p
        lib.nft_ctx_output_set_flags.argtypes = [ctypes.c_void_p, ctypes.c_uint]
        lib.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        self._libc = ctypes.CDLL(None)

    def __call__(self, text: str, *, json: bool) -> bytes:
        context = self._lib.nft_ctx_new(0)
        try:
            self._lib.nft_ctx_buffer_error(context)
            self._lib.nft_ctx_buffer_output(context)
            if json:
                self._lib.nft_ctx_output_set_flags(context, OUTPUT_JSON | OUTPUT_TERSE)
            if self._lib.nft_run_cmd_from_buffer(context, text.encode()) != 0:
                raise NftError(_first_error(self._lib.nft_ctx_get_error_buffer(context)))
            return bytes(self._lib.nft_ctx_get_output_buffer(context))
        finally:
            self._lib.nft_ctx_free(context)
            if len(text) > LARGE:
                self._libc.malloc_trim(0)


def _command(text: str, *, json: bool) -> bytes:
    command = ["nft", "--json", "--terse", *text.split()] if json else ["nft", "-f", "-"]
    done = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
    if done.returncode != 0:
        raise NftError(_first_error(done.stderr))
    return done.stdout


def _first_error(output: bytes) -> str:
    lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
    return " | ".join(lines[:2]) or "refused without a word"


class Nft:
    """Runs transactions one after the other, in the network namespace that the process is in."""

    def __init__(self) -> None:
        try:
            self._run: Any = _Library()
        except OSError:
            self._run = _command
        self._thread = ThreadPoolExecutor(1, "netd-nft")

    async def apply(self, text: str) -> None:
        """Raises NftError; then nothing of it was applied."""
        await self._in_thread(text, json=False)

    async def query(self, command: str) -> list[dict[str, Any]]:
        """The objects that a `list ...` command names, without the elements of sets. Raises NftError."""
        output = await self._in_thread(command, json=True)
        return list(orjson.loads(output)["nftables"]) if output.strip() else []

    def apply_blocking(self, text: str) -> None:
        self._run(text, json=False)

    def query_blocking(self, command: str) -> list[dict[str, Any]]:
        output = self._run(command, json=True)
        return list(orjson.loads(output)["nftables"]) if output.strip() else []

    async def _in_thread(self, text: str, *, json: bool) -> bytes:
        loop = asyncio.get_running_loop()
        result: bytes = await loop.run_in_executor(self._thread, lambda: self._run(text, json=json))
        return result

    def close(self) -> None:
        self._thread.shutdown(wait=False)


async def names_in(nft: Nft, table: str) -> tuple[list[str], list[str]]:
    """Names of the chains and of the sets and maps in an IPv4 table, as the kernel has it."""

    async def names(command: str, *kinds: str) -> list[str]:
        found = [entry[kind] for entry in await nft.query(command) for kind in kinds if kind in entry]
        return [entry["name"] for entry in found if entry["table"] == table]

    return await names("list chains ip", "chain"), await names("list sets ip", "set", "map")
