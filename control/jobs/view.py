"""One look at a Job and all its pods: the counts that every decision starts from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from podium.api.types import Obj
from podium.api.types.meta import deleting
from podium.control.jobs import facts
from podium.control.jobs.backoff import Failures, finished_at
from podium.control.jobs.indexes import Indexes
from podium.control.jobs.policies import judge
from podium.control.pods import is_active, is_finished, is_ready, phase


class View:
    """Built anew for every look, from objects that stay as they are.

    `released` are the uids of pods whose finalizer was taken although the cache still shows it: they are
    counted already. `failures` is what was known of failed pods before. `lost` is None, and `delayed` empty,
    unless failures are limited per index; `delayed` are failed pods, by index, that stay until their
    replacement is there, since it takes over their failure count."""

    def __init__(
        self,
        job: Obj,
        pods: Sequence[Obj],
        released: Collection[str] = (),
        failures: Failures = Failures(),  # noqa: B008 (immutable)
    ) -> None:
        self.job, self.pods, self.released = job, pods, released
        self.spec, self.status = job["spec"], job["status"]
        self.policy = self.spec.get("podFailurePolicy")
        self.completions: int | None = self.spec.get("completions")
        self.indexed = facts.indexed(job)
        self.active = [pod for pod in pods if is_active(pod)]
        self.ready = sum(map(is_ready, self.active))
        self.terminating = sum(deleting(pod) and not is_finished(pod) for pod in pods)
        uncounted = self.status.get("uncountedTerminatedPods") or {}
        self.uncounted_succeeded = frozenset(uncounted.get("succeeded") or ())
        self.uncounted_failed = frozenset(uncounted.get("failed") or ())
        self._count(failures)
        self.before = self.completed = Indexes()
        self.lost: Indexes | None = None
        self.delayed: dict[int, Obj] = {}
        if self.indexed:
            self._count_indexes(self.completions or 0)

    def _count(self, failures: Failures) -> None:
        fresh = [pod for pod in self.pods if self.uncounted(pod) and self.valid(pod)]
        ended = [
            pod
            for pod in fresh
            if phase(pod) == "Succeeded" and pod["metadata"]["uid"] not in self.uncounted_succeeded
        ]
        broken = [
            pod
            for pod in fresh
            if facts.failed(pod, self.spec) and pod["metadata"]["uid"] not in self.uncounted_failed
        ]
        self.succeeded: int = self.status.get("succeeded", 0) + len(ended) + len(self.uncounted_succeeded)
        counted = sum(judge(self.policy, pod).counts for pod in broken)
        self.failed: int = self.status.get("failed", 0) + counted + len(self.uncounted_failed)
        self.failures = failures.after(ended, broken)

    def _count_indexes(self, completions: int) -> None:
        tracked = [pod for pod in self.pods if facts.tracked(pod) and self.valid(pod)]
        self.before = Indexes.parse(self.status.get("completedIndexes", ""), completions)
        self.completed = self.before | _indexes(pod for pod in tracked if phase(pod) == "Succeeded")
        self.succeeded = len(self.completed)
        if self.spec.get("backoffLimitPerIndex") is None:
            return
        earlier = Indexes.parse(self.status.get("failedIndexes", ""), completions)
        self.lost = earlier | _indexes(filter(self._loses_index, tracked))
        self._delay()

    def _loses_index(self, pod: Obj) -> bool:
        """Whether its index has failed with it."""
        if not facts.failed(pod, self.spec):
            return False
        failure = judge(self.policy, pod)
        if failure.action == "FailIndex":
            return True
        limit: int = self.spec["backoffLimitPerIndex"]
        return failure.counts and facts.count_of(pod, facts.FAILURES) >= limit

    def _delay(self) -> None:
        done = self.completed | (self.lost or Indexes()) | _indexes(self.active)
        for pod in self.pods:
            index = facts.index_of(pod)
            if index is None or index in done or not self.valid(pod) or not self.uncounted(pod):
                continue
            if facts.failed(pod, self.spec):
                latest = self.delayed.get(index)
                if latest is None or _order(pod) >= _order(latest):
                    self.delayed[index] = pod

    def uncounted(self, pod: Obj) -> bool:
        """Whether the pod still has its finalizer: it is not counted, or only in the list of those about to
        be."""
        return facts.tracked(pod) and pod["metadata"]["uid"] not in self.released

    def valid(self, pod: Obj) -> bool:
        """Whether the pod can count: in an indexed job it needs an index that the job has."""
        if not self.indexed:
            return True
        index = facts.index_of(pod)
        return index is not None and index < (self.completions or 0)


def _indexes(pods: Iterable[Obj]) -> Indexes:
    return Indexes.of(index for pod in pods if (index := facts.index_of(pod)) is not None)


def _order(pod: Obj) -> tuple[object, ...]:
    return facts.index_failures(pod), finished_at(pod)
