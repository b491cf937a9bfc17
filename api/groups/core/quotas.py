"""ResourceQuotas and LimitRanges."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from podium.api.groups import cells
from podium.api.groups.core.pod_validation import resources
from podium.api.strategy import Strategy
from podium.api.types import Obj, quantity
from podium.api.types.errors import Cause
from podium.api.validation import causes, names, values

SCOPES = (
    "BestEffort", "CrossNamespacePodAffinity", "NotBestEffort", "NotTerminating", "PriorityClass",
    "Terminating", "VolumeAttributesClass",
)  # fmt: skip
_QUOTA_NAMES = resources.STANDARD | resources.ALSO_KNOWN | resources.COUNTED


def _quota_resource(name: str) -> names.Messages:
    messages = names.qualified(name)
    known = "/" in name or name in _QUOTA_NAMES or name.startswith(("requests.hugepages-", "hugepages-"))
    return messages or (() if known else ("must be a standard resource for quota",))


class ResourceQuotas(Strategy):
    status_keeps = ()
    columns = cells.table("Name", "Request", "Limit", "Age")

    def check(self, obj: Obj) -> list[Cause]:
        spec = obj.get("spec") or {}
        found: list[Cause] = []
        for name, amount in (spec.get("hard") or {}).items():
            path = f"spec.hard[{name}]"
            found += values.named(name, path, _quota_resource)
            found += resources.check_amount(name, amount, path)
        scopes = spec.get("scopes") or []
        found += [
            causes.invalid("spec.scopes", scopes, "unsupported scope")
            for scope in scopes
            if scope not in SCOPES
        ]
        for pair in (("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating")):
            if set(pair) <= set(scopes):
                found.append(causes.invalid("spec.scopes", scopes, "conflicting scopes"))
        return found

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        scopes, former = ((quota.get("spec") or {}).get("scopes") or [] for quota in (new, old))
        changed = sorted(scopes) != sorted(former)
        return self.check(new) + ([causes.immutable("spec.scopes", scopes)] if changed else [])

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        status = obj.get("status") or {}
        used, hard = status.get("used") or {}, status.get("hard") or {}
        texts = {name: f"{name}: {used.get(name, '0')}/{hard[name]}" for name in sorted(hard)}
        limits = [text for name, text in texts.items() if name.startswith("limits.")]
        requests = [text for name, text in texts.items() if not name.startswith("limits.")]
        return [obj["metadata"]["name"], ", ".join(requests), ", ".join(limits), cells.age(obj, now)]


class LimitRanges(Strategy):
    allow_create_on_update = True

    def default(self, obj: Obj) -> None:
        for item in (obj.get("spec") or {}).get("limits") or ():
            if item.get("type") == "Container":
                _default_container(item)

    def check(self, obj: Obj) -> list[Cause]:
        found: list[Cause] = []
        seen: set[str] = set()
        for index, item in enumerate((obj.get("spec") or {}).get("limits") or ()):
            path, kind = f"spec.limits[{index}]", item.get("type", "")
            if kind in seen:
                found.append(causes.duplicate(f"{path}.type", kind))
            seen.add(kind)
            found += _limit(item, kind, path)
        return found


def _default_container(item: Obj) -> None:
    """The maximum is the default limit, which is the default request, which is else the minimum."""
    limits = {**(item.get("max") or {}), **(item.get("default") or {})}
    requests = {**(item.get("min") or {}), **limits, **(item.get("defaultRequest") or {})}
    if limits:
        item["default"] = limits
    if requests:
        item["defaultRequest"] = requests


# (smaller, its name in messages, greater, its name, the field that is blamed)
_ORDER = (
    ("min", "min value", "max", "max value", "min"),
    ("min", "min value", "defaultRequest", "default request value", "defaultRequest"),
    ("defaultRequest", "default request value", "max", "max value", "defaultRequest"),
    ("defaultRequest", "default request value", "default", "default limit value", "defaultRequest"),
    ("min", "min value", "default", "default value", "default"),
    ("default", "default value", "max", "max value", "default"),
)


def _limit(item: Obj, kind: str, path: str) -> list[Cause]:
    found: list[Cause] = []
    if kind == "Pod":
        found += [
            causes.forbidden(f"{path}.{key}", "may not be specified when `type` is 'Pod'")
            for key in ("default", "defaultRequest")
            if item.get(key)
        ]
    given = {key: item.get(key) or {} for key in ("min", "max", "default", "defaultRequest")}
    if kind == "PersistentVolumeClaim" and "storage" not in {**given["min"], **given["max"]}:
        detail = "either minimum or maximum storage value is required, but neither was provided"
        found.append(causes.required(f"{path}.limits", detail))
    for small, small_text, great, great_text, blamed in _ORDER:
        for name in given[small].keys() & given[great].keys():
            least, most = given[small][name], given[great][name]
            if quantity.parse(least) > quantity.parse(most):
                detail = f"{small_text} {least} is greater than {great_text} {most}"
                found.append(causes.invalid(f"{path}.{blamed}[{name}]", given[blamed][name], detail))
    return found
