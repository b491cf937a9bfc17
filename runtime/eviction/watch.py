"""What follows from what was seen of the node, and when. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from podium.runtime.eviction.thresholds import ALLOCATABLE_MEMORY, CONDITIONS, MEMORY, Eviction, Threshold


class Seen(NamedTuple):
    """How much of something is left, of how much."""

    available: int
    capacity: int


Observations = Mapping[str, Seen]
"""By signal; what could not be looked at is missing."""


def crossed(
    thresholds: Iterable[Threshold], seen: Observations, *, reclaiming: bool = False
) -> list[Threshold]:
    """The thresholds that are crossed, or with `reclaiming` not yet undone by as much as was asked for."""
    found = []
    for threshold in thresholds:
        if (there := seen.get(threshold.signal)) is None:
            continue
        least = threshold.amount.of(there.capacity)
        if reclaiming:
            least += threshold.reclaim.of(there.capacity)
        if there.available < least:
            found.append(threshold)
    return found


@dataclass(slots=True)
class Watch:
    """What has been seen so far. `conditions` are those to be told now."""

    settings: Eviction
    thresholds: Sequence[Threshold]
    conditions: frozenset[str] = frozenset()
    _met: list[Threshold] = field(default_factory=list)
    _since: dict[Threshold, datetime] = field(default_factory=dict)
    _last: dict[str, datetime] = field(default_factory=dict)

    def look(self, seen: Observations, now: datetime) -> list[Threshold]:
        """The thresholds that something has to be done about now, the most pressing first."""
        short = crossed(self.thresholds, seen)
        short = list(dict.fromkeys((*short, *crossed(self._met, seen, reclaiming=True))))
        self._since = {each: self._since.get(each, now) for each in short}
        self._last.update({CONDITIONS[each.resource]: now for each in short})
        period = timedelta(seconds=self.settings.transition)
        recent = {name for name, at in self._last.items() if now - at < period}
        self.conditions = frozenset(recent | {CONDITIONS[each.resource] for each in short})
        due = [each for each, at in self._since.items() if (now - at).total_seconds() >= each.grace]
        self._met = due
        return sorted(due, key=lambda each: each.signal not in (MEMORY, ALLOCATABLE_MEMORY))

    def satisfied(self, seen: Observations) -> bool:
        """Whether everything is as it should be again, and a bit more."""
        return not crossed(self.thresholds, seen, reclaiming=True)
