"""The labels of a resource's objects, by label: selecting among thousands of objects that lie all over memory
looks at none of them.

Made when somebody selects for the first time, a piece at a time, and kept up from then on."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from time import perf_counter

from podium.api.store.entry import Entry
from podium.api.types.selectors import Requirement, Selector

# Seconds that `learn` takes at most, as long as one object takes no longer.
TURN = 0.003
# Sorting is quicker than going through all keys in order for less than one in so many.
FEW = 8
# What an object must not meet where it has to meet the other.
OPPOSITES = {"NotIn": "In", "DoesNotExist": "Exists"}
Column = Mapping[str, str]


class Labels:
    """Of one resource, whose `entries` change beside it. Every key is in `_unlooked`, or in `_unreadable`, or
    in the columns of its object's labels (label to key to value)."""

    __slots__ = ("_columns", "_entries", "_unlooked", "_unreadable")

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self._entries = entries
        self._unlooked = dict.fromkeys(entries)
        self._unreadable: set[str] = set()
        self._columns: dict[str, dict[str, str]] = {}

    def learn(self) -> bool:
        """Looks at some of the objects that nobody has looked at; whether there are no more."""
        until = perf_counter() + TURN
        while self._unlooked and perf_counter() < until:
            key, _ = self._unlooked.popitem()
            self._add(self._entries[key])
        return not self._unlooked

    def put(self, entry: Entry, former: Entry | None) -> None:
        if former is not None:
            known = former.readable and former.key not in self._unlooked
            if known and entry.readable and former.labels == entry.labels:
                return
            self.remove(former)
        self._add(entry)

    def remove(self, entry: Entry) -> None:
        key = entry.key
        if key in self._unlooked:
            del self._unlooked[key]
        elif not entry.readable:
            self._unreadable.discard(key)
        else:
            for label in entry.labels:
                column = self._columns[label]
                del column[key]
                if not column:
                    del self._columns[label]

    def _add(self, entry: Entry) -> None:
        if not entry.readable:
            self._unreadable.add(entry.key)
            return
        for label, value in entry.labels.items():
            # The same few texts, so that comparing them touches as few places of memory.
            text = sys.intern(value) if type(value) is str else value
            self._columns.setdefault(label, {})[entry.key] = text

    def select(self, prefix: str, keys: Sequence[str], selector: Selector) -> Sequence[str]:
        """Of `keys`, which are all that begin with `prefix`, in order: those whose objects are selected, and
        those whose objects nobody can read. All must have been learned."""
        if selector.nothing:
            return []
        found = self._meeting(prefix, keys, selector.requirements)
        if unreadable := [key for key in self._unreadable if key.startswith(prefix)]:
            return sorted({*found, *unreadable})
        return found

    def _meeting(
        self, prefix: str, keys: Sequence[str], requirements: Sequence[Requirement]
    ) -> Sequence[str]:
        having, without = [], []
        for requirement in requirements:
            column = self._columns.get(requirement.key, {})
            opposite = OPPOSITES.get(requirement.operator)
            if opposite is None:
                having.append(_having(column, requirement))
            elif column:
                without.append(_having(column, requirement._replace(operator=opposite)))
        having.sort(key=len)
        found: Collection[str] = having[0] if having else keys
        for others in having[1:]:
            found = [key for key in found if key in others]
        for others in without:
            found = [key for key in found if key not in others]
        if not having:
            return list(found)
        if len(found) * FEW < len(keys):
            return sorted(key for key in found if key.startswith(prefix))
        wanted = set(found)
        return [key for key in keys if key in wanted]


def _having(column: Column, requirement: Requirement) -> Collection[str]:
    """The keys whose value meets a requirement that the label is there."""
    match requirement.operator:
        case "Exists":
            return column.keys()
        case "In" if len(requirement.values) == 1:
            [wanted] = requirement.values
            return {key for key, value in column.items() if value == wanted}
        case "In":
            values = frozenset(requirement.values)
            return {key for key, value in column.items() if value in values}
    label = requirement.key
    return {key for key, value in column.items() if requirement.matches({label: value})}
