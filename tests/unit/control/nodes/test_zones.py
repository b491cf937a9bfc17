"""How fast nodes are given up, by zone."""

from __future__ import annotations

from typing import Any

import pytest

from podium.control.nodes.zones import Census, Limiter, Rates, State, Zone, all_silent, rate

RATES = Rates()


def node(name: str, ready: str, zone: str = "", **labels: str) -> dict[str, Any]:
    if zone:
        labels["topology.kubernetes.io/zone"] = zone
    status = {"conditions": [{"type": "Ready", "status": ready}]}
    return {"metadata": {"name": name, "labels": labels}, "status": status}


def census(ready: int, silent: int, zone: str = "") -> Census:
    made = Census()
    for index in range(ready + silent):
        made.put(node(f"{zone}{index}", "True" if index < ready else "Unknown", zone))
    return made


@pytest.mark.parametrize(
    ("ready", "silent", "state"),
    [
        (3, 0, State.NORMAL),
        (1, 2, State.NORMAL),
        (2, 3, State.PARTIAL),
        (3, 3, State.NORMAL),
        (0, 1, State.FULL),
    ],
)
def test_a_zone_is_as_well_as_its_nodes(ready: int, silent: int, state: State) -> None:
    assert census(ready, silent).zones(RATES) == {"": Zone(state, ready + silent)}


def test_zones_are_counted_apart_and_excluded_nodes_not_at_all() -> None:
    made = census(1, 0, "a")
    made.put(node("b", "False", "b"))
    assert {name: zone.state for name, zone in made.zones(RATES).items()} == {
        "/a": State.NORMAL,
        "/b": State.FULL,
    }
    made.put(node("b", "False", "b", **{"node.kubernetes.io/exclude-disruption": ""}))
    assert list(made.zones(RATES)) == ["/a"]
    made.drop("a0")
    assert made.zones(RATES) == {}


def test_nothing_is_evicted_only_when_every_zone_is_silent() -> None:
    silent, well = Zone(State.FULL, 3), Zone(State.NORMAL, 1)
    assert all_silent({"a": silent, "b": silent})
    assert not all_silent({"a": silent, "b": well})
    assert not all_silent({})


def test_an_unhealthy_zone_goes_slower_and_a_small_one_not_at_all() -> None:
    assert rate(Zone(State.NORMAL, 5), RATES) == rate(Zone(State.FULL, 5), RATES) == 0.1
    assert rate(Zone(State.PARTIAL, 50), RATES) == 0.0
    assert rate(Zone(State.PARTIAL, 51), RATES) == 0.01


def test_the_first_node_goes_at_once_and_the_next_one_later() -> None:
    limiter = Limiter(0.1, at=100.0)
    assert limiter.take(100.0) == 0
    assert limiter.take(100.0) == pytest.approx(10.0)
    assert limiter.take(105.0) == pytest.approx(5.0)
    assert limiter.take(110.0) == 0
    limiter.change(0.0, 110.0)
    assert limiter.take(1000.0) is None
