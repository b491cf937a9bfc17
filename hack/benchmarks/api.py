"""The API server by itself: 8,000 pods of about 3 KB that no scheduler and no node touches."""

from __future__ import annotations

import asyncio
import statistics
from typing import Any

import orjson
from load import Server

PODS = 8000
NAMESPACE = "podium-bench"
BASE = f"/api/v1/namespaces/{NAMESPACE}/pods"
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


async def measure(server: Server) -> dict[str, Any]:
    """Fills the namespace, measures each verb, empties it again."""
    await _expect(server, "POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata":
    {"name": NAMESPACE}})  # fmt: skip
    # Nobody else makes it where no controllers run, and no pod can be created without it.
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    await _expect(server, "POST", f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts", account)
    figures: dict[str, Any] = {}
    try:
        bodies = [orjson.dumps(pod(number)) for number in range(PODS)]
        creates = iter([server.request("POST", BASE, body) for body in bodies])
        figures["create"] = (await server.run(creates, 32)).figures()
        gets = iter([server.request("GET", f"{BASE}/bench-{number % PODS:05}") for number in range(30000)])
        figures["get"] = (await server.run(gets, 16)).figures()
        patches = iter([
            server.request("PATCH", f"{BASE}/bench-{number % PODS:05}", b'{"metadata":{"labels":{"n":"%d"}}}'
            % number,
                           "application/merge-patch+json")
            for number in range(4000)
        ])  # fmt: skip
        figures["merge_patch"] = (await server.run(patches, 32)).figures()
        figures["list_8000"] = await _repeated(server, server.request("GET", BASE))
        figures["list_8000_resourceVersion_0"] = await _repeated(
            server, server.request("GET", BASE + "?resourceVersion=0")
        )
        figures["table_8000"] = await _repeated(server, server.request("GET", BASE, accept=TABLE))
        figures["page_500"] = await _repeated(server, server.request("GET", BASE + "?limit=500"), 20)
        figures["selects_nothing"] = await _repeated(
            server, server.request("GET", BASE + "?labelSelector=app%3Dnone"), 20
        )
    finally:
        await _expect(server, "DELETE", BASE + "?gracePeriodSeconds=0")
        await _expect(server, "DELETE", f"/api/v1/namespaces/{NAMESPACE}")
    return figures


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
        raise SystemExit(f"{method} {path}: {status} {client.error.decode(errors='replace')}")
    await asyncio.sleep(0)
