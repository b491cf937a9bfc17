"""Logs, health, statistics, and who may ask."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from podium.runtime.interfaces import PodView
from podium.runtime.nodeapi import NodeServer
from tests.unit.runtime.nodeapi.bench import Bench, pod
from tests.unit.runtime.nodeapi.conftest import client_tls

LOGS = "/containerLogs/default/p/c"


async def test_logs_of_a_container_that_ended(bench: Bench) -> None:
    id = await bench.start("p", "sh", "-c", "echo one; echo two; echo three")
    await bench.end(id)
    async with bench.client.get(LOGS) as response:
        assert response.content_type == "text/plain"
        assert await response.text() == "one\ntwo\nthree\n"
    async with bench.client.get(LOGS, params={"tailLines": "1", "timestamps": "true"}) as response:
        stamp, line = (await response.text()).split(" ")
        assert (line, stamp[-1], stamp[10]) == ("three\n", "Z", "T")
    async with bench.client.get(LOGS, params={"limitBytes": "5"}) as response:
        assert await response.text() == "one\nt"
    async with bench.client.get(LOGS, params={"follow": "true"}) as response:
        assert await response.text() == "one\ntwo\nthree\n"


async def test_following_ends_with_the_container(bench: Bench) -> None:
    id = await bench.start("p", "sh", "-c", "echo first; read line; echo last", stdin=True)
    async with bench.client.get(LOGS, params={"follow": "true"}) as response:
        assert await response.content.readline() == b"first\n"
        async with await bench.shell("attach", "p") as shell:
            await shell.stdin(b"go\n")
            await bench.end(id)
            assert await response.content.readline() == b"last\n"
            assert await response.content.read() == b""


@pytest.mark.parametrize(
    ("path", "code", "text"),
    [
        ("/containerLogs/default/none/c", 404, "pod does not exist"),
        ("/containerLogs/default/p/d", 404, 'container "d" not found in pod "p"'),
        (LOGS, 400, 'container "c" in pod "p" is waiting to start: trying and failing to pull image'),
        (LOGS + "?previous=true", 400, 'previous terminated container "c" in pod "p" not found'),
        (LOGS + "?tailLines=x", 422, "tailLines"),
    ],
)
async def test_what_has_no_log_is_said(bench: Bench, path: str, code: int, text: str) -> None:
    waiting = {"name": "c", "state": {"waiting": {"reason": "ImagePullBackOff"}}}
    described = pod("p", {"name": "c"}, containerStatuses=[waiting])
    bench.pods.known["default", "p"] = PodView(described, "", {})
    async with bench.client.get(path) as response:
        assert response.status == code
        assert text in await response.text()


async def test_the_previous_log_is_the_one_before(bench: Bench) -> None:
    await bench.start("p", "sh", "-c", "echo before; sleep 1000")
    view = bench.pods.known["default", "p"]
    older = view.containers["c"][0]
    newer = replace(older, attempt=1, log_path=older.log_path.replace("0.log", "1.log"))
    bench.pods.known["default", "p"] = replace(view, containers={"c": [older, newer]})
    async with bench.client.get(LOGS, params={"previous": "true", "follow": "true"}) as response:
        assert await response.content.readline() == b"before\n"


@pytest.mark.parametrize(
    ("protocols", "messages"),
    [
        (("binary.k8s.io",), [b"one\n", b"two\n"]),
        ((), [b"one\n", b"two\n"]),
        (("base64.binary.k8s.io",), ["b25lCg==", "dHdvCg=="]),
    ],
)
async def test_a_log_comes_over_a_websocket(
    bench: Bench, protocols: tuple[str, ...], messages: list[bytes | str]
) -> None:
    id = await bench.start("p", "sh", "-c", "echo one; read line; echo two", stdin=True)
    async with bench.client.ws_connect(LOGS, params={"follow": "true"}, protocols=protocols) as socket:
        assert (await socket.receive()).data == messages[0]
        async with await bench.shell("attach", "p") as shell:
            await shell.stdin(b"go\n")
            await bench.end(id)
        assert (await socket.receive()).data == messages[1]
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE


async def test_a_log_is_refused_to_who_speaks_no_protocol_of_ours(bench: Bench) -> None:
    await bench.start("p", "sleep", "1000")
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await bench.client.ws_connect(LOGS, protocols=("v5.channel.k8s.io",))
    assert refused.value.status == 400


async def test_it_is_healthy_and_lists_its_pods(bench: Bench) -> None:
    await bench.start("p", "sleep", "1000")
    async with bench.client.get("/healthz") as response:
        assert await response.text() == "ok"
    async with bench.client.get("/pods") as response:
        listed = await response.json()
        assert [item["metadata"]["name"] for item in listed["items"]] == ["p"]
    async with bench.client.get("/configz") as response:
        assert "kubeletconfig" in await response.json()
    async with bench.client.get("/metrics") as response:
        assert "kubelet_running_pods 1\n" in await response.text()


async def test_statistics_come_from_the_kernel(bench: Bench) -> None:
    await bench.start("p", "sleep", "1000")
    for _ in range(2):
        async with bench.client.get("/stats/summary") as response:
            summary = await response.json()
    (of_pod,) = summary["pods"]
    assert of_pod["podRef"] == {"name": "p", "namespace": "default", "uid": "uid-p"}
    assert of_pod["containers"][0]["cpu"]["usageCoreNanoSeconds"] > 0
    assert of_pod["containers"][0]["memory"]["workingSetBytes"] > 0
    assert summary["node"]["cpu"]["usageNanoCores"] >= 0
    assert summary["node"]["memory"]["usageBytes"] > 1 << 20
    async with bench.client.get("/metrics/resource") as response:
        text = await response.text()
    assert 'container_memory_working_set_bytes{container="c",namespace="default",pod="p"} ' in text
    assert "\nnode_cpu_usage_seconds_total " in text


@pytest.mark.parametrize(("name", "code"), [("admin", 200), ("apiserver", 200), ("stranger", 403)])
async def test_certificates_decide(bench: Bench, certificates: Path, name: str, code: int) -> None:
    url = f"{bench.url}/healthz"
    async with (
        aiohttp.ClientSession() as client,
        client.get(url, ssl=client_tls(certificates, name)) as response,
    ):
        assert response.status == code


async def test_without_credentials_nothing_is_answered(bench: Bench, certificates: Path) -> None:
    for headers in ({}, {"Authorization": "Bearer nonsense"}):
        async with (
            aiohttp.ClientSession(headers=headers) as client,
            client.get(f"{bench.url}/healthz", ssl=client_tls(certificates, "")) as response,
        ):
            assert (response.status, await response.text()) == (401, "Unauthorized")


async def test_what_a_killed_daemon_left_of_execs_is_removed(bench: Bench, tmp_path: Path) -> None:
    for name in ("exec-1", "probe-1"):
        (tmp_path / "exec" / name).mkdir(parents=True)
    server = NodeServer(bench.node)
    await server.start()
    await server.stop()
    assert [entry.name for entry in (tmp_path / "exec").iterdir()] == ["probe-1"]
