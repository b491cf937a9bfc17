"""What a node's users feel (pods that start and stop, `kubectl exec`) and what its daemon costs, empty and
full."""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import crashes
import logs
from cluster import IMAGE, NAMESPACE, is_ready, pod, ready, until
from idle import daemons
from load import Server
from process import Process

from podium.api.types import Obj
from podium.api.types import resources as r
from podium.client.base import Client
from podium.client.https import HttpsClient

STARTS, EXECS = 50, 21
FULL = 110
SETTLE = 5
"""Seconds from the last change until a daemon is looked at: what it still writes then is not idling."""
CRASHING = 40
"""Seconds in which 600 containers end."""

PARTS = ("empty", "start", "exec", "logs", "30_pods", "100_pods", "full", "crashes")


@dataclass(frozen=True)
class Plan:
    """What is measured, and how: `parts` of PARTS, `seconds` of idling, `probes` that pods of the full node
    have, megabytes of the log that is read, seconds of crashing."""

    parts: Sequence[str]
    seconds: float
    probes: Sequence[str]
    log_mb: int
    crashing: float


async def measure(
    client: HttpsClient, server: Server, kubeconfig: str, run_dir: str, plan: Plan
) -> dict[str, Any]:
    """The figures of the node daemon, each said on stderr as soon as it is known. Those of its process are of
    this machine's node in `run_dir`, and are left out where none runs. All pods go to the first node that
    takes some."""
    node = await _chosen(client)
    found = daemons(run_dir).get("node")
    daemon = Process(found) if found else None
    figures: dict[str, Any] = {"node": node}
    for part in plan.parts:
        started = time.perf_counter()
        match part:
            case "empty":
                figures[part] = await _cost(daemon, plan.seconds) if daemon else {}
            case "start":
                figures[part] = await _starts(client, node)
            case "exec":
                figures[part] = await _execs(client, kubeconfig, node)
            case "logs":
                figures[part] = await logs.measure(client, server, kubeconfig, node, plan.log_mb)
            case "full":
                figures[part] = await _full(client, node, daemon, plan) if daemon else {}
            case "crashes":
                figures[part] = await crashes.measure(client, node, 100, plan.crashing)
            case _:
                figures[part] = await _burst(client, node, int(part.partition("_")[0]))
        took = time.perf_counter() - started
        print(f"{part} ({took:.0f} s): {json.dumps(figures[part])}", file=sys.stderr, flush=True)
    return figures


async def _chosen(client: Client) -> str:
    nodes = (await client.list(r.NODES)).items
    taking = [each for each in nodes if not each["spec"].get("taints")]
    if not taking:
        raise SystemExit("no node takes pods")
    return str(taking[0]["metadata"]["name"])


async def _cost(process: Process, seconds: float) -> dict[str, float]:
    await asyncio.sleep(SETTLE)
    before, since = process.cpu, time.perf_counter()
    await asyncio.sleep(seconds)
    used = (process.cpu - before) / (time.perf_counter() - since)
    return {"resident_mb": round(process.resident, 1), "cpu_percent": round(used * 100, 2)}


def _placed(obj: Obj, node: str) -> Obj:
    """On that node; the scheduler still has its say."""
    obj["spec"]["nodeSelector"] = {"kubernetes.io/hostname": node}
    return obj


async def _starts(client: Client, node: str) -> dict[str, float]:
    """One pod at a time, image present, no probe: from the POST's answer to Ready in a watch, milliseconds.
    Each is gone before the next is made."""
    taken = []
    for number in range(STARTS):
        name = f"start-{number}"
        waiting = asyncio.create_task(until(client, r.PODS, is_ready(name)))
        await asyncio.sleep(0.1)
        await client.create(r.PODS, _placed(pod(name), node))
        answered = time.perf_counter()
        taken.append((await waiting - answered) * 1e3)
        await client.delete(r.PODS, name, NAMESPACE, grace_seconds=0)
        await until(client, r.PODS, lambda seen: not seen)
    return _spread(taken)


def _spread(taken: list[float]) -> dict[str, float]:
    ordered = sorted(taken)
    return {
        "median_ms": round(statistics.median(taken), 1),
        "p99_ms": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 1),
        "min_ms": round(ordered[0], 1),
    }


async def _burst(client: Client, node: str, count: int) -> dict[str, float]:
    """Seconds from the first POST until all are Ready, and from the first DELETE until all are gone, each
    having exited on SIGTERM."""
    names = [f"burst-{number}" for number in range(count)]
    waiting = asyncio.create_task(until(client, r.PODS, lambda seen: ready(seen) == count))
    await asyncio.sleep(0.1)
    started = time.perf_counter()
    await _many(client.create(r.PODS, _placed(pod(name), node)) for name in names)
    up = await waiting - started
    waiting = asyncio.create_task(until(client, r.PODS, lambda seen: not seen))
    await asyncio.sleep(0.1)
    started = time.perf_counter()
    await _many(client.delete(r.PODS, name, NAMESPACE) for name in names)
    return {"ready_s": round(up, 2), "gone_s": round(await waiting - started, 2)}


async def _many(requests: Iterable[Any], at_once: int = 16) -> None:
    lanes = asyncio.Semaphore(at_once)

    async def one(request: Any) -> None:
        async with lanes:
            await request

    await asyncio.gather(*(one(request) for request in requests))


async def _execs(client: Client, kubeconfig: str, node: str) -> dict[str, float]:
    """`kubectl exec` of `true`, and `kubectl get` of the same pod, which does everything but that."""
    if shutil.which("kubectl") is None:
        return {}
    await client.create(r.PODS, _placed(pod("exec"), node))
    await until(client, r.PODS, is_ready("exec"))
    base = ("kubectl", "--kubeconfig", kubeconfig, "-n", NAMESPACE)
    exec_ms = [await _timed(*base, "exec", "exec", "--", "true") for _ in range(EXECS)]
    get_ms = [await _timed(*base, "get", "pod", "exec") for _ in range(EXECS)]
    await client.delete(r.PODS, "exec", NAMESPACE, grace_seconds=0)
    await until(client, r.PODS, lambda seen: not seen)
    return {
        "median_ms": round(statistics.median(exec_ms), 1),
        "kubectl_get_ms": round(statistics.median(get_ms), 1),
    }


async def _timed(*command: str) -> float:
    started = time.perf_counter()
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    if await process.wait():
        raise SystemExit(f"{' '.join(command)} failed")
    return (time.perf_counter() - started) * 1e3


async def _full(client: Client, node: str, daemon: Process, plan: Plan) -> dict[str, Any]:
    """The daemon with as many pods as the node takes, each with a readiness probe every ten seconds; once for
    each kind of probe."""
    room = int((await client.get(r.NODES, node))["status"]["allocatable"]["pods"])
    others = len((await client.list(r.PODS, fields=f"spec.nodeName={node}")).items)
    count = min(FULL, room) - others
    figures: dict[str, Any] = {"pods": count + others}
    for kind in plan.probes:
        names = [f"full-{number}" for number in range(count)]
        await _many(client.create(r.PODS, _placed(_probed(name, PROBES[kind]), node)) for name in names)
        await until(client, r.PODS, lambda seen: ready(seen) == count)
        figures[kind] = await _cost(daemon, plan.seconds)
        await _many(client.delete(r.PODS, name, NAMESPACE, grace_seconds=0) for name in names)
        await until(client, r.PODS, lambda seen: not seen)
    return figures


PROBES: dict[str, Obj] = {
    "http": {"httpGet": {"port": 8080, "path": "/index.html"}},
    "tcp": {"tcpSocket": {"port": 8080}},
    "exec": {"exec": {"command": ["true"]}},
}


def _probed(name: str, probe: Obj) -> Obj:
    made: Obj = pod(name)
    container = made["spec"]["containers"][0]
    assert container["image"] == IMAGE
    script = "mkdir /www; echo ok > /www/index.html; exec httpd -f -p 8080 -h /www"
    container["command"] = ["sh", "-c", script]
    container["readinessProbe"] = {**probe, "periodSeconds": 10}
    return made
