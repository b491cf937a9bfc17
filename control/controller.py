"""The controller pattern: watched changes become keys, keys become calls of `reconcile`, one at a time per
key.

A controller is level-triggered: `reconcile` looks at what is and does what is missing, whatever event brought
it there. A key that fails comes back after a growing pause. Everything that a controller reads from an
informer is read-only.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeAlias

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import controller_of, key_of, namespace_of
from podium.api.types.resources import Resource
from podium.client.base import Client
from podium.client.clock import Clock
from podium.client.events import EventRecorder
from podium.client.factory import InformerFactory
from podium.client.informer import Indexer, Informer
from podium.client.workqueue import WorkQueue
from podium.control.numbers import Numbers

log = logging.getLogger(__name__)

Mapper: TypeAlias = Callable[[Obj | None, Obj | None], Iterable[str]]


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Context:
    """What all controllers of a process share. `clock` runs the queues' timers (by default the event loop's),
    `now` tells the time of day for what is written into objects."""

    client: Client
    informers: InformerFactory
    clock: Clock | None = None
    now: Callable[[], datetime] = utc_now
    recorders: dict[str, EventRecorder] = field(default_factory=dict)
    numbers: Numbers = field(default_factory=Numbers)
    _clock_listeners: list[Callable[[], None]] = field(default_factory=list)

    def on_clock_set(self, listener: Callable[[], None]) -> None:
        """`listener` is called when the time of day has jumped: timers set before mean another time now."""
        self._clock_listeners.append(listener)

    def clock_set(self) -> None:
        """The time of day has jumped."""
        for listener in self._clock_listeners:
            listener()

    def recorder(self, component: str) -> EventRecorder:
        """The event recorder of one component, made once."""
        if component not in self.recorders:
            self.recorders[component] = EventRecorder(self.client, component)
        return self.recorders[component]

    async def close(self) -> None:
        """Writes the events that wait."""
        await asyncio.gather(*(recorder.close() for recorder in self.recorders.values()))


def namespace_ends(error: StatusError) -> bool:
    """Whether a create was refused because its namespace is being deleted: nothing to report, nothing to
    repair."""
    causes = (error.details or {}).get("causes") or ()
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)


def own_key(old: Obj | None, new: Obj | None) -> Iterable[str]:
    """The mapper of a controller's own kind: the object itself."""
    obj = new or old
    return (key_of(obj),) if obj is not None else ()


def owner_key(obj: Obj, kind: str) -> str:
    """The key of the `kind` that controls the object, "" where something else or nothing does."""
    owner = controller_of(obj)
    return f"{namespace_of(obj)}/{owner['name']}" if owner is not None and owner["kind"] == kind else ""


class Controller(ABC):
    """One control loop. Made before its informers run; `run` works until cancelled and may be called again
    after it failed: queue and caches live on."""

    name = ""
    workers = 4

    def __init__(self, context: Context) -> None:
        self.context = context
        self.client = context.client
        self.queue: WorkQueue[str] = WorkQueue(clock=context.clock, meter=context.numbers.queue(self.name))
        self._watched: list[Informer] = []

    def watch(
        self,
        resource: Resource,
        mapper: Mapper | None = None,
        indexers: dict[str, Indexer] | None = None,
        *,
        fields: str = "",
    ) -> Informer:
        """Every change of `resource` adds the keys that `mapper` maps it to; without one it is only
        cached."""
        informer = self.context.informers.informer(resource, indexers, fields=fields)
        self._watched.append(informer)
        if mapper is not None:
            mapped = mapper

            def changed(old: Obj | None, new: Obj | None) -> None:
                for key in mapped(old, new):
                    self.queue.add(key)

            informer.add_handler(changed)
        return informer

    async def write_status(self, resource: Resource, obj: Obj, status: Obj) -> Obj | None:
        """What the server has now; None where nothing had to be written, or the object has gone."""
        if status == (obj.get("status") or {}):
            return None
        try:
            return await self.client.update(resource, {**obj, "status": status}, subresource="status")
        except StatusError as error:
            if error.code != 404:
                raise
            return None

    @abstractmethod
    async def reconcile(self, key: str) -> None:
        """Makes one step from what is towards what is wanted for `key`; a failure is tried again later."""

    async def run(self) -> None:
        """Works once all watched kinds are cached, until cancelled."""
        for informer in self._watched:
            await informer.synced()
        async with asyncio.TaskGroup() as group:
            for number in range(self.workers):
                working = self.queue.work(self.reconcile, self._failed)
                group.create_task(working, name=f"{self.name} worker {number}")

    def _failed(self, key: str, error: Exception) -> None:
        if not isinstance(error, StatusError | ConnectionError):
            log.error("%s: %s failed", self.name, key, exc_info=error)
            return
        expected = isinstance(error, StatusError) and (
            error.reason in ("Conflict", "AlreadyExists") or namespace_ends(error)
        )
        log.log(logging.DEBUG if expected else logging.INFO, "%s: %s: %s", self.name, key, error)
