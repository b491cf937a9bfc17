"""The scheduler through the API: pods created over many connections, bound to nodes that are only simulated.

A simulated node is a Node object whose Lease is renewed from here; there is no kubelet, so its pods never
start.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import idle
import orjson
from load import Server
from process import Process

from podium.api.types import Obj
from podium.api.types import resources as r
from podium.api.types.errors import StatusError
from podium.client.base import Client

NAMESPACE = "podium-bench-scheduler"
BASE = f"/api/v1/namespaces/{NAMESPACE}/pods"
LABEL = "podium.io/simulated"
LEASES_IN = "kube-node-lease"
CONNECTIONS = 32
RENEWAL = 10.0  # seconds between two renewals of a Lease
TIMEOUT = 600.0


class Round(NamedTuple):
    """`pods` of one kind over `nodes` simulated nodes."""

    name: str
    nodes: int
    pods: int
    related: bool = False


ROUNDS = (
    Round("1000_nodes", 1000, 10000),
    Round("20_nodes", 20, 2000),
    Round("1000_nodes_affinity_and_spread", 1000, 2000, related=True),
)


async def measure(server: Server, client: Client, run_dir: str, largest: int) -> dict[str, Any]:
    """All rounds with at most `largest` nodes, each on nodes of its own."""
    figures: dict[str, Any] = {}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    await client.create(r.NAMESPACES, {"metadata": {"name": NAMESPACE}})
    try:
        # Nobody else makes it where no controllers run, and no pod can be created without it.
        with contextlib.suppress(StatusError):
            await client.create(r.SERVICE_ACCOUNTS, account, NAMESPACE)
        for entry in ROUNDS:
            if entry.nodes <= largest:
                figures[entry.name] = await _round(server, client, entry, run_dir)
    finally:
        await client.delete(r.NAMESPACES, NAMESPACE)
    return figures


async def _round(server: Server, client: Client, entry: Round, run_dir: str) -> dict[str, Any]:
    before = _resident(run_dir)
    async with _nodes(server, client, entry.nodes):
        # What was allocated on the way to the nodes' final state is given back first.
        await asyncio.sleep(2)
        after = _resident(run_dir)
        figures = await _bind(server, client, entry)
        if before and after and entry is ROUNDS[0]:
            # Later rounds get memory that earlier ones gave back.
            figures["kb_per_node"] = round((after - before) * 1024 / entry.nodes, 1)
        await _empty(server, client)
    return figures


def _resident(run_dir: str) -> float:
    """Megabytes of the server on this machine; 0 where there is none."""
    pids = idle.daemons(run_dir) if Path(run_dir).is_dir() else {}
    return Process(pids["server"]).resident if "server" in pids else 0.0


async def _bind(server: Server, client: Client, entry: Round) -> dict[str, Any]:
    start = await client.list(r.PODS, NAMESPACE)
    bodies = [orjson.dumps(_pod(entry, number)) for number in range(entry.pods)]
    requests = iter([server.request("POST", BASE, body) for body in bodies])
    began = time.perf_counter()
    counting = asyncio.create_task(_bound(client, entry.pods, start.resource_version))
    created = await server.run(requests, CONNECTIONS)
    moments = await asyncio.wait_for(counting, TIMEOUT)
    taken = moments[-1] - began
    middle = moments[len(moments) * 3 // 4] - moments[len(moments) // 4]
    return {
        "nodes": entry.nodes,
        "pods": entry.pods,
        "bound_per_second": round(entry.pods / taken, 1),
        "bound_per_second_in_the_middle": round(len(moments) / 2 / middle, 1),
        "seconds": round(taken, 2),
        "created": created.figures(),
    }


async def _bound(client: Client, pods: int, version: str) -> list[float]:
    """The moment at which each pod was seen to have a node."""
    moments: list[float] = []
    seen: set[str] = set()
    async for event in client.watch(r.PODS, NAMESPACE, resource_version=version, fields="spec.nodeName!="):
        if event.type == "BOOKMARK" or not event.object["spec"].get("nodeName"):
            continue
        if event.object["metadata"]["name"] not in seen:
            seen.add(event.object["metadata"]["name"])
            moments.append(time.perf_counter())
            if len(moments) == pods:
                return moments
    raise RuntimeError("the watch ended")


def _pod(entry: Round, number: int) -> Obj:
    labels = {"app": f"bench-{number % 10}"}
    spec: Obj = {
        "automountServiceAccountToken": False,
        "nodeSelector": {LABEL: "yes"},
        "containers": [
            {
                "name": "main",
                "image": "registry.example/team/application:v1.2.3",
                "resources": {"requests": {"cpu": "100m", "memory": "100Mi"}},
            }
        ],
    }
    if entry.related:
        spec |= _relations(labels)
    meta = {"name": f"{entry.name.replace('_', '-')}-{number:05}", "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def _relations(labels: dict[str, str]) -> Obj:
    """Evenly over zones, and away from its siblings."""
    selector = {"matchLabels": labels}
    return {
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "topology.kubernetes.io/zone",
                "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": selector,
            }
        ],
        "affinity": {
            "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [
                    {"topologyKey": "kubernetes.io/hostname", "labelSelector": selector}
                ]
            }
        },
    }


@contextlib.asynccontextmanager
async def _nodes(server: Server, client: Client, count: int) -> AsyncIterator[None]:
    """Simulated nodes, ready and without taints, until the end of the block."""
    names = [f"simulated-{number:04}" for number in range(count)]
    await _each(server, [("POST", "/api/v1/nodes", _node(number, name)) for number, name in enumerate(names)])
    leases = f"/apis/coordination.k8s.io/v1/namespaces/{LEASES_IN}/leases"
    await _each(server, [("POST", leases, _lease(name)) for name in names])
    renewing = asyncio.create_task(_renew(client, names))
    try:
        status = {"status": _status()}
        await _each(server, [("PATCH", f"/api/v1/nodes/{name}/status", status) for name in names])
        await asyncio.wait_for(_untainted(client, count), TIMEOUT)
        yield
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
        await _each(server, [("DELETE", f"/api/v1/nodes/{name}", None) for name in names])


async def _renew(client: Client, names: list[str]) -> None:
    """Each Lease once in ten seconds, evenly."""
    while True:
        for name in names:
            patch = {"spec": {"renewTime": _now()}}
            with contextlib.suppress(StatusError):
                await client.patch(r.LEASES, name, patch, LEASES_IN)
            await asyncio.sleep(RENEWAL / len(names) / 1.5)


async def _untainted(client: Client, count: int) -> None:
    found = await client.list(r.NODES, labels=LABEL)
    ready = {node["metadata"]["name"] for node in found.items if not node["spec"].get("taints")}
    if len(ready) == count:
        return
    async for event in client.watch(r.NODES, resource_version=found.resource_version, labels=LABEL):
        if event.type != "BOOKMARK" and not event.object["spec"].get("taints"):
            ready.add(event.object["metadata"]["name"])
            if len(ready) == count:
                return


def _node(number: int, name: str) -> Obj:
    labels = {
        LABEL: "yes",
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "topology.kubernetes.io/zone": f"zone-{number % 3}",
    }
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}


def _status() -> Obj:
    now = _now()[:19] + "Z"
    capacity = {"cpu": "64", "memory": "256Gi", "ephemeral-storage": "500Gi", "pods": "250"}
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "Simulated",
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }
    return {"capacity": capacity, "allocatable": capacity, "conditions": [condition]}


def _lease(name: str) -> Obj:
    spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": _now()}
    meta = {"name": name, "namespace": LEASES_IN}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": spec}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


async def _empty(server: Server, client: Client) -> None:
    """Deletes the pods, which no kubelet would."""
    await _each(server, [("DELETE", f"{BASE}?gracePeriodSeconds=0", None)])
    found = await client.list(r.PODS, NAMESPACE)
    assert not found.items, f"{len(found.items)} pods are still there"


async def _each(server: Server, calls: list[tuple[str, str, Obj | None]]) -> None:
    requests = iter([
        server.request(
            method,
            path,
            orjson.dumps(body) if body is not None else b"",
            "application/merge-patch+json" if method == "PATCH" else "application/json",
        )
        for method, path, body in calls
    ])  # fmt: skip
    outcome = await server.run(requests, CONNECTIONS)
    refused = [entry for entry in outcome.failures if not entry.startswith(("404", "409"))]
    if refused:
        raise SystemExit(refused[0])
