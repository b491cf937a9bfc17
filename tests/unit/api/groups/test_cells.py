"""What cells are made of."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from podium.api.groups import cells
from tests.unit.api.groups.build import NOW


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (185, "3m5s"),
        (600, "10m"),
        (10799, "179m"),
        (10800, "3h"),
        (18600, "5h10m"),
        (8 * 3600, "8h"),
        (47 * 3600, "47h"),
        (48 * 3600, "2d"),
        (53 * 3600, "2d5h"),
        (8 * 86400, "8d"),
        (729 * 86400, "729d"),
        (730 * 86400, "2y"),
        (750 * 86400, "2y20d"),
        (2920 * 86400, "8y"),
    ],
)
def test_spans_are_told_as_people_tell_them(seconds: int, expected: str) -> None:
    assert cells.human(timedelta(seconds=seconds)) == expected


def test_no_time_at_all_is_unknown() -> None:
    assert cells.since(None, NOW) == "<unknown>"


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        (None, "<none>"),
        ({}, "<none>"),
        ({"matchLabels": {"b": "2", "a": "1"}}, "a=1,b=2"),
        (
            {
                "matchLabels": {"z": "1"},
                "matchExpressions": [
                    {"key": "a", "operator": "In", "values": ["y", "x"]},
                    {"key": "b", "operator": "NotIn", "values": ["q"]},
                    {"key": "c", "operator": "Exists"},
                    {"key": "d", "operator": "DoesNotExist"},
                ],
            },
            "a in (x,y),b notin (q),c,!d,z=1",
        ),
    ],
)
def test_selectors_in_one_line(selector: Any, expected: str) -> None:
    assert cells.selector(selector) == expected


def test_long_lists_are_cut() -> None:
    assert cells.shortened(["a", "b", "c", "d", "e"]) == "a,b,c + 2 more..."
    assert cells.shortened([]) == "<unset>"
