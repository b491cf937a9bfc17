"""The numbers by which a chain's rule finds its endpoints. Pure."""

from __future__ import annotations

from podium.netd.services.plan import Address

# Slots that a group may fill. Numbers are 32 bits, so there is room for 2^18 groups.
BLOCK = 1 << 14


class Slots:
    """Which endpoint has which number. A group owns a block of numbers and fills it from its start without
    holes; a change moves at most one endpoint for each one that goes."""

    def __init__(self) -> None:
        self._blocks: dict[str, int] = {}
        self._free: list[int] = []
        self._members: dict[str, list[Address]] = {}

    def start(self, group: str) -> int:
        return self._blocks[group] * BLOCK

    def members(self, group: str) -> list[Address]:
        return self._members.get(group, [])

    def assign(self, group: str, endpoints: frozenset[Address]) -> None:
        if group not in self._blocks:
            self._blocks[group] = self._free.pop() if self._free else len(self._blocks)
        self._members[group] = settle(self._members.get(group, []), endpoints)

    def drop(self, group: str) -> None:
        self._free.append(self._blocks.pop(group))
        del self._members[group]


def settle(before: list[Address], wanted: frozenset[Address]) -> list[Address]:
    """`wanted` in an order that keeps as many of `before` in their place as possible."""
    fresh = sorted(wanted.difference(before), reverse=True)
    kept: list[Address | None] = [member if member in wanted else None for member in before]
    for index, member in enumerate(kept):
        if member is None and fresh:
            kept[index] = fresh.pop()
    return _close(kept) + fresh[::-1]


def _close(members: list[Address | None]) -> list[Address]:
    """Fills each hole with the last member."""
    members = list(members)
    index = 0
    while index < len(members):
        if members[-1] is None:
            members.pop()
        elif members[index] is None:
            members[index] = members.pop()
        else:
            index += 1
    return [member for member in members if member is not None]
