"""The current state in memory: for each resource the keys in order, and the entry that each key holds."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence

from podium.api.store.base import bucket_of
from podium.api.store.entry import Entry
from podium.api.store.labels import Labels
from podium.api.types.selectors import Selector

# A prefix with so many is that of a resource, or of a part of one.
BUCKET_SLASHES = 4


class Bucket:
    """The entries of one resource. `keys` is sorted; an insert moves pointers only, cheap up to some 100,000
    keys. `labels` are there once somebody has asked for them."""

    __slots__ = ("entries", "keys", "labels")

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.entries: dict[str, Entry] = {}
        self.labels: Labels | None = None

    def span(self, prefix: str) -> tuple[int, int]:
        """Where the keys with `prefix` begin and end."""
        keys = self.keys
        return bisect_left(keys, prefix), bisect_left(keys, after_prefix(prefix))


class State:
    """What every key holds. Not a store: it changes when it is told to."""

    def __init__(self) -> None:
        self._buckets: dict[str, Bucket] = {}
        self._wide: dict[str, list[Bucket]] = {}

    def load(self, entries: Iterable[Entry]) -> None:
        """Takes many entries at once, in any order."""
        for entry in entries:
            self._bucket(entry.key).entries[entry.key] = entry
        for bucket in self._buckets.values():
            bucket.keys = sorted(bucket.entries)

    def get(self, key: str) -> Entry | None:
        bucket = self._buckets.get(bucket_of(key))
        return bucket.entries.get(key) if bucket else None

    def put(self, entry: Entry) -> None:
        bucket = self._bucket(entry.key)
        if entry.key not in bucket.entries:
            insort(bucket.keys, entry.key)
        if bucket.labels is not None:
            bucket.labels.put(entry, bucket.entries.get(entry.key))
        bucket.entries[entry.key] = entry

    def remove(self, key: str) -> None:
        bucket = self._bucket(key)
        if bucket.labels is not None:
            bucket.labels.remove(bucket.entries[key])
        del bucket.entries[key]
        del bucket.keys[bisect_left(bucket.keys, key)]

    def holds(self, name: str) -> bool:
        """Whether there is anything in the bucket of that name."""
        bucket = self._buckets.get(name)
        return bucket is not None and bool(bucket.keys)

    def below(self, prefix: str) -> list[Entry]:
        if prefix.count("/") == BUCKET_SLASHES:
            # All of a resource: there is nothing to look for.
            whole = self._buckets.get(prefix)
            return list(map(whole.entries.__getitem__, whole.keys)) if whole else []
        found: list[Entry] = []
        for bucket in self._buckets_of(prefix):
            if not bucket.keys:
                continue
            low, high = bucket.span(prefix)
            found.extend(map(bucket.entries.__getitem__, bucket.keys[low:high]))
        return found

    def page(self, prefix: str, after: str, limit: int) -> tuple[list[Entry], int]:
        """The entries below `prefix` behind the key `after`, at most `limit` (0: all), and how many are
        left behind those."""
        found: list[Entry] = []
        left = 0
        for bucket in self._buckets_of(prefix):
            low, high = bucket.span(prefix)
            low = max(low, bisect_right(bucket.keys, after))
            low = min(low, high)
            end = min(high, low + limit - len(found)) if limit else high
            found.extend(map(bucket.entries.__getitem__, bucket.keys[low:end]))
            left += high - end
        return found, left

    def learn(self, prefix: str) -> bool:
        """See `Store.learn`."""
        bucket = self._bucket(prefix)
        if bucket.labels is None:
            bucket.labels = Labels(bucket.entries)
        return bucket.labels.learn()

    def selected(self, prefix: str, selector: Selector) -> list[Entry]:
        """See `Store.selected`."""
        bucket = self._buckets.get(bucket_of(prefix))
        if bucket is None or bucket.labels is None:
            return []
        low, high = bucket.span(prefix)
        found = bucket.labels.select(prefix, bucket.keys[low:high], selector)
        return list(map(bucket.entries.__getitem__, found))

    def count(self, prefix: str) -> int:
        spans = (bucket.span(prefix) for bucket in self._buckets_of(prefix))
        return sum(high - low for low, high in spans)

    def _bucket(self, key: str) -> Bucket:
        name = bucket_of(key)
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = Bucket()
            self._wide.clear()
        return bucket

    def _buckets_of(self, prefix: str) -> Sequence[Bucket]:
        """The buckets that may hold keys of `prefix`, in order: one, unless the prefix is wider than a
        resource."""
        if prefix.count("/") >= BUCKET_SLASHES:
            bucket = self._buckets.get(bucket_of(prefix))
            return (bucket,) if bucket and bucket.keys else ()
        found = self._wide.get(prefix)
        if found is None:
            names = sorted(name for name in self._buckets if name.startswith(prefix))
            found = self._wide[prefix] = [self._buckets[name] for name in names]
        return found


def after_prefix(prefix: str) -> str:
    """The first string behind all that begin with `prefix`, which ends in a slash."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)
