"""ResourceQuotas and LimitRanges."""

from __future__ import annotations

from collections.abc import Sequence
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
_WITHOUT_VALUES = frozenset(SCOPES) - {"PriorityClass", "VolumeAttributesClass"}
MUST_EXIST = (
    "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "
    "ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or "
    "ResourceQuotaScopeCrossNamespacePodAffinity"
)
_COMPUTE = frozenset(

    {"cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"},
)  # fmt: skip
_QUOTA_NAMES = (resources.STANDARD | resources.ALSO_KNOWN | resources.COUNTED) - {"storage"}


def _quota_resource(name: str) -> names.Messages:
    messages = resources.known(name)
    fits = "/" in name or name in _QUOTA_NAMES or name.startswith(("requests.hugepages-", "hugepages-"))
    return messages if fits else (*messages, "must be a standard resource for quota")


def _amounts(amounts: Obj | None, path: str) -> list[Cause]:
    found: list[Cause] = []
    for name, amount in (amounts or {}).items():
        found += values.named(name, f"{path}[{name}]", _quota_resource)
        found += resources.check_amount(name, amount, f"{path}[{name}]")
    return found


class ResourceQuotas(Strategy):
    status_keeps = ()
    columns = cells.table("Name", "Request", "Limit", "Age")

    def check(self, obj: Obj) -> list[Cause]:
        spec = obj.get("spec") or {}
        found = _amounts(spec.get("hard"), "spec.hard")
        hard = spec.get("hard") or {}
        return found + _scopes(spec.get("scopes") or [], hard) + _scope_selector(spec, hard)

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        scopes, former = ((quota.get("spec") or {}).get("scopes") or [] for quota in (new, old))
        changed = set(scopes) != set(former)
        return self.check(new) + ([causes.immutable("spec.scopes", scopes)] if changed else [])

    def check_status(self, new: Obj, old: Obj) -> list[Cause]:
        status = new.get("status") or {}
        return [cause for key in ("hard", "used") for cause in _amounts(status.get(key), f"status.{key}")]

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        status = obj.get("status") or {}
        used, hard = status.get("used") or {}, status.get("hard") or {}
        texts = {name: f"{name}: {used.get(name, '0')}/{hard[name]}" for name in sorted(hard)}
        limits = [text for name, text in texts.items() if name.startswith("limits.")]
        requests = [text for name, text in texts.items() if not name.startswith("limits.")]
        return [obj["metadata"]["name"], ", ".join(requests), ", ".join(limits), cells.age(obj, now)]


def _suits(scope: str, name: str) -> bool:
    """Whether a quota of this scope can be about the resource; what is not standard is not judged."""
    if name not in _QUOTA_NAMES or scope not in SCOPES:
        return True
    if scope == "BestEffort":
        return name == "pods"
    if scope == "VolumeAttributesClass":
        return name in ("persistentvolumeclaims", "requests.storage")
    return name == "pods" or name in _COMPUTE


def _conflicts(scopes: Sequence[str], shown: Any) -> list[Cause]:
    return [
        causes.invalid("spec.scopes", shown, "conflicting scopes")
        for pair in (("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating"))
        if set(pair) <= set(scopes)
    ]


def _scopes(scopes: Sequence[str], hard: Obj) -> list[Cause]:
    found: list[Cause] = []
    for scope in scopes:
        if scope not in SCOPES:
            found.append(causes.invalid("spec.scopes", scopes, "unsupported scope"))
        found += [
            causes.invalid("spec.scopes", scopes, "unsupported scope applied to resource")
            for name in sorted(hard)
            if not _suits(scope, name)
        ]
    return found + _conflicts(scopes, scopes)


def _scope_selector(spec: Obj, hard: Obj) -> list[Cause]:
    selector = spec.get("scopeSelector") or {}
    path = "spec.scopeSelector.matchExpressions"
    found: list[Cause] = []
    terms = selector.get("matchExpressions") or ()
    for term in terms:
        scope = term.get("scopeName", "")
        if scope not in SCOPES:
            found.append(causes.invalid(f"{path}.scopeName", scope, "unsupported scope"))
        found += [
            causes.invalid(path, selector, "unsupported scope applied to resource")
            for name in sorted(hard)
            if not _suits(scope, name)
        ]
        found += _scope_term(term, path)
    return found + _conflicts([term.get("scopeName", "") for term in terms], spec.get("scopes"))


def _scope_term(term: Obj, path: str) -> list[Cause]:
    operator, given = term.get("operator", ""), term.get("values") or []
    found: list[Cause] = []
    if term.get("scopeName") in _WITHOUT_VALUES and operator != "Exists":
        found.append(causes.invalid(f"{path}.operator", operator, MUST_EXIST))
    if operator in ("In", "NotIn"):
        if not given:
            detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
            found.append(causes.required(f"{path}.values", detail))
    elif operator in ("Exists", "DoesNotExist"):
        if given:
            detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
            found.append(causes.invalid(f"{path}.values", given, detail))
    else:
        found.append(causes.invalid(f"{path}.operator", operator, "not a valid selector operator"))
    return found


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
            found += values.named(kind, f"{path}.type", _limit_type)
            if kind in seen:
                found.append(causes.duplicate(f"{path}.type", kind))
            seen.add(kind)
            found += _limit(item, kind, path)
        return found


def _limit_type(kind: str) -> names.Messages:
    messages = names.qualified(kind)
    if messages or "/" in kind or kind in LIMIT_TYPES:
        return messages
    return ("must be a standard limit type or fully qualified",)


def _default_container(item: Obj) -> None:
    """The maximum is the default limit, which is the default request, which is else the minimum."""
    limits = {**(item.get("max") or {}), **(item.get("default") or {})}
    requests = {**(item.get("min") or {}), **limits, **(item.get("defaultRequest") or {})}
    if limits:
        item["default"] = limits
    if requests:
        item["defaultRequest"] = requests


LIMIT_TYPES = ("Container", "PersistentVolumeClaim", "Pod")
_LISTS = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")
# (smaller, its name in messages, greater, its name, the field that is blamed, the one that is shown)
_ORDER = (
    ("min", "min value", "max", "max value", "min", "min"),
    ("min", "min value", "defaultRequest", "default request value", "defaultRequest", "defaultRequest"),
    ("defaultRequest", "default request value", "max", "max value", "defaultRequest", "defaultRequest"),
    (
        "defaultRequest", "default request value", "default", "default limit value", "defaultRequest",
        "defaultRequest",
    ),
    ("min", "min value", "default", "default value", "default", "min"),
    ("default", "default value", "max", "max value", "default", "max"),
)  # fmt: skip


def _limit(item: Obj, kind: str, path: str) -> list[Cause]:
    found: list[Cause] = []
    if kind == "Pod":
        found += [
            causes.forbidden(f"{path}.{key}", "may not be specified when `type` is 'Pod'")
            for key in ("default", "defaultRequest")
            if item.get(key)
        ]
    given = {key: item.get(key) or {} for key in ("min", "max", "default", "defaultRequest")}
    rule = resources.container_resource if kind in ("Container", "Pod") else resources.known
    for key in _LISTS:
        for name in () if kind == "Pod" and key.startswith("default") else item.get(key) or ():
            found += values.named(name, f"{path}.{key}[{name}]", rule)
    if kind == "PersistentVolumeClaim" and "storage" not in {**given["min"], **given["max"]}:
        detail = "either minimum or maximum storage value is required, but neither was provided"
        found.append(causes.required(f"{path}.limits", detail))
    for small, small_text, great, great_text, blamed, shown in _ORDER:
        for name in given[small].keys() & given[great].keys():
            least, most = given[small][name], given[great][name]
            if quantity.parse(least) > quantity.parse(most):
                detail = f"{small_text} {least} is greater than {great_text} {most}"
                found.append(causes.invalid(f"{path}.{blamed}[{name}]", str(given[shown][name]), detail))
    for name, text in (item.get("maxLimitRequestRatio") or {}).items():
        found += _ratio(name, text, given, f"{path}.maxLimitRequestRatio[{name}]")
    return found + _unequal(given, path)


def _ratio(name: str, text: str, given: dict[str, Any], path: str) -> list[Cause]:
    ratio = quantity.parse(text)
    found = [] if ratio >= 1 else [causes.invalid(path, text, f"ratio {text} is less than 1")]
    least, most = (quantity.parse(given[key].get(name, "0")) for key in ("min", "max"))
    if name in given["min"] and name in given["max"] and least and ratio > most / least:
        detail = f"ratio {text} is greater than max/min = {most / least:.6f}"
        found.append(causes.invalid(path, text, detail))
    return found


def _unequal(given: dict[str, Any], path: str) -> list[Cause]:
    """What cannot be overcommitted is asked for as it is limited."""
    found: list[Cause] = []
    for name in given["default"].keys() & given["defaultRequest"].keys():
        limit, request = given["default"][name], given["defaultRequest"][name]
        fixed = not resources.is_native(name) or name.startswith("hugepages-")
        if fixed and quantity.parse(limit) != quantity.parse(request):
            detail = f"default value {limit} must equal to defaultRequest value {request} in {name}"
            found.append(causes.invalid(f"{path}.defaultRequest[{name}]", request, detail))
    return found
