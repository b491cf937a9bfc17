"""What namespaces use of their quotas, known at every moment without counting: what was counted once is kept
up to date by the changes since.

A tally is of one kind in one namespace, for all quotas with the same scopes. It holds what is durable; what
was accepted and is not durable yet is reckoned on top at every look, since it may still fail.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from podium.api.kinds import Kinds
from podium.api.store.base import Entry, Store
from podium.api.types import Obj
from podium.api.types.meta import deleting
from podium.api.types.resources import Resource
from podium.api.types.scopes import in_scope, selectors
from podium.api.types.usage import Usage, add, usage_of

KEPT = 512  # tallies
Change: TypeAlias = tuple[Entry | None, Entry | None]


@dataclass
class Tally:
    """`total` is of the durable objects that stay; those `leaving` use less once they are overdue, and so are
    looked at anew each time. Good for revision `revision`. `soon` is what the writes in `seen`, which were
    not durable at the last look, will add: in a burst most of them are seen many times."""

    resource: Resource
    spec: Obj
    now: Callable[[], datetime]
    revision: int = 0
    total: Usage = field(default_factory=dict)
    leaving: dict[str, Entry] = field(default_factory=dict)
    soon: Usage = field(default_factory=dict)
    seen: dict[str, tuple[Change, Usage]] = field(default_factory=dict)

    def change(self, before: Entry | None, after: Entry | None) -> None:
        for entry, sign in ((before, -1), (after, 1)):
            if entry is None:
                continue
            if deleting(entry.obj):
                self.leaving.pop(entry.key, None)
                if sign > 0:
                    self.leaving[entry.key] = entry
            else:
                add(self.total, self._of(entry), sign)

    def _of(self, entry: Entry | None) -> Usage:
        if entry is None or not in_scope(self.resource, entry.obj, self.spec):
            return {}
        return usage_of(self.resource, entry.obj, self.now())

    def at(self, accepted: list[Change]) -> Usage:
        """The usage when what was accepted is counted in."""
        seen: dict[str, tuple[Change, Usage]] = {}
        for change in accepted:
            key = next(entry.key for entry in change if entry is not None)
            known = self.seen.pop(key, None)
            if known is None or known[0] != change:
                if known is not None:
                    add(self.soon, known[1], -1)
                known = change, self._difference(change)
                add(self.soon, known[1])
            seen[key] = known
        for _, usage in self.seen.values():
            add(self.soon, usage, -1)
        self.seen = seen
        found = dict(self.total)
        add(found, self.soon)
        for entry in self.leaving.values():
            add(found, self._of(entry))
        return found

    def _difference(self, change: Change) -> Usage:
        before, after = change
        found = dict(self._of(after))
        add(found, self._of(before), -1)
        return found


class Tallies:
    """Made on the first look, forgotten when others were looked at more recently."""

    def __init__(self, store: Store, kinds: Kinds, now: Callable[[], datetime]) -> None:
        self._store, self._kinds, self._now = store, kinds, now
        self._kept: OrderedDict[tuple[str, str], Tally] = OrderedDict()

    def used(self, resource: Resource, namespace: str, spec: Obj) -> Usage:
        prefix = self._kinds.of(resource).below(namespace)
        key = prefix, json.dumps(selectors(spec), sort_keys=True)
        tally = self._kept.get(key)
        if tally is None or not self._follow(tally, prefix):
            tally = self._kept[key] = self._count(resource, spec, prefix)
        self._kept.move_to_end(key)
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return tally.at(self._store.accepted(prefix))

    def _follow(self, tally: Tally, prefix: str) -> bool:
        """Brings the tally up to now; False where the way there is not known any more."""
        changes = self._store.changes(prefix, tally.revision)
        if changes is None:
            return False
        for before, after in changes:
            tally.change(before, after)
        tally.revision = self._store.revision
        return True

    def _count(self, resource: Resource, spec: Obj, prefix: str) -> Tally:
        tally = Tally(resource, spec, self._now, self._store.revision)
        for entry in self._store.list(prefix):
            tally.change(None, entry)
        return tally
