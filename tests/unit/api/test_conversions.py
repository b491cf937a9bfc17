"""Objects that are kept in one form and served in two."""

from __future__ import annotations

import json
from typing import Any

import pytest

from podium.api.conversions import autoscaler_to_v1, autoscaler_to_v2, event_from_core, event_to_core
from podium.api.types import Obj

PREFIX = "autoscaling.alpha.kubernetes.io"
CPU = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
}
QUEUE = {"name": "depth", "selector": {"matchLabels": {"queue": "a"}}}
WEB = {"apiVersion": "v1", "kind": "Service", "name": "web"}


def scaler(metrics: list[Any], **status: Any) -> Obj:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "annotations": {"mine": "1"}},
        "spec": {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 5, "metrics": metrics},
        "status": {"desiredReplicas": 1, **status},
    }


METRICS = [
    (
        {"type": "Pods", "pods": {"metric": QUEUE, "target": {"type": "AverageValue", "averageValue": "5"}}},
        {
            "type": "Pods",
            "pods": {"metricName": "depth", "selector": QUEUE["selector"], "targetAverageValue": "5"},
        },
    ),
    (
        {
            "type": "Object",
            "object": {
                "describedObject": WEB,
                "metric": {"name": "hits"},
                "target": {"type": "Value", "value": "2k"},
            },
        },
        {"type": "Object", "object": {"target": WEB, "metricName": "hits", "targetValue": "2k"}},
    ),
    (
        {
            "type": "External",
            "external": {"metric": QUEUE, "target": {"type": "AverageValue", "averageValue": "3"}},
        },
        {
            "type": "External",
            "external": {
                "metricName": "depth",
                "metricSelector": QUEUE["selector"],
                "targetAverageValue": "3",
            },
        },
    ),
    (
        {
            "type": "ContainerResource",
            "containerResource": {
                "name": "memory",
                "container": "main",
                "target": {"type": "AverageValue", "averageValue": "1Gi"},
            },
        },
        {
            "type": "ContainerResource",
            "containerResource": {"name": "memory", "container": "main", "targetAverageValue": "1Gi"},
        },
    ),
]


@pytest.mark.parametrize(("metric", "old"), METRICS, ids=lambda part: part["type"])
def test_version_1_keeps_other_metrics_in_an_annotation_of_its_own_form(metric: Obj, old: Obj) -> None:
    told = autoscaler_to_v1(scaler([CPU, metric]))
    assert told["spec"]["targetCPUUtilizationPercentage"] == 70
    assert json.loads(told["metadata"]["annotations"][f"{PREFIX}/metrics"]) == [old]
    back = autoscaler_to_v2(told)
    assert back["spec"]["metrics"] == [CPU, metric]
    assert back["metadata"]["annotations"] == {"mine": "1"}


def test_version_1_keeps_all_that_is_known_of_metrics_in_its_status() -> None:
    used = {"averageUtilization": 40, "averageValue": "400m"}
    now = {"type": "Resource", "resource": {"name": "cpu", "current": used}}
    told = autoscaler_to_v1(scaler([CPU], currentMetrics=[now]))
    assert told["status"]["currentCPUUtilizationPercentage"] == 40
    assert json.loads(told["metadata"]["annotations"][f"{PREFIX}/current-metrics"]) == [
        {
            "type": "Resource",
            "resource": {
                "name": "cpu",
                "currentAverageUtilization": 40,
                "currentAverageValue": "400m",
            },
        }
    ]
    assert autoscaler_to_v2(told)["status"]["currentMetrics"] == [now]


def test_version_1_keeps_behaviour_with_names_in_capitals() -> None:
    policies = [{"type": "Pods", "value": 2, "periodSeconds": 60}]
    behavior = {"scaleUp": {"stabilizationWindowSeconds": 30, "selectPolicy": "Max", "policies": policies}}
    given = scaler([CPU])
    given["spec"]["behavior"] = behavior
    told = autoscaler_to_v1(given)
    assert json.loads(told["metadata"]["annotations"][f"{PREFIX}/behavior"]) == {
        "ScaleUp": {
            "StabilizationWindowSeconds": 30,
            "SelectPolicy": "Max",
            "Policies": [{"Type": "Pods", "Value": 2, "PeriodSeconds": 60}],
            "Tolerance": None,
        },
        "ScaleDown": None,
    }
    assert autoscaler_to_v2(told)["spec"]["behavior"] == behavior


@pytest.mark.parametrize("text", ["", "{", "7", "[7]", '[{"type":"Pods","pods":7}]', '[{"type":7}]'])
def test_an_annotation_that_makes_no_sense_is_left_alone(text: str) -> None:
    told = autoscaler_to_v1(scaler([CPU]))
    told["metadata"]["annotations"][f"{PREFIX}/metrics"] = text
    assert autoscaler_to_v2(told)["spec"]["metrics"][0] == CPU


def test_an_event_has_other_names_in_each_group() -> None:
    core = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "e"},
        "involvedObject": WEB,
        "message": "m",
        "count": 3,
        "source": {"component": "c"},
        "reportingComponent": "r",
        "firstTimestamp": "2026-01-02T11:00:00Z",
    }
    new = event_from_core(core)
    assert new == {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "e"},
        "regarding": WEB,
        "note": "m",
        "deprecatedCount": 3,
        "deprecatedSource": {"component": "c"},
        "reportingController": "r",
        "deprecatedFirstTimestamp": "2026-01-02T11:00:00Z",
    }
    assert event_to_core(new) == core
