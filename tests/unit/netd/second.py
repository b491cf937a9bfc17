"""A second machine beside a `World`: a network namespace, a thread and an event loop of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from podium.api.types import Obj
from podium.api.types.resources import Resource

from .world import OUTSIDE, World, machine, run

T = TypeVar("T")

NAME, POD_CIDR = "node-2", "10.42.1.0/24"


class SecondNode(World):
    """It shares the first one's link, or is behind a router."""

    def __init__(self, tmp: Path, outside: str, *, shares_link: bool, **config: Any) -> None:
        address = "192.0.2.3" if shares_link else "198.51.100.3"
        super().__init__(tmp, name=NAME, address=address, pod_cidr=POD_CIDR, **config)
        self.outside = outside
        self.shares_link = shares_link

    async def plug_in(self) -> None:
        if self.shares_link:
            self.wire("192.0.2.3/24", OUTSIDE, self.outside, "down1")
            run("ip link set down1 master switch", self.outside)
            return
        self.wire("198.51.100.3/24 ", "198.51.100.3", self.outside, "down1")
        run("ip addr add 198.51.100.1/24 dev down1", self.outside)
        run("sysctl -qw net.ipv4.ip_forward=1", self.outside)
        run("ip route replace default via 198.51.100.1")


class Second:
    """Runs what happens on the second machine in its own thread."""

    def __init__(self, node: SecondNode) -> None:
        self.node = node
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with machine(self.node.tmp):
            self._loop.run_forever()
            self._loop.close()

    async def do(self, work: Callable[[SecondNode], Awaitable[T]]) -> T:
        async def there() -> T:
            return await work(self.node)

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(there(), self._loop))

    async def put(self, resource: Resource, obj: Obj) -> None:
        await self.do(lambda node: node.client.put(resource, obj))

    async def run(self, command: str) -> str:
        async def there(_: SecondNode) -> str:
            return run(command)

        return await self.do(there)

    def open(self) -> None:
        self._thread.start()

    async def close(self) -> None:
        await self.do(lambda node: node.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join)


@contextlib.asynccontextmanager
async def second_node(world: World, *, shares_link: bool, **config: Any) -> AsyncIterator[Second]:
    """Both nodes know each other when it is there."""
    node = SecondNode(world.tmp / "second", world.outside, shares_link=shares_link, **config)
    second = Second(node)
    second.open()
    try:
        await second.do(lambda node: node.start())
        here = world.config
        await second.do(lambda node: node.node(here.node_name, world.pod_cidr, here.node_address))
        await world.node(NAME, POD_CIDR, node.config.node_address)
        await second.do(lambda node: node.routed(""))
        await world.routed("")
        yield second
    finally:
        await second.close()
