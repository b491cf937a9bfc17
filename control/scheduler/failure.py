"""Why a node, or every node, is refused."""

from __future__ import annotations

from typing import NamedTuple


class Failure(NamedTuple):
    """`plugin` names the filter, for who waits for what; `resolvable` says whether fewer pods on the node
    could help."""

    plugin: str
    reasons: tuple[str, ...]
    resolvable: bool = False
