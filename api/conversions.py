"""Kinds that are served in two versions or groups and kept in one.

Source: API reference, HorizontalPodAutoscaler v1 and v2, Event of core/v1 and of events.k8s.io/v1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import orjson

from podium.api import autoscaler_forms
from podium.api.kinds import Conversion
from podium.api.schema import Definitions
from podium.api.schema.body import decode_json
from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.resources import (
    EVENTS,
    EVENTS_V1,
    HORIZONTAL_POD_AUTOSCALERS,
    HORIZONTAL_POD_AUTOSCALERS_V1,
    Resource,
)

_CPU = "cpu"
# Where version 1 keeps what it has no fields for.
_METRICS = "autoscaling.alpha.kubernetes.io/metrics"
_BEHAVIOR = "autoscaling.alpha.kubernetes.io/behavior"
_CONDITIONS = "autoscaling.alpha.kubernetes.io/conditions"
_CURRENT = "autoscaling.alpha.kubernetes.io/current-metrics"
# The part and the field of version 2 that each stands for.
_FIELDS = {
    _METRICS: ("spec", "metrics"),
    _BEHAVIOR: ("spec", "behavior"),
    _CURRENT: ("status", "currentMetrics"),
    _CONDITIONS: ("status", "conditions"),
}

# Field of core/v1 → field of events.k8s.io/v1.
_EVENT_FIELDS = {
    "involvedObject": "regarding",
    "message": "note",
    "count": "deprecatedCount",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "source": "deprecatedSource",
    "reportingComponent": "reportingController",
}
_CORE_FIELDS = {new: old for old, new in _EVENT_FIELDS.items()}


def _renamed(obj: Obj, names: Mapping[str, str], api_version: str) -> Obj:
    return {names.get(key, key): value for key, value in obj.items()} | {"apiVersion": api_version}


def event_to_core(obj: Obj) -> Obj:
    return _renamed(obj, _CORE_FIELDS, EVENTS.api_version)


def event_from_core(obj: Obj) -> Obj:
    return _renamed(obj, _EVENT_FIELDS, EVENTS_V1.api_version)


def autoscaler_to_v2(obj: Obj) -> Obj:
    """The one metric that version 1 knows becomes a metric among others; those kept in annotations come
    back."""
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    metadata, kept = _take_annotations(obj.get("metadata") or {})
    metrics = kept.get(_METRICS, [])
    target = spec.pop("targetCPUUtilizationPercentage", None)
    if target is not None:
        metrics = [_cpu_metric({"target": {"type": "Utilization", "averageUtilization": target}}), *metrics]
    if metrics:
        spec["metrics"] = metrics
    if _BEHAVIOR in kept:
        spec["behavior"] = kept[_BEHAVIOR]
    current = kept.get(_CURRENT, [])
    used = status.pop("currentCPUUtilizationPercentage", None)
    if used is not None and not current:
        current = [_cpu_metric({"current": {"averageUtilization": used, "averageValue": "0"}}), *current]
    if current:
        status["currentMetrics"] = current
    if _CONDITIONS in kept:
        status["conditions"] = kept[_CONDITIONS]
    return {**obj, "apiVersion": "autoscaling/v2", "metadata": metadata, "spec": spec, "status": status}


def autoscaler_to_v1(obj: Obj) -> Obj:
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    keep: dict[str, object] = {}
    others, cpu = _split_cpu(spec.pop("metrics", None) or [], "target")
    behavior = spec.pop("behavior", None)
    if cpu is not None:
        spec["targetCPUUtilizationPercentage"] = cpu
    current = status.pop("currentMetrics", None) or []
    _, used = _split_cpu(current, "current")
    if used is not None:
        status["currentCPUUtilizationPercentage"] = used
    for name, value in (
        (_METRICS, [autoscaler_forms.flat(metric) for metric in others]),
        (_BEHAVIOR, autoscaler_forms.capitals(behavior) if behavior else None),
        (_CURRENT, [autoscaler_forms.flat(metric, status=True) for metric in current]),
        (_CONDITIONS, status.pop("conditions", None)),
    ):
        if value:
            keep[name] = value
    metadata = _put_annotations(obj["metadata"], keep)
    return {**obj, "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status}


def _cpu_metric(values: Obj) -> Obj:
    return {"type": "Resource", "resource": {"name": _CPU, **values}}


def _split_cpu(metrics: list[Obj], part: str) -> tuple[list[Obj], int | None]:
    """The first utilization of CPU, and the metrics besides it."""
    others: list[Obj] = []
    found: int | None = None
    for metric in metrics:
        resource = metric.get("resource") or {}
        utilization = (resource.get(part) or {}).get("averageUtilization")
        if found is None and resource.get("name") == _CPU and utilization is not None:
            found = utilization
        else:
            others.append(metric)
    return others, found


def _fitting(name: str, text: str) -> Any:
    """What an annotation says of its field. None for one that was written by hand, and wrong: nothing is lost
    that was ever in force."""
    part, field = _FIELDS[name]
    try:
        probe = {part: {field: _IN_V2[name](decode_json(text.encode()))}}
        Definitions.load().schema("autoscaling", "v2", "HorizontalPodAutoscaler").decode(probe)
    except (StatusError, UnicodeEncodeError):
        return None
    return probe[part].get(field)


def _metrics_in_v2(value: Any, *, status: bool = False) -> Any:
    return (
        [autoscaler_forms.nested(each, status=status) for each in value] if isinstance(value, list) else value
    )


# What each annotation's text is in the form of version 2.
_IN_V2: Mapping[str, Callable[[Any], Any]] = {
    _METRICS: _metrics_in_v2,
    _BEHAVIOR: autoscaler_forms.lowered,
    _CURRENT: partial(_metrics_in_v2, status=True),
    _CONDITIONS: lambda value: value,
}


def _take_annotations(metadata: Obj) -> tuple[Obj, dict[str, list[Obj]]]:
    """The metadata without the annotations that stand for fields, and those fields' values."""
    annotations = dict(metadata.get("annotations") or {})
    kept: dict[str, list[Obj]] = {}
    for name in (_METRICS, _BEHAVIOR, _CURRENT, _CONDITIONS):
        text = annotations.pop(name, None)
        value = _fitting(name, text) if text is not None else None
        if value is not None:
            kept[name] = value
    if not annotations:
        return {key: value for key, value in metadata.items() if key != "annotations"}, kept
    return {**metadata, "annotations": annotations}, kept


def _put_annotations(metadata: Obj, keep: Mapping[str, object]) -> Obj:
    if not keep:
        return metadata
    written = {name: orjson.dumps(value).decode() for name, value in keep.items()}
    return {**metadata, "annotations": {**(metadata.get("annotations") or {}), **written}}


CONVERSIONS: Mapping[Resource, Conversion] = {
    EVENTS_V1: Conversion(EVENTS, event_to_core, event_from_core),
    HORIZONTAL_POD_AUTOSCALERS_V1: Conversion(HORIZONTAL_POD_AUTOSCALERS, autoscaler_to_v2, autoscaler_to_v1),
}
