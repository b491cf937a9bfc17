"""Which of a client's headers go on to another server: none that speak of the connection to us, and none by
which that server knows from us who asks.

Source: RFC 9110, "Connection" and "Message Forwarding"; docs, "Configure the Aggregation Layer"."""

from __future__ import annotations

from collections.abc import Iterable

Header = tuple[bytes, bytes]

# Of both directions: they are about one connection each, or are made anew.
HOP_BY_HOP = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection",
        b"te", b"trailer", b"transfer-encoding", b"upgrade",
    }
)  # fmt: skip
# Of the client's connection to us or of its credentials, not of what it wants.
_PRIVATE = frozenset({b"host", b"authorization", b"cookie", b"content-length", b"x-forwarded-for"})
_IDENTITY = (b"impersonate-", b"x-remote-")


def is_private(name: bytes) -> bool:
    """Whether a header, in lower case, stays here. Some servers take an underscore for a dash."""
    plain = name.replace(b"_", b"-")
    return plain in _PRIVATE or plain.startswith(_IDENTITY)


def forwarded(headers: Iterable[Header]) -> list[Header]:
    """The client's headers that another server gets to see, besides those of an upgrade."""
    given = list(headers)
    named = {
        token.strip().lower() for name, value in given if name == b"connection" for token in value.split(b",")
    }
    return [
        (name, value)
        for name, value in given
        if not is_private(name) and name not in HOP_BY_HOP and name not in named
    ]
