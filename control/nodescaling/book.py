"""What the node autoscaler remembers between two looks: nodes that are to come or to go, and groups that
could not grow. Times are monotonic seconds, given by the caller."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from podium.api.types import Obj
from podium.api.types.meta import condition_is_true, deleting, name_of, parse_time
from podium.client.workqueue import backoff
from podium.control.nodescaling import taints
from podium.control.nodescaling.provider import Group

# Seconds that a group is left alone after it failed to grow.
BACKOFF, BACKOFF_MAX = 300.0, 1800.0


@dataclass(eq=False)
class Addition:
    """Nodes that a provider is making. `before`: those that the group had."""

    group: str
    count: int
    before: frozenset[str]


@dataclass
class Awaited:
    """A node that is to come, since when, and whether the provider has spoken of it: if so, and it does so
    no more, it will not come."""

    group: str
    since: float
    listed: bool


@dataclass
class Trouble:
    """A group that could not grow: how often in a row, and until when it is left alone."""

    failures: int = 0
    until: float = 0.0


class State(NamedTuple):
    """One group at one moment: `ready` can run pods, `unready` are registered and cannot, `coming` are on
    their way or too young to tell."""

    group: Group
    ready: Sequence[Obj]
    unready: Sequence[Obj]
    coming: int

    @property
    def size(self) -> int:
        return max(len(self.group.nodes), len(self.ready) + len(self.unready) + self.coming)


class Book:
    """`removing`: the nodes that are being taken away, and their groups. A node has `provision_timeout`
    seconds to become Ready."""

    def __init__(self, provision_timeout: float) -> None:
        self.additions: set[Addition] = set()
        self.removing: dict[str, str] = {}
        self._provision_timeout = provision_timeout
        self._awaited: dict[str, Awaited] = {}
        self._trouble: dict[str, Trouble] = {}

    def stopped(self) -> None:
        """What ran beside the loop was cancelled; the provider will tell what came of it."""
        self.additions.clear()
        self.removing.clear()

    def state(self, group: Group, node_of: Callable[[str], Obj | None], now: float, today: datetime) -> State:
        ready: list[Obj] = []
        unready: list[Obj] = []
        young = 0
        for name in self._members(group):
            node = node_of(name)
            if node is not None and can_run(node):
                self._awaited.pop(name, None)
                ready.append(node)
            elif node is None or self._is_young(node, today):
                listed = name in group.nodes
                awaited = self._awaited.setdefault(name, Awaited(group.name, now, listed))
                awaited.listed = awaited.listed or listed
                young += 1
            else:
                unready.append(node)
        return State(group, ready, unready, max(young, self._asked(group.name, ready)))

    def _members(self, group: Group) -> list[str]:
        """The nodes that the group has or will have, without those that are going."""
        for name, awaited in list(self._awaited.items()):
            if awaited.group == group.name and awaited.listed and name not in group.nodes:
                del self._awaited[name]
        coming = [name for name, awaited in self._awaited.items() if awaited.group == group.name]
        return [name for name in dict.fromkeys([*group.nodes, *coming]) if name not in self.removing]

    def _is_young(self, node: Obj, today: datetime) -> bool:
        """Whether it may still become ready for the first time."""
        age = today - parse_time(node["metadata"]["creationTimestamp"])
        gone = taints.has(node, taints.DELETED) or deleting(node)
        return age.total_seconds() < self._provision_timeout and not gone

    def _asked(self, group: str, ready: Iterable[Obj]) -> int:
        """How many of the nodes that a provider is making are not there yet."""
        known = {name_of(node) for node in ready}
        mine = [each for each in self.additions if each.group == group]
        return sum(max(each.count - len(known - each.before), 0) for each in mine)

    def added(self, group: str, names: Iterable[str], now: float) -> None:
        """A provider has made nodes."""
        self._trouble.pop(group, None)
        for name in names:
            self._awaited.setdefault(name, Awaited(group, now, listed=False))

    def overdue(self, now: float) -> list[tuple[str, str]]:
        """Nodes that were to come and did not, with their groups; each is told once."""
        late = [
            (name, awaited.group)
            for name, awaited in self._awaited.items()
            if now - awaited.since >= self._provision_timeout
        ]
        for name, _ in late:
            del self._awaited[name]
        return late

    def next_overdue(self, now: float) -> float | None:
        """Seconds until the next one will be."""
        due = [awaited.since + self._provision_timeout - now for awaited in self._awaited.values()]
        return min(due, default=None)

    def failed(self, group: str, now: float) -> float:
        """A group could not grow: seconds that it is left alone."""
        trouble = self._trouble.setdefault(group, Trouble())
        pause = backoff(trouble.failures, BACKOFF, BACKOFF_MAX)
        trouble.failures, trouble.until = trouble.failures + 1, now + pause
        return pause

    def is_left_alone(self, group: str, now: float) -> bool:
        trouble = self._trouble.get(group)
        return trouble is not None and trouble.until > now


def can_run(node: Obj) -> bool:
    """Whether it takes new pods as far as its machine is concerned."""
    return condition_is_true(node, "Ready") and not deleting(node) and not taints.has(node, taints.DELETED)
