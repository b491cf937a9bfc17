"""One HTTP request and its answer: reading the body within its limit, sending objects, Statuses and
streams."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import Awaitable, Callable, Coroutine, Iterable, MutableMapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl

import orjson

from podium.api.types import Obj
from podium.api.types.errors import StatusError, bad_request, too_large
from podium.api.whole import WHOLE, Straight

if TYPE_CHECKING:
    from podium.api.audit import Record
    from podium.api.auth.users import User
    from podium.api.fairness import Seat
    from podium.api.paths import Target

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]

MAX_BODY = 3 << 20
# After these answers the connection is of no more use.
CLOSING = frozenset({413, 504})
# Smaller answers are not worth compressing (upstream's number), and larger ones are compressed beside the
# loop.
COMPRESSED_FROM = 128 << 10
LEVEL = 1
# Up to here an answer is put together and sent as one.
AT_ONCE = 1 << 18

_INTEGER = re.compile(r"[+-]?[0-9]+")
# As many as a number has that is certain to fit into 64 bits.
DIGITS = 18

JSON_TYPE: Header = (b"content-type", b"application/json")
TEXT_TYPE: Header = (b"content-type", b"text/plain; charset=utf-8")
NO_CACHE: Header = (b"cache-control", b"no-cache, private")


class Pieces(NamedTuple):
    """A body of `size` bytes in parts."""

    size: int
    parts: Iterable[bytes]


class Disconnected(Exception):
    """The client went away while its request was read."""


class Exchange:
    """`query` keeps the first value of each parameter; `path` is decoded.

    What is learned of the request on its way is noted here for those who count and record: what it is about
    (`target`, None for what is no resource), its `verb`, the `code` it was answered with (0: not yet) and the
    `size` of the answer where that was known, how many `events` a watch has sent, whether the connection was
    `upgraded` to something else. `seat` is what it holds while it is served, `marks` are headers that every
    answer to it has."""

    target: Target | None = None
    verb = ""
    code = 0
    events = 0
    size = 0
    began = 0.0
    late = False
    upgraded = False
    timer: asyncio.TimerHandle | None = None
    task: asyncio.Task[Any] | None = None
    audit: Record | None = None
    seat: Seat | None = None
    marks: Sequence[Header] = ()

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.started = False
        self.receive = receive
        self.send = send
        if not scope["query_string"]:
            # Most have none, and are asked for it several times.
            self.query = {}
        # Taken out: what answers must not be held by what it answers to.
        self._straight: Straight | None = scope.pop(WHOLE, None)

    def overheard(self, send: Send) -> None:
        """From now on `send` sees all that is sent."""
        self.send = send
        self._straight = None

    def enter(self, verb: str, user: User) -> None:
        """It is known now what is wanted, and by whom."""
        self.verb = verb
        if self.audit is not None:
            self.audit.open(user)

    async def pass_on(self, message: Message) -> None:
        """A message of an application that answers by itself."""
        if message["type"] == "http.response.start":
            self.code = message["status"]
            self.started = True
            if self.marks:
                message = {**message, "headers": [*message.get("headers", ()), *self.marks]}
        await self.send(message)

    @cached_property
    def pairs(self) -> list[tuple[str, str]]:
        query = self.scope["query_string"]
        return parse_qsl(query.decode("latin-1"), keep_blank_values=True) if query else []

    @cached_property
    def query(self) -> dict[str, str]:
        first: dict[str, str] = {}
        for name, value in self.pairs:
            first.setdefault(name, value)
        return first

    def header(self, name: bytes) -> bytes:
        """The first header of that name, which is lower case; b"" where there is none."""
        for key, value in self.scope["headers"]:
            if key == name:
                return bytes(value)
        return b""

    async def body(self) -> bytes:
        """All of it. Raises 413."""
        length = self.header(b"content-length")
        if length.isdigit() and int(length) > MAX_BODY:
            raise _too_large()
        message = await self.receive()
        chunk: bytes = message.get("body", b"")
        if message["type"] == "http.request" and not message.get("more_body"):
            if len(chunk) > MAX_BODY:
                raise _too_large()
            return chunk
        return await self._rest_of_body(message)

    async def _rest_of_body(self, message: Message) -> bytes:
        parts, size = [], 0
        while True:
            if message["type"] != "http.request":
                raise Disconnected
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > MAX_BODY:
                raise _too_large()
            if not message.get("more_body"):
                return b"".join(parts)
            message = await self.receive()

    async def while_connected(self, sending: Coroutine[Any, Any, None]) -> None:
        """Sends, and stops when the client is gone: it may be long until there is something to send."""
        task = asyncio.ensure_future(sending)
        gone = asyncio.ensure_future(self._disconnected())
        try:
            await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
        finally:
            for each in (task, gone):
                each.cancel()
            await asyncio.gather(task, gone, return_exceptions=True)

    async def _disconnected(self) -> None:
        """Returns once the client is gone."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def answer(self, code: int, body: bytes, headers: Sequence[Header] = (JSON_TYPE, NO_CACHE)) -> None:
        """The whole answer at once, compressed where that pays."""
        if len(body) >= COMPRESSED_FROM and self._accepts_gzip:
            body = await asyncio.to_thread(gzip.compress, body, LEVEL)
            headers = [*headers, (b"content-encoding", b"gzip"), (b"vary", b"accept-encoding")]
        await self._whole(code, body, headers)

    async def _whole(self, code: int, body: bytes, headers: Sequence[Header]) -> None:
        self.started = True
        self.code = code
        self.size = len(body)
        headers = (*headers, *self.marks)
        if self._straight is not None and self._straight.answer(code, headers, body):
            return
        headers = [*headers, (b"content-length", b"%d" % self.size)]
        await self.send({"type": "http.response.start", "status": code, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    async def answer_pieces(self, code: int, pieces: Pieces, headers: Sequence[Header]) -> None:
        """As `answer`, of a body that need not be put together."""
        if pieces.size >= COMPRESSED_FROM and self._accepts_gzip:
            body = await asyncio.to_thread(lambda: gzip.compress(b"".join(pieces.parts), LEVEL))
            compressed = ((b"content-encoding", b"gzip"), (b"vary", b"accept-encoding"))
            await self._whole(code, body, [*headers, *compressed])
            return
        if pieces.size <= AT_ONCE:
            await self._whole(code, b"".join(pieces.parts), headers)
            return
        self.started = True
        self.code = code
        self.size = pieces.size
        headers = [*headers, *self.marks, (b"content-length", b"%d" % self.size)]
        await self.send({"type": "http.response.start", "status": code, "headers": headers})
        for piece in pieces.parts:
            await self.send({"type": "http.response.body", "body": piece, "more_body": True})
            # Sending does not wait while the client keeps up.
            await asyncio.sleep(0)
        await self.send({"type": "http.response.body", "body": b""})

    async def begin(self, code: int, headers: Sequence[Header]) -> None:
        """Of a body that is not known yet: then `write` its parts, and `end`."""
        self.started = True
        self.code = code
        await self.send({"type": "http.response.start", "status": code, "headers": [*headers, *self.marks]})

    async def write(self, part: bytes) -> None:
        """Waits while the client does not read."""
        if self._straight is not None and self._straight.part(part):
            return
        await self.send({"type": "http.response.body", "body": part, "more_body": True})

    async def end(self) -> None:
        await self.send({"type": "http.response.body", "body": b""})

    async def object(self, code: int, obj: Obj) -> None:
        await self.answer(code, orjson.dumps(obj))

    async def text(self, code: int, text: str) -> None:
        await self.answer(code, text.encode(), (TEXT_TYPE, NO_CACHE))

    async def fail(self, error: StatusError) -> None:
        """The error's Status, unless an answer has begun."""
        if self.started:
            raise error
        if self.audit is not None:
            self.audit.error = error
        headers = [JSON_TYPE, NO_CACHE]
        if error.details and (seconds := error.details.get("retryAfterSeconds")):
            headers.append((b"retry-after", str(seconds).encode()))
        if error.code in CLOSING:
            # What is left of the body is not read, or the server is about to end.
            headers.append((b"connection", b"close"))
        await self.answer(error.code, orjson.dumps(error.status()), headers)

    @property
    def _accepts_gzip(self) -> bool:
        """A client on this machine gets its bytes faster than anybody could compress them."""
        client, server = self.scope.get("client"), self.scope.get("server")
        nearby = client and server and client[0] == server[0]
        return not nearby and b"gzip" in self.header(b"accept-encoding")

    def flag(self, name: str) -> bool | None:
        """A boolean parameter, None where it is absent. Raises 400."""
        text = self.query.get(name)
        if text is None or text == "":
            return None
        if text.lower() in ("true", "1", "t"):
            return True
        if text.lower() in ("false", "0", "f"):
            return False
        raise bad_request(f"{name}: {text!r} is neither true nor false")

    def number(self, name: str) -> int | None:
        """An integer parameter, None where it is absent. Raises 400."""
        text = self.query.get(name)
        if not text:
            return None
        if not _INTEGER.fullmatch(text):
            raise bad_request(f'{name}: strconv.ParseInt: parsing "{text}": invalid syntax')
        if len(text) > DIGITS:
            raise bad_request(f'{name}: strconv.ParseInt: parsing "{text}": value out of range')
        return int(text)


def _too_large() -> StatusError:
    return too_large(f"Request entity too large: limit is {MAX_BODY}")
