"""Asks nodes for their resource metrics when somebody wants to know, and remembers the answers for a
while."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from podium.api.core import Core
from podium.api.metering.samples import Key, Sample, Use, parse, use
from podium.api.nodes import endpoint_of
from podium.api.types.errors import StatusError
from podium.api.types.meta import condition
from podium.api.types.resources import NODES

if TYPE_CHECKING:
    import aiohttp

log = logging.getLogger(__name__)

TIMEOUT, CONNECT_TIMEOUT = 10.0, 2.0
# Nodes that are asked at the same time.
AT_ONCE = 50
# Seconds between the two samples that a node's first answer needs.
FIRST_WINDOW = 1.0
# Samples older than so many resolutions tell nothing about the present.
KEPT = 4

Uses = dict[Key, Use]


class Collector:
    """A sample is used again for a fifth of `resolution` seconds, and rates are told over at least half of
    it where there are samples for that."""

    def __init__(
        self,
        core: Core,
        client: Callable[[], aiohttp.ClientSession],
        context: ssl.SSLContext,
        resolution: float = 10.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._core, self._client, self._context = core, client, context
        self._fresh, self._window, self._kept = resolution / 5, resolution / 2, resolution * KEPT
        self._now = now
        self._samples: dict[str, list[Sample]] = {}
        self._busy: dict[str, asyncio.Lock] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)
        # Until when nodes are not asked that gave no answer.
        self._silent: dict[str, float] = {}

    async def uses(self, nodes: Iterable[str]) -> dict[str, Uses]:
        """What each of the nodes, and every container on it, used lately. Nodes that give no answer are left
        out."""
        names = list(dict.fromkeys(nodes))
        self._forget()
        await asyncio.gather(*(self._refresh(name) for name in names))
        found = {name: self._uses(name) for name in names}
        return {name: uses for name, uses in found.items() if uses}

    def _forget(self) -> None:
        oldest = self._now() - self._kept
        self._silent = {name: until for name, until in self._silent.items() if until > self._now()}
        self._busy = {name: lock for name, lock in self._busy.items() if lock.locked()}
        for name, samples in list(self._samples.items()):
            samples[:] = [sample for sample in samples if sample.at >= oldest]
            if not samples:
                del self._samples[name]

    async def _refresh(self, name: str) -> None:
        async with self._busy.setdefault(name, asyncio.Lock()):
            if self._is_away(name):
                return
            samples = self._samples.get(name, [])
            if len(samples) > 1 and self._now() - samples[-1].at < self._fresh:
                return
            if not await self._ask(name):
                return
            if len(self._samples[name]) < 2:
                await asyncio.sleep(FIRST_WINDOW)
                await self._ask(name)

    def _is_away(self, name: str) -> bool:
        """Whether it is known that a node would not answer: nobody shall wait for that."""
        if self._now() < self._silent.get(name, 0.0):
            return True
        node = self._core.lookup(NODES, "", name)
        found = condition(node, "Ready") if node is not None else None
        return node is None or (found is not None and found.get("status") != "True")

    async def _ask(self, name: str) -> bool:
        """Whether the node answered."""
        try:
            async with self._slots:
                text = await self._fetch(name)
            sample = parse(text, self._now())
        except (StatusError, OSError, TimeoutError, ValueError) as error:
            log.info("metrics of node %s: %s", name, str(error) or type(error).__name__)
            self._silent[name] = self._now() + self._window
            return False
        self._silent.pop(name, None)
        self._samples.setdefault(name, []).append(sample)
        return True

    async def _fetch(self, name: str) -> str:
        """Raises StatusError, OSError, TimeoutError."""
        import aiohttp

        host, port = endpoint_of(self._core, name)
        url = f"https://{f'[{host}]' if ':' in host else host}:{port}/metrics/resource"
        try:
            async with self._client().get(
                url,
                ssl=self._context,
                timeout=aiohttp.ClientTimeout(total=TIMEOUT, sock_connect=CONNECT_TIMEOUT),
            ) as response:
                response.raise_for_status()
                return await response.text()
        except aiohttp.ClientError as error:
            raise OSError(f"{url}: {error}") from error

    def _uses(self, name: str) -> Uses:
        samples = self._samples.get(name)
        if not samples:
            return {}
        last = samples[-1]
        before = samples[0]
        for sample in reversed(samples[:-1]):
            before = sample
            if last.at - sample.at >= self._window:
                break
        found = {
            key: use(reading, None if before is last else before.readings.get(key))
            for key, reading in last.readings.items()
        }
        return {key: each for key, each in found.items() if each is not None}
