"""Exec in real containers, over real TLS and WebSockets."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random

import aiohttp
import pytest

from tests.unit.runtime.nodeapi.bench import Bench

SUCCESS = {"metadata": {}, "status": "Success"}


async def test_output_comes_by_stream_and_success_is_told(bench: Bench) -> None:
    await bench.start("p", "sleep", "1000")
    async with await bench.shell("exec", "p", "sh", "-c", "echo $GREETING; echo oops >&2") as shell:
        assert await shell.outcome() == SUCCESS
        assert (shell.out, shell.err) == (b"hello\n", b"oops\n")


@pytest.mark.parametrize("protocol", ["v5.channel.k8s.io", "v4.channel.k8s.io"])
async def test_a_failed_command_tells_its_exit_code(bench: Bench, protocol: str) -> None:
    await bench.start("p", "sleep", "1000")
    async with await bench.shell("exec", "p", "sh", "-c", "exit 42", protocol=protocol) as shell:
        status = await shell.outcome()
        assert status["reason"] == "NonZeroExitCode"
        assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "42"}]


async def test_a_command_that_does_not_exist_is_named(bench: Bench) -> None:
    await bench.start("p", "sleep", "1000")
    async with await bench.shell("exec", "p", "no-such-command") as shell:
        status = await shell.outcome()
        assert status["reason"] == "InternalError"
        assert status["message"].startswith("Internal error occurred: error executing command in container: ")
        assert 'exec: "no-such-command": executable file not found in $PATH' in status["message"]


async def test_the_client_can_end_its_input(bench: Bench) -> None:
    await bench.start("p", "sleep", "1000")
    async with await bench.shell("exec", "p", "sh", "-c", "cat; echo end") as shell:
        await shell.stdin(b"one\n")
        await shell.until(b"one\n")
        await shell.stdin(b"two\n")
        await shell.close_stdin()
        assert await shell.outcome() == SUCCESS
        assert shell.out == b"one\ntwo\nend\n"


async def test_input_that_ends_at_once_ends(bench: Bench) -> None:
    await bench.start("p", "sleep", "1000")
    async with await bench.shell("exec", "p", "cat") as shell:
        await shell.close_stdin()
        assert await shell.outcome() == SUCCESS


async def test_megabytes_go_both_ways_unharmed(bench: Bench) -> None:
    await bench.start("p", "sleep", "1000")
    data = random.Random(1).randbytes(8_000_000)
    async with await bench.shell("exec", "p", "sha256sum") as shell:
        for start in range(0, len(data), 32_768):
            await shell.stdin(data[start : start + 32_768])
        await shell.close_stdin()
        assert await shell.outcome() == SUCCESS
        assert shell.out.split()[0].decode() == hashlib.sha256(data).hexdigest()
    async with await bench.shell("exec", "p", "dd", "if=/dev/zero", "bs=1M", "count=20") as shell:
        assert await shell.outcome() == SUCCESS
        assert len(shell.out) == 20 << 20


async def test_a_process_that_does_not_read_its_input_still_ends(bench: Bench) -> None:
    await bench.start("p", "sleep", "1000")
    async with await bench.shell("exec", "p", "true") as shell:
        await shell.stdin(b"x" * 100_000)
        assert await shell.outcome() == SUCCESS


async def test_a_terminal_has_the_clients_size(bench: Bench) -> None:
    await bench.start("p", "sleep", "1000")
    async with await bench.shell("exec", "p", "sh", input="1", output="1", tty="1") as shell:
        await shell.resize(123, 45)
        await shell.stdin(b"stty size; echo $TERM; tty\n")
        await shell.until(b"45 123\r\n")
        await shell.until(b"xterm\r\n/dev/pts/0\r\n")
        await shell.stdin(b"exit 7\n")
        assert (await shell.outcome())["details"]["causes"][0]["message"] == "7"


async def test_what_a_command_leaves_running_does_not_keep_the_client(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("podium.runtime.nodeapi.execute._LEFTOVER_PATIENCE", 0.05)
    await bench.start("p", "sleep", "1000")
    async with await bench.shell("exec", "p", "sh", "-c", "sleep 1000 & echo started") as shell:
        assert await shell.outcome() == SUCCESS
        assert shell.out == b"started\n"


async def test_a_client_that_leaves_takes_its_process_along(bench: Bench) -> None:
    id = await bench.start("p", "sleep", "1000")
    async with await bench.shell("exec", "p", "sh", "-c", "echo $$; exec sleep 999") as shell:
        await shell.until(b"\n")
    async with await bench.shell(
        "exec", "p", "sh", "-c", f"while kill -0 {int(shell.out)} 2>/dev/null; do sleep 0.01; done"
    ) as watcher:
        assert await watcher.outcome() == SUCCESS
    assert await bench.node.containerd.tasks.get(id) is not None
    async with asyncio.timeout(20):
        while os.listdir(bench.node.config.run_dir):
            await bench.client.get("/healthz")


async def test_only_the_streams_asked_for_come(bench: Bench) -> None:
    await bench.start("p", "sleep", "1000")
    async with await bench.shell("exec", "p", "sh", "-c", "echo out; echo err >&2", output="1") as shell:
        assert await shell.outcome() == SUCCESS
        assert (shell.out, shell.err) == (b"out\n", b"")


@pytest.mark.parametrize(
    ("path", "code", "text"),
    [
        ("/exec/default/none/c?output=1&command=true", 404, "pod does not exist"),
        ("/exec/default/p/d?output=1&command=true", 500, 'container not found ("d")'),
        ("/exec/default/p/c?command=true", 400, "you must specify at least 1 of stdin, stdout, stderr"),
        ("/exec/default/p/c?output=1", 400, "you must specify at least one command for the container"),
        ("/exec/default/p/c?output=1&command=true", 400, "unable to upgrade: "),
        ("/attach/default/p/d?output=1", 500, 'container not found ("d")'),
    ],
)
async def test_what_cannot_be_done_is_said_before_the_upgrade(
    bench: Bench, path: str, code: int, text: str
) -> None:
    await bench.start("p", "sleep", "1000")
    for method in ("GET", "POST"):
        async with bench.client.request(method, path) as response:
            assert response.status == code
            assert (await response.text()).startswith(text)


async def test_a_protocol_nobody_speaks_is_refused(bench: Bench) -> None:
    await bench.start("p", "sleep", "1000")
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await bench.shell("exec", "p", "true", protocol="v9.channel.k8s.io")
    assert refused.value.status == 400
