"""A request that turns its connection into something else, as those see it who count, record and limit
requests: from its head to the connection's end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from podium.api.exchange import Exchange, Message, Scope
from podium.api.types.errors import StatusError
from podium.api.upgrade import Route, Visitor

if TYPE_CHECKING:
    from podium.api.audit import Audit
    from podium.api.metrics import Metrics
    from podium.api.running import Running

Decide = Callable[[Exchange], Awaitable[Route]]


class Visit(Visitor):
    """`decide` authenticates, authorises, asks admission and routes."""

    def __init__(
        self, scope: Scope, decide: Decide, running: Running, metrics: Metrics, audit: Audit | None
    ) -> None:
        self._exchange = exchange = Exchange(scope, _nothing, _nowhere)
        exchange.upgraded = True
        if audit is not None:
            exchange.audit = audit.record(exchange)
        self._decide = decide
        self._running, self._metrics = running, metrics
        self._over = False

    async def route(self) -> Route:
        self._running.begin(self._exchange)
        return await self._decide(self._exchange)

    def answered(self, code: int, error: StatusError | None = None) -> None:
        exchange = self._exchange
        exchange.code = code
        if exchange.audit is not None:
            exchange.audit.error = error
            if error is None:
                exchange.audit.begun()

    def ended(self) -> None:
        if self._over:
            return
        self._over = True
        exchange = self._exchange
        self._running.end(exchange)
        self._metrics.served(exchange)
        if exchange.audit is not None:
            exchange.audit.close()


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


async def _nowhere(message: Message) -> None:
    """The connection answers by itself."""
