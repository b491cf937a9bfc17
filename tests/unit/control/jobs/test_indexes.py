from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.control.jobs.indexes import Indexes

SETS = st.sets(st.integers(0, 40))


@pytest.mark.parametrize(
    ("indexes", "text"),
    [((), ""), ((3,), "3"), ((1, 2), "1,2"), ((1, 2, 3), "1-3"), ((0, 2, 3, 4, 7, 8), "0,2-4,7,8")],
)
def test_indexes_are_written_as_the_api_wants_them(indexes: tuple[int, ...], text: str) -> None:
    assert str(Indexes.of(indexes)) == text


@pytest.mark.parametrize(
    ("text", "written"),
    [("", ""), ("1-3,5", "1-3"), ("0-9", "0-4"), ("7", ""), ("x,2,-", "2"), ("1,2-3", "1-3"), ("1-x,3", "3")],
)
def test_what_lies_beyond_the_completions_or_is_no_interval_is_left_out(text: str, written: str) -> None:
    assert str(Indexes.parse(text, 5)) == written


@given(SETS, SETS)
def test_indexes_behave_like_sets(one: set[int], two: set[int]) -> None:
    first, second = Indexes.of(one), Indexes.of(two)
    assert Indexes.parse(str(first), 41) == first
    assert first | second == Indexes.of(one | two)
    assert first.common(second) == len(one & two)
    assert len(first) == len(one)
    assert [index for index in range(45) if index in first] == sorted(one)
    assert list(first.missing(45)) == [index for index in range(45) if index not in one]
    assert list(first.missing(10)) == [index for index in range(10) if index not in one]
