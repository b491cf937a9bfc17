"""The machine's own word on its shutdown: systemd-logind over D-Bus.

Source: org.freedesktop.login1(5), systemd.special(7)."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dbus_fast.aio import MessageBus

log = logging.getLogger(__name__)

_NAME, _PATH, _MANAGER = "org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager"
_DROP_IN = Path("/etc/systemd/logind.conf.d/99-podium.conf")
# Seconds until the bus, or who is on it, counts as out of reach.
PATIENCE = 10.0
_PROPERTIES = "org.freedesktop.DBus.Properties"


class Logind:
    """`address` is the bus'; the system's when None. One hold at a time. Raises OSError wherever the bus or
    logind cannot be reached."""

    def __init__(self, address: str | None = None, drop_in: Path = _DROP_IN) -> None:
        self._address = address
        self._drop_in = drop_in
        self._bus: MessageBus | None = None
        self._said: asyncio.Queue[bool | None] = asyncio.Queue()

    async def hold(self, seconds: float) -> Callable[[], None]:
        bus = self._bus if self._bus is not None and self._bus.connected else await self._connect()
        await self._allow(bus, seconds)
        reply = await self._call(
            bus, _MANAGER, "Inhibit", "ssss",
            ["shutdown", "podium node", "pods need time to end before the machine does", "delay"],
        )  # fmt: skip
        held: list[int] = [reply.unix_fds[reply.body[0]]]
        os.set_inheritable(held[0], False)

        def release() -> None:
            while held:
                os.close(held.pop())

        return release

    async def signals(self) -> AsyncIterator[bool]:
        """Ends with the connection."""
        while (begins := await self._said.get()) is not None:
            yield begins

    async def close(self) -> None:
        if self._bus is not None:
            self._bus.disconnect()
            self._bus = None

    async def _connect(self) -> MessageBus:
        # Costs memory that a node without graceful shutdown need not spend.
        from dbus_fast import BusType, Message, MessageType
        from dbus_fast.aio import MessageBus
        from dbus_fast.errors import AuthError, InvalidAddressError

        try:
            async with asyncio.timeout(PATIENCE):
                bus = await MessageBus(
                    bus_address=self._address, bus_type=BusType.SYSTEM, negotiate_unix_fd=True
                ).connect()
        except (AuthError, InvalidAddressError, EOFError) as error:
            raise OSError(f"cannot reach the system's bus: {error}") from error
        self._bus = bus
        self._said = asyncio.Queue()

        def heard(message: Message) -> None:
            if message.message_type is MessageType.SIGNAL and message.member == "PrepareForShutdown":
                self._said.put_nowait(bool(message.body[0]))

        bus.add_message_handler(heard)
        said = self._said

        def over(task: asyncio.Future[None]) -> None:
            if not task.cancelled() and (error := task.exception()):
                log.debug("the bus is gone: %s", error)
            said.put_nowait(None)

        waiting = bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
        asyncio.ensure_future(waiting).add_done_callback(over)
        rule = f"type='signal',interface='{_MANAGER}',member='PrepareForShutdown',path='{_PATH}'"
        await self._call(bus, "org.freedesktop.DBus", "AddMatch", "s", [rule], to="org.freedesktop.DBus",
                         path="/org/freedesktop/DBus")  # fmt: skip
        return bus

    async def _allow(self, bus: MessageBus, seconds: float) -> None:
        """Has logind wait as long as we need, which it is told by a file."""
        wanted = int(seconds * 1_000_000)
        if await self._longest(bus) >= wanted:
            return
        text = f"# Kept by podium node.\n[Login]\nInhibitDelayMaxSec={seconds:g}\n"
        await asyncio.to_thread(_write, self._drop_in, text)
        await self._call(
            bus, "org.freedesktop.systemd1.Manager", "KillUnit", "ssi",
            ["systemd-logind.service", "all", 1], to="org.freedesktop.systemd1",
            path="/org/freedesktop/systemd1",
        )  # fmt: skip
        if (longest := await self._longest(bus)) < wanted:
            log.warning("logind waits %g s for pods to end, less than %g s", longest / 1e6, seconds)

    async def _longest(self, bus: MessageBus) -> int:
        """Microseconds."""
        reply = await self._call(bus, _PROPERTIES, "Get", "ss", [_MANAGER, "InhibitDelayMaxUSec"])
        return int(reply.body[0].value)

    async def _call(
        self, bus: MessageBus, interface: str, member: str, signature: str, body: list[Any], *,
        to: str = _NAME, path: str = _PATH,
    ) -> Any:  # fmt: skip
        from dbus_fast import Message, MessageType

        message = Message(
            destination=to, path=path, interface=interface, member=member, signature=signature, body=body
        )
        async with asyncio.timeout(PATIENCE):
            reply = await bus.call(message)
        if reply is None or reply.message_type is MessageType.ERROR:
            raise OSError(f"{interface}.{member}: {reply.body if reply else 'no reply'}")
        return reply


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
