"""Attach to real containers."""

from __future__ import annotations

import asyncio

from tests.unit.runtime.nodeapi.bench import Bench

SUCCESS = {"metadata": {}, "status": "Success"}
BOTH = {"input": "1", "output": "1", "error": "1"}


async def test_a_client_sees_what_the_container_writes_until_it_ends(bench: Bench) -> None:
    id = await bench.start("p", "sh", "-c", "read line; echo got $line; echo bad >&2", stdin=True)
    async with await bench.shell("attach", "p") as shell:
        await shell.until(b"")
        await shell.stdin(b"hello\n")
        await bench.end(id)
        assert await shell.outcome() == SUCCESS
        assert (shell.out, shell.err) == (b"got hello\n", b"bad\n")


async def test_two_clients_see_the_same(bench: Bench) -> None:
    await bench.start("p", "cat", stdin=True)
    async with await bench.shell("attach", "p") as first, await bench.shell("attach", "p") as second:
        await first.stdin(b"from the first\n")
        await second.until(b"from the first\n")
        await second.stdin(b"from the second\n")
        await first.until(b"from the second\n")


async def test_the_input_stays_open_for_the_next_client(bench: Bench) -> None:
    await bench.start("p", "cat", stdin=True)
    async with await bench.shell("attach", "p") as first:
        await first.stdin(b"one\n")
        await first.until(b"one\n")
        await first.close_stdin()
    async with await bench.shell("attach", "p") as second:
        await second.stdin(b"two\n")
        await second.until(b"two\n")


async def test_with_stdin_once_the_input_ends_with_the_first_client(bench: Bench) -> None:
    id = await bench.start("p", "sh", "-c", "cat; echo end", stdin=True, stdinOnce=True)
    async with await bench.shell("attach", "p") as shell:
        await shell.stdin(b"one\n")
        await shell.until(b"one\n")
    async with asyncio.timeout(20):
        await bench.end(id)


async def test_a_terminal_can_be_attached_to_and_resized(bench: Bench) -> None:
    await bench.start("p", "sh", tty=True, stdin=True)
    async with await bench.shell("attach", "p", input="1", output="1", tty="1") as shell:
        await shell.resize(99, 33)
        await shell.stdin(b"stty size\n")
        await shell.until(b"33 99\r\n")


async def test_output_goes_to_the_log_too(bench: Bench) -> None:
    id = await bench.start("p", "sh", "-c", "read line; echo got $line", stdin=True)
    async with await bench.shell("attach", "p", input="1", output="1") as shell:
        await shell.stdin(b"hello\n")
        await bench.end(id)
        await shell.outcome()
    async with bench.client.get("/containerLogs/default/p/c") as response:
        assert await response.text() == "got hello\n"
