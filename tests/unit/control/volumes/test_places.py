"""Where a volume of the built-in provisioner is made when no pod decides it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from podium.api.types import Obj
from podium.api.types.meta import timestamp
from podium.control.volumes import places

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ANY: Obj = {}


def node(name: str, ready: str = "True", *, since: int = 0, zone: str = "z", **spec: Any) -> Obj:
    condition = {"type": "Ready", "status": ready}
    condition["lastTransitionTime"] = timestamp(NOW - timedelta(seconds=since))
    labels = {"kubernetes.io/hostname": name, "zone": zone}
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
        "status": {"conditions": [condition]},
    }


def names(nodes: list[Obj]) -> list[str]:
    return [entry["metadata"]["name"] for entry in nodes]


def test_only_nodes_that_can_work_now_are_candidates() -> None:
    nodes = [node("a"), node("b", "Unknown"), node("c", unschedulable=True), node("d")]
    nodes[3]["metadata"]["deletionTimestamp"] = timestamp(NOW)
    assert names(places.candidates(nodes, ANY)) == ["a"]


def test_a_class_says_where_its_volumes_may_be() -> None:
    terms = [
        {"matchLabelExpressions": [{"key": "zone", "values": ["x", "y"]}]},
        {"matchLabelExpressions": [{"key": "zone", "values": ["w"]}, {"key": "disk", "values": ["ssd"]}]},
    ]
    nodes = [node("a", zone="x"), node("b", zone="w"), node("c", zone="z")]
    assert names(places.candidates(nodes, {"allowedTopologies": terms})) == ["a"]


def test_the_node_with_fewest_volumes_is_chosen_and_a_tainted_one_last() -> None:
    nodes = [node("a"), node("b"), node("c", taints=[{"key": "k", "effect": "NoSchedule"}])]
    assert places.choose(nodes, {"a": 2, "b": 1}) == "b"
    assert places.choose(nodes, {"a": 2, "b": 1}, without={"b"}) == "a"
    assert places.choose(nodes, {}, without={"a", "b"}) == "c"
    assert places.choose([], {}) == ""


@pytest.mark.parametrize(
    ("ready", "since", "left"),
    [("True", 500, None), ("False", 10, 50.0), ("Unknown", 59, 1.0), ("Unknown", 500, 0.0)],
)
def test_a_silent_node_is_waited_for_for_a_minute(ready: str, since: int, left: float | None) -> None:
    assert places.given_up_in(node("a", ready, since=since), NOW) == left
