"""Ranges of the machine's ids, one for each pod with users of its own. Pure.

Source: KEP-127; user_namespaces(7).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from podium.api.types import Obj

LENGTH = 1 << 16
"""How many ids a pod has: all that 16 bits tell apart."""

ALL_IDS = 1 << 32


class IdRange(NamedTuple):
    """`length` ids from `first` on."""

    first: int
    length: int = LENGTH

    def mappings(self) -> list[Obj]:
        """OCI `uidMappings`, and `gidMappings`, of a pod that sees these ids as those from 0 on."""
        return [{"containerID": 0, "hostID": self.first, "size": self.length}]

    def __str__(self) -> str:
        """A line of uid_map, and with colons what a snapshotter takes."""
        return f"0:{self.first}:{self.length}"


EVERYTHING = IdRange(LENGTH, ALL_IDS - LENGTH)
"""What a machine can give away: the first range is its own."""

SHARES = 256
"""How many nodes on one machine are thought of."""


def free(within: IdRange, taken: Collection[IdRange]) -> IdRange | None:
    """The lowest range that nobody has, None when all are taken."""
    firsts = {each.first for each in taken}
    starts = range(within.first, within.first + within.length - LENGTH + 1, LENGTH)
    return next((IdRange(start) for start in starts if start not in firsts), None)


def share(whole: IdRange, number: int, pods: int) -> IdRange:
    """What the node `number` of a machine may give away, of at most SHARES nodes that have `pods` pods each.
    Raises ValueError when there is not as much."""
    length = max(pods, whole.length // LENGTH // SHARES) * LENGTH
    made = IdRange(whole.first + number * length, length)
    if made.first + made.length > whole.first + whole.length:
        raise ValueError(f"user assigned IDs are not enough to support {pods} pods")
    return made


def document(given: IdRange) -> Obj:
    """How a pod's range is written down."""
    mapping = [{"hostId": given.first, "containerId": 0, "length": given.length}]
    return {"uidMappings": mapping, "gidMappings": mapping}


def parse(found: Any) -> IdRange:
    """Raises ValueError for what `document` cannot have made."""
    try:
        (users,), groups = found["uidMappings"], found["gidMappings"]
        made = IdRange(int(users["hostId"]), int(users["length"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"invalid user namespace mappings: {error!r}") from error
    if document(made) != {"uidMappings": [users], "gidMappings": groups}:
        raise ValueError("invalid user namespace mappings: users and groups differ, or 0 is not mapped")
    if made.length != LENGTH or made.first % LENGTH or not made.first:
        raise ValueError(f"invalid user namespace mappings: {made}")
    return made
