"""Owners over many writes, against a model that knows only values and names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.api.apply import owners as owning
from podium.api.apply.fields import members
from podium.api.apply.owners import APPLY, UPDATE, Conflicts, Owners, decode, encode, writer
from podium.api.apply.shapes import Shapes
from podium.api.schema import Definitions
from podium.api.types import Obj

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MAP = Shapes().of(Definitions.load().schema("", "v1", "ConfigMap").type)
DATA = st.dictionaries(st.sampled_from("xyz"), st.sampled_from("12"), max_size=3)
STEPS = st.lists(
    st.tuples(st.sampled_from([APPLY, UPDATE]), st.sampled_from("AB"), DATA, st.booleans()), max_size=8
)


def config(data: dict[str, str]) -> Obj:
    return {"metadata": {"name": "a"}, **({"data": data} if data else {})}


def write(name: str, operation: str = UPDATE, at: int = 0) -> owning.Write:
    return writer(name, operation, "v1", "", NOW + timedelta(seconds=at), {})


class Model:
    """Values and their owners by key."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.owners: dict[str, set[str]] = {}

    def apply(self, name: str, data: dict[str, str], force: bool) -> bool:
        """Whether it was not refused."""
        conflicts = [
            key
            for key, value in data.items()
            if self.values.get(key, value) != value and self.owners[key] - {name}
        ]
        if conflicts and not force:
            return False
        for key in [key for key in self.values if key not in data and name in self.owners[key]]:
            self.owners[key].discard(name)
            if not self.owners[key]:
                del self.values[key], self.owners[key]
        for key, value in data.items():
            same = self.values.get(key) == value
            self.owners[key] = (self.owners[key] if same else set()) | {name}
            self.values[key] = value
        return True

    def update(self, name: str, data: dict[str, str]) -> None:
        for key in self.values.keys() | data.keys():
            if key not in data:
                del self.owners[key]
            elif data[key] != self.values.get(key):
                self.owners[key] = {name}
        self.values = dict(data)


def owned(owners: Owners) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for manager, share in owners.items():
        for path in members(share.fields):
            if len(path) == 2:
                found.setdefault(path[1][2:], set()).add(f"{manager.name}/{manager.operation}")
    return found


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_owners_are_what_a_simple_model_says(steps: list[tuple[str, str, dict[str, str], bool]]) -> None:
    model, live, owners = Model(), config({}), {}
    for operation, name, data, force in steps:
        if operation == UPDATE:
            model.update(f"{name}/{UPDATE}", data)
            owners = owning.update(MAP, live, config(data), owners, write(name))
            live = config(data)
        elif model.apply(f"{name}/{APPLY}", data, force):
            live, owners = owning.apply(MAP, live, config(data), owners, write(name, APPLY), force=force)
        else:
            with pytest.raises(Conflicts):
                owning.apply(MAP, live, config(data), owners, write(name, APPLY), force=force)
        owners = decode(encode(owners))
        assert (live.get("data") or {}) == model.values
        assert owned(owners) == model.owners


def test_the_oldest_of_too_many_updaters_become_one() -> None:
    owners: Owners = {}
    live = config({})
    for number in range(12):
        data = {**(live.get("data") or {}), f"key-{number}": "1"}
        owners = owning.update(MAP, live, config(data), owners, write(f"m{number}", at=number))
        live = config(data)
    assert len(owners) == owning.MOST_UPDATERS
    names = {manager.name for manager in owners}
    assert owning.ANCIENT in names
    assert {"m11", "m10"} <= names
    assert sum(len(list(members(share.fields))) for share in owners.values()) == 13


def test_entries_are_read_back_as_they_were_written() -> None:
    _, owners = owning.apply(MAP, config({}), config({"x": "1"}), {}, write("me", APPLY), force=False)
    (entry,) = encode(owners)
    assert entry == {
        "manager": "me",
        "operation": "Apply",
        "apiVersion": "v1",
        "time": "2026-03-01T12:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:data": {"f:x": {}}},
    }
    assert decode([entry]) == owners


@pytest.mark.parametrize("entry", [{}, {"operation": "Guess"}, {"operation": "Apply", "fieldsType": "V2"}])
def test_what_is_no_entry_is_refused(entry: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="unknown operation"):
        decode([entry])
