"""A provider whose machines are only names; the test registers their Nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from podium.control.nodescaling.provider import Group, ProviderError, Template
from tests.unit.control.nodescaling.build import TEMPLATE

PATIENCE = 15.0


class MemoryProvider:
    """`fails` is what the next additions fail with, `refuses` what the next removals do."""

    def __init__(self, *nodes: str, least: int = 0, most: int = 5) -> None:
        self.nodes = list(nodes)
        self.least, self.most = least, most
        self.added: list[int] = []
        self.removed: list[str] = []
        self.fails = ""
        self.refuses: Exception | None = None
        self._acted = asyncio.Event()

    async def acts(self, holds: Callable[[], bool]) -> None:
        """Waits until what was asked of it is as wished."""
        async with asyncio.timeout(PATIENCE):
            while not holds():
                self._acted.clear()
                await self._acted.wait()

    async def groups(self) -> Sequence[Group]:
        return [Group("pool", self.least, self.most, tuple(self.nodes))]

    async def template(self, group: str) -> Template | None:
        return TEMPLATE

    async def add(self, group: str, count: int) -> Sequence[str]:
        if group != "pool":
            raise ProviderError(f"there is no group {group}")
        if self.fails:
            raise ProviderError(self.fails)
        names = [f"made-{len(self.nodes) + number}" for number in range(count)]
        self.added.append(count)
        self.nodes += names
        self._acted.set()
        return names

    async def remove(self, group: str, node: str) -> None:
        self.removed.append(node)
        self._acted.set()
        if self.refuses is not None:
            raise self.refuses
        if node in self.nodes:
            self.nodes.remove(node)
