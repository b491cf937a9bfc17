"""Links in what a proxied server answers: they are the server's own, and must lead through the proxy again.

Only links to the root of the same server change; relative ones work as they are. Source: HTML, "Index:
attributes" (those that hold URLs).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

# Larger pages pass as they are: they would be held in memory whole.
MAX_PAGE = 8 << 20
_NAMES = (
    "action|background|cite|classid|codebase|data|formaction|href|icon|longdesc|manifest|poster|profile|src"
    "|usemap"
)
# A comment, or a tag up to the end of its name.
_BEGINNING = re.compile(rb"<(?:!--|([a-z][a-z0-9]*)\b)", re.IGNORECASE)
# Possessive, so that no input makes the search go back.
_ATTRIBUTES = re.compile(rb"(?:[^>\"']|\"[^\"]*\"|'[^']*')*+>")
# Elements whose text is no markup, and what ends each.
_RAW = {
    name: re.compile(rb"</%b\s*+>" % name, re.IGNORECASE)
    for name in (b"script", b"style", b"textarea", b"title")
}
_ATTRIBUTE = re.compile(rf"(\s(?:{_NAMES})\s*=\s*)(\"[^\"]*\"|'[^']*'|[^\s\"'>]+)".encode(), re.IGNORECASE)


def through(link: str, prefix: str, origin: str) -> str:
    """The link of a server at `origin` (scheme and authority) as it is below `prefix`, the proxy's path
    without a slash at its end. Links to elsewhere stay."""
    if link.startswith(f"{origin}/") or link == origin:
        link = link[len(origin) :] or "/"
    if not link.startswith("/") or link.startswith("//"):
        return link
    if link == prefix or link.startswith(f"{prefix}/"):
        return link
    return prefix + link


def rewritten(page: bytes, prefix: str, origin: str) -> bytes:
    """An HTML page whose links lead through the proxy."""

    def attribute(found: re.Match[bytes]) -> bytes:
        value = found[2]
        quote = value[:1] if value[:1] in (b'"', b"'") else b""
        link = value.strip(quote) if quote else value
        return found[1] + quote + through(link.decode("latin-1"), prefix, origin).encode("latin-1") + quote

    parts: list[bytes] = []
    copied = 0
    for start, end in _tags(page):
        parts += (page[copied:start], _ATTRIBUTE.sub(attribute, page[start:end]))
        copied = end
    return b"".join((*parts, page[copied:]))


def _tags(page: bytes) -> Iterator[tuple[int, int]]:
    """Where each tag with attributes begins and ends. What is begun and never closed ends the search: every
    byte is looked at once, whatever the page."""
    at = 0
    while found := _BEGINNING.search(page, at):
        name = found[1]
        if name is None:
            at = page.find(b"-->", found.end()) + len(b"-->")
            if at < found.end():
                return
            continue
        tag = _ATTRIBUTES.match(page, found.end())
        if tag is None:
            return
        yield found.end(), tag.end()
        at = tag.end()
        if closing := _RAW.get(name.lower()):
            closed = closing.search(page, at)
            if closed is None:
                return
            at = closed.end()


def is_page(media_type: str) -> bool:
    return media_type.split(";", 1)[0].strip().lower() == "text/html"


def unpacked(body: bytes, coding: str) -> bytes | None:
    """The body without its content coding; None where that is unknown, broken, or hides a page that is too
    large."""
    if coding in ("", "identity"):
        return body
    if coding not in ("gzip", "deflate"):
        return None
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        page = inflater.decompress(body, MAX_PAGE)
    except zlib.error:
        return None
    return page if inflater.eof else None
