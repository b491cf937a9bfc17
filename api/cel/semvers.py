"""Semantic versions.

Source: semver.org 2.0.0; docs, "Kubernetes semver library".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, ClassVar

from podium.api.cel.errors import EvaluationError

_NUMBER = r"(0|[1-9]\d*)"
_PART = r"(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)"
_FORM = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-({_PART}(?:\.{_PART})*))?(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
)


@dataclass(frozen=True, slots=True)
class Semver:
    numbers: tuple[int, int, int]
    pre: tuple[str, ...]
    build: str
    TYPE: ClassVar[str] = "kubernetes.Semver"


def semver(text: str, normalize: bool = False) -> Semver:
    if normalize:
        text = _normalized(text)
    found = _FORM.fullmatch(text)
    if found is None:
        raise EvaluationError(_fault(text))
    major, minor, patch, pre, build = found.groups()
    return Semver((int(major), int(minor), int(patch)), tuple(pre.split(".")) if pre else (), build or "")


def _fault(text: str) -> str:
    if not text:
        return "Version string empty"
    if text.count(".") < 2:
        return "No Major.Minor.Patch elements found"
    names = ("major", "minor", "patch")
    for name, part in zip(names, re.split(r"[+-]", text)[0].split(".", 2), strict=False):
        if not part.isdecimal():
            return f'Invalid character(s) found in {name} number "{part}"'
        if len(part) > 1 and part.startswith("0"):
            what = "Patch" if name == "patch" else name.capitalize()
            return f'{what} number must not contain leading zeroes "{part}"'
    return f'Invalid character(s) found in version "{text}"'


def _normalized(text: str) -> str:
    parts = [_bare(part) for part in text.removeprefix("v").split(".", 2)]
    if len(parts) < 3 and re.search(r"[+-]", parts[-1]):
        raise EvaluationError("short version cannot contain PreRelease/Build meta data")
    return ".".join([*parts, "0", "0"][: max(len(parts), 3)])


def _bare(part: str) -> str:
    if len(part) < 2:
        return part
    bare = part.lstrip("0")
    return bare if bare[:1].isdecimal() else f"0{bare}"


def _is_semver(text: str, normalize: bool = False) -> bool:
    try:
        semver(text, normalize)
    except EvaluationError:
        return False
    return True


def _compare(one: Semver, other: Semver) -> int:
    if one.numbers != other.numbers:
        return 1 if one.numbers > other.numbers else -1
    if not one.pre or not other.pre:
        return bool(other.pre) - bool(one.pre)
    for left, right in zip_longest(one.pre, other.pre):
        if left != right:
            return _precedence(left, right)
    return 0


def _precedence(left: str | None, right: str | None) -> int:
    """Of two identifiers that differ: fewer are lower, numbers below words."""
    if left is None or right is None:
        return -1 if left is None else 1
    if left.isdecimal() and right.isdecimal():
        return 1 if int(left) > int(right) else -1
    if left.isdecimal() != right.isdecimal():
        return -1 if left.isdecimal() else 1
    return 1 if left > right else -1


_TWO = ("Semver", "Semver")
# Name, whether it is a method, parameters, result, implementation.
FUNCTIONS: tuple[tuple[str, bool, tuple[str, ...], str, Any], ...] = (
    ("semver", False, ("string",), "Semver", semver),
    ("semver", False, ("string", "bool"), "Semver", semver),
    ("isSemver", False, ("string",), "bool", _is_semver),
    ("isSemver", False, ("string", "bool"), "bool", _is_semver),
    ("major", True, ("Semver",), "int", lambda given: given.numbers[0]),
    ("minor", True, ("Semver",), "int", lambda given: given.numbers[1]),
    ("patch", True, ("Semver",), "int", lambda given: given.numbers[2]),
    ("compareTo", True, _TWO, "int", _compare),
    ("isGreaterThan", True, _TWO, "bool", lambda one, other: _compare(one, other) > 0),
    ("isLessThan", True, _TWO, "bool", lambda one, other: _compare(one, other) < 0),
)
