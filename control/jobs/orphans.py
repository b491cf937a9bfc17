"""Lets go of pods that carry the finalizer of a Job which will never count them: the job is gone, has ended,
or controls them no longer. Without this they, and their namespace, could never be deleted."""

from __future__ import annotations

from collections.abc import Iterable

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import controller_of, deleting, key_of, namespace_of, split_key
from podium.api.types.resources import JOBS, PODS
from podium.control.controller import Context, Controller
from podium.control.jobs import facts
from podium.control.pods import BY_CONTROLLER, by_controller, controlled


class OrphanedJobPods(Controller):
    """Keys are pods."""

    name = "job-pod-finalizers"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.jobs = self.watch(JOBS, self._job_changed)
        self.pods = self.watch(PODS, self._pod_changed, {BY_CONTROLLER: by_controller})

    def _job_changed(self, old: Obj | None, new: Obj | None) -> Iterable[str]:
        job = new or old
        if job is not None and (new is None or facts.finished(new)):
            yield from (key_of(pod) for pod in controlled(self.pods, job) if facts.tracked(pod))

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> Iterable[str]:
        if new is None or not facts.tracked(new):
            return
        job = self._job(new)
        # A pod whose job is not in the cache may be newer than the cache; one that is deleted is not.
        if controller_of(new) is None or (facts.finished(job) if job else deleting(new)):
            yield key_of(new)

    def _job(self, pod: Obj) -> Obj | None:
        """The Job that controls the pod, if it is there."""
        owner = facts.owner_job(pod)
        if owner is None:
            return None
        job = self.jobs.get(owner["name"], namespace_of(pod))
        return job if job is not None and job["metadata"]["uid"] == owner["uid"] else None

    async def reconcile(self, key: str) -> None:
        namespace, name = split_key(key)
        pod = self.pods.get(name, namespace)
        if pod is None or not facts.tracked(pod) or not self._abandoned(pod):
            return
        try:
            await self.client.patch(PODS, name, facts.LET_GO, namespace, kind="strategic")
        except StatusError as error:
            if error.code != 404:
                raise

    def _abandoned(self, pod: Obj) -> bool:
        if controller_of(pod) is not None and facts.owner_job(pod) is None:
            return False  # some other controller uses the same finalizer
        job = self._job(pod)
        return job is None or bool(facts.finished(job) and not facts.foreign(job))
