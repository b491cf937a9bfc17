"""Taints and the tolerations that bear them. Source: API reference, Taint and Toleration."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from podium.api.types import Obj

UNSCHEDULABLE_KEY = "node.kubernetes.io/unschedulable"


class Taint(NamedTuple):
    key: str
    value: str
    effect: str


class Toleration(NamedTuple):
    """`key` "" with operator Exists bears every key; `effect` "" every effect."""

    key: str
    operator: str
    value: str
    effect: str

    def bears(self, taint: Taint) -> bool:
        if self.effect and self.effect != taint.effect:
            return False
        if self.key and self.key != taint.key:
            return False
        if self.operator == "Exists":
            return True
        return bool(self.key) and self.value == taint.value


UNSCHEDULABLE = Taint(UNSCHEDULABLE_KEY, "", "NoSchedule")


def taint(entry: Obj) -> Taint:
    return Taint(entry["key"], entry.get("value", ""), entry["effect"])


def tolerations(spec: Obj) -> tuple[Toleration, ...]:
    return tuple(
        Toleration(
            entry.get("key", ""),
            entry.get("operator") or "Equal",
            entry.get("value", ""),
            entry.get("effect", ""),
        )
        for entry in spec.get("tolerations") or ()
    )


def bears_all(borne: tuple[Toleration, ...], taints: Iterable[Taint]) -> bool:
    return all(any(toleration.bears(entry) for toleration in borne) for entry in taints)
