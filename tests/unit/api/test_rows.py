"""Rows of Tables made of bytes that are kept with the objects."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import orjson

from podium.api.groups.cells import OpenSpan, human
from podium.api.rows import SOME_TIME, Ages, metadata, row_cells
from podium.api.store.entry import DecodedCache, Entry, encode
from podium.api.strategy import Strategy, registry
from podium.api.types import Obj
from tests.unit.api.groups.build import NOW

PODS = registry()["", "v1", "pods"]
EVENTS = registry()["", "v1", "events"]


def entry_of(obj: Obj) -> Entry:
    return Entry("/registry//pods/default/a", encode(obj, 7), 7, DecodedCache())


def a_pod(**status: Any) -> Obj:
    return {
        "apiVersion": "v1",
        "metadata": {"name": "a", "creationTimestamp": (NOW - timedelta(minutes=5)).isoformat()},
        "kind": "Pod",
        "spec": {"containers": [{"name": "c"}]},
        "status": status,
    }


def cells_of(strategy: Strategy, entry: Entry, later: timedelta = timedelta()) -> Any:
    return orjson.loads(row_cells(strategy, entry, Ages(NOW + later)) + b"}")


def test_a_row_is_the_one_that_the_strategy_makes_at_every_moment() -> None:
    restarted = {"restartCount": 3, "lastState": {"terminated": {"finishedAt": NOW.isoformat()}}}
    event = {"metadata": a_pod()["metadata"], "lastTimestamp": NOW.isoformat(), "involvedObject": {}}
    for strategy, obj in (
        (PODS, a_pod(phase="Running")),
        (PODS, a_pod(phase="Running", containerStatuses=[restarted])),
        (PODS, a_pod(phase="Failed")),
        (EVENTS, event),
    ):
        entry = entry_of(obj)
        for later in (timedelta(), timedelta(seconds=7.5), timedelta(days=3)):
            row = cells_of(strategy, entry, later)
            assert row["cells"] == strategy.row(obj, NOW + later)
            assert row.get("conditions", []) == strategy.row_conditions(obj)


def test_a_row_that_was_made_once_needs_its_object_no_more() -> None:
    entry = entry_of(a_pod(phase="Running"))
    cells_of(PODS, entry)
    metadata(entry)
    entry.release()
    entry.release()
    cells_of(PODS, entry, timedelta(hours=1))
    metadata(entry)
    assert entry._obj is None


def test_another_strategy_makes_its_own_rows() -> None:
    entry = entry_of(a_pod())
    cells_of(PODS, entry)
    plain = Strategy(PODS.resource)
    assert cells_of(plain, entry)["cells"] == plain.row(entry.obj, NOW)


def test_the_metadata_is_cut_out_of_the_bytes_wherever_it_stands() -> None:
    entry = entry_of(a_pod())
    assert orjson.loads(metadata(entry)) == entry.obj["metadata"]
    spaced = Entry("k", orjson.dumps(a_pod(), option=orjson.OPT_INDENT_2), 7, DecodedCache())
    assert orjson.loads(metadata(spaced)) == spaced.obj["metadata"]


def test_an_age_of_a_moment_to_come_is_open() -> None:
    span = SOME_TIME - NOW
    assert isinstance(span, OpenSpan)
    assert str(NOW.timestamp()) in human(span)
