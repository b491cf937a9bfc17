"""What a node's metrics and statistics say."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from podium.runtime.containerd.meter import operation
from podium.runtime.meters import NodeMeters, Probed
from podium.runtime.nodeapi import NodeServer
from podium.runtime.nodeapi.details import details, pressure
from podium.runtime.nodeapi.exposition import Sample, family, labelled
from tests.unit.runtime.nodeapi.bench import Bench
from tests.unit.runtime.nodeapi.conftest import client_tls

_LINE = re.compile(r'[a-z_]+(\{([a-zA-Z_]+="[^"\\]*(\\.[^"\\]*)*",?)*\})? -?[0-9.e+-]+( [0-9]+)?')


def test_labels_are_escaped() -> None:
    assert labelled(a='x"y\\z\n') == 'a="x\\"y\\\\z\\n"'


def test_a_family_is_told_with_its_kind() -> None:
    assert family("m", "gauge", "About.", [Sample('a="b"', 1.5, 7), Sample("", 2)]) == [
        "# HELP m About.",
        "# TYPE m gauge",
        'm{a="b"} 1.5 7',
        "m 2",
    ]


def test_stalls_are_in_nanoseconds() -> None:
    text = "some avg10=1.50 avg60=0.20 avg300=0.00 total=42\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
    assert pressure(text)["some"] == {"total": 42000, "avg10": 1.5, "avg60": 0.2, "avg300": 0.0}
    assert pressure("") == {}


def test_calls_on_containerd_count_under_the_names_of_the_runtime_interface() -> None:
    assert operation("containerd.services.tasks.v1.Tasks", "Start") == "start_container"
    assert operation("runtime.v1.ImageService", "PullImage") == "pull_image"
    assert operation("containerd.services.leases.v1.Leases", "Create") == ""


def test_a_pod_s_start_counts_once() -> None:
    clock = iter(range(10))
    meters = NodeMeters(clock=lambda: float(next(clock)))
    meters.seen("u")
    meters.looked("u", 0.002)
    meters.looked("u", 0.002)
    meters.running("u")
    meters.running("u")
    assert meters.pod_start.cumulated()[-1][1] == 1
    assert {kind: each.cumulated()[-1][1] for kind, each in meters.looks.items()} == {"create": 1, "sync": 1}


def test_probes_of_a_pod_that_is_gone_are_forgotten() -> None:
    meters = NodeMeters()
    meters.probed(Probed("liveness", "failed", "c", "p", "default", "u"))
    meters.forget("u")
    assert not meters.probes


async def test_metrics_tell_of_the_daemon_and_its_calls(bench: Bench) -> None:
    await bench.start("p", "sleep", "1000")
    bench.node.meters.probed(Probed("liveness", "successful", "c", "p", "default", "uid-p"))
    async with bench.client.get("/metrics") as response:
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        lines = (await response.text()).splitlines()
    assert 'kubelet_node_name{node="n1"} 1' in lines
    assert "kubelet_running_pods 1" in lines
    assert 'kubelet_running_containers{container_state="running"} 1' in lines
    assert 'kubelet_runtime_operations_total{operation_type="start_container"} 1' in lines
    assert all(_LINE.fullmatch(line) for line in lines if not line.startswith("#"))
    for name in ("process_resident_memory_bytes", "process_start_time_seconds", "process_open_fds"):
        assert any(line.startswith(f"{name} ") for line in lines)
    async with bench.client.get("/metrics/probes") as response:
        assert (
            'prober_probe_total{container="c",namespace="default",pod="p",pod_uid="uid-p",'
            'probe_type="Liveness",result="successful"} 1\n'
        ) in await response.text()


async def test_containers_are_told_as_cadvisor_does(bench: Bench) -> None:
    id = await bench.start("p", "sh", "-c", "dd if=/dev/zero of=/dev/null bs=1M count=200; sleep 1000")
    async with bench.client.get("/metrics/cadvisor") as response:
        lines = (await response.text()).splitlines()
    assert all(_LINE.fullmatch(line) for line in lines if not line.startswith("#"))
    of_container = [line for line in lines if 'container="c"' in line and f'name="{id}"' in line]
    assert {line.split("{")[0] for line in of_container} >= {
        "container_cpu_usage_seconds_total",
        "container_memory_working_set_bytes",
        "container_memory_rss",
        "container_spec_memory_limit_bytes",
    }
    assert any('cpu="total"' in line and 'pod="p"' in line for line in of_container)
    assert any(line.startswith("machine_cpu_cores{") for line in lines)


async def test_the_summary_tells_of_disks_processes_and_parts(bench: Bench, tmp_path: Path) -> None:
    await bench.start("p", "sh", "-c", "echo hello; sleep 1000")
    server = NodeServer(replace(bench.node, config=replace(bench.node.config, data_dir=str(tmp_path))))
    await server.start()
    url = f"https://127.0.0.1:{server.port}/stats/summary"
    tls = client_tls(Path(bench.node.config.client_ca).parent, "apiserver")
    async with aiohttp.ClientSession() as client, client.get(url, ssl=tls) as response:
        summary = await response.json()
    await server.stop()
    node, (pod,) = summary["node"], summary["pods"]
    assert node["fs"]["capacityBytes"] > node["fs"]["usedBytes"] > 0
    assert node["fs"]["inodes"] == node["fs"]["inodesFree"] + node["fs"]["inodesUsed"]
    assert node["runtime"]["imageFs"]["capacityBytes"] == node["fs"]["capacityBytes"]
    assert node["rlimit"]["maxpid"] > node["rlimit"]["curproc"] > 0
    assert "swapUsageBytes" in node["swap"]
    assert {each["name"] for each in node["systemContainers"]} == {"pods", "kubelet"}
    assert pod["process_stats"]["process_count"] >= 1
    assert pod["containers"][0]["logs"]["usedBytes"] >= 0
    assert pod["ephemeral-storage"]["capacityBytes"] == node["fs"]["capacityBytes"]
    found = details(bench.node.cgroups, bench.node.cgroups.pod(bench.pods.views()[0].pod))
    assert found.processes == pod["process_stats"]["process_count"]


async def test_a_summary_can_be_narrowed_to_what_scales(bench: Bench) -> None:
    await bench.start("p", "sleep", "1000")
    async with bench.client.get("/stats/summary", params={"only_cpu_and_memory": "true"}) as response:
        summary = await response.json()
    assert set(summary["node"]) <= {"nodeName", "cpu", "memory", "startTime"}
    assert set(summary["pods"][0]["containers"][0]) == {"name", "cpu", "memory", "startTime"}


async def test_a_check_that_fails_makes_it_unhealthy(bench: Bench) -> None:
    server = NodeServer(replace(bench.node, checks={"syncloop": lambda: "asleep"}))
    await server.start()
    base = f"https://127.0.0.1:{server.port}/healthz"
    tls = client_tls(Path(bench.node.config.client_ca).parent, "apiserver")
    async with aiohttp.ClientSession() as client:
        answers = {}
        for path in ("", "/ping", "/syncloop", "/none"):
            async with client.get(base + path, ssl=tls) as response:
                answers[path] = (response.status, await response.text())
    await server.stop()
    assert answers[""] == (
        500, "[+]ping ok\n[-]syncloop failed: reason withheld\nhealthz check failed\n"
    )  # fmt: skip
    assert answers["/ping"] == (200, "ok")
    assert answers["/syncloop"] == (500, "internal server error: asleep\n")
    assert answers["/none"][0] == 404


async def test_what_runs_is_listed_without_what_was_asked_for(bench: Bench) -> None:
    await bench.start("p", "sleep", "1000", command=["sleep"], image="busybox")
    async with bench.client.get("/runningpods/") as response:
        (item,) = (await response.json())["items"]
    assert item["metadata"] == {"name": "p", "namespace": "default", "uid": "uid-p"}
    assert item["spec"]["containers"] == [{"name": "c", "image": "busybox", "resources": {}}]


async def test_one_command_can_be_run_without_streams(bench: Bench) -> None:
    await bench.start("p", "sleep", "1000")
    async with bench.client.post("/run/default/p/c", params={"cmd": "echo hello"}) as response:
        assert await response.text() == "hello\n"
    async with bench.client.post("/run/default/p/c", params={"cmd": "false"}) as response:
        assert response.status == 500
        assert await response.text() == "command 'false' exited with 1: "


async def test_a_command_without_streams_may_say_as_much_as_it_wants(bench: Bench) -> None:
    await bench.start("p", "sleep", "1000")
    many = "dd if=/dev/zero bs=1000000 count=20"
    async with bench.client.post("/run/default/p/c", params={"cmd": many}) as response:
        assert response.status == 200
        assert (await response.read()).count(b"\0") == 20_000_000
    async with bench.client.post("/run/default/p/c", params={"cmd": "nothing-of-that-name"}) as response:
        assert response.status == 500
        assert "nothing-of-that-name" in await response.text()


async def test_a_failure_that_comes_too_late_for_the_code_of_the_answer_breaks_it_off(bench: Bench) -> None:
    await bench.start("p", "sleep", "1000")
    command = "cat /bin/busybox /nowhere"
    async with bench.client.post("/run/default/p/c", params={"cmd": command}) as response:
        assert response.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
