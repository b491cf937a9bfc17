"""What all verbs work with: the store, the kinds, admission, a clock. One per server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import NamedTuple, Protocol

from podium.api.admission import Admission, AdmissionRequest
from podium.api.ask import Ask, Made, Outcome
from podium.api.kinds import Kind, Kinds
from podium.api.store.base import Entry, Store, WatchDropped
from podium.api.types import Obj
from podium.api.types.errors import StatusError, not_found
from podium.api.types.resources import Resource

# Seconds: as long as upstream waits for the default service account of a namespace that was just made.
APPEARANCE = 1.0


class Closable(Protocol):
    """An open watch of a kind."""

    kind: Kind

    def close(self) -> None: ...


class Core(NamedTuple):
    """`streams` are the open watches; whoever stops the server closes them."""

    store: Store
    kinds: Kinds
    admission: Admission
    clock: Callable[[], datetime]
    streams: set[Closable]

    def lookup(self, resource: Resource, namespace: str, name: str) -> Obj | None:
        """The current object, read-only, or None."""
        entry = self.store.get(self.kinds.of(resource).key(namespace, name))
        return entry.obj if entry else None

    def every(self, resource: Resource, namespace: str = "") -> Iterator[Obj]:
        """The current objects that can be read, read-only."""
        for entry in self.store.list(self.kinds.of(resource).below(namespace)):
            if entry.readable:
                yield entry.obj

    def accepted(self, resource: Resource, namespace: str = "") -> Iterator[Obj]:
        """As `every`, with the writes that were accepted and are not durable yet: for what must not be
        passed by two at the same time."""
        for entry in self.store.latest_below(self.kinds.of(resource).below(namespace)):
            if entry.readable:
                yield entry.obj

    async def appears(self, resource: Resource, namespace: str, name: str) -> Obj | None:
        """Waits a moment for an object that somebody is about to make. None when nobody did."""
        key = self.kinds.of(resource).key(namespace, name)
        watch = self.store.watch(key.rpartition("/")[0] + "/", self.store.revision)
        try:
            async with asyncio.timeout(APPEARANCE):
                async for events in watch:
                    for event in events:
                        if event.key == key and event.type != "DELETED":
                            return event.entry.obj
        except (TimeoutError, WatchDropped):
            return self.lookup(resource, namespace, name)
        finally:
            watch.close()
        return None

    def found(self, ask: Ask) -> Entry:
        """The durable current state. Raises 404."""
        entry = self.store.get(ask.kind.key(ask.namespace, ask.name))
        if entry is None:
            raise missing(ask)
        return entry

    async def mutate(self, ask: Ask, operation: str, obj: Obj | None, old: Obj | None) -> None:
        await self.admission.mutate(_request(ask, operation, obj, old))

    async def validate(self, ask: Ask, operation: str, obj: Obj | None, old: Obj | None) -> None:
        await self.admission.validate(_request(ask, operation, obj, old))


def _request(ask: Ask, operation: str, obj: Obj | None, old: Obj | None) -> AdmissionRequest:
    name = ask.name
    if not name and obj is not None:
        name = obj["metadata"].get("name", "")
    return AdmissionRequest(
        operation, ask.kind.resource, ask.subresource, ask.namespace, name, obj, old, ask.user, ask.dry_run,
        options=ask.options, warnings=ask.warnings, annotations=ask.annotations,
    )  # fmt: skip


def missing(ask: Ask) -> StatusError:
    return not_found(ask.kind.resource.plural, ask.name, ask.kind.resource.group)


def shown(kind: Kind, outcome: Outcome) -> Outcome:
    """The object in the version it is served in, where that takes no waiting."""
    return Made(kind.conversion.from_storage(outcome.obj)) if kind.conversion else outcome


async def presented(kind: Kind, outcome: Outcome) -> Outcome:
    """The object in the version it is served in. Raises 500 where the conversion fails."""
    if kind.translation is not None:
        return Made((await kind.translation.read([outcome.obj]))[0])
    return Made(kind.conversion.from_storage(outcome.obj)) if kind.conversion else outcome
