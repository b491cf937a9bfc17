from __future__ import annotations

import pytest

from podium.api.presenting import WARNING, WARNINGS, warning_headers
from podium.api.types.remembering import LONGEST, Weighed, remembered


def test_what_is_long_is_answered_and_not_kept() -> None:
    asked = []

    @remembered(10)
    def length(text: str) -> int:
        asked.append(text)
        return len(text)

    long = "x" * (LONGEST + 1)
    assert [length("x"), length("x"), length(long), length(long)] == [1, 1, len(long), len(long)]
    assert asked == ["x", long, long]


def test_of_what_weighs_too_much_together_that_goes_which_nobody_used_for_the_longest_time() -> None:
    kept: Weighed[str] = Weighed(10)
    made: list[str] = []

    def get(key: str) -> str:
        return kept.get(key, len(key), lambda: made.append(key) or key)  # type: ignore[func-returns-value]

    for key in ("aaaa", "bbbb", "aaaa", "cccc", "aaaa", "bbbb"):
        assert get(key) == key
    assert made == ["aaaa", "bbbb", "cccc", "bbbb"]
    assert get("d" * 11) == "d" * 11
    assert len(kept) == 0


def test_what_could_not_be_made_is_not_kept() -> None:
    kept: Weighed[int] = Weighed(10)
    with pytest.raises(ZeroDivisionError):
        kept.get("a", 1, lambda: 1 // 0)
    assert kept.get("a", 1, lambda: 5) == 5


def test_warnings_are_said_once_and_are_cut_short_where_they_are_too_many() -> None:
    assert [value for _, value in warning_headers(["a", 'b "c"', "a"])] == [
        b'299 - "a"',
        b'299 - "b \\"c\\""',
    ]
    assert len(warning_headers(["x" * WARNINGS])[0][1]) == WARNINGS + len('299 - ""')
    long = [value for _, value in warning_headers([f"{turn} {'x' * 2 * WARNING}" for turn in range(1000)])]
    assert len(long) == WARNINGS // WARNING
    assert {len(value) for value in long} == {WARNING + len('299 - ""')}
