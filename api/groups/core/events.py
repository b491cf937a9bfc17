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
from podium.api.validation import causes

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


class Events(Strategy):
    allow_create_on_update = True
    columns = (

        *cells.table( "Last Seen", "Type", "Reason", "Object", "Subobject:string:1", "Source:string:1",
        "Message", "First Seen:string:1", "Count:string:1", ),
        Column("Name", "string", "name", "", 1),
    )  # fmt: skip
    fields = same(*_ABOUT, "reason", "reportingComponent", "source", "type")

    def check(self, obj: Obj) -> list[Cause]:
        """An event lies in the namespace of what it is about; one about a cluster's object in `default` or
        kube-system."""
        where = (as_core(obj).get("involvedObject") or {}).get("namespace", "")
        namespace = obj["metadata"].get("namespace", "")
        if where == namespace or (not where and namespace in ("default", "kube-system")):
            return []
        return [causes.invalid("involvedObject.namespace", where, "does not match event.namespace")]

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

    def check(self, obj: Obj) -> list[Cause]:
        found = super().check(obj)
        event = as_core(obj)
        if not event.get("firstTimestamp"):
            keys = ("eventTime", "reportingInstance", "action", "reason")
            found += [causes.required(key) for key in keys if not event.get(key)]
            if not event.get("reportingComponent"):
                found.append(causes.required("reportingController"))
        return found
