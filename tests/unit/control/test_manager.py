from __future__ import annotations

import asyncio

from podium.api.types import Obj
from podium.api.types.resources import (
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    LEASES,
    PODS,
    REPLICA_SETS,
    SERVICES,
)
from podium.client.leader import Timing
from podium.control.manager import LEASE_NAME, LEASE_NAMESPACE, ControllerManager, ManagerConfig, supervise

from ..clock import FakeClock, settle
from ..frozen import FrozenClient
from .cluster import TestCluster
from .objects import deployment, service


async def test_a_loop_that_fails_is_started_again_after_growing_pauses() -> None:
    clock = FakeClock()
    starts = 0

    async def loop() -> None:
        nonlocal starts
        starts += 1
        if starts < 3:
            raise RuntimeError("broken")
        await asyncio.Event().wait()

    task = asyncio.ensure_future(supervise("loop", loop, clock))
    await settle()
    assert (starts, clock.pending) == (1, [0.5])
    clock.advance(0.5)
    await settle()
    assert (starts, clock.pending) == (2, [1.0])
    clock.advance(1)
    await settle()
    assert (starts, clock.pending) == (3, [])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_with_leader_election_one_manager_works_and_the_next_takes_over(cluster: TestCluster) -> None:
    client = FrozenClient(cluster.server.client)
    timing = Timing(duration=2.0, renew_deadline=1.5, retry=0.05)
    first, second = (
        ControllerManager(client, ManagerConfig(leader_elect=True, identity=name, lease=timing))
        for name in ("one", "two")
    )
    leading = asyncio.ensure_future(first.run())
    await first.ready()
    following = asyncio.ensure_future(second.run())
    lease = await client.get(LEASES, LEASE_NAME, LEASE_NAMESPACE)
    assert lease["spec"]["holderIdentity"] == "one"
    leading.cancel()
    await asyncio.gather(leading, return_exceptions=True)
    await cluster.one(LEASES, LEASE_NAME, lambda obj: obj["spec"]["holderIdentity"] == "two", LEASE_NAMESPACE)
    await second.ready()
    await cluster.client.create(DEPLOYMENTS, deployment(1))
    await cluster.until(PODS, lambda pods: len(pods) == 1)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_controllers_started_anew_find_everything_done(cluster: TestCluster) -> None:
    kept = (DEPLOYMENTS, REPLICA_SETS, PODS, ENDPOINT_SLICES, ENDPOINTS)

    async def versions() -> list[str]:
        found = [obj for resource in kept for obj in (await cluster.client.list(resource, "test")).items]
        return sorted(obj["metadata"]["resourceVersion"] for obj in found)

    def serves(slices: list[Obj]) -> bool:
        return sum(len(entry.get("endpoints") or ()) for entry in slices) == 3

    await cluster.client.create(SERVICES, service())
    await cluster.client.create(DEPLOYMENTS, deployment(3))
    await cluster.one(DEPLOYMENTS, "web", lambda obj: (obj.get("status") or {}).get("availableReplicas") == 3)
    await cluster.until(ENDPOINT_SLICES, serves)
    await cluster.until(
        ENDPOINTS, lambda found: len((found[0].get("subsets") or [{}])[0].get("addresses", ())) == 3
    )
    await cluster.stop_controllers()
    before = await versions()
    await cluster.start_controllers()
    # What is asked for now is done after what the controllers found to do at their start.
    await cluster.client.create(SERVICES, service("manual", selector={"app": "nothing"}))
    await cluster.until(ENDPOINT_SLICES, lambda found: len(found) == 2)
    await cluster.until(ENDPOINTS, lambda found: len(found) == 2)
    await cluster.client.delete(SERVICES, "manual", "test")
    await cluster.until(ENDPOINT_SLICES, lambda found: len(found) == 1)
    await cluster.until(ENDPOINTS, lambda found: len(found) == 1)
    assert await versions() == before
