"""What is wrong with the metrics and the behaviour of a HorizontalPodAutoscaler. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from podium.api.types import Obj, quantity
from podium.api.types.errors import Cause
from podium.api.validation import causes, names, values

METRIC_FIELDS = {
    "ContainerResource": "containerResource",
    "External": "external",
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
}
# In the order in which they are looked at: of several only the first is.
_SOURCES = ("object", "external", "pods", "resource", "containerResource")
MAX_PERIOD, MAX_WINDOW = 1800, 3600
_EITHER = "must set either a target raw value or a target utilization"
_BOTH = "may not set both a target raw value and a target utilization"


def reference(target: Obj, path: str) -> list[Cause]:
    """A CrossVersionObjectReference."""
    found: list[Cause] = []
    for key in ("kind", "name"):
        text = target.get(key)
        if not text:
            found.append(causes.required(f"{path}.{key}"))
        else:
            found += values.named(text, f"{path}.{key}", names.path_segment)
    version = target.get("apiVersion") or ""
    if version.count("/") > 1:
        detail = f"unexpected GroupVersion string: {version}"
        found.append(causes.invalid(f"{path}.apiVersion", version, detail))
    return found


def metric(spec: Obj, path: str) -> list[Cause]:
    """One MetricSpec."""
    kind = spec.get("type") or ""
    found = [] if kind else [causes.required(f"{path}.type", "must specify a metric source type")]
    if kind not in METRIC_FIELDS:
        found.append(causes.not_supported(f"{path}.type", kind, sorted(METRIC_FIELDS)))
    present = [field for field in _SOURCES if spec.get(field) is not None]
    if present:
        found += _CHECKS[present[0]](spec[present[0]], f"{path}.{present[0]}")
    expected = METRIC_FIELDS.get(kind)
    if expected and expected not in present:
        detail = "must populate information for the given metric source"
        found.append(causes.required(f"{path}.{expected}", detail))
    for field in sorted(present):
        if field != expected and (expected in present or len(present) > 1):
            detail = "must populate the given metric source only"
            found.append(causes.forbidden(f"{path}.{field}", detail))
    return found


def _object(source: Obj, path: str) -> list[Cause]:
    found = reference(source.get("describedObject") or {}, f"{path}.describedObject")
    found += _identifier(source.get("metric") or {}, f"{path}.metric")
    target = source.get("target") or {}
    found += _target(target, f"{path}.target")
    if target.get("value") is None and target.get("averageValue") is None:
        detail = "must set either a target value or averageValue"
        found.append(causes.required(f"{path}.target.averageValue", detail))
    return found


def _external(source: Obj, path: str) -> list[Cause]:
    found = _identifier(source.get("metric") or {}, f"{path}.metric")
    target = source.get("target") or {}
    found += _target(target, f"{path}.target")
    whole, average = target.get("value") is not None, target.get("averageValue") is not None
    if not whole and not average:
        detail = "must set either a target value for metric or a per-pod target"
        found.append(causes.required(f"{path}.target.averageValue", detail))
    if whole and average:
        detail = "may not set both a target value for metric and a per-pod target"
        found.append(causes.forbidden(f"{path}.target.value", detail))
    return found


def _pods(source: Obj, path: str) -> list[Cause]:
    found = _identifier(source.get("metric") or {}, f"{path}.metric")
    target = source.get("target") or {}
    found += _target(target, f"{path}.target")
    average = target.get("averageValue")
    if average is None or quantity.parse(average) <= 0:
        detail = "must specify a positive target averageValue"
        found.append(causes.required(f"{path}.target.averageValue", detail))
    return found


def _resource(source: Obj, path: str) -> list[Cause]:
    found: list[Cause] = []
    if not source.get("name"):
        found.append(causes.required(f"{path}.name", "must specify a resource name"))
    target = source.get("target") or {}
    found += _target(target, f"{path}.target")
    share, average = target.get("averageUtilization") is not None, target.get("averageValue") is not None
    if not share and not average:
        found.append(causes.required(f"{path}.target.averageUtilization", _EITHER))
    if share and average:
        found.append(causes.forbidden(f"{path}.target.averageValue", _BOTH))
    return found


def _container_resource(source: Obj, path: str) -> list[Cause]:
    found: list[Cause] = []
    if not source.get("container"):
        found.append(causes.required(f"{path}.container", "must specify a container"))
    return found + _resource(source, path)


_CHECKS: dict[str, Callable[[Obj, str], list[Cause]]] = {
    "object": _object,
    "external": _external,
    "pods": _pods,
    "resource": _resource,
    "containerResource": _container_resource,
}


def _identifier(identifier: Obj, path: str) -> list[Cause]:
    name = identifier.get("name")
    if not name:
        return [causes.required(f"{path}.name", "must specify a metric name")]
    return values.named(name, f"{path}.name", names.path_segment)


def _target(target: Obj, path: str) -> list[Cause]:
    kind = target.get("type") or ""
    found: list[Cause] = []
    if not kind:
        found.append(causes.required(f"{path}.type", "must specify a metric target type"))
    if kind not in ("Utilization", "Value", "AverageValue"):
        detail = "must be either Utilization, Value, or AverageValue"
        found.append(causes.invalid(f"{path}.type", kind, detail))
    for key in ("value", "averageValue"):
        value = target.get(key)
        if value is not None and quantity.parse(value) <= 0:
            found.append(causes.invalid(f"{path}.{key}", str(value), "must be positive"))
    share = target.get("averageUtilization")
    if share is not None and share < 1:
        found.append(causes.invalid(f"{path}.averageUtilization", share, "must be greater than 0"))
    return found


def rules(given: Obj, path: str) -> list[Cause]:
    """The HPAScalingRules of one direction."""
    found: list[Cause] = []
    window = given.get("stabilizationWindowSeconds")
    if window is not None and window < 0:
        detail = "must be greater than or equal to zero"
        found.append(causes.invalid(f"{path}.stabilizationWindowSeconds", window, detail))
    if window is not None and window > MAX_WINDOW:
        detail = f"must be less than or equal to {MAX_WINDOW}"
        found.append(causes.invalid(f"{path}.stabilizationWindowSeconds", window, detail))
    choices = ("Disabled", "Max", "Min")
    found += values.optional_one_of(given.get("selectPolicy"), f"{path}.selectPolicy", choices)
    policies: list[Any] = given.get("policies") or []
    if not policies:
        found.append(causes.required(f"{path}.policies", "must specify at least one Policy"))
    for index, policy in enumerate(policies):
        found += _policy(policy, f"{path}.policies[{index}]")
    if (tolerance := given.get("tolerance")) is not None:
        found += values.amount(tolerance, f"{path}.tolerance")
    return found


def _policy(policy: Obj, path: str) -> list[Cause]:
    found: list[Cause] = []
    kind = policy.get("type") or ""
    if kind not in ("Percent", "Pods"):
        found.append(causes.not_supported(f"{path}.type", kind, ("Percent", "Pods")))
    for key in ("value", "periodSeconds"):
        if policy.get(key, 0) <= 0:
            detail = "must be greater than zero"
            found.append(causes.invalid(f"{path}.{key}", policy.get(key, 0), detail))
    if policy.get("periodSeconds", 0) > MAX_PERIOD:
        detail = f"must be less than or equal to {MAX_PERIOD}"
        found.append(causes.invalid(f"{path}.periodSeconds", policy["periodSeconds"], detail))
    return found
