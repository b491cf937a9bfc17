"""Events, which two groups serve: core with `involvedObject`, events.k8s.io with `regarding`. They are kept
in the form of the first; a strategy may meet either."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, ClassVar

from podium.api.groups import cells
from podium.api.strategy import Column, Strategy, same
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, metadata, names, values

_ABOUT = (
    "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
    "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath",
)  # fmt: skip
# The names that fields have in events.k8s.io, and in core.
_CORE_NAMES = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}


def as_core(obj: Obj) -> Obj:
    """An Event of either group in core's form."""
    if obj.get("apiVersion", "v1") == "v1":
        return obj
    return {_CORE_NAMES.get(key, key): value for key, value in obj.items()}


# What an event of the newer kind never changes; only its series goes on.
_FIXED = (
    "involvedObject", "reason", "message", "source", "firstTimestamp", "lastTimestamp", "count", "type",
    "eventTime", "action", "related", "reportingComponent", "reportingInstance",
)  # fmt: skip
_NEW_NAMES = {"reportingComponent": "reportingController"}
_LIMITS = (("reportingInstance", 128), ("action", 128), ("reason", 128), ("message", 1024))


def _misplaced(namespace: str) -> Cause:
    return causes.invalid("involvedObject.namespace", namespace, "does not match event.namespace")


def _complete(event: Obj, controller_field: str) -> list[Cause]:
    reporter = event.get("reportingComponent") or ""
    found = [] if reporter else [causes.required(controller_field)]
    found += values.named(reporter, controller_field, names.qualified)
    for key, limit in _LIMITS:
        text = event.get(key) or ""
        if not text and key != "message":
            found.append(causes.required(key))
        if len(text.encode()) > limit:
            found.append(causes.invalid(key, "", f"can have at most {limit} characters"))
    return found


def _series(event: Obj) -> list[Cause]:
    series = event.get("series")
    if series is None:
        return []
    found: list[Cause] = []
    if series.get("count", 0) < 2:
        found.append(causes.invalid("series.count", "", "should be at least 2"))
    if not series.get("lastObservedTime"):
        found.append(causes.required("series.lastObservedTime"))
    return found


class Events(Strategy):
    controller_field: ClassVar[str] = "reportingComponent"
    allow_create_on_update = True
    columns = (

        *cells.table( "Last Seen", "Type", "Reason", "Object", "Subobject:string:1", "Source:string:1",
        "Message", "First Seen:string:1", "Count:string:1", ),
        Column("Name", "string", "name", "", 1),
    )  # fmt: skip
    fields = same(*_ABOUT, "reason", "reportingComponent", "source", "type")

    def check(self, obj: Obj) -> list[Cause]:
        """An event of the newer kind (it has an eventTime) is complete; of one of the older, only where it
        lies is looked at."""
        event, namespace = as_core(obj), obj["metadata"].get("namespace", "")
        where = (event.get("involvedObject") or {}).get("namespace", "")
        if event.get("eventTime"):
            fits = bool(where) or namespace in ("default", "kube-system")
            return ([] if fits else [_misplaced(where)]) + _complete(event, self.controller_field)
        return [] if namespace == where or (not where and namespace == "default") else [_misplaced(where)]

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        event = as_core(obj)
        first = cells.since(event.get("firstTimestamp") or event.get("eventTime"), now)
        last = cells.since(event["lastTimestamp"], now) if event.get("lastTimestamp") else first
        count = event.get("count") or 1
        if series := event.get("series"):
            last, count = cells.since(series.get("lastObservedTime"), now), series.get("count", 0)
        about = event.get("involvedObject") or {}
        kind, name = about.get("kind", "").lower(), about.get("name", "")
        return [
            last, event.get("type", ""), event.get("reason", ""), f"{kind}/{name}" if name else kind,
            about.get("fieldPath", ""), _source(event), event.get("message", "").strip(), first, count,
            obj["metadata"]["name"],
        ]  # fmt: skip

    def field(self, obj: Obj, path: str) -> str:
        event = as_core(obj)
        if path == "source":
            component = (event.get("source") or {}).get("component")
            return str(component or event.get("reportingComponent", ""))
        return super().field(event, path)


def _source(event: Obj) -> str:
    source = event.get("source") or {}
    component = source.get("component") or event.get("reportingComponent", "")
    host = source.get("host") or event.get("reportingInstance", "")
    return f"{component}, {host}" if host else str(component)


class NewEvents(Events):
    fields: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            **{path.replace("involvedObject", "regarding"): path for path in _ABOUT},
            **same("reason", "type"),
            "reportingController": "reportingComponent",
        }
    )

    controller_field = "reportingController"

    def check(self, obj: Obj) -> list[Cause]:
        event = as_core(obj)
        found = super().check(obj) + _series(event)
        if not event.get("eventTime"):
            found.append(causes.required("eventTime"))
        if event.get("type") not in ("Normal", "Warning"):
            found.append(causes.invalid("type", "", f"has invalid value: {event.get('type', '')}"))
        return found + [
            causes.invalid(key, "", "needs to be unset")
            for key in ("firstTimestamp", "lastTimestamp", "count", "source")
            if event.get(key)
        ]

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        event, former = as_core(new), as_core(old)
        found = super().check(new)
        if event.get("series") != former.get("series"):
            found += _series(event)
        for key in _FIXED:
            name = _NEW_NAMES.get(key, key)
            found += metadata.immutable(event.get(key), former.get(key), name)
        return found
