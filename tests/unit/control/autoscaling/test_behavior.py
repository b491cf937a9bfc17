from __future__ import annotations

from typing import Any

import pytest

from podium.control.autoscaling.behavior import Bounds, Decision, Note, Past, decide


def policy(kind: str, value: int, period: int = 60) -> dict[str, Any]:
    return {"type": kind, "value": value, "periodSeconds": period}


def rules(*policies: dict[str, Any], window: int | None = 0, select: str = "Max") -> dict[str, Any]:
    made: dict[str, Any] = {"selectPolicy": select, "policies": list(policies)}
    return made if window is None else {**made, "stabilizationWindowSeconds": window}


FREE = rules(policy("Percent", 1000))


def wish(
    current: int,
    recommended: int,
    *,
    up: dict[str, Any] | None = None,
    down: dict[str, Any] | None = None,
    past: Past | None = None,
    now: float = 1000.0,
    bounds: tuple[int, int] = (1, 1000),
) -> Decision:
    behavior = {"scaleUp": up or FREE, "scaleDown": down or rules(policy("Percent", 100))}
    return decide(behavior, past or Past(), Bounds(current, *bounds), recommended, now)


@pytest.mark.parametrize(
    ("current", "recommended", "replicas", "reason"),
    [
        (1, 10, 4, "ScaleUpLimit"),
        (5, 30, 10, "ScaleUpLimit"),
        (5, 7, 7, "DesiredWithinRange"),
        (15, 100, 20, "TooManyReplicas"),
        (5, 1, 2, "TooFewReplicas"),
    ],
)
def test_without_a_behavior_growth_is_bounded(
    current: int, recommended: int, replicas: int, reason: str
) -> None:
    made = decide(None, Past(), Bounds(current, 2, 20), recommended, 0.0)
    assert (made.replicas, made.limit.reason) == (replicas, reason)
    assert made.limited == (reason != "DesiredWithinRange")


def test_without_a_behavior_shrinking_waits_five_minutes() -> None:
    past, bounds = Past(), Bounds(5, 1, 10)
    past.begin(5, 0.0)
    held = decide(None, past, bounds, 2, 299.0)
    assert (held.replicas, held.able.reason) == (5, "ScaleDownStabilized")
    freed = decide(None, past, bounds, 2, 301.0)
    assert (freed.replicas, freed.able.reason) == (2, "ReadyForNewScale")


@pytest.mark.parametrize(
    ("up", "current", "replicas"),
    [
        (rules(policy("Pods", 4)), 10, 14),
        (rules(policy("Percent", 100)), 10, 20),
        (rules(policy("Pods", 4), policy("Percent", 100)), 10, 20),
        (rules(policy("Pods", 4), policy("Percent", 100), select="Min"), 10, 14),
        (rules(policy("Pods", 4), select="Disabled"), 10, 10),
        # A share of few pods is at least one.
        (rules(policy("Percent", 10)), 1, 2),
    ],
)
def test_policies_bound_growth(up: dict[str, Any], current: int, replicas: int) -> None:
    assert wish(current, 100, up=up).replicas == replicas


@pytest.mark.parametrize(
    ("down", "current", "replicas"),
    [
        (rules(policy("Pods", 4)), 10, 6),
        (rules(policy("Percent", 30)), 10, 7),
        (rules(policy("Pods", 4), policy("Percent", 30)), 10, 6),
        (rules(policy("Pods", 4), policy("Percent", 30), select="Min"), 10, 7),
        (rules(policy("Pods", 4), select="Disabled"), 10, 10),
        (rules(policy("Percent", 100)), 10, 1),
    ],
)
def test_policies_bound_shrinking(down: dict[str, Any], current: int, replicas: int) -> None:
    assert wish(current, 1, down=down).replicas == replicas


def test_what_was_done_in_a_policys_period_counts() -> None:
    past = Past()
    past.scaled(6, 10, 970.0)
    assert wish(10, 100, up=rules(policy("Pods", 4)), past=past).replicas == 10
    assert wish(10, 100, up=rules(policy("Pods", 4, 15)), past=past).replicas == 14
    # What was taken away meanwhile may be put back.
    past.scaled(10, 8, 980.0)
    assert wish(8, 100, up=rules(policy("Pods", 4)), past=past).replicas == 10


def test_stabilisation_takes_the_calmest_of_late() -> None:
    past = Past(recommendations=[Note(950.0, 6), Note(990.0, 12)])
    up = wish(5, 20, up=FREE | {"stabilizationWindowSeconds": 60}, past=past)
    assert (up.replicas, up.able.reason) == (6, "ScaleUpStabilized")
    past = Past(recommendations=[Note(950.0, 6), Note(990.0, 12)])
    down = wish(15, 3, down=rules(policy("Percent", 100), window=60), past=past)
    assert (down.replicas, down.able.reason) == (12, "ScaleDownStabilized")


def test_shrinking_without_a_window_of_its_own_waits_five_minutes() -> None:
    past = Past(recommendations=[Note(800.0, 9)])
    assert wish(9, 3, down=rules(policy("Percent", 100), window=None), past=past).replicas == 9


def test_what_is_longer_ago_than_any_window_is_forgotten() -> None:
    past = Past()
    for second in range(0, 4000, 10):
        wish(5, 5, down=rules(policy("Percent", 100), window=300), past=past, now=float(second))
        past.scaled(5, 6, float(second))
    assert len(past.recommendations) <= 32
    assert len(past.added) <= 182
