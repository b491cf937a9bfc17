"""Which range each pod of a node has. The files in the pods' folders are all that is known: a range is free
as soon as nothing is left of its pod, and a daemon that has just started knows no less. Blocks briefly: call
it in threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Lock

import orjson

from podium.runtime.usernamespaces.ranges import IdRange, document, free, parse

FILE = "userns"


class UserRanges:
    """The ranges of one node's pods, whose folders lie in `pods`; `within` is what it may give away."""

    def __init__(self, pods: Path, within: IdRange) -> None:
        self._pods = pods
        self._within = within
        self._lock = Lock()

    def of(self, uid: str) -> IdRange | None:
        """None for a pod without. Raises OSError."""
        return _read(self._pods / uid / FILE)

    def take(self, uid: str) -> IdRange:
        """The pod's range, from now on if it has none yet. Raises OSError, also when there is none left."""
        with self._lock:
            if (known := self.of(uid)) is not None:
                return known
            given = free(self._within, set(self._taken()))
            if given is None:
                raise OSError("could not find an empty slot to allocate a user namespace")
            folder = self._pods / uid
            folder.mkdir(parents=True, exist_ok=True, mode=0o750)
            new = folder / f"{FILE}.new"
            new.write_bytes(orjson.dumps(document(given)))
            new.rename(folder / FILE)
            return given

    def _taken(self) -> Iterator[IdRange]:
        for folder in self._pods.iterdir() if self._pods.is_dir() else ():
            if (given := _read(folder / FILE)) is not None:
                yield given


def _read(path: Path) -> IdRange | None:
    try:
        return parse(orjson.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise OSError(f"{path}: {error}") from error
