"""How fast a log comes: over a bare HTTPS connection to the API server, and through kubectl."""

from __future__ import annotations

import asyncio
import shutil
import time
from typing import Any

from cluster import IMAGE, NAMESPACE, until
from load import Server

from podium.api.types import Obj
from podium.api.types import resources as r
from podium.client.base import Client

LINE = (
    "2 cores, 512 MB: enough for whom one line of about a hundred characters says all that he wants to know"
)
READ = 500
"""Megabytes that are read in all: a log that is shorter, as the node's limits want it, is read repeatedly."""

WORTH_KUBECTL = 100


async def measure(client: Client, server: Server, kubeconfig: str, node: str, size: int) -> dict[str, Any]:
    """Of one log of `size` megabytes, which has to be less than the node keeps in one file."""
    await client.create(r.PODS, _writer(node, size))
    await until(client, r.PODS, lambda seen: _over(seen.get("writer")))
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/writer/log"
    connection = await server.connect()
    times, came, started = max(1, READ // size), 0, time.perf_counter()
    for _ in range(times):
        code, got = await connection.send(server.request("GET", path))
        if code != 200:
            raise SystemExit(f"reading a log: {code} {connection.text[:300]!r}")
        came += got
    taken = time.perf_counter() - started
    if connection.transport:
        connection.transport.close()
    figures: dict[str, Any] = {
        "log_mb": round(came / times / 1e6, 1),
        "api_mb_per_second": round(came / taken / 1e6, 1),
    }
    # Beside its own start a small log is nothing to kubectl.
    if size >= WORTH_KUBECTL and shutil.which("kubectl"):
        figures["kubectl_mb_per_second"] = round(await _kubectl(kubeconfig, max(1, times // 5)), 1)
    await client.delete(r.PODS, "writer", NAMESPACE, grace_seconds=0)
    await until(client, r.PODS, lambda seen: not seen)
    return figures


async def _kubectl(kubeconfig: str, times: int) -> float:
    """Megabytes a second, its start included."""
    came, started = 0, time.perf_counter()
    for _ in range(times):
        process = await asyncio.create_subprocess_exec(
            "kubectl", "--kubeconfig", kubeconfig, "-n", NAMESPACE, "logs", "writer",
            stdout=asyncio.subprocess.PIPE, limit=1 << 20,
        )  # fmt: skip
        assert process.stdout
        while piece := await process.stdout.read(1 << 20):
            came += len(piece)
        await process.wait()
    return came / (time.perf_counter() - started) / 1e6


def _over(pod: Obj | None) -> bool:
    return pod is not None and pod.get("status", {}).get("phase") == "Succeeded"


def _writer(node: str, size: int) -> Obj:
    script = f"yes '{LINE}' | head -c {size * 1_000_000}"
    container = {
        "name": "main", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", script],
    }  # fmt: skip
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "writer", "namespace": NAMESPACE},
        "spec": {
            "automountServiceAccountToken": False,
            "restartPolicy": "Never",
            "nodeSelector": {"kubernetes.io/hostname": node},
            "containers": [container],
        },
    }
