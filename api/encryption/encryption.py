"""Sealing and opening. The first provider of a resource writes, all of them read.

A sealed value is `k8s:enc:aesgcm:v1:KEYNAME:`, 12 random bytes, and what AES-GCM makes of the object; it is
bound to its place in the store, so that a value that was moved elsewhere does not open."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from podium.api.store.base import bucket_of
from podium.api.store.codec import MARK, Codec, Opened, Unreadable

NONCE = 12  # bytes


class Provider(Protocol):
    """`prefix` is what its values begin with."""

    prefix: bytes

    def seal(self, key: str, value: bytes) -> bytes: ...

    def open(self, key: str, stored: bytes) -> bytes:
        """Raises Unreadable."""
        ...


class Identity(Provider):
    prefix = b""

    def seal(self, key: str, value: bytes) -> bytes:
        return value

    def open(self, key: str, stored: bytes) -> bytes:
        if stored.startswith(MARK):
            raise Unreadable("identity transformer tried to read encrypted data")
        return stored


class AesGcm(Provider):
    """One key, of 16, 24 or 32 bytes."""

    def __init__(self, name: str, secret: bytes) -> None:
        self.prefix = b"k8s:enc:aesgcm:v1:%b:" % name.encode()
        self._cipher = AESGCM(secret)

    def seal(self, key: str, value: bytes) -> bytes:
        nonce = os.urandom(NONCE)
        return self.prefix + nonce + self._cipher.encrypt(nonce, value, key.encode())

    def open(self, key: str, stored: bytes) -> bytes:
        start = len(self.prefix)
        nonce, sealed = stored[start : start + NONCE], stored[start + NONCE :]
        try:
            return self._cipher.decrypt(nonce, sealed, key.encode())
        except (InvalidTag, ValueError):
            raise Unreadable("cipher: message authentication failed") from None


class Resources(NamedTuple):
    """Which resources, as (group, plural), "*" for any; and their providers, the one that writes first."""

    named: frozenset[tuple[str, str]]
    providers: Sequence[Provider]

    def covers(self, group: str, plural: str) -> bool:
        return any(name in self.named for name in ((group, plural), (group, "*"), ("*", "*")))


class Encryption(Codec):
    """The first entry that names a resource decides for it; the others lie there as they are."""

    def __init__(self, entries: Sequence[Resources]) -> None:
        # With what was found in them, so that whoever looks something up sees both change at once.
        self._table: tuple[Sequence[Resources], dict[str, Sequence[Provider]]] = (entries, {})

    def follow(self, other: Encryption) -> None:
        """Is as `other` from now on, on all threads."""
        self._table = (other._table[0], {})

    def covers(self, key: str) -> bool:
        """Whether the key's values are written in another form than they have in memory."""
        return not isinstance(self._providers(key)[0], Identity)

    def seal(self, key: str, value: bytes) -> bytes:
        return self._providers(key)[0].seal(key, value)

    def open(self, key: str, stored: bytes) -> Opened:
        providers = self._providers(key)
        fault = Unreadable("no matching prefix found")
        for index, provider in enumerate(providers):
            if not stored.startswith(provider.prefix) or (not provider.prefix and stored.startswith(MARK)):
                continue
            try:
                return Opened(provider.open(key, stored), index > 0)
            except Unreadable as error:
                # Another key may go by the same name.
                fault = error
        if providers == _PLAIN and stored.startswith(MARK):
            fault = Unreadable("identity transformer tried to read encrypted data")
        raise fault

    def _providers(self, key: str) -> Sequence[Provider]:
        bucket = bucket_of(key)
        entries, known = self._table
        found = known.get(bucket)
        if found is None:
            _, _, group, plural, _ = bucket.split("/")
            group = "" if group == "core" else group
            found = next((entry.providers for entry in entries if entry.covers(group, plural)), _PLAIN)
            known[bucket] = found
        return found


_PLAIN: Sequence[Provider] = [Identity()]
