"""Nodes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from podium.api.groups import cells
from podium.api.groups.core.pod_validation import resources
from podium.api.groups.core.pod_validation.scheduling import EFFECTS
from podium.api.strategy import Strategy, same
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, names, values

_FEATURE = re.compile(r"[A-Z][a-zA-Z0-9]*(?:/[a-zA-Z0-9]+)*")
_FEATURE_TEXT = (
    "must start with an UpperCamelCase segment, with subsequent segments separated by '/' (e.g., MyFeature "
    "or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes"
)
ROLE = "node-role.kubernetes.io/"
OLD_ROLE = "kubernetes.io/role"


class Nodes(Strategy):
    columns = cells.table(
        "Name", "Status", "Roles", "Age", "Version", "Internal-IP:string:1", "External-IP:string:1",
        "OS-Image:string:1", "Kernel-Version:string:1", "Container-Runtime:string:1",
    )  # fmt: skip
    fields = same("spec.unschedulable")
    status_keeps = ()

    def default(self, obj: Obj) -> None:
        spec = obj.setdefault("spec", {})
        if spec.get("podCIDR") and not spec.get("podCIDRs"):
            spec["podCIDRs"] = [spec["podCIDR"]]
        elif spec.get("podCIDRs") and not spec.get("podCIDR"):
            spec["podCIDR"] = spec["podCIDRs"][0]
        status = obj.setdefault("status", {})
        if status.get("capacity") and not status.get("allocatable"):
            status["allocatable"] = dict(status["capacity"])

    def prepare_create(self, obj: Obj) -> None:
        """A node that registers itself brings its status along."""

    def check(self, obj: Obj) -> list[Cause]:
        spec = obj.get("spec") or {}
        found = _taints(spec.get("taints") or ()) + _resources(obj)
        ranges = spec.get("podCIDRs") or ()
        for index, text in enumerate(ranges):
            found += values.cidr(text, f"spec.podCIDRs[{index}]")
        if len(ranges) > len({":" in text for text in ranges}):
            detail = "may specify no more than one CIDR for each IP family"
            found.append(causes.invalid("spec.podCIDRs", ranges, detail))
        return found + _features(obj)

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        spec, former = new.get("spec") or {}, old.get("spec") or {}
        found = _resources(new) + _features(new) + _addresses(new)
        if former.get("podCIDRs") and former["podCIDRs"] != spec.get("podCIDRs"):
            detail = 'node updates may not change podCIDR except from "" to valid'
            found.append(causes.forbidden("spec.podCIDRs", detail))
        if former.get("providerID") and former["providerID"] != spec.get("providerID"):
            detail = 'node updates may not change providerID except from "" to valid'
            found.append(causes.forbidden("spec.providerID", detail))
        found += _taints(spec.get("taints") or ()) + _config_source(spec.get("configSource"))
        if (spec.get("externalID") or "") != (former.get("externalID") or ""):
            found.append(causes.forbidden("spec.externalID", "may not be updated"))
        return found

    def check_status(self, new: Obj, old: Obj) -> list[Cause]:
        return _resources(new) + _features(new) + _addresses(new)

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        status = obj.get("status") or {}
        info = status.get("nodeInfo") or {}
        kernel = info.get("kernelVersion") or cells.UNKNOWN
        if info.get("architecture"):
            kernel += f" ({info['architecture']})"
        return [
            obj["metadata"]["name"], _status(obj), ",".join(_roles(obj)) or cells.NONE, cells.age(obj, now),
            info.get("kubeletVersion", ""), _address(status, "InternalIP"), _address(status, "ExternalIP"),
            info.get("osImage") or cells.UNKNOWN, kernel,
            info.get("containerRuntimeVersion") or cells.UNKNOWN,
        ]  # fmt: skip

    def field(self, obj: Obj, path: str) -> str:
        if path == "spec.unschedulable":
            return "true" if (obj.get("spec") or {}).get("unschedulable") else "false"
        return super().field(obj, path)


def _config_source(source: Obj | None) -> list[Cause]:
    """A field that nobody looks at any more."""
    path = "spec.configSource"
    if source is None:
        return []
    if (config := source.get("configMap")) is None:
        return [causes.invalid(path, source, "exactly one reference subfield must be non-nil")]
    where = f"{path}.configMap"
    found = [
        causes.forbidden(f"{where}.{key}", f"{key} must not be set in spec")
        for key in ("uid", "resourceVersion")
        if config.get(key)
    ]
    for key, rule in (
        ("namespace", names.dns_label),
        ("name", names.dns_subdomain),
        ("kubeletConfigKey", names.config_key),
    ):
        if not config.get(key):
            found.append(causes.required(f"{where}.{key}"))
        else:
            found += values.named(config[key], f"{where}.{key}", rule)
    return found


def _taints(taints: Sequence[Obj]) -> list[Cause]:
    found: list[Cause] = []
    seen = set()
    for index, taint in enumerate(taints):
        path = f"metadata.taints[{index}]"
        key, value, effect = taint.get("key", ""), taint.get("value", ""), taint.get("effect", "")
        found += values.named(key, f"{path}.key", names.qualified)
        if messages := names.label_value(value):
            found.append(causes.invalid(f"{path}.value", value, ";".join(messages)))
        found += values.one_of(effect, f"{path}.effect", EFFECTS)
        if (key, effect) in seen:
            shown = {"Key": key, "Value": value, "Effect": effect, "TimeAdded": taint.get("timeAdded")}
            cause = causes.duplicate(path, shown)
            text = f"{cause.message}: taints must be unique by key and effect pair"
            found.append(cause._replace(message=text))
        seen.add((key, effect))
    return found


def _resources(node: Obj) -> list[Cause]:
    status = node.get("status") or {}
    found: list[Cause] = []
    for key in ("capacity", "allocatable"):
        for name, amount in (status.get(key) or {}).items():
            found += resources.check_amount(name, amount, f"status.{key}.{name}")
    return found


def _addresses(node: Obj) -> list[Cause]:
    addresses = (node.get("status") or {}).get("addresses") or ()
    return [
        causes.duplicate(
            f"status.addresses[{index}]", {"Type": entry.get("type"), "Address": entry.get("address")}
        )
        for index, entry in enumerate(addresses)
        if entry in addresses[:index]
    ]


def _features(node: Obj) -> list[Cause]:
    """The features that a node says it has: a sorted list of their names."""
    path = "status.declaredFeatures"
    found: list[Cause] = []
    former = ""
    for index, name in enumerate((node.get("status") or {}).get("declaredFeatures") or ()):
        where = f"{path}[{index}]"
        if name == former:
            found.append(causes.duplicate(where, name))
        elif name < former:
            found.append(causes.invalid(where, name, "list must be sorted alphabetically"))
        if not _FEATURE.fullmatch(name):
            detail = f"invalid feature name {causes.render(name)}: {_FEATURE_TEXT}"
            found.append(causes.invalid(where, name, detail))
        former = name
    return found


def _status(node: Obj) -> str:
    conditions = (node.get("status") or {}).get("conditions") or ()
    ready = next((entry for entry in conditions if entry.get("type") == "Ready"), None)
    text = "Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"
    return f"{text},SchedulingDisabled" if (node.get("spec") or {}).get("unschedulable") else text


def _roles(node: Obj) -> list[str]:
    labels = node["metadata"].get("labels") or {}
    roles = {key[len(ROLE) :] for key in labels if key.startswith(ROLE)} | {labels.get(OLD_ROLE, "")}
    return sorted(roles - {""})


def _address(status: Obj, kind: str) -> str:
    for entry in status.get("addresses") or ():
        if entry.get("type") == kind:
            return str(entry.get("address", ""))
    return cells.NONE
