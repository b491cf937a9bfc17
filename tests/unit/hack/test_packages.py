"""Which Debian packages an image needs."""

from __future__ import annotations

import pytest
from baseimages import packages
from baseimages.packages import PackageError, parse, with_libraries

STANZAS = """\
Package: server
Version: 1:2.0-1
Architecture: amd64
Pre-Depends: init-helpers (>= 1.5~)
Depends: libssl3 (>= 3.0.0), tools (= 2.0-1) | tools-legacy, nothing-has-this,
 folded
Description: a server
 with a long
 description: of many lines

Package: libssl3
Version: 3.0
Architecture: amd64
Multi-Arch: same
Depends: libc6 (>= 2.34)

Package: libc6
Version: 2.36
Architecture: amd64
Multi-Arch: same
Depends: libgcc-s1 | libgcc1

Package: libgcc1
Version: 12
Architecture: amd64
Multi-Arch: same
Depends: libc6

Package: tools
Version: 2.0-1
Architecture: all
Multi-Arch: foreign
Depends: libunused

Package: server
Version: 1.0
Architecture: amd64
"""


def test_the_first_version_is_the_candidate() -> None:
    server = parse(STANZAS)["server"]
    assert (server.version, server.pin) == ("1:2.0-1", "server=1:2.0-1")
    assert server.depends[:3] == (("init-helpers",), ("libssl3",), ("tools", "tools-legacy"))


def test_libraries_come_along_and_tools_do_not() -> None:
    chosen = with_libraries(["server"], parse(STANZAS))
    assert [package.name for package in chosen] == ["libc6", "libgcc1", "libssl3", "server"]


def test_a_tool_that_is_asked_for_is_taken() -> None:
    chosen = with_libraries(["server", "tools"], parse(STANZAS))
    assert "tools" in [package.name for package in chosen]


def test_a_package_that_apt_does_not_know_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "_output", lambda command: STANZAS if "show" in command else "")
    with pytest.raises(PackageError, match="no package unheard-of"):
        packages.catalogue(["server", "unheard-of"])


def test_a_failing_apt_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(PackageError, match="apt-get is not there"):
        packages.update()
