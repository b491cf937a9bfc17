"""What stands between an object's bytes and the disk."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from podium.api.store.entry import DecodedCache, Entry
from podium.api.types import Obj
from podium.api.types.errors import StatusError, internal

# What no encoded object begins with, and every encrypted one does.
MARK = b"k8s:enc:"


class Unreadable(Exception):
    """Why a value cannot be read: its key is not there, or it was tampered with."""


class Opened(NamedTuple):
    """`stale`: it is to be written anew when somebody writes it, even if nothing changed: it lies there in
    another form than it would be written in now."""

    value: bytes
    stale: bool = False


class Codec(Protocol):
    """Both are called on the store's threads; what they make depends on nothing but their arguments."""

    def seal(self, key: str, value: bytes) -> bytes: ...

    def open(self, key: str, stored: bytes) -> Opened:
        """Raises Unreadable."""
        ...


class Plain(Codec):
    """Objects lie on the disk as they are."""

    def seal(self, key: str, value: bytes) -> bytes:
        return value

    def open(self, key: str, stored: bytes) -> Opened:
        if stored.startswith(MARK):
            raise Unreadable("identity transformer tried to read encrypted data")
        return Opened(stored)


class StaleEntry(Entry):
    """See `Opened`."""

    __slots__ = ()
    stale = True


def outdate(entry: Entry) -> None:
    """It lies on the disk in a form that is given up: see `Opened`."""
    if type(entry) is Entry:
        entry.__class__ = StaleEntry


class UnreadableEntry(Entry):
    """An object that is there, and nobody can read. Whoever looks into it gets a 500 that says so; nothing
    else suffers."""

    __slots__ = ("_stored", "_why")
    readable = False

    def __init__(self, key: str, stored: bytes, revision: int, cache: DecodedCache, why: str) -> None:
        self.key = key
        self.revision = revision
        self.known_labels = self.memo = None
        self._cache = cache
        self._obj = None
        self._used = False
        self._stored = stored
        self._why = why

    @property
    def value(self) -> bytes:  # type: ignore[override]
        raise self._error()

    @property
    def obj(self) -> Obj:
        raise self._error()

    @property
    def why(self) -> str:
        return f'unable to transform key "{self.key}": {self._why}'

    def again(self, codec: Codec) -> Entry:
        """The same, opened by another codec."""
        return opened(codec, self.key, self._stored, self.revision, self._cache)

    def _error(self) -> StatusError:
        return internal(self.why)


def opened(codec: Codec, key: str, stored: bytes, revision: int, cache: DecodedCache) -> Entry:
    """The entry of what lies on the disk."""
    try:
        value, stale = codec.open(key, stored)
    except Unreadable as error:
        return UnreadableEntry(key, stored, revision, cache, str(error))
    return (StaleEntry if stale else Entry)(key, value, revision, cache)
