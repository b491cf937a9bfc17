from __future__ import annotations

import asyncio
from typing import Any

import pytest

from podium.api.types import Obj
from podium.api.types.errors import already_exists, modified, not_found
from podium.client.leader import LeaderElector, LostLease

from ..clock import FakeClock, settle
from ..frozen import freeze, thaw


class Leases:
    """One Lease with the API server's rules for concurrent writers; `away` cuts everybody off."""

    def __init__(self) -> None:
        self.lease: Obj | None = None
        self.version = 0
        self.away = False

    def _store(self, obj: Obj) -> Obj:
        self.version += 1
        lease = thaw(obj)
        lease["metadata"]["resourceVersion"] = str(self.version)
        self.lease = freeze(lease)
        return freeze(lease)  # type: ignore[no-any-return]

    async def get(self, _: Any, name: str, __: str = "") -> Obj:
        if self.away:
            raise ConnectionError("away")
        if self.lease is None:
            raise not_found("leases", name)
        return self.lease

    async def create(self, _: Any, obj: Obj) -> Obj:
        if self.lease is not None:
            raise already_exists("leases", obj["metadata"]["name"])
        return self._store(obj)

    async def update(self, _: Any, obj: Obj) -> Obj:
        if self.away:
            raise ConnectionError("away")
        assert self.lease is not None
        if obj["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise modified("leases", obj["metadata"]["name"])
        return self._store(obj)

    @property
    def holder(self) -> str:
        assert self.lease is not None
        return str(self.lease["spec"]["holderIdentity"])


class Work:
    def __init__(self) -> None:
        self.running = False

    async def __call__(self) -> None:
        self.running = True
        try:
            await asyncio.Event().wait()
        finally:
            self.running = False


def candidate(leases: Leases, name: str, clock: FakeClock) -> LeaderElector:
    return LeaderElector(leases, "kube-system", "podium", name, clock=clock)  # type: ignore[arg-type]


async def turn(clock: FakeClock, seconds: int) -> None:
    for _ in range(seconds):
        clock.advance(1)
        await settle()


async def test_of_two_candidates_one_leads_and_the_other_follows_when_it_gives_up() -> None:
    leases, clock = Leases(), FakeClock()
    one, two = Work(), Work()
    first = asyncio.ensure_future(candidate(leases, "one", clock).lead(one))
    await settle()
    second = asyncio.ensure_future(candidate(leases, "two", clock).lead(two))
    await turn(clock, 60)
    assert (leases.holder, one.running, two.running) == ("one", True, False)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert not one.running
    await turn(clock, 2)
    assert (leases.holder, two.running) == ("two", True)
    assert leases.lease is not None
    assert leases.lease["spec"]["leaseTransitions"] == 1
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)


async def test_a_leader_that_cannot_renew_stops_before_another_may_begin() -> None:
    leases, clock = Leases(), FakeClock()
    work = Work()
    leading = asyncio.ensure_future(candidate(leases, "one", clock).lead(work))
    await turn(clock, 2)
    leases.away = True
    await turn(clock, 9)
    assert work.running
    await turn(clock, 4)
    assert not work.running
    with pytest.raises(LostLease):
        await leading


async def test_a_dead_leaders_lease_is_taken_after_its_whole_duration_only() -> None:
    leases, clock = Leases(), FakeClock()
    await candidate(leases, "dead", clock).acquire()
    acquiring = asyncio.ensure_future(candidate(leases, "two", clock).acquire())
    await turn(clock, 14)
    assert leases.holder == "dead"
    await turn(clock, 3)
    await acquiring
    assert leases.holder == "two"


async def test_work_that_ends_gives_the_lease_back() -> None:
    leases, clock = Leases(), FakeClock()

    async def work() -> None:
        assert leases.holder == "one"

    await candidate(leases, "one", clock).lead(work)
    assert leases.holder == ""
