"""What users feel: pods that start, Deployments that scale, Services that answer, through the API of any
cluster."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncIterator, Callable

from podium.api.types import Obj
from podium.api.types import resources as r
from podium.api.types.errors import StatusError
from podium.api.types.meta import condition_is_true
from podium.client.base import Client

NAMESPACE = "podium-bench-pods"
IMAGE = "docker.io/library/busybox:latest"
WEB_IMAGE = "docker.io/library/nginx:latest"
TIMEOUT = 120


def pod(name: str, image: str = IMAGE, **labels: str) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": "bench", **labels}},
        "spec": template_spec(image),
    }


def template_spec(image: str) -> Obj:
    command = (
        {"command": ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1000 & wait; done"]}
        if image == IMAGE
        else {}
    )
    return {
        "automountServiceAccountToken": False,
        "containers": [{"name": "main", "image": image, "imagePullPolicy": "IfNotPresent", **command}],
    }


@contextlib.asynccontextmanager
async def namespace(client: Client) -> AsyncIterator[None]:
    """The namespace of the benchmark, gone (with all that was in it) at the end."""
    await client.create(
        r.NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    )
    try:
        # The first pod needs the namespace's ServiceAccount.
        await until(client, r.SERVICE_ACCOUNTS, lambda seen: "default" in seen)
        yield
    finally:
        await client.delete(r.NAMESPACES, NAMESPACE)
        async with asyncio.timeout(TIMEOUT):
            await _gone(client)


async def _gone(client: Client) -> None:
    while True:
        try:
            await client.get(r.NAMESPACES, NAMESPACE)
        except StatusError as error:
            if error.code == 404:
                return
            raise
        await asyncio.sleep(0.2)


async def until(client: Client, resource: r.Resource, done: Callable[[dict[str, Obj]], bool]) -> float:
    """The moment (perf_counter) at which `done` is true of the namespace's objects by name, seen through a
    watch."""
    first = await client.list(resource, NAMESPACE)
    seen = {item["metadata"]["name"]: item for item in first.items}
    if done(seen):
        return time.perf_counter()
    async with asyncio.timeout(TIMEOUT):
        async for event in client.watch(resource, NAMESPACE, resource_version=first.resource_version):
            if event.type == "BOOKMARK":
                continue
            name = event.object["metadata"]["name"]
            if event.type == "DELETED":
                seen.pop(name, None)
            else:
                seen[name] = event.object
            if done(seen):
                return time.perf_counter()
    raise RuntimeError("the watch ended")


def is_ready(name: str) -> Callable[[dict[str, Obj]], bool]:
    return lambda seen: name in seen and condition_is_true(seen[name], "Ready")


def ready(seen: dict[str, Obj]) -> int:
    return sum(condition_is_true(item, "Ready") for item in seen.values())


async def pod_start(client: Client, count: int) -> dict[str, float]:
    """One pod at a time, image present, no probe: from the POST's answer to Ready in a watch,
    milliseconds."""
    taken = []
    for number in range(count):
        name = f"start-{number}"
        waiting = asyncio.create_task(until(client, r.PODS, is_ready(name)))
        await asyncio.sleep(0.1)
        await client.create(r.PODS, pod(name))
        answered = time.perf_counter()
        taken.append((await waiting - answered) * 1e3)
        await client.delete(r.PODS, name, NAMESPACE, grace_seconds=0)
    ordered = sorted(taken)
    return {
        "median_ms": round(statistics.median(taken), 1),
        "max_ms": round(ordered[-1], 1),
        "min_ms": round(ordered[0], 1),
    }


async def scale(client: Client, replicas: int) -> dict[str, float]:
    """A Deployment from 0 to `replicas` Ready and back to none, seconds."""
    deployment: Obj = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "scaled", "namespace": NAMESPACE},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "bench"}},
            "template": {"metadata": {"labels": {"app": "bench"}}, "spec": template_spec(IMAGE)},
        },
    }
    await client.create(r.DEPLOYMENTS, deployment)
    await until(client, r.REPLICA_SETS, lambda seen: bool(seen))
    waiting = asyncio.create_task(until(client, r.PODS, lambda seen: ready(seen) == replicas))
    await asyncio.sleep(0.1)
    started = time.perf_counter()
    await client.patch(r.DEPLOYMENTS, "scaled", {"spec": {"replicas": replicas}}, NAMESPACE)
    up = await waiting - started
    started = time.perf_counter()
    await client.patch(r.DEPLOYMENTS, "scaled", {"spec": {"replicas": 0}}, NAMESPACE)
    down = await until(client, r.PODS, lambda seen: not seen) - started
    await client.delete(r.DEPLOYMENTS, "scaled", NAMESPACE)
    return {"replicas": replicas, "up_s": round(up, 2), "down_s": round(down, 2)}


async def services(client: Client, others: int) -> list[dict[str, float]]:
    """From the POST's answer until a new Service's cluster IP answers a TCP connection from this machine,
    milliseconds: alone, and with `others` there already."""
    await client.create(r.PODS, pod("web", WEB_IMAGE, role="web"))
    await until(client, r.PODS, is_ready("web"))
    alone = await _new_services(client, 0)
    for number in range(others):
        await client.create(r.SERVICES, _service(f"other-{number}"))
    await until(client, r.ENDPOINT_SLICES, lambda seen: len(seen) >= others)
    return [alone, await _new_services(client, others)]


async def _new_services(client: Client, others: int) -> dict[str, float]:
    taken = []
    for number in range(5):
        made = await client.create(r.SERVICES, _service(f"new-{others}-{number}"))
        started = time.perf_counter()
        await _answers(made["spec"]["clusterIP"])
        taken.append((time.perf_counter() - started) * 1e3)
    return {"others": others, "median_ms": round(statistics.median(taken), 1), "max_ms": round(max(taken), 1)}


def _service(name: str) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"selector": {"role": "web"}, "ports": [{"port": 80}]},
    }


async def _answers(address: str) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.wait_for(asyncio.open_connection(address, 80), 0.25)
            except (OSError, TimeoutError):
                # Refused until the proxy knows it: each refusal comes at once, so the pause bounds the error
                # of the figure.
                await asyncio.sleep(0.005)
                continue
            writer.close()
            return
