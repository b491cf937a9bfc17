"""The provider of a cluster on one machine: nodes in network namespaces, made and removed by the `podium`
command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from podium.control.nodescaling.commands import run
from podium.control.nodescaling.provider import Group, ProviderError, Template

GROUP = "local"
ADDING, REMOVING = 300.0, 300.0  # seconds


class LocalProvider:
    """`command` is what `node add` and `node rm` are put behind, `options` what follows them. `folder` has
    one entry per node with a file `node.json`, but for the node `first`, which is the machine itself and
    stays."""

    def __init__(
        self, command: Sequence[str], options: Sequence[str], folder: Path, first: str, least: int, most: int
    ) -> None:
        self._command, self._options = list(command), list(options)
        self._folder, self._first = folder, first
        self._least, self._most = least, most

    async def groups(self) -> Sequence[Group]:
        added = sorted(path.parent.name for path in self._folder.glob("*/node.json"))
        return [Group(GROUP, self._least, self._most, (self._first, *added), (self._first,))]

    async def template(self, group: str) -> Template | None:
        return None

    async def add(self, group: str, count: int) -> Sequence[str]:
        names = []
        for _ in range(count):
            answer = await run([*self._command, "node", "add", *self._options, "-o", "json"], {}, ADDING)
            names.append(str(answer["name"]))
        return names

    async def remove(self, group: str, node: str) -> None:
        if node == self._first:
            raise ProviderError(f"{node} is the machine itself")
        if not (self._folder / node / "node.json").exists():
            return
        # It was drained; what is left on it is not worth waiting for.
        await run([*self._command, "node", "rm", node, "--force", *self._options, "-o", "json"], {}, REMOVING)
