"""How many seats a priority level has, of all that the server has. Pure. Source: KEP-1040, "Priority
levels"."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from podium.api.fairness.objects import EXEMPT
from podium.api.types import Obj


class Queuing(NamedTuple):
    """How many queues, among how many of them a flow's requests are spread, how many requests one holds."""

    queues: int
    hand_size: int
    length: int


class Limits(NamedTuple):
    """`nominal` seats are the level's own. It lends those above `lower` while it does not need them, and
    borrows up to `upper`. `widest` is what one request may take."""

    nominal: int
    lower: int
    upper: int
    widest: int
    shares: int
    queuing: Queuing | None


# The seats that a list may take at most, and of a level's own.
MOST_SEATS, PART = 10, 0.15


def limits_of(levels: Mapping[str, Obj], total: int) -> dict[str, Limits | None]:
    """By the levels' names, of which `levels` has the specs; None for one without limits."""
    given = {name: spec.get("limited") or spec.get("exempt") or {} for name, spec in levels.items()}
    shares = {name: each.get("nominalConcurrencyShares") or 0 for name, each in given.items()}
    whole = sum(shares.values()) or 1
    return {
        name: None
        if name == EXEMPT
        else _limits(each, shares[name], math.ceil(total * shares[name] / whole), total)
        for name, each in given.items()
    }


def _limits(given: Obj, shares: int, nominal: int, total: int) -> Limits:
    lendable = round(nominal * (given.get("lendablePercent") or 0) / 100)
    percent = given.get("borrowingLimitPercent")
    upper = nominal + (total if percent is None else round(nominal * percent / 100))
    queuing = (given.get("limitResponse") or {}).get("queuing")
    if not queuing:
        return Limits(nominal, nominal - lendable, upper, MOST_SEATS, shares, None)
    made = Queuing(queuing["queues"], queuing["handSize"], queuing["queueLengthLimit"])
    widest = max(1, min(math.ceil(nominal * PART), nominal // made.hand_size, MOST_SEATS))
    return Limits(nominal, nominal - lendable, upper, widest, shares, made)
