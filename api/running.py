"""The requests that are being served: how long they may take, and how they come to an end when the server
does.

A deadline is no timer per request: while any request with one is open, a look around now and then finds what
is late."""

from __future__ import annotations

import asyncio
from time import perf_counter

from podium.api.durations import seconds
from podium.api.exchange import Exchange
from podium.api.types.errors import StatusError, bad_request, timeout, too_many_requests

# Subresources that are a connection to somewhere else, and last as long as that wants.
CONNECTS = frozenset({"exec", "attach", "portforward", "proxy", "log"})
# Of the longest time a request may take, how often is looked.
LOOKS = 12
RETRY_AFTER = 5  # seconds
# Asked by whoever wants to know whether the server is going.
HEALTH = ("/healthz", "/livez", "/readyz")


def is_long_running(exchange: Exchange) -> bool:
    """Whether a request may last: it has no deadline."""
    if exchange.verb == "watch" or exchange.upgraded:
        return True
    return exchange.target is not None and exchange.target.subresource in CONNECTS


class Running:
    """Of one server. `limit`: the seconds that a request may take, 0 for any number. Requests are `open` from
    `begin` to `end`; both are called on each of them, on its own task."""

    def __init__(self, limit: float = 60.0) -> None:
        self.open: set[Exchange] = set()
        self.closing = False
        self.late = 0
        self.refused = 0
        self._limit = limit
        self._timer: asyncio.TimerHandle | None = None
        self._drained: asyncio.Event | None = None

    def begin(self, exchange: Exchange) -> None:
        """Raises 429 once the server is about to end."""
        exchange.began = perf_counter()
        exchange.task = asyncio.current_task()
        self.open.add(exchange)
        if self._timer is None and self._limit:
            self._arm()
        if self.closing and not exchange.path.startswith(HEALTH):
            self.refused += 1
            exchange.marks = ((b"connection", b"close"),)
            raise leaving()

    def end(self, exchange: Exchange) -> None:
        self.open.discard(exchange)
        exchange.task = None
        if exchange.timer is not None:
            exchange.timer.cancel()
        if self._drained is not None and not self._short():
            self._drained.set()

    def shorten(self, exchange: Exchange) -> None:
        """The client has said how long it will wait, in `timeout`. Raises 400."""
        text = exchange.query.get("timeout", "")
        if not text or (exchange.target is not None and exchange.target.subresource in CONNECTS):
            return
        if exchange.query.get("watch", "").lower() in ("1", "t", "true"):
            return
        try:
            wanted = seconds(text)
        except ValueError as error:
            raise bad_request(f"invalid timeout specified in the request URL - {error}") from None
        if wanted > 0 and (wanted < self._limit or not self._limit):
            exchange.timer = asyncio.get_running_loop().call_later(wanted, self._expire, exchange)

    def overdue(self, exchange: Exchange) -> StatusError | None:
        """What to answer to a request whose task was cancelled because of its deadline; None when it was for
        another reason."""
        if not exchange.late:
            return None
        if exchange.task is not None:
            exchange.task.uncancel()
        return timeout("request did not complete within the allotted timeout")

    def refuse(self) -> None:
        """From now on new requests are asked to come again later, when another server may be there."""
        self.closing = True

    async def drain(self, patience: float) -> None:
        """Until the requests that have an end of their own have come to it, or `patience` seconds."""
        if self._short():
            self._drained = asyncio.Event()
            try:
                async with asyncio.timeout(patience):
                    await self._drained.wait()
            except TimeoutError:
                return
            finally:
                self._drained = None

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _short(self) -> list[Exchange]:
        return [exchange for exchange in self.open if not is_long_running(exchange)]

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._limit / LOOKS, self._look)

    def _look(self) -> None:
        self._timer = None
        born = perf_counter() - self._limit
        short = self._short()
        for exchange in short:
            if exchange.began < born:
                self._expire(exchange)
        if short:
            self._arm()

    def _expire(self, exchange: Exchange) -> None:
        if not exchange.late and exchange.task is not None:
            exchange.late = True
            self.late += 1
            exchange.task.cancel()


def leaving() -> StatusError:
    return too_many_requests("The apiserver is shutting down, please try again later.", RETRY_AFTER)
