"""A rollout under load: is any request lost while every pod behind a Service is replaced?"""

from __future__ import annotations

import asyncio
import time
from collections import Counter

from cluster import NAMESPACE, TIMEOUT, WEB_IMAGE, until

from podium.api.types import Obj
from podium.api.types import resources as r
from podium.api.types.meta import deleting
from podium.client.base import Client

REPLICAS = 10
NAME = "rolled"
REQUEST = b"GET / HTTP/1.1\r\nHost: rolled\r\nConnection: close\r\n\r\n"
PATIENCE = 5.0


class Load:
    """Requests at a steady rate whether or not earlier ones are answered, each on a connection of its own."""

    def __init__(self, address: str, rate: int) -> None:
        self._address, self._pause = address, 1 / rate
        self._open: set[asyncio.Task[None]] = set()
        self.latencies: list[float] = []
        self.failures: Counter[str] = Counter()

    async def run(self, done: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not done.is_set():
            request = asyncio.create_task(self._request())
            self._open.add(request)
            request.add_done_callback(self._open.discard)
            due += self._pause
            await asyncio.sleep(max(0.0, due - loop.time()))
        await asyncio.gather(*self._open)

    async def _request(self) -> None:
        started = time.perf_counter()
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_connection(self._address, 80)
                try:
                    writer.write(REQUEST)
                    answer = await reader.read()
                finally:
                    writer.close()
        except (OSError, TimeoutError) as error:
            self.failures[type(error).__name__] += 1
            return
        self.latencies.append(time.perf_counter() - started)
        if not answer.startswith(b"HTTP/1.1 200"):
            self.failures[answer[:40].decode(errors="replace") or "closed without an answer"] += 1


async def rollout(client: Client, rate: int) -> dict[str, object]:
    """Replaces all pods of a Deployment while its Service gets `rate` requests a second from this machine."""
    await client.create(r.DEPLOYMENTS, _deployment())
    service = await client.create(r.SERVICES, _service())
    await until(client, r.DEPLOYMENTS, _rolled_out)
    done = asyncio.Event()
    load = Load(service["spec"]["clusterIP"], rate)
    running = asyncio.create_task(load.run(done))
    await asyncio.sleep(1)
    started = time.perf_counter()
    annotation = {"template": {"metadata": {"annotations": {"podium.io/rolled": "again"}}}}
    await client.patch(r.DEPLOYMENTS, NAME, {"spec": annotation}, NAMESPACE)
    async with asyncio.timeout(TIMEOUT):
        await until(client, r.DEPLOYMENTS, _rolled_out)
        await until(
            client, r.PODS, lambda seen: len(seen) == REPLICAS and not any(map(deleting, seen.values()))
        )
    taken = time.perf_counter() - started
    await asyncio.sleep(1)
    done.set()
    await running
    ordered = sorted(load.latencies)
    return {
        "replicas": REPLICAS,
        "rollout_s": round(taken, 2),
        "requests": len(ordered) + load.failures.total(),
        "failed": load.failures.total(),
        "p50_ms": round(ordered[len(ordered) // 2] * 1e3, 2),
        "p99_ms": round(ordered[int(len(ordered) * 0.99)] * 1e3, 2),
        **({"failures": dict(load.failures)} if load.failures else {}),
    }


def _rolled_out(seen: dict[str, Obj]) -> bool:
    deployment = seen.get(NAME) or {}
    status = deployment.get("status") or {}
    current = status.get("observedGeneration") == (deployment.get("metadata") or {}).get("generation")
    counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")]
    return current and counts == [REPLICAS] * 3


def _deployment() -> Obj:
    container = {
        "name": "web",
        "image": WEB_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "readinessProbe": {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 1},
    }
    labels = {"app": NAME}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {
            "replicas": REPLICAS,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"automountServiceAccountToken": False, "containers": [container]},
            },
        },
    }


def _service() -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {"selector": {"app": NAME}, "ports": [{"port": 80}]},
    }
