"""ResourceSlices: the devices that a driver has."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from podium.api.groups import cells
from podium.api.groups.core.pod_validation.scheduling import node_selector
from podium.api.groups.core.volume_sources import driver_name
from podium.api.groups.devices import described, parts
from podium.api.strategy import Strategy, same
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, metadata, names, values

MOST_DEVICES, MOST_ADVANCED_DEVICES, MOST_COUNTER_SETS = 128, 64, 8
_PLACES = ("nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection")
_ONE_PLACE = f"exactly one of {', '.join(f'`{key}`' for key in _PLACES)} is required"


class ResourceSlices(Strategy):
    has_generation = True
    columns = cells.table("Name", "Node", "Driver", "Pool", "Age")
    fields = same("spec.nodeName", "spec.driver")

    def check(self, obj: Obj) -> list[Cause]:
        return _spec(obj.get("spec") or {}, "spec")

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        spec, former = new.get("spec") or {}, old.get("spec") or {}
        name, before = ((part.get("pool") or {}).get("name") for part in (spec, former))
        found = metadata.immutable(name, before, "spec.pool.name")
        for key in ("driver", "nodeName"):
            found += metadata.immutable(spec.get(key), former.get(key), f"spec.{key}")
        return found + self.check(new)

    def unknown_label(self, label: str) -> str:
        return f"field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: {label}"

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        spec = obj.get("spec") or {}
        return [
            obj["metadata"]["name"], spec.get("nodeName") or "", spec.get("driver", ""),
            (spec.get("pool") or {}).get("name", ""), cells.age(obj, now),
        ]  # fmt: skip


def _spec(spec: Obj, path: str) -> list[Cause]:
    found = driver_name(spec.get("driver", ""), f"{path}.driver")
    found += _pool(spec.get("pool") or {}, f"{path}.pool") + _place(spec, path)
    devices, counters = spec.get("devices"), spec.get("sharedCounters")
    if devices is not None and counters is not None:
        detail = "only one of `sharedCounters` or `devices` is allowed"
        found.append(causes.invalid(path, "", detail))
    advanced = any(device.get("taints") or device.get("consumesCounters") for device in devices or ())
    most, each_place = (
        MOST_ADVANCED_DEVICES if advanced else MOST_DEVICES,
        bool(spec.get("perDeviceNodeSelection")),
    )

    def device(given: Obj, where: str) -> list[Cause]:
        return described.check(given, where, each_place)

    found += parts.unique(devices, most, device, f"{path}.devices", lambda each: each.get("name"))
    where = f"{path}.sharedCounters"
    return found + parts.unique(
        counters, MOST_COUNTER_SETS, described.counter_set, where, lambda each: each.get("name")
    )


def _pool(pool: Obj, path: str) -> list[Cause]:
    found = parts.pool_name(pool.get("name", ""), f"{path}.name")
    count, generation = pool.get("resourceSliceCount", 0), pool.get("generation", 0)
    if count <= 0:
        found.append(causes.invalid(f"{path}.resourceSliceCount", count, "must be greater than zero"))
    if generation < 0:
        detail = "must be greater than or equal to zero"
        found.append(causes.invalid(f"{path}.generation", generation, detail))
    return found


def _place(spec: Obj, path: str) -> list[Cause]:
    """Where the devices can be used: said in exactly one way."""
    found: list[Cause] = []
    name, selector = spec.get("nodeName"), spec.get("nodeSelector")
    if name == "":
        detail = "must be either unset or set to a non-empty string"
        found.append(causes.invalid(f"{path}.nodeName", name, detail))
    elif name is not None:
        found += values.named(name, f"{path}.nodeName", names.dns_subdomain)
    if selector is not None:
        found += node_selector(selector, f"{path}.nodeSelector")
        terms = selector.get("nodeSelectorTerms") or []
        if len(terms) != 1:
            where = f"{path}.nodeSelector.nodeSelectorTerms"
            found.append(causes.invalid(where, terms, "must have exactly one node selector term"))
    found += [
        causes.invalid(f"{path}.{key}", False, "must be either unset or set to true")
        for key in ("allNodes", "perDeviceNodeSelection")
        if spec.get(key) is False
    ]
    given = [key for key in _PLACES if spec.get(key) not in (None, "", False)]
    if not given:
        found.append(causes.required(path, _ONE_PLACE))
    elif len(given) > 1:
        shown = f"{{{', '.join(f'`{key}`' for key in given)}}}"
        found.append(causes.invalid(path, shown, f"{_ONE_PLACE}, but multiple fields are set"))
    return found
