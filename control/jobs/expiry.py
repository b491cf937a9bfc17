"""Deletes Jobs some time after they have ended, with their pods. Source: kubernetes.io "Automatic Cleanup
for Finished Jobs"."""

from __future__ import annotations

from datetime import timedelta

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import condition, deleting, key_of, parse_time, split_key
from podium.api.types.resources import JOBS
from podium.control.controller import Context, Controller, own_key
from podium.control.jobs.facts import finished


class JobExpiry(Controller):
    name = "ttl-after-finished-controller"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.jobs = self.watch(JOBS, own_key)
        context.on_clock_set(self._clock_set)

    def _clock_set(self) -> None:
        for job in self.jobs.list():
            self.queue.add(key_of(job))

    async def reconcile(self, key: str) -> None:
        namespace, name = split_key(key)
        job = self.jobs.get(name, namespace)
        if job is None or not self._is_over(key, job):
            return
        # Its time may have been prolonged without the cache knowing yet.
        try:
            fresh = await self.client.get(JOBS, name, namespace)
            if self._is_over(key, fresh):
                uid = fresh["metadata"]["uid"]
                await self.client.delete(JOBS, name, namespace, uid=uid, propagation="Foreground")
        except StatusError as error:
            if error.code != 404:
                raise

    def _is_over(self, key: str, job: Obj) -> bool:
        """Whether the job is to go now; one whose time is still to come is looked at again then."""
        left = self.left(job)
        if left is not None and left > 0:
            self.queue.add_after(key, left)
        return left is not None and left <= 0

    def left(self, job: Obj) -> float | None:
        """Seconds until the job is to go; None for one that goes by other means, or not."""
        seconds, kind = job["spec"].get("ttlSecondsAfterFinished"), finished(job)
        if seconds is None or not kind or deleting(job):
            return None
        ended = parse_time((condition(job, kind) or {})["lastTransitionTime"])
        return (ended + timedelta(seconds=seconds) - self.context.now()).total_seconds()
