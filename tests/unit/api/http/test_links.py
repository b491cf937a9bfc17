from __future__ import annotations

import gzip
import zlib

import pytest

from podium.api.links import is_page, rewritten, through, unpacked

PREFIX, ORIGIN = "/api/v1/namespaces/default/pods/https:web:443/proxy", "https://10.42.0.9:443"


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("/a/b?q=/c#d", f"{PREFIX}/a/b?q=/c#d"),
        ("/", f"{PREFIX}/"),
        (f"{ORIGIN}/a", f"{PREFIX}/a"),
        (ORIGIN, f"{PREFIX}/"),
        ("a/b", "a/b"),
        ("#part", "#part"),
        ("", ""),
        ("//elsewhere/a", "//elsewhere/a"),
        ("https://elsewhere/a", "https://elsewhere/a"),
        (f"{ORIGIN}0/a", f"{ORIGIN}0/a"),
        (f"{PREFIX}/a", f"{PREFIX}/a"),
        (f"{PREFIX}ion", f"{PREFIX}{PREFIX}ion"),
    ],
)
def test_links_to_the_servers_root_lead_through_the_proxy(link: str, expected: str) -> None:
    assert through(link, PREFIX, ORIGIN) == expected


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (b'<a href="/x">test</a>', b'<a href="/p/x">test</a>'),
        (b"<IMG alt='>' SRC = '/x'>", b"<IMG alt='>' SRC = '/p/x'>"),
        (b"<form action=/x method=post>", b"<form action=/p/x method=post>"),
        (b'<p title="/x">/x</p>', b'<p title="/x">/x</p>'),
        (b'<!-- <a href="/x"> -->', b'<!-- <a href="/x"> -->'),
        (
            b'<script src="/x">let a = \'<a href="/y">\'</script>',
            b'<script src="/p/x">let a = \'<a href="/y">\'</script>',
        ),
        (b'<a href="/x', b'<a href="/x'),
        (b"\xff\x00 < b <a href=\"/\xe4\">", b"\xff\x00 < b <a href=\"/p/\xe4\">"),
    ],
)  # fmt: skip
def test_a_pages_links_change_and_nothing_else(page: bytes, expected: bytes) -> None:
    assert rewritten(page, "/p", ORIGIN) == expected


@pytest.mark.parametrize(
    "piece",
    [b"<a '", b"<a ", b"<!--", b"<script>", b"<script ", b"<title>", b'<a href="', b"<a href", b"</script "],
)
def test_pages_that_are_never_closed_take_no_longer_than_others(piece: bytes) -> None:
    page = b'<a href="/x">' + piece * 200_000
    assert rewritten(page, "/p", ORIGIN) == b'<a href="/p/x">' + piece * 200_000


def test_what_is_begun_in_one_tag_is_ended_by_no_other() -> None:
    page = b"<script>'<script>\"</script><a href=/x>"
    assert rewritten(page, "/p", ORIGIN) == b"<script>'<script>\"</script><a href=/p/x>"


def test_a_page_is_known_by_its_type() -> None:
    assert is_page("text/html")
    assert is_page("Text/HTML; charset=utf-8")
    assert not is_page("text/plain")
    assert not is_page("")


def test_packed_pages_are_unpacked_where_that_can_be_done() -> None:
    assert unpacked(b"page", "") == b"page"
    assert unpacked(gzip.compress(b"page"), "gzip") == b"page"
    assert unpacked(zlib.compress(b"page"), "deflate") == b"page"
    assert unpacked(b"page", "gzip") is None
    assert unpacked(b"page", "br") is None
    assert unpacked(gzip.compress(bytes(9 << 20)), "gzip") is None
