"""Header blocks: names and values, compressed with one zlib stream per direction. Pure but for the
compressors' state.

Source: SPDY protocol draft 3, sections 2.6.10 and 2.6.10.1.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

MAX_BLOCK = 64 * 1024
"""Bytes a header block may have when decompressed."""

_WORDS = """\
options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age
allow authorization cache-control connection content-base content-encoding content-language content-length
content-location content-md5 content-range content-type date etag expect expires from host if-match
if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma
proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade
user-agent vary via warning www-authenticate method get status"""
_MORE = ("200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin")
_CODES = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
    "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
)
_VALUES = (
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
    "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = b"".join(
    struct.pack(">I", len(word)) + word.encode() for word in (*_WORDS.split(), *_MORE)
) + (_CODES + _VALUES).encode()  # fmt: skip
"""What both compressors are primed with; its bytes are part of the protocol."""


class HeaderError(ValueError):
    """A header block that is none."""


class HeaderWriter:
    def __init__(self) -> None:
        self._compress = zlib.compressobj(zdict=DICTIONARY)

    def encode(self, headers: Mapping[str, str]) -> bytes:
        pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        plain = struct.pack(">I", len(pairs)) + b"".join(
            struct.pack(">I", len(name)) + name + struct.pack(">I", len(value)) + value
            for name, value in pairs
        )
        return self._compress.compress(plain) + self._compress.flush(zlib.Z_SYNC_FLUSH)


class HeaderReader:
    def __init__(self) -> None:
        self._decompress = zlib.decompressobj(zdict=DICTIONARY)

    def decode(self, block: bytes) -> dict[str, str]:
        """Names in lower case; of several values the first. Every block of the connection has to come
        through here, in order. Raises HeaderError."""
        try:
            plain = self._decompress.decompress(block, MAX_BLOCK)
            if self._decompress.unconsumed_tail:
                raise HeaderError("header block too large")
            return _parse(plain)
        except (zlib.error, struct.error, UnicodeDecodeError) as error:
            raise HeaderError(f"broken header block: {error}") from error


def _parse(plain: bytes) -> dict[str, str]:
    (count,) = struct.unpack_from(">I", plain)
    position = 4
    strings: list[str] = []
    for _ in range(min(2 * count, len(plain) // 4)):
        (length,) = struct.unpack_from(">I", plain, position)
        strings.append(plain[position + 4 : position + 4 + length].decode())
        position += 4 + length
    names, values = strings[::2], strings[1::2]
    return {name.lower(): value.split("\0")[0] for name, value in zip(names, values, strict=True)}
