"""The controller of ReplicaSets and, with another selector, of ReplicationControllers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import controller_of, deleting, key_of, namespace_of, split_key
from podium.api.types.resources import PODS, REPLICA_SETS, REPLICATION_CONTROLLERS, Resource
from podium.api.types.selectors import Selector, from_label_selector, from_map
from podium.control.claims import Claimer
from podium.control.controller import Context, Controller, own_key, owner_key
from podium.control.expectations import Expectations
from podium.control.podrequests import PodRequests
from podium.control.pods import (
    BY_CONTROLLER,
    by_controller,
    controlled,
    from_template,
    is_active,
    is_finished,
    orphans,
)
from podium.control.replicas.ranking import victims
from podium.control.replicas.status import calculate, next_check

log = logging.getLogger(__name__)

BURST = 500  # pods created or deleted in one go


class Kind(NamedTuple):
    """What differs between the two kinds."""

    resource: Resource
    component: str
    selector: Callable[[Obj], Selector]
    counts_terminating: bool


REPLICA_SET = Kind(
    REPLICA_SETS, "replicaset-controller", lambda obj: from_label_selector(obj["spec"].get("selector")), True
)
REPLICATION_CONTROLLER = Kind(
    REPLICATION_CONTROLLERS,
    "replication-controller",
    lambda obj: from_map(obj["spec"].get("selector")),
    False,
)


class ReplicaController(Controller):
    """Keeps so many active pods per object as it asks for."""

    workers = 5

    def __init__(self, context: Context, kind: Kind = REPLICA_SET) -> None:
        self.name = kind.component
        super().__init__(context)
        self.kind = kind
        self.recorder = context.recorder(kind.component)
        self.expectations = Expectations()
        self._requests = PodRequests(context.client, self.recorder, self.expectations)
        self._claimer = Claimer(context.client, kind.resource, PODS)
        self.owners = self.watch(kind.resource, own_key, {BY_CONTROLLER: by_controller})
        self.pods = self.watch(PODS, self._pod_changed, {BY_CONTROLLER: by_controller})

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> Iterable[str]:
        """Ticks off what was expected, and names the owners concerned: the pod's now, and the one it had."""
        for pod in (old, new):
            if pod is not None and (key := owner_key(pod, self.kind.resource.kind)):
                if old is None and not deleting(pod):
                    self.expectations.created(key)
                if new is None or deleting(pod):
                    self.expectations.deleted(key, pod["metadata"]["uid"])
                yield key
        if new is not None and controller_of(new) is None and not deleting(new):
            yield from self._adopters(new)

    def _adopters(self, pod: Obj) -> Iterable[str]:
        labels = pod["metadata"].get("labels")
        if not labels:
            return
        for owner in self.owners.list(namespace_of(pod)):
            selector = self.kind.selector(owner)
            if not selector.everything and selector.matches(labels):
                yield key_of(owner)

    async def reconcile(self, key: str) -> None:
        namespace, name = split_key(key)
        owner = self.owners.get(name, namespace)
        if owner is None:
            self.expectations.forget(key)
            return
        satisfied = self.expectations.satisfied(key)
        mine = controlled(self.pods, owner)
        candidates = [pod for pod in (*mine, *orphans(self.pods, namespace)) if is_active(pod)]
        active = await self._claimer.claim(owner, self.kind.selector(owner), candidates)
        failure: StatusError | None = None
        if satisfied and not deleting(owner):
            failure = await self._manage(key, owner, active)
        terminating = sum(deleting(pod) and not is_finished(pod) for pod in mine)
        await self._write_status(owner, active, terminating, failure)
        if failure is not None:
            raise failure
        if wait := next_check(owner, active, self.context.now()):
            self.queue.add_after(key, wait)

    async def _manage(self, key: str, owner: Obj, active: Sequence[Obj]) -> StatusError | None:
        """Creates what is missing or deletes what is too much; the first failure, if any."""
        surplus = len(active) - owner["spec"].get("replicas", 1)
        if surplus < 0:
            return await self._create(key, owner, min(-surplus, BURST))
        if surplus > 0:
            chosen = victims(active, min(surplus, BURST), self._related(owner), self.context.now())
            return await self._delete(key, owner, chosen)
        return None

    def _related(self, owner: Obj) -> list[Obj]:
        """The pods of every object that has the same controller as `owner` (a Deployment's ReplicaSets), or
        of `owner`."""
        controller = controller_of(owner)
        if controller is None:
            return controlled(self.pods, owner)
        siblings = self.owners.by_index(BY_CONTROLLER, controller["uid"])
        return [pod for sibling in siblings for pod in controlled(self.pods, sibling)]

    async def _create(self, key: str, owner: Obj, count: int) -> StatusError | None:
        self.expectations.expect(key, creations=count)
        pod = from_template(owner["spec"]["template"], owner)
        return (await self._requests.create(owner, [pod] * count))[1]

    async def _delete(self, key: str, owner: Obj, chosen: Sequence[Obj]) -> StatusError | None:
        self.expectations.expect(key, deletions=(pod["metadata"]["uid"] for pod in chosen))
        results = await asyncio.gather(*(self._requests.delete(owner, pod) for pod in chosen))
        return next((result for result in results if result is not None), None)

    async def _write_status(
        self, owner: Obj, active: Sequence[Obj], terminating: int, failure: StatusError | None
    ) -> None:
        status = calculate(
            owner,
            active,
            terminating if self.kind.counts_terminating else None,
            failure.message if failure else "",
            self.context.now(),
        )
        if status == {"replicas": 0, **(owner.get("status") or {})}:
            return
        await self.write_status(self.kind.resource, owner, status)
