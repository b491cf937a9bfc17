"""Conditions and taints of nodes, ranges, and deadlines of pods on tainted nodes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.control.nodes.eviction import deadline
from podium.control.nodes.health import silent_conditions, taints
from podium.control.nodes.ranges import Exhausted, Ranges

NOW = "2024-01-01T00:01:00Z"


def node(ready: str = "", *, held: list[dict[str, Any]] | None = None, **spec: Any) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": ready}] if ready else []
    meta = {"name": "n", "creationTimestamp": "2024-01-01T00:00:00Z"}
    return {"metadata": meta, "spec": {"taints": held or [], **spec}, "status": {"conditions": conditions}}


def pairs(entries: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(entry["key"].removeprefix("node.kubernetes.io/"), entry["effect"]) for entry in entries}


@pytest.mark.parametrize(
    ("seen", "wanted"),
    [
        (node("True"), set()),
        (node("False"), {("not-ready", "NoSchedule"), ("not-ready", "NoExecute")}),
        (node("Unknown"), {("unreachable", "NoSchedule"), ("unreachable", "NoExecute")}),
        (node(""), {("not-ready", "NoSchedule")}),
        (node("True", unschedulable=True), {("unschedulable", "NoSchedule")}),
    ],
)
def test_taints_follow_the_conditions(seen: dict[str, Any], wanted: set[tuple[str, str]]) -> None:
    assert pairs(taints(seen, NOW, evict=True)) == wanted


def test_when_no_node_is_ready_nobody_is_evicted() -> None:
    assert pairs(taints(node("Unknown"), NOW, evict=False)) == {("unreachable", "NoSchedule")}


def test_others_taints_stay_and_ours_keep_their_time() -> None:
    held = [
        {"key": "mine", "effect": "NoSchedule"},
        {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute", "timeAdded": "2020-01-01T00:00:00Z"},
    ]
    result = taints(node("False", held=held), NOW, evict=True)
    assert result[:2] == held
    assert taints(node("True", held=held), NOW, evict=True) == held[:1]


def test_a_silent_node_is_said_to_be_unknown_once() -> None:
    seen = node("True")
    changed = silent_conditions(seen, NOW)
    assert {entry["type"]: entry["reason"] for entry in changed} == {
        "Ready": "NodeStatusUnknown",
        "MemoryPressure": "NodeStatusNeverUpdated",
        "DiskPressure": "NodeStatusNeverUpdated",
        "PIDPressure": "NodeStatusNeverUpdated",
    }
    seen["status"]["conditions"] = changed
    assert silent_conditions(seen, NOW) == []


ADDED = datetime(2024, 1, 1, tzinfo=UTC)
TAINT = {"key": "k", "value": "v", "effect": "NoExecute", "timeAdded": "2024-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("tolerations", "wanted"),
    [
        ([], ADDED + timedelta(hours=1)),
        ([{"operator": "Exists"}], None),
        (
            [{"key": "k", "value": "v", "effect": "NoExecute", "tolerationSeconds": 300}],
            ADDED + timedelta(seconds=300),
        ),
        (
            [
                {"operator": "Exists", "tolerationSeconds": 300},
                {"key": "k", "operator": "Exists", "tolerationSeconds": 60},
            ],
            ADDED + timedelta(seconds=60),
        ),
        ([{"key": "k", "value": "other"}], ADDED + timedelta(hours=1)),
        ([{"operator": "Exists", "tolerationSeconds": -5}], ADDED),
    ],
)
def test_when_a_pod_must_leave(tolerations: list[dict[str, Any]], wanted: datetime | None) -> None:
    pod = {"spec": {"tolerations": tolerations}}
    assert deadline(pod, [TAINT], ADDED + timedelta(hours=1)) == wanted


def test_a_taint_without_a_time_counts_from_when_it_was_seen() -> None:
    pod = {"spec": {"tolerations": [{"operator": "Exists", "tolerationSeconds": 10}]}}
    assert deadline(pod, [{"key": "k", "effect": "NoExecute"}], ADDED) == ADDED + timedelta(seconds=10)


def test_ranges_are_given_lowest_first_and_again_after_release() -> None:
    ranges = Ranges("10.42.0.0/16")
    assert [ranges.allocate(name) for name in "abca"] == [
        "10.42.0.0/24",
        "10.42.1.0/24",
        "10.42.2.0/24",
        "10.42.0.0/24",
    ]
    assert ranges.release("b")
    assert not ranges.release("b")
    assert ranges.allocate("d") == "10.42.1.0/24"


def test_held_ranges_are_respected() -> None:
    ranges = Ranges("10.42.0.0/22")
    ranges.occupy("a", "10.42.0.0/23")
    ranges.occupy("far", "192.168.0.0/24")
    with pytest.raises(ValueError, match=r"overlaps that of node a"):
        ranges.occupy("b", "10.42.1.0/24")
    assert [ranges.allocate("c"), ranges.allocate("d")] == ["10.42.2.0/24", "10.42.3.0/24"]
    with pytest.raises(Exhausted):
        ranges.allocate("e")


def test_a_node_prefix_must_fit() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        Ranges("10.42.0.0/24", 16)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans()), max_size=30))
def test_no_two_nodes_ever_hold_the_same_range(steps: list[tuple[str, bool]]) -> None:
    ranges = Ranges("10.0.0.0/22")
    held: dict[str, str] = {}
    for name, take in steps:
        if not take:
            ranges.release(name)
            held.pop(name, None)
        elif name in held or len(held) < 4:
            held[name] = ranges.allocate(name)
        assert len(set(held.values())) == len(held)
