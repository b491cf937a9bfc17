"""Functions: which overload fits the values that a call meets, and their declarations for the checker."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from podium.api.cel import (
    addresses,
    authority,
    conversions,
    formats,
    lists,
    optionals,
    quantities,
    semvers,
    texts,
    times,
    urls,
)
from podium.api.cel.errors import EvaluationError
from podium.api.cel.frames import Frame, Run
from podium.api.cel.kinds import Address, Block, Optional, Uint, overload
from podium.api.cel.weights import FUNCTIONS

_KINDS: dict[str, tuple[type, ...]] = {
    "bool": (bool,), "int": (int,), "uint": (Uint,), "double": (float,), "string": (str,), "bytes": (bytes,),
    "list": (list, tuple), "map": (dict,), "timestamp": (datetime,), "duration": (timedelta,),
    "optional": (Optional,), "IP": (Address,), "CIDR": (Block,), "Quantity": (quantities.Quantity,),
    "URL": (urls.Url,), "Semver": (semvers.Semver,), "Format": (formats.Format,),
    "Authorizer": (authority.Authorizer,), "PathCheck": (authority.PathCheck,),
    "GroupCheck": (authority.GroupCheck,), "ResourceCheck": (authority.ResourceCheck,),
    "Decision": (authority.Decision,), "strings": (list, tuple),
}  # fmt: skip
OPAQUE = (
    "IP", "CIDR", "Quantity", "URL", "Semver", "Format", "Authorizer", "PathCheck", "GroupCheck",
    "ResourceCheck", "Decision",
)  # fmt: skip


class Overload(NamedTuple):
    parameters: tuple[str, ...]
    returns: str
    implementation: Callable[..., Any]
    declared: bool

    def fits(self, arguments: list[Any]) -> bool:
        return all(map(_is, arguments, self.parameters))


def _is(value: Any, kind: str) -> bool:
    if kind == "dyn":
        return True
    kinds = _KINDS[kind]
    return type(value) in kinds or (type(value) not in (bool, Uint) and isinstance(value, kinds))


_LIBRARIES = (
    addresses, authority, formats, lists, quantities, semvers, texts, urls,
)  # fmt: skip


@cache
def _table() -> dict[tuple[str, bool], list[Overload]]:
    found: dict[tuple[str, bool], list[Overload]] = {}
    for library in _LIBRARIES:
        for name, member, parameters, returns, implementation in library.FUNCTIONS:
            entry = Overload(parameters, returns, implementation, True)
            found.setdefault((name, member), []).append(entry)
    # What the checker knows by itself.
    for name, member, parameters, returns, implementation in (
        *conversions.FUNCTIONS,
        *times.STANDARD,
        *optionals.STANDARD,
    ):
        entry = Overload(parameters, returns, implementation, False)
        found.setdefault((name, member), []).append(entry)
    return found


def known(name: str, member: bool) -> bool:
    return (name, member) in _table()


class Call:
    """One call in an expression; `arguments` begin with what it is called on."""

    __slots__ = ("_arguments", "_overloads", "_weight")

    def __init__(self, name: str, member: bool, arguments: list[Run]) -> None:
        self._arguments = arguments
        self._overloads = [each for each in _table()[name, member] if len(each.parameters) == len(arguments)]
        self._weight = FUNCTIONS.get(name)

    def run(self, frame: Frame) -> Any:
        given = [argument(frame) for argument in self._arguments]
        frame.charge(self._weight(*given) if self._weight is not None else 1)
        for each in self._overloads:
            if each.fits(given):
                break
        else:
            raise overload()
        try:
            return each.implementation(*given)
        except EvaluationError:
            raise
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise EvaluationError(str(error)) from error


def overloads() -> list[tuple[str, bool, Overload]]:
    """Those that the checker has to be told of."""
    return [
        (name, member, each)
        for (name, member), entries in _table().items()
        for each in entries
        if each.declared
    ]
