"""Metrics and behaviour of an autoscaler as version 1 writes them into annotations: metrics with all their
fields on one level, behaviour with names in capitals.

Source: API reference, autoscaling/v1 HorizontalPodAutoscaler.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from podium.api.types import Obj

# Of each source of metrics: the field of version 1, and where version 2 has it. The first is of a spec, the
# second of a status; a field with "!" is always there.
_METRIC = (("metricName", "metric/name"), ("selector", "metric/selector"))
_UTILIZATION = (
    (
        ("targetAverageUtilization", "target/averageUtilization"),
        ("targetAverageValue", "target/averageValue"),
    ),
    (
        ("currentAverageUtilization", "current/averageUtilization"),
        ("currentAverageValue!", "current/averageValue"),
    ),
)
_Fields = tuple[tuple[str, str], ...]
_FORMS: Mapping[str, tuple[_Fields, _Fields]] = {
    "object": (
        (
            ("target", "describedObject"), *_METRIC, ("targetValue!", "target/value"),
            ("averageValue", "target/averageValue"),
        ),
        (
            ("target", "describedObject"), *_METRIC, ("currentValue!", "current/value"),
            ("averageValue", "current/averageValue"),
        ),
    ),
    "pods": (
        (*_METRIC, ("targetAverageValue!", "target/averageValue")),
        (*_METRIC, ("currentAverageValue!", "current/averageValue")),
    ),
    "resource": ((("name", "name"), *_UTILIZATION[0]), (("name", "name"), *_UTILIZATION[1])),
    "containerResource": (
        (("name", "name"), ("container", "container"), *_UTILIZATION[0]),
        (("name", "name"), ("container", "container"), *_UTILIZATION[1]),
    ),
    "external": (
        (
            _METRIC[0], ("metricSelector", "metric/selector"), ("targetValue", "target/value"),
            ("targetAverageValue", "target/averageValue"),
        ),
        (
            _METRIC[0], ("metricSelector", "metric/selector"), ("currentValue!", "current/value"),
            ("currentAverageValue", "current/averageValue"),
        ),
    ),
}  # fmt: skip
_BEHAVIOR = {"scaleUp": "ScaleUp", "scaleDown": "ScaleDown"}
_RULES = ("stabilizationWindowSeconds", "selectPolicy", "policies", "tolerance")
_POLICY = ("type", "value", "periodSeconds")


def flat(metric: Obj, *, status: bool = False) -> Obj:
    """A metric of version 2 in the form of version 1."""
    made: Obj = {"type": metric.get("type", "")}
    for kind, forms in _FORMS.items():
        if (source := metric.get(kind)) is None:
            continue
        made[kind] = {}
        for field, path in forms[status]:
            value = _at(source, path)
            if value is None and field.endswith("!"):
                value = "0"
            if value is not None:
                made[kind][field.removesuffix("!")] = value
    return made


def nested(metric: Any, *, status: bool = False) -> Any:
    """A metric of version 1 in the form of version 2; what is none is given back for others to refuse."""
    if not isinstance(metric, dict):
        return metric
    made: Obj = {"type": metric.get("type", "")}
    for kind, forms in _FORMS.items():
        source = metric.get(kind)
        if not isinstance(source, dict):
            continue
        made[kind] = {}
        for field, path in forms[status]:
            if (value := source.get(field.removesuffix("!"))) is not None:
                _put(made[kind], path, value)
        if not status:
            _kind_of_target(made[kind].setdefault("target", {}))
    return made


def _kind_of_target(target: Obj) -> None:
    """Of several numbers, version 1 has one that is meant."""
    for field, kind in (("averageUtilization", "Utilization"), ("averageValue", "AverageValue")):
        if field in target:
            target.pop("value", None)
            target["type"] = kind
            return
    target["type"] = "Value"


def _at(source: Obj, path: str) -> Any:
    value: Any = source
    for part in path.split("/"):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _put(source: Obj, path: str, value: Any) -> None:
    parent, slash, name = path.rpartition("/")
    (source.setdefault(parent, {}) if slash else source)[name] = value


def capitals(behavior: Obj) -> Obj:
    """Behaviour as version 1 keeps it."""
    return {
        shown: None
        if (rules := behavior.get(name)) is None
        else {
            _capital(key): [_policy(each) for each in rules[key]]
            if key == "policies" and rules.get(key)
            else rules.get(key)
            for key in _RULES
        }
        for name, shown in _BEHAVIOR.items()
    }


def _policy(policy: Obj) -> Obj:
    return {_capital(key): policy.get(key) for key in _POLICY}


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]


def lowered(value: Any) -> Any:
    """The same without capitals in front, and without what is null."""
    if isinstance(value, dict):
        return {key[:1].lower() + key[1:]: lowered(part) for key, part in value.items() if part is not None}
    if isinstance(value, list):
        return [lowered(part) for part in value]
    return value
