"""One device of a ResourceSlice: its attributes, capacities, counters and taints.

Source: API reference, Device; KEP-4815, KEP-5055, KEP-5075.
"""

from __future__ import annotations

import re

from podium.api.groups.core.pod_validation.scheduling import node_selector
from podium.api.groups.devices import parts, policies
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, names, values

MOST_FACTS, MOST_VALUES, MOST_TAINTS, MOST_COUNTERS, MOST_CONSUMED = 32, 48, 16, 32, 2
LONGEST_VALUE = 64
TAINT_EFFECTS = ("NoExecute", "NoSchedule", "None")
_PLACES = ("nodeName", "nodeSelector", "allNodes")
_ONE_PLACE = (
    "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is "
    "set to true in the ResourceSlice spec"
)
_NO_PLACE = (
    "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in "
    "the ResourceSlice spec"
)
_NUMBER = r"(0|[1-9]\d*)"
_PRE = r"(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)"
_VERSION = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(-{_PRE}(\.{_PRE})*)?(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?"
)
_KINDS = ("bool", "int", "string", "version", "bools", "ints", "strings", "versions")


def check(device: Obj, path: str, each_place: bool) -> list[Cause]:
    """`each_place`: whether the devices of the slice say by themselves where they are."""
    found = values.named(device.get("name", ""), f"{path}.name", names.dns_label)
    attributes, capacities = device.get("attributes") or {}, device.get("capacity") or {}
    count = len(attributes) + len(capacities)
    if count > MOST_FACTS:
        detail = f"the total number of attributes and capacities must not exceed {MOST_FACTS}"
        found.append(causes.invalid(path, count, detail))
    count = sum(_size(attribute) for attribute in attributes.values())
    if count > MOST_VALUES:
        detail = f"the total number of attribute values must not exceed {MOST_VALUES}"
        found.append(causes.invalid(path, count, detail))
    for key, attribute in attributes.items():
        where = f"{path}.attributes"
        found += parts.qualified(key, where) + _attribute(attribute, f"{where}[{key}]")
    for key, capacity in capacities.items():
        where = f"{path}.capacity"
        found += parts.qualified(key, where)
        found += policies.check(capacity, f"{where}[{key}]", bool(device.get("allowMultipleAllocations")))
    found += parts.each(device.get("taints"), MOST_TAINTS, _taint, f"{path}.taints")
    where = f"{path}.consumesCounters"
    found += parts.unique(
        device.get("consumesCounters"), MOST_CONSUMED, _consumed, where, lambda each: each.get("counterSet")
    )
    return found + _place(device, path, each_place) + parts.bindings(device, path)


def _size(attribute: Obj) -> int:
    return sum(len(attribute.get(key) or ()) for key in _KINDS[4:]) or 1


def _attribute(attribute: Obj, path: str) -> list[Cause]:
    given = [key for key in _KINDS if attribute.get(key) is not None]
    found: list[Cause] = []
    for key in given:
        value, where = attribute[key], f"{path}.{key}"
        if key in ("string", "version"):
            found += _text(value, key, where)
        elif key.endswith("s"):
            if not value:
                found.append(causes.invalid(where, value, "must not be empty if specified"))
            if key in ("strings", "versions"):
                for index, text in enumerate(value):
                    found += _text(text, key[:-1], f"{where}[{index}]")
    if len(given) != 1:
        shown = attribute if given else ""
        found.append(causes.invalid(path, shown, "exactly one value must be specified"))
    return found


def _text(text: str, kind: str, path: str) -> list[Cause]:
    found: list[Cause] = []
    if kind == "version" and not _VERSION.fullmatch(text):
        detail = "must be a string compatible with semver.org spec 2.0.0"
        found.append(causes.invalid(path, text, detail))
    return [*found, causes.too_long(path, LONGEST_VALUE)] if len(text) > LONGEST_VALUE else found


def _taint(taint: Obj, path: str) -> list[Cause]:
    found = values.named(taint.get("key", ""), f"{path}.key", names.qualified)
    found += values.named(taint.get("value", ""), f"{path}.value", names.label_value)
    return found + values.one_of(taint.get("effect"), f"{path}.effect", TAINT_EFFECTS)


def _consumed(part: Obj, path: str) -> list[Cause]:
    return _counters(part, "counterSet", path)


def counter_set(part: Obj, path: str) -> list[Cause]:
    return _counters(part, "name", path)


def _counters(part: Obj, key: str, path: str) -> list[Cause]:
    """A set of counters, called by `key`."""
    name, where = part.get(key) or "", f"{path}.{key}"
    found = values.named(name, where, names.dns_label) if name else [causes.required(where)]
    counters, where = part.get("counters") or {}, f"{path}.counters"
    if not counters:
        return [*found, causes.required(where)]
    if len(counters) > MOST_COUNTERS:
        return [*found, causes.too_many(where, len(counters), MOST_COUNTERS)]
    return found + [cause for name in counters for cause in values.named(name, where, names.dns_label)]


def _place(device: Obj, path: str, each_place: bool) -> list[Cause]:
    if not each_place:
        anywhere = any(device.get(key) is not None for key in _PLACES)
        return [causes.invalid(path, None, _NO_PLACE)] if anywhere else []
    found: list[Cause] = []
    name, selector = device.get("nodeName"), device.get("nodeSelector")
    if name == "":
        found.append(causes.invalid(f"{path}.nodeName", name, "must not be empty"))
    elif name is not None:
        found += values.named(name, f"{path}.nodeName", names.dns_subdomain)
    if selector is not None:
        found += node_selector(selector, f"{path}.nodeSelector")
    if device.get("allNodes") is False:
        detail = "must be either unset or set to true"
        found.append(causes.invalid(f"{path}.allNodes", False, detail))
    given = [key for key in _PLACES if device.get(key) not in (None, "", False)]
    if not given:
        found.append(causes.required(path, _ONE_PLACE))
    elif len(given) > 1:
        shown = f"{{{', '.join(f'`{key}`' for key in given)}}}"
        found.append(causes.invalid(path, shown, _ONE_PLACE))
    return found
