"""Roles and bindings as they are asked: compiled once, and the large ones where they keep nobody waiting.

What is stored may be more than a megabyte: it is decoded from the store's bytes, which any thread may read,
and not by the entry, which belongs to the event loop."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import orjson

from podium.api.auth.rules import Rules, compiled
from podium.api.store.base import Entry
from podium.api.types import Obj

ACCOUNT = "system:serviceaccount:"
# Bytes that take less than a millisecond to compile.
SMALL = 8 << 10
PIECE = 16 << 10
_RULES = b'"rules":['
# Where a rule ends that others follow. A quote within a text has a backslash before it, and one that opens a
# text has a bracket, comma or colon there: neither is taken.
_BETWEEN = re.compile(rb'(?<![\[,:{\\])"\]\},(?=\{")')

# Kind and name of a subject as a user shows it: accounts are users of that name.
Subject = tuple[str, str]


class Role:
    __slots__ = ("_entry", "_rules")

    def __init__(self, entry: Entry) -> None:
        self._entry = entry
        self._rules: Rules | None = None

    @property
    def size(self) -> int:
        return len(self._entry.value)

    @property
    def compiled(self) -> bool:
        return self._rules is not None

    @property
    def rules(self) -> Rules:
        """From any thread."""
        if self._rules is None:
            self._rules = Rules(compiled(self.written()))
        return self._rules

    def written(self) -> Iterator[Obj]:
        """The PolicyRules, from any thread."""
        return written(self._entry.value)


def written(role: bytes) -> Iterator[Obj]:
    """The rules of an encoded role, decoded a few hundred at a time: decoding keeps the interpreter for as
    long as it takes."""
    begin = role.find(_RULES) + len(_RULES)
    last = begin
    while begin >= len(_RULES) and (cut := _BETWEEN.search(role, last + PIECE)) is not None:
        yield from orjson.loads(b"[" + role[last : cut.end() - 1] + b"]")
        last = cut.end()
    yield from orjson.loads(role[:begin] + role[last:] if last > begin else role).get("rules") or ()


class Grant(NamedTuple):
    """A binding, as far as one of its subjects is concerned. `namespace` is "" where it counts everywhere."""

    binding: str
    namespace: str
    kind: str
    role: str
    subject: str

    def __str__(self) -> str:
        if self.namespace:
            return f'RoleBinding "{self.binding}/{self.namespace}" of {self._role()} to {self.subject}'
        return f'ClusterRoleBinding "{self.binding}" of {self._role()} to {self.subject}'

    def _role(self) -> str:
        return f'{self.kind} "{self.role}"'

    @property
    def role_key(self) -> tuple[str, str]:
        return (self.namespace if self.kind == "Role" else "", self.role)


class Crowd:
    """A binding with more subjects than are looked through at once."""

    __slots__ = ("_entry", "_grants")

    def __init__(self, entry: Entry) -> None:
        self._entry = entry
        self._grants: dict[Subject, Grant] | None = None

    @property
    def ready(self) -> bool:
        return self._grants is not None

    @property
    def grants(self) -> dict[Subject, Grant]:
        """From any thread."""
        if self._grants is None:
            self._grants = dict(grants(orjson.loads(self._entry.value)))
        return self._grants


def grants(binding: Obj) -> Iterator[tuple[Subject, Grant]]:
    meta, reference = binding["metadata"], binding["roleRef"]
    namespace = meta.get("namespace", "")
    for entry in binding.get("subjects") or ():
        kind, name = entry["kind"], entry["name"]
        subject: Subject = (kind, name)
        shown = f'{kind} "{name}"'
        if kind == "ServiceAccount":
            home = entry.get("namespace") or namespace
            subject, shown = ("User", f"{ACCOUNT}{home}:{name}"), f'{kind} "{name}/{home}"'
        yield subject, Grant(meta["name"], namespace, reference["kind"], reference["name"], shown)
