from __future__ import annotations

from datetime import UTC, datetime

import pytest

from podium.api.types import Obj
from podium.control.nodescaling.book import BACKOFF, BACKOFF_MAX, Addition, Book, State
from podium.control.nodescaling.provider import Group
from tests.unit.control.nodescaling.build import node

TODAY = datetime(2026, 1, 1, 12, tzinfo=UTC)


def registered(name: str, *, ready: bool = True, created: str = "2026-01-01T11:59:00Z") -> Obj:
    found = node(name, metadata={"creationTimestamp": created})
    found["status"]["conditions"][0]["status"] = str(ready)
    return found


def looked(book: Book, group: Group, *nodes: Obj, now: float = 0.0) -> State:
    by_name = {each["metadata"]["name"]: each for each in nodes}
    return book.state(group, by_name.get, now, TODAY)


def group(*names: str) -> Group:
    return Group("g", 0, 5, names)


def test_nodes_are_ready_or_coming_or_broken() -> None:
    state = looked(
        Book(900),
        group("ready", "unregistered", "young", "broken"),
        registered("ready"),
        registered("young", ready=False),
        registered("broken", ready=False, created="2026-01-01T10:00:00Z"),
    )
    assert [each["metadata"]["name"] for each in state.ready] == ["ready"]
    assert [each["metadata"]["name"] for each in state.unready] == ["broken"]
    assert (state.coming, state.size) == (2, 4)


def test_what_is_asked_for_is_coming_until_it_is_there() -> None:
    book = Book(900)
    book.additions.add(Addition("g", 2, frozenset({"a"})))
    assert looked(book, group("a"), registered("a")).coming == 2
    # The provider has one of them: that is one of the two.
    assert looked(book, group("a", "b"), registered("a")).coming == 2
    assert looked(book, group("a", "b"), registered("a"), registered("b")).coming == 1


def test_what_a_provider_promised_is_coming_before_it_lists_it() -> None:
    book = Book(900)
    book.added("g", ["b"], 0.0)
    assert looked(book, group("a"), registered("a")).coming == 1
    assert looked(book, group("a", "b"), registered("a"), registered("b")).coming == 0


def test_what_the_provider_lists_no_more_is_not_coming() -> None:
    book = Book(900)
    assert looked(book, group("a")).coming == 1
    assert looked(book, group()).coming == 0


def test_what_is_going_does_not_count() -> None:
    book = Book(900)
    book.removing["a"] = "g"
    state = looked(book, group("a", "b"), registered("a"), registered("b"))
    assert [each["metadata"]["name"] for each in state.ready] == ["b"]


def test_a_node_is_overdue_once() -> None:
    book = Book(900)
    looked(book, group("a"), now=100.0)
    assert book.next_overdue(400.0) == 600.0
    assert book.overdue(999.0) == []
    assert book.overdue(1000.0) == [("a", "g")]
    assert book.overdue(1000.0) == []
    assert book.next_overdue(1000.0) is None


def test_a_group_that_fails_again_is_left_alone_for_longer() -> None:
    book = Book(900)
    assert [book.failed("g", 0.0) for _ in range(5)] == [BACKOFF, 600.0, 1200.0, BACKOFF_MAX, BACKOFF_MAX]
    assert book.is_left_alone("g", BACKOFF_MAX - 1)
    assert not book.is_left_alone("g", BACKOFF_MAX)
    book.added("g", [], 0.0)
    assert book.failed("g", 0.0) == pytest.approx(BACKOFF)
