"""The StatefulSet controller: sees, plans, carries the plan out, writes the status.

No two pods of one ordinal: a pod's name is its ordinal, so the API server refuses the second; what is deleted
is deleted by uid; and nothing is planned before the cache shows what was done before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeAlias

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import controller_of, deleting, key_of, name_of, namespace_of, split_key
from podium.api.types.resources import PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS
from podium.api.types.selectors import from_label_selector
from podium.control.batches import slow_start
from podium.control.claims import Claimer
from podium.control.controller import Context, Controller, namespace_ends, own_key, owner_key
from podium.control.expectations import Expectations
from podium.control.history.history import History, Known
from podium.control.history.revisions import template_of
from podium.control.pods import BY_CONTROLLER, by_controller, controlled, orphans
from podium.control.statefulsets import status
from podium.control.statefulsets.identity import claim_templates, is_member, revision_of
from podium.control.statefulsets.members import Members
from podium.control.statefulsets.plan import Plan, Seen, Step, Template, is_ordered, plan
from podium.control.written import TIMEOUT, Written

Take: TypeAlias = Callable[[Step], Awaitable[StatusError | None]]
HASH_LABEL = "controller.kubernetes.io/hash"


class StatefulSetController(Controller):
    name = "statefulset-controller"
    workers = 5

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.recorder = context.recorder(self.name)
        self._claimer = Claimer(context.client, STATEFUL_SETS, PODS)
        self.history = History(self, STATEFUL_SETS, HASH_LABEL)
        self.sets = self.watch(STATEFUL_SETS, own_key)
        self.history.serve(self.sets)
        self.pods = self.watch(PODS, self._pod_changed, {BY_CONTROLLER: by_controller})
        self.claims = self.watch(PERSISTENT_VOLUME_CLAIMS, self._claim_changed)
        self._created = Written(self.pods)
        self._deleted = Expectations()

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> Iterable[str]:
        for pod in (old, new):
            if pod is not None and (key := owner_key(pod, STATEFUL_SETS.kind)):
                self._created.seen(key, old, new)
                if new is None or deleting(new):
                    self._deleted.deleted(key, pod["metadata"]["uid"])
                yield key
        if new is not None and controller_of(new) is None and not deleting(new):
            yield from self._adopters(new)

    def _adopters(self, pod: Obj) -> Iterable[str]:
        labels = pod["metadata"].get("labels")
        for owner in self.sets.list(namespace_of(pod)) if labels else ():
            selector = from_label_selector(owner["spec"].get("selector"))
            if is_member(owner, pod) and not selector.everything and selector.matches(labels):
                yield key_of(owner)

    def _claim_changed(self, old: Obj | None, new: Obj | None) -> Iterable[str]:
        """A claim that comes, goes, or changes owners lets a waiting pod be made, or has to be set right."""
        claim = new or old
        assert claim is not None
        if old is not None and new is not None and _ownership(old) == _ownership(new):
            return
        for owner in self.sets.list(namespace_of(claim)):
            prefixes = [f"{entry['metadata']['name']}-{name_of(owner)}-" for entry in claim_templates(owner)]
            if any(name_of(claim).startswith(prefix) for prefix in prefixes):
                yield key_of(owner)

    async def reconcile(self, key: str) -> None:
        namespace, name = split_key(key)
        stateful_set = self.sets.get(name, namespace)
        if stateful_set is None:
            self._created.forget(key)
            self._deleted.forget(key)
            return
        if deleting(stateful_set):
            return  # its pods are the garbage collector's
        if not self._created.visible(key) or not self._deleted.satisfied(key):
            # The event that is waited for comes back here; the timer is for one that was missed.
            self.queue.add_after(key, TIMEOUT)
            return
        known = await self.history.sync(stateful_set)
        pods = await self._members(stateful_set)
        seen = self._see(stateful_set, known, pods)
        made = plan(seen)
        failure = await self._carry_out(key, stateful_set, made)
        calculated = status.calculate(seen, made, known.collisions)
        await self.write_status(STATEFUL_SETS, stateful_set, calculated)
        live = {seen.current.name, seen.update.name, *map(revision_of, pods)}
        await self.history.trim(stateful_set, [*known.olds, *known.twins], live)
        if failure is not None and not namespace_ends(failure):
            raise failure
        if wait := status.next_check(seen):
            self.queue.add_after(key, wait)

    async def _members(self, stateful_set: Obj) -> list[Obj]:
        """The set's pods, after adopting and releasing. Only what bears one of its names may be its own."""
        selector = from_label_selector(stateful_set["spec"].get("selector"))
        mine = controlled(self.pods, stateful_set)
        strays = orphans(self.pods, namespace_of(stateful_set))
        candidates = [*mine, *(pod for pod in strays if is_member(stateful_set, pod))]
        claimed = await self._claimer.claim(stateful_set, selector, candidates)
        return [pod for pod in claimed if is_member(stateful_set, pod)]

    def _see(self, stateful_set: Obj, known: Known, pods: Sequence[Obj]) -> Seen:
        update = Template(name_of(known.current), stateful_set["spec"]["template"])
        before = (stateful_set.get("status") or {}).get("currentRevision")
        found = next((entry for entry in (*known.olds, *known.twins) if name_of(entry) == before), None)
        current = Template(name_of(found), template_of(found)) if found is not None else update
        namespace = namespace_of(stateful_set)
        return Seen(
            stateful_set,
            pods,
            lambda claim: self.claims.get(claim, namespace),
            current,
            update,
            self.context.now(),
        )

    async def _carry_out(self, key: str, stateful_set: Obj, made: Plan) -> StatusError | None:
        namespace = namespace_of(stateful_set)
        members = Members(
            self.client, self.recorder, stateful_set, lambda claim: self.claims.get(claim, namespace)
        )

        failure: StatusError | None = None
        for phase in made.phases:
            failure = await (_in_turn if is_ordered(stateful_set) else _at_once)(phase, members.take)
            if failure is not None:
                break
        for pod in members.created:
            self._created.record(key, pod)
        self._deleted.expect(key, deletions=self._unseen(members.deleted))
        return failure

    def _unseen(self, deleted: Iterable[Obj]) -> list[str]:
        """The uids of deleted pods that the cache still shows as alive."""
        cached = (self.pods.get(name_of(pod), namespace_of(pod)) for pod in deleted)
        gone = {pod["metadata"]["uid"] for pod in deleted}
        return [
            pod["metadata"]["uid"]
            for pod in cached
            if pod is not None and not deleting(pod) and pod["metadata"]["uid"] in gone
        ]


async def _in_turn(steps: Sequence[Step], take: Take) -> StatusError | None:
    for step in steps:
        if failure := await take(step):
            return failure
    return None


async def _at_once(steps: Sequence[Step], take: Take) -> StatusError | None:
    return (await slow_start(steps, take))[1]


def _ownership(claim: Obj) -> tuple[object, ...]:
    meta = claim["metadata"]
    return meta["uid"], "deletionTimestamp" in meta, meta.get("ownerReferences")
