"""The API server by itself: 8,000 pods of about 3 KB that no scheduler and no node touches."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterable
from typing import Any

import orjson
from load import Request, Server
from process import Process, process_at

PODS = 8000
NAMESPACE = "podium-bench"
BASE = f"/api/v1/namespaces/{NAMESPACE}/pods"
# Answered by the shortest way through the server.
PROBE = "/api/v1/namespaces/default"
WATCHERS, EVENTS = 200, 500
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


def pod(number: int) -> dict[str, Any]:
    """A pod of about 3 KB as stored, named for no scheduler."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"bench-{number:05}",
            "labels": {"app": "bench", "part": str(number % 10)},
            "annotations": {"podium.io/padding": "x" * 900},
        },
        "spec": {
            "schedulerName": "nobody",
            "automountServiceAccountToken": False,
            "containers": [
                {
                    "name": f"main-{index}",
                    "image": "registry.example/team/application:v1.2.3",
                    "env": [{"name": f"SETTING_{entry}", "value": f"value-{entry}"} for entry in range(6)],
                    "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
                    "ports": [{"containerPort": 8080 + index}],
                }
                for index in range(2)
            ],
        },
    }


async def prepare(server: Server) -> None:
    """A namespace in which pods can be created."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    await _expect(server, "POST", "/api/v1/namespaces", namespace)
    # Nobody else makes it where no controllers run, and no pod can be created without it.
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    await _expect(server, "POST", f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts", account)


async def measure(server: Server) -> dict[str, Any]:
    """Fills the namespace, measures each verb, empties it again. `others_ms` is what a small request took
    meanwhile: how long others have to wait."""
    await prepare(server)
    process = process_at(server.host, server.port)
    figures: dict[str, Any] = {}
    if process:
        figures["resident_mb_before"] = round(process.resident, 1)
    try:
        await _verbs(server, figures, process)
        figures["deliveries"] = await _deliveries(server)
        if process:
            figures["resident_mb_loaded"] = round(process.resident, 1)
    finally:
        await _expect(server, "DELETE", BASE + "?gracePeriodSeconds=0")
        await _expect(server, "DELETE", f"/api/v1/namespaces/{NAMESPACE}")
    return figures


async def _verbs(server: Server, figures: dict[str, Any], process: Process | None) -> None:
    bodies = [orjson.dumps(pod(number)) for number in range(PODS)]

    async def many(name: str, requests: Iterable[Request], connections: int) -> None:
        before = process.cpu if process else 0.0
        running = asyncio.create_task(server.run(iter([*requests]), connections))
        waits = await server.waits(PROBE, running)
        outcome = await running
        figures[name] = {**outcome.figures(), **_others(waits)}
        if process:
            figures[name]["server_cpu_us"] = round((process.cpu - before) / len(outcome.latencies) * 1e6, 1)

    async def one(name: str, request: Request, times: int = 7) -> None:
        running = asyncio.create_task(_repeated(server, request, times))
        waits = await server.waits(PROBE, running)
        figures[name] = {**await running, **_others(waits)}

    await many("create", (server.request("POST", BASE, body) for body in bodies), 32)
    gets = (server.request("GET", f"{BASE}/bench-{number % PODS:05}") for number in range(30000))
    await many("get", gets, 16)
    await many("merge_patch", (patch(server, number) for number in range(4000)), 32)
    await one("list_8000", server.request("GET", BASE))
    await one("list_8000_resourceVersion_0", server.request("GET", BASE + "?resourceVersion=0"))
    await one("table_8000", server.request("GET", BASE, accept=TABLE))
    page = server.request("GET", BASE + "?limit=500")
    await one("page_500", page, 20)
    await many("pages_500", (page for _ in range(800)), 4)
    await one("selects_nothing", server.request("GET", BASE + "?labelSelector=app%3Dnone"), 20)


async def _deliveries(server: Server) -> dict[str, float | int]:
    """WATCHERS watches of the namespace while EVENTS pods change."""
    now = orjson.loads(await server.read(BASE + "?limit=1"))["metadata"]["resourceVersion"]
    watchers = [await server.watch(f"{BASE}?watch=1&resourceVersion={now}") for _ in range(WATCHERS)]
    arrived = [watcher.expect(EVENTS) for watcher in watchers]
    started = time.perf_counter()
    await server.run(iter([patch(server, PODS + number) for number in range(EVENTS)]), 32)
    await asyncio.gather(*arrived)
    taken = time.perf_counter() - started
    for watcher in watchers:
        if watcher.transport:
            watcher.transport.close()
    return {"watchers": WATCHERS, "events": EVENTS, "per_second": round(WATCHERS * EVENTS / taken, 1)}


def patch(server: Server, number: int) -> Request:
    body = b'{"metadata":{"labels":{"n":"%d"}}}' % number
    return server.request("PATCH", f"{BASE}/bench-{number % PODS:05}", body, "application/merge-patch+json")


def _others(waits: list[float]) -> dict[str, dict[str, float]]:
    ordered = sorted(waits) or [0.0]
    p99 = ordered[int(len(ordered) * 0.99)]
    return {"others_ms": {"p99": round(p99 * 1e3, 2), "max": round(ordered[-1] * 1e3, 2)}}


async def _repeated(server: Server, request: bytes, times: int = 7) -> dict[str, float | int]:
    taken = [await server.once(lambda: request) for _ in range(times)]
    seconds = [entry[0] for entry in taken]
    return {
        "median_ms": round(statistics.median(seconds) * 1e3, 2),
        "min_ms": round(min(seconds) * 1e3, 2),
        "bytes": taken[0][1],
    }


async def _expect(server: Server, method: str, path: str, body: dict[str, Any] | None = None) -> None:
    client = await server.connect()
    status, _ = await client.send(server.request(method, path, orjson.dumps(body) if body else b""))
    if client.transport:
        client.transport.close()
    if status >= 300 and status != 409:
        raise SystemExit(f"{method} {path}: {status} {client.text.decode(errors='replace')}")
    await asyncio.sleep(0)
