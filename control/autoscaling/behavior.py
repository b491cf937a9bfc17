"""How fast a recommendation may be followed: stabilisation windows and scaling policies. Pure but for the
notes that it takes.

Source: kubernetes.io, "Horizontal Pod Autoscaling", "Configurable scaling behavior".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

DOWN_WINDOW = 300.0
# Without a behaviour of its own a workload grows to at most twice its size at once, or to four pods.
UP_FACTOR, UP_LEAST = 2.0, 4.0
# No policy reaches further back: the API's bound.
LONGEST_PERIOD = 1800.0


class Note(NamedTuple):
    """`amount` was recommended, or added, or removed, at the moment `at` (monotonic seconds)."""

    at: float
    amount: int


@dataclass
class Past:
    """What is remembered of one autoscaler."""

    recommendations: list[Note] = field(default_factory=list)
    added: list[Note] = field(default_factory=list)
    removed: list[Note] = field(default_factory=list)

    def begin(self, replicas: int, now: float) -> None:
        """The size that was found counts as the first recommendation."""
        if not self.recommendations:
            self.recommendations.append(Note(now, replicas))

    def scaled(self, before: int, after: int, now: float) -> None:
        notes = self.added if after > before else self.removed
        notes[:] = [note for note in notes if now - note.at <= LONGEST_PERIOD]
        notes.append(Note(now, abs(after - before)))

    def recommended(self, replicas: int, now: float, window: float) -> None:
        # The first stays as long as it is the only one: there was no other size.
        self.recommendations[:] = [note for note in self.recommendations if now - note.at <= window]
        self.recommendations.append(Note(now, replicas))


class Bounds(NamedTuple):
    current: int
    least: int
    most: int


class Message(NamedTuple):
    reason: str
    text: str


class Decision(NamedTuple):
    """`able` goes into the condition AbleToScale; `limit` and whether it bites (`limited`) into
    ScalingLimited."""

    replicas: int
    able: Message
    limited: bool
    limit: Message


READY = Message("ReadyForNewScale", "recommended size matches current size")
UP_STABILIZED = Message(
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
)
DOWN_STABILIZED = Message(
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
)
WITHIN = Message("DesiredWithinRange", "the desired count is within the acceptable range")
TOO_MANY = Message("TooManyReplicas", "the desired replica count is more than the maximum replica count")
TOO_FEW = Message("TooFewReplicas", "the desired replica count is less than the minimum replica count")
UP_LIMIT = Message(
    "ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate"
)
DOWN_LIMIT = Message(
    "ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate"
)


def decide(
    behavior: Mapping[str, Any] | None,
    past: Past,
    bounds: Bounds,
    recommended: int,
    now: float,
    down_window: float = DOWN_WINDOW,
) -> Decision:
    """What is made of a recommendation, which is noted. `behavior` is spec.behavior."""
    if behavior is None:
        return _by_default(past, bounds, recommended, now, down_window)
    stable, able = _stabilized(behavior, past, bounds.current, recommended, now, down_window)
    allowed, limit = _at_rate(behavior, past, bounds, stable, now)
    return Decision(allowed, able, allowed != stable, limit)


def _by_default(past: Past, bounds: Bounds, recommended: int, now: float, window: float) -> Decision:
    recent = [note.amount for note in past.recommendations if now - note.at <= window]
    stable = max([recommended, *recent])
    past.recommended(recommended, now, window)
    able = DOWN_STABILIZED if stable != recommended else READY
    ceiling = int(max(UP_FACTOR * bounds.current, UP_LEAST))
    most, limit = (ceiling, UP_LIMIT) if bounds.most > ceiling else (bounds.most, TOO_MANY)
    if stable < bounds.least:
        return Decision(bounds.least, able, True, TOO_FEW)
    if stable > most:
        return Decision(most, able, True, limit)
    return Decision(stable, able, False, WITHIN)


def _stabilized(
    behavior: Mapping[str, Any], past: Past, current: int, recommended: int, now: float, down_window: float
) -> tuple[int, Message]:
    """The current size, moved only as far as every recommendation of the windows agrees to."""
    up = float((behavior.get("scaleUp") or {}).get("stabilizationWindowSeconds") or 0)
    down = (behavior.get("scaleDown") or {}).get("stabilizationWindowSeconds")
    down = down_window if down is None else float(down)
    lowest = min([recommended, *(note.amount for note in past.recommendations if now - note.at < up)])
    highest = max([recommended, *(note.amount for note in past.recommendations if now - note.at < down)])
    stable = min(max(current, lowest), highest)
    past.recommended(recommended, now, max(up, down))
    if stable == recommended:
        return stable, READY
    return stable, UP_STABILIZED if recommended >= current else DOWN_STABILIZED


def _at_rate(
    behavior: Mapping[str, Any], past: Past, bounds: Bounds, wanted: int, now: float
) -> tuple[int, Message]:
    current = bounds.current
    if wanted > current:
        ceiling = max(_limit(behavior.get("scaleUp") or {}, past, current, now, up=True), current)
        most, limit = (ceiling, UP_LIMIT) if bounds.most > ceiling else (bounds.most, TOO_MANY)
        if wanted > most:
            return most, limit
    elif wanted < current:
        floor = min(_limit(behavior.get("scaleDown") or {}, past, current, now, up=False), current)
        least, limit = (floor, DOWN_LIMIT) if bounds.least < floor else (bounds.least, TOO_FEW)
        if wanted < least:
            return least, limit
    return wanted, WITHIN


def _limit(rules: Mapping[str, Any], past: Past, current: int, now: float, *, up: bool) -> int:
    """The size that the policies of one direction allow by now."""
    choice = rules.get("selectPolicy") or "Max"
    if choice == "Disabled":
        return current
    proposed = []
    for policy in rules.get("policies") or ():
        period = policy["periodSeconds"]
        start = current - _within(past.added, now, period) + _within(past.removed, now, period)
        proposed.append(_allowed(policy, start, up=up))
    # The largest change is the highest size when scaling up and the lowest when scaling down.
    return max(proposed) if (choice == "Min") != up else min(proposed)


def _allowed(policy: Mapping[str, Any], start: int, *, up: bool) -> int:
    value: int = policy["value"]
    if policy["type"] == "Pods":
        return start + value if up else start - value
    if up:
        # Rounded up, or a small workload would never grow.
        return math.ceil(start * (1 + value / 100))
    return int(start * (1 - value / 100))


def _within(notes: Iterable[Note], now: float, period: float) -> int:
    return sum(note.amount for note in notes if now - note.at < period)
