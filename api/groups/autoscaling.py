"""HorizontalPodAutoscalers, in the form of version 2, in which they are kept."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from podium.api.groups import cells, scaling
from podium.api.groups.scaling import METRIC_FIELDS
from podium.api.strategy import Strategy
from podium.api.types import Obj, resources
from podium.api.types.errors import Cause
from podium.api.types.resources import Resource
from podium.api.validation import causes, values

DEFAULT_CPU = 80
SHOWN_METRICS = 2
_UP = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": (("Pods", 4, 15), ("Percent", 100, 15)),
}
_DOWN = {"selectPolicy": "Max", "policies": (("Percent", 100, 15),)}


class HorizontalPodAutoscalers(Strategy):
    columns = cells.table("Name", "Reference", "Targets", "MinPods", "MaxPods", "Replicas", "Age")
    status_keeps = ()

    def default(self, obj: Obj) -> None:
        spec = obj.setdefault("spec", {})
        spec.setdefault("minReplicas", 1)
        if not spec.get("metrics"):
            target = {"type": "Utilization", "averageUtilization": DEFAULT_CPU}
            spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
        if (behavior := spec.get("behavior")) is not None:
            for key, rules in (("scaleUp", _UP), ("scaleDown", _DOWN)):
                behavior[key] = _rules(behavior.get(key) or {}, rules)

    def prepare_create(self, obj: Obj) -> None:
        obj["status"] = {"desiredReplicas": 0}

    def check(self, obj: Obj) -> list[Cause]:
        spec = obj["spec"]
        found: list[Cause] = []
        least, most = spec.get("minReplicas", 1), spec.get("maxReplicas", 0)
        if least < 1:
            # Fewer takes a feature that upstream does not enable by default either.
            detail = "must be greater than or equal to 1"
            found.append(causes.invalid("spec.minReplicas", least, detail))
        if most == 0:
            found.append(causes.required("spec.maxReplicas", "must be set and greater than 0"))
        elif most < 0:
            found.append(causes.invalid("spec.maxReplicas", most, "must be greater than or equal to 1"))
        if most < least:
            detail = "must be greater than or equal to `minReplicas`"
            found.append(causes.invalid("spec.maxReplicas", most, detail))
        found += scaling.reference(spec.get("scaleTargetRef") or {}, "spec.scaleTargetRef")
        for index, metric in enumerate(spec.get("metrics") or ()):
            found += scaling.metric(metric, f"spec.metrics[{index}]")
        for key in ("scaleUp", "scaleDown"):
            if rules := (spec.get("behavior") or {}).get(key):
                found += scaling.rules(rules, f"spec.behavior.{key}")
        return found

    def check_status(self, new: Obj, old: Obj) -> list[Cause]:
        status = new.get("status") or {}
        return [
            cause
            for key in ("currentReplicas", "desiredReplicas")
            for cause in values.not_negative(status.get(key), f"status.{key}")
        ]

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        if obj.get("apiVersion") == resources.HORIZONTAL_POD_AUTOSCALERS_V1.api_version:
            # What converts builds on the kinds.
            from podium.api.conversions import autoscaler_to_v2

            obj = autoscaler_to_v2(obj)
        spec, status = obj["spec"], obj.get("status") or {}
        target = spec.get("scaleTargetRef") or {}
        return [
            obj["metadata"]["name"], f"{target.get('kind', '')}/{target.get('name', '')}",
            _targets(spec.get("metrics") or (), status.get("currentMetrics") or ()),
            str(spec.get("minReplicas", cells.UNSET)), spec.get("maxReplicas", 0),
            status.get("currentReplicas", 0), cells.age(obj, now),
        ]  # fmt: skip


def _rules(given: Obj, rules: Any) -> Obj:
    merged = {key: value for key, value in rules.items() if key != "policies"}
    policies = [
        {"type": kind, "value": value, "periodSeconds": period} for kind, value, period in rules["policies"]
    ]
    return {**merged, "policies": policies, **given}


def _targets(specs: Any, statuses: Any) -> str:
    texts = []
    for index, spec in enumerate(specs):
        field = METRIC_FIELDS.get(spec.get("type", ""))
        status = statuses[index] if index < len(statuses) else {}
        texts.append(
            _target(field, spec.get(field) or {}, status.get(field) or {}) if field else "<unknown type>"
        )
    shown = ", ".join(texts[:SHOWN_METRICS])
    if len(texts) > SHOWN_METRICS:
        return f"{shown} + {len(texts) - SHOWN_METRICS} more..."
    return shown or cells.NONE


def _target(field: str, spec: Obj, status: Obj) -> str:
    target, current = spec.get("target") or {}, status.get("current") or {}
    average = target.get("averageValue")
    if field in ("resource", "containerResource"):
        name = spec.get("name", "")
        if average is not None:
            return f"{name}: {current.get('averageValue', cells.UNKNOWN)}/{average}"
        used, wanted = current.get("averageUtilization"), target.get("averageUtilization")
        have = cells.UNKNOWN if used is None else f"{used}%"
        return f"{name}: {have}/{'<auto>' if wanted is None else f'{wanted}%'}"
    if field == "pods":
        return f"{current.get('averageValue', cells.UNKNOWN)}/{average}"
    if average is not None:
        return f"{current.get('averageValue', cells.UNKNOWN)}/{average} (avg)"
    return f"{current.get('value', cells.UNKNOWN)}/{target.get('value')}"


STRATEGIES: dict[Resource, type[Strategy]] = {
    resources.HORIZONTAL_POD_AUTOSCALERS: HorizontalPodAutoscalers,
    resources.HORIZONTAL_POD_AUTOSCALERS_V1: HorizontalPodAutoscalers,
}
