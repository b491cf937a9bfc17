"""What a verb is given and what it gives back, whichever way the request came: over HTTP or from within the
process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

import orjson

from podium.api.auth.users import SYSTEM, User
from podium.api.kinds import Kind
from podium.api.types import Obj
from podium.api.types.errors import Cause

FieldValidation = Literal["Strict", "Warn", "Ignore"]


# What the cluster's own components call themselves where they write.
OWN = "podium"
# Bytes of an object that are some milliseconds of work.
LARGE = 64 << 10


class Ask:
    """One request for one resource. `name` is "" where the whole collection is meant, `namespace` "" for
    cluster-scoped objects and for all namespaces. `manager` is who will own the fields that the request
    sets, and `named` whether somebody from outside said so; `large` is what comes with so long a body that it
    is dealt with in a thread; `options` is what admission is told of its
    CreateOptions and so on. Verbs put what the client should be warned about into `warnings`, and what the
    audit log should note of it into `annotations`."""

    __slots__ = (
        "annotations", "dry_run", "kind", "large", "manager", "name", "named", "namespace", "options",
        "subresource", "user", "validation", "warnings",
    )  # fmt: skip

    def __init__(
        self,
        kind: Kind,
        namespace: str = "",
        name: str = "",
        subresource: str = "",
        *,
        user: User = SYSTEM,
        dry_run: bool = False,
        validation: FieldValidation = "Ignore",
    ) -> None:
        self.kind = kind
        self.namespace = namespace
        self.name = name
        self.subresource = subresource
        self.user = user
        self.dry_run = dry_run
        self.validation = validation
        self.manager = OWN
        self.named = False
        self.large = False
        self.options: Obj = {}
        self.warnings: list[str] = []
        self.annotations: dict[str, str] = {}

    def for_name(self, name: str, namespace: str) -> Ask:
        """The same request for one object of the collection."""
        return Ask(
            self.kind, namespace, name, user=self.user, dry_run=self.dry_run, validation=self.validation
        )


class Outcome(Protocol):
    """An object to answer with: a store's entry, or `Made`."""

    @property
    def value(self) -> bytes: ...

    @property
    def obj(self) -> Obj: ...


class Made:
    """An object that no store holds: a Scale, a review, a Status, the result of a dry run."""

    __slots__ = ("_value", "obj")

    def __init__(self, obj: Obj) -> None:
        self.obj = obj
        self._value = b""

    @property
    def value(self) -> bytes:
        if not self._value:
            self._value = orjson.dumps(self.obj)
        return self._value


Check = Callable[[Obj], list[Cause]]


def copied(obj: Obj) -> Obj:
    """A deep copy, several times faster than `copy.deepcopy`; for what is JSON."""
    fresh: Obj = orjson.loads(orjson.dumps(obj))
    return fresh
