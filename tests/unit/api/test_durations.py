"""Durations as they are written in URLs."""

from __future__ import annotations

import pytest

from podium.api.durations import seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("32s", 32),
        ("1m30.5s", 90.5),
        ("500ms", 0.5),
        ("-1.5h", -5400),
        ("+.5s", 0.5),
        ("1µs", 1e-6),
    ],
)
def test_a_duration_is_a_sum_of_numbers_with_units(text: str, expected: float) -> None:
    assert seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "s", "-", ".s", "1s soon", "99999999999h"])
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="time: "):
        seconds(text)
