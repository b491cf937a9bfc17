"""Events: what happened to an object, told to whoever runs `kubectl describe`. Best effort by design:
recording never blocks, never fails the caller, and drops what comes too fast.

The same event again raises the count of the first instead of making another. Many events about one object
that differ in their message alone become one "(combined from similar events)". One object's events are
limited by a token bucket. Source of the numbers: client-go's defaults (tools/record/events_cache.go).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.resources import EVENTS, EVENTS_V1
from podium.client.base import Client

log = logging.getLogger(__name__)
K = TypeVar("K")
V = TypeVar("V")

QUEUE_LENGTH = 1000
CACHE_SIZE = 4096  # objects and events remembered
AGGREGATE_AFTER = 10  # similar events within the window from which on they are combined
WINDOW = 600.0  # seconds
BURST = 25  # events about one object at once
REFILL = 300.0  # seconds until one more is allowed
NAME_LIMIT = 253


class Pending(NamedTuple):
    """One thing that happened, `stamp` seconds since the epoch. With an `action` (what was done about it) it
    is told through events.k8s.io."""

    reference: Obj
    type: str
    reason: str
    message: str
    stamp: float
    action: str = ""
    related: Obj | None = None


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float

    def take(self, now: float) -> bool:
        self.tokens = min(float(BURST), self.tokens + (now - self.at) / REFILL)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass(slots=True)
class _Similar:
    """Messages of one kind of event about one object, and when the last came."""

    messages: set[str] = field(default_factory=set)
    at: float = 0.0


class _Seen(NamedTuple):
    """The Event in the API that stands for all of one key."""

    namespace: str
    name: str
    times: int


class Correlator:
    """Decides what becomes of an event: dropped, counted on an earlier one, or made. No I/O, no clock of its
    own."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._similar: OrderedDict[tuple[str, ...], _Similar] = OrderedDict()
        self._seen: OrderedDict[tuple[str, ...], _Seen] = OrderedDict()

    def admit(self, pending: Pending) -> Pending | None:
        """The event as it is to be recorded (perhaps combined with similar ones), or None where the object
        has had too many."""
        reference = pending.reference
        about = "/".join(reference.get(part, "") for part in ("kind", "namespace", "name", "uid"))
        bucket = _recall(self._buckets, about) or _Bucket(BURST, pending.stamp)
        _remember(self._buckets, about, bucket)
        kind = (about, pending.type, pending.reason)
        similar = _recall(self._similar, kind)
        if similar is None or pending.stamp - similar.at > WINDOW:
            similar = _Similar()
        _remember(self._similar, kind, similar)
        similar.at = pending.stamp
        similar.messages.add(pending.message)
        if len(similar.messages) >= AGGREGATE_AFTER:
            similar.messages.remove(pending.message)
            pending = pending._replace(message=f"(combined from similar events): {pending.message}")
        return pending if bucket.take(pending.stamp) else None

    def earlier(self, key: tuple[str, ...]) -> _Seen | None:
        return _recall(self._seen, key)

    def recorded(self, key: tuple[str, ...], seen: _Seen) -> None:
        _remember(self._seen, key, seen)

    @staticmethod
    def key(pending: Pending) -> tuple[str, ...]:
        """Events with one key are one Event in the API."""
        reference = pending.reference
        combined = pending.message.startswith("(combined from similar events)")
        return (
            reference.get("uid", ""),
            reference.get("kind", ""),
            reference.get("namespace", ""),
            reference.get("name", ""),
            reference.get("fieldPath", ""),
            pending.type,
            pending.reason,
            "" if combined else pending.message,
        )


def _recall(cache: OrderedDict[K, V], key: K) -> V | None:
    if key in cache:
        cache.move_to_end(key)
    return cache.get(key)


def _remember(cache: OrderedDict[K, V], key: K, value: V) -> None:
    cache[key] = value
    cache.move_to_end(key)
    if len(cache) > CACHE_SIZE:
        cache.popitem(last=False)


def reference_to(obj: Obj, field_path: str = "") -> Obj:
    """The ObjectReference of an object, or the object itself where it is a reference already."""
    if "metadata" not in obj:
        return {**obj, "fieldPath": field_path} if field_path else obj
    meta = obj["metadata"]
    pairs = {
        "kind": obj.get("kind"),
        "namespace": meta.get("namespace"),
        "name": meta.get("name"),
        "uid": meta.get("uid"),
        "apiVersion": obj.get("apiVersion"),
        "resourceVersion": meta.get("resourceVersion"),
        "fieldPath": field_path,
    }
    return {name: value for name, value in pairs.items() if value}


class EventRecorder:
    """Records the events of one component (on one host). Usable at once on a running loop; `close` writes
    what is left."""

    def __init__(
        self, client: Client, component: str, host: str = "",
        *, turn: Callable[[], Awaitable[None]] | None = None,
    ) -> None:  # fmt: skip
        """`turn` is awaited before each event that is written: others may come first. When many events wait,
        nobody does."""
        self._client = client
        self._component, self._host = component, host
        self._turn = turn
        self._correlator = Correlator()
        self._queue: asyncio.Queue[Pending] = asyncio.Queue(QUEUE_LENGTH)
        self._task: asyncio.Task[None] | None = None

    def event(
        self, obj: Obj, type_: str, reason: str, message: str, *, field_path: str = "", action: str = "",
        related: Obj | None = None,
    ) -> None:  # fmt: skip
        """Notes that `reason` (CamelCase) happened to `obj` (an object or an ObjectReference). `type_` is
        Normal or Warning; `field_path` narrows it down, e.g. to `spec.containers{web}`. With `action` it is
        an event of events.k8s.io, which may be about a second, `related`, object too."""
        also = reference_to(related) if related is not None else None
        reference = reference_to(obj, field_path)
        pending = Pending(reference, type_, reason, message[:1024], time.time(), action, also)
        admitted = self._correlator.admit(pending)
        if admitted is None:
            return
        try:
            self._queue.put_nowait(admitted)
        except asyncio.QueueFull:
            log.debug("event dropped, too many wait: %s %s", reason, message)
            return
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"events of {self._component}")

    async def flush(self) -> None:
        """Waits until everything noted so far is written or given up."""
        await self._queue.join()

    async def close(self, patience: float = 5.0) -> None:
        """Writes what is left, for at most `patience` seconds, and stops."""
        if self._task is None:
            return
        self._turn = None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.flush(), patience)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None

    async def _run(self) -> None:
        while True:
            pending = await self._queue.get()
            try:
                if self._turn is not None and self._queue.qsize() < QUEUE_LENGTH // 2:
                    await self._turn()
                await self._write(pending)
            except (StatusError, ConnectionError) as error:
                log.debug("event not recorded: %s %s: %s", pending.reason, pending.message, error)
            finally:
                self._queue.task_done()

    async def _write(self, pending: Pending) -> None:
        key = self._correlator.key(pending)
        seen = self._correlator.earlier(key)
        if seen is not None:
            try:
                await self._count(pending, seen)
            except StatusError as error:
                if error.code != 404:  # expired meanwhile: made afresh below
                    raise
            else:
                self._correlator.recorded(key, seen._replace(times=seen.times + 1))
                return
        if pending.action:
            event = new_style_event(pending, self._component, self._host or socket.gethostname())
            made = await self._client.create(EVENTS_V1, event)
        else:
            made = await self._client.create(EVENTS, new_event(pending, self._component, self._host))
        meta = made["metadata"]
        self._correlator.recorded(key, _Seen(meta["namespace"], meta["name"], 1))

    async def _count(self, pending: Pending, seen: _Seen) -> None:
        if pending.action:
            series = {"count": seen.times + 1, "lastObservedTime": precise_timestamp_of(pending.stamp)}
            await self._client.patch(EVENTS_V1, seen.name, {"series": series}, seen.namespace)
            return
        patch = {
            "count": seen.times + 1,
            "lastTimestamp": timestamp_of(pending.stamp),
            "message": pending.message,
        }
        await self._client.patch(EVENTS, seen.name, patch, seen.namespace)


def timestamp_of(stamp: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(stamp))


def precise_timestamp_of(stamp: float) -> str:
    micros = int(stamp % 1 * 1e6)
    return time.strftime(f"%Y-%m-%dT%H:%M:%S.{micros:06}Z", time.gmtime(stamp))


def _meta(reference: Obj) -> Obj:
    """The metadata of an event about `reference`. The name is unique by the nanosecond it was recorded at;
    cluster-scoped objects' events are kept in namespace default."""
    unique = f".{time.time_ns():x}"
    name = reference.get("name", "")[: NAME_LIMIT - len(unique)] + unique
    return {"name": name, "namespace": reference.get("namespace") or "default"}


def new_style_event(pending: Pending, component: str, host: str) -> Obj:
    """The events.k8s.io/v1 Event."""
    event: Obj = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": _meta(pending.reference),
        "eventTime": precise_timestamp_of(pending.stamp),
        "reportingController": component,
        "reportingInstance": f"{component}-{host}"[:128],
        "action": pending.action,
        "reason": pending.reason,
        "regarding": pending.reference,
        "note": pending.message,
        "type": pending.type,
    }
    if pending.related is not None:
        event["related"] = pending.related
    return event


def new_event(pending: Pending, component: str, host: str) -> Obj:
    """The core/v1 Event."""
    stamp = timestamp_of(pending.stamp)
    source = {"component": component, "host": host} if host else {"component": component}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": _meta(pending.reference),
        "involvedObject": pending.reference,
        "type": pending.type,
        "reason": pending.reason,
        "message": pending.message,
        "source": source,
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
        "reportingComponent": component,
        "reportingInstance": host,
    }
