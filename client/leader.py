"""Leader election over a Lease: of many candidates one leads, and a leader that cannot renew stops leading
before another can begin.

Source: coordination.k8s.io/v1 Lease; client-go's tools/leaderelection. Other candidates' clocks are not
trusted: a lease is taken over when it was seen unchanged for its whole duration on this machine's own
monotonic clock.
"""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import micro_timestamp
from podium.api.types.resources import LEASES
from podium.client.base import Client
from podium.client.clock import Clock, sleep

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Timing:
    """Seconds. `renew_deadline` must be below `duration`: the leader gives up before others may take over."""

    duration: float = 15.0
    renew_deadline: float = 10.0
    retry: float = 2.0


class LostLease(Exception):
    """The lease could not be renewed in time, or is somebody else's."""


class LeaderElector:
    """One candidate, called `identity`, for the lease `namespace/name`."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        name: str,
        identity: str,
        *,
        timing: Timing = Timing(),
        clock: Clock | None = None,
    ) -> None:
        self._client, self._timing, self._clock = client, timing, clock
        self._namespace, self._name, self.identity = namespace, name, identity
        self._observed: Obj | None = None
        self._observed_at = 0.0

    async def lead(self, work: Callable[[], Awaitable[None]]) -> None:
        """Waits for the lease, runs `work` while it is held, gives it back when `work` ends or this is
        cancelled. Raises LostLease, with `work` cancelled, when the lease slips away."""
        await self.acquire()
        log.info("%s leads %s/%s", self.identity, self._namespace, self._name)
        working = asyncio.ensure_future(work())
        renewing = asyncio.ensure_future(self._renew())
        try:
            done, _ = await asyncio.wait((working, renewing), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (working, renewing):
                task.cancel()
            await asyncio.gather(working, renewing, return_exceptions=True)
            await self.release()

    async def acquire(self) -> None:
        """Returns once this candidate holds the lease."""
        while not await self._attempt():
            await sleep(self._clock, self._timing.retry)

    async def release(self) -> None:
        """Lets another candidate lead at once; does nothing for a lease that is not ours."""
        lease = self._observed
        if lease is None or not self._ours(lease):
            return
        released = copy.deepcopy(lease)
        released["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": micro_timestamp()}
        try:
            self._observe(await self._client.update(LEASES, released))
        except (StatusError, ConnectionError) as error:
            log.debug("lease %s/%s not released: %s", self._namespace, self._name, error)

    async def _renew(self) -> None:
        last = self._now()
        while True:
            await sleep(self._clock, self._timing.retry)
            if await self._attempt():
                last = self._now()
            elif self._observed is not None and not self._ours(self._observed):
                raise LostLease(f"lease {self._namespace}/{self._name} is held by another")
            elif self._now() - last > self._timing.renew_deadline:
                raise LostLease(f"lease {self._namespace}/{self._name} not renewed in time")

    async def _attempt(self) -> bool:
        """Whether the lease is ours after one try to take or renew it."""
        try:
            async with asyncio.timeout(self._timing.renew_deadline / 2):
                return await self._take()
        except (StatusError, ConnectionError, TimeoutError) as error:
            log.debug("lease %s/%s: %s", self._namespace, self._name, error)
            return False

    async def _take(self) -> bool:
        try:
            lease = await self._client.get(LEASES, self._name, self._namespace)
        except StatusError as error:
            if error.code != 404:
                raise
            self._observe(await self._client.create(LEASES, self._new()))
            return True
        self._observe(lease)
        if not self._ours(lease) and not self._expired(lease):
            return False
        self._observe(await self._client.update(LEASES, self._taken(lease)))
        return True

    def _new(self) -> Obj:
        now = micro_timestamp()
        return {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": {
                "holderIdentity": self.identity,
                "leaseDurationSeconds": int(self._timing.duration),
                "acquireTime": now,
                "renewTime": now,
                "leaseTransitions": 0,
            },
        }

    def _taken(self, lease: Obj) -> Obj:
        taken = copy.deepcopy(lease)
        spec = taken.setdefault("spec", {})
        now = micro_timestamp()
        if not self._ours(lease):
            spec |= {"acquireTime": now, "leaseTransitions": spec.get("leaseTransitions", 0) + 1}
        spec |= {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": int(self._timing.duration),
            "renewTime": now,
        }
        return taken

    def _ours(self, lease: Obj) -> bool:
        return bool((lease.get("spec") or {}).get("holderIdentity") == self.identity)

    def _expired(self, lease: Obj) -> bool:
        spec = lease.get("spec") or {}
        if not spec.get("holderIdentity"):
            return True
        duration = spec.get("leaseDurationSeconds") or self._timing.duration
        return self._now() - self._observed_at >= duration

    def _observe(self, lease: Obj) -> None:
        if self._observed is None or self._observed.get("spec") != lease.get("spec"):
            self._observed_at = self._now()
        self._observed = lease

    def _now(self) -> float:
        return (self._clock or asyncio.get_running_loop()).time()
