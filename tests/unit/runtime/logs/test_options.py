"""The query of a log request."""

from __future__ import annotations

import pytest

from podium.runtime.logs.options import LogOptions

NOW = 1_767_225_600 * 10**9


def test_an_empty_query_wants_everything_once() -> None:
    assert LogOptions.from_query({}, NOW) == LogOptions()


def test_every_parameter_is_understood() -> None:
    query = {"follow": "true", "timestamps": "1", "previous": "false", "tailLines": "10", "limitBytes": "99"}
    options = LogOptions.from_query(query, NOW)
    assert options == LogOptions(follow=True, timestamps=True, tail=10, limit=99)


def test_since_is_relative_to_now_or_a_point_in_time() -> None:
    assert LogOptions.from_query({"sinceSeconds": "60"}, NOW).since == b"2025-12-31T23:59:00.000000000Z"
    options = LogOptions.from_query({"sinceTime": "2026-01-01T02:00:00+02:00"}, NOW)
    assert options.since == b"2026-01-01T00:00:00.000000000Z"


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"tailLines": "x"}, "tailLines"),
        ({"tailLines": "-1"}, "tailLines"),
        ({"limitBytes": "0"}, "limitBytes"),
        ({"sinceSeconds": "0"}, "sinceSeconds"),
        ({"sinceTime": "yesterday"}, "sinceTime"),
        ({"sinceTime": "2026-01-01T00:00:00"}, "sinceTime"),
        ({"sinceTime": "2026-01-01T00:00:00Z", "sinceSeconds": "1"}, "sinceTime"),
        ({"follow": "maybe"}, "follow"),
        ({"stream": "Stdin"}, "stream"),
        ({"stream": "Stdout", "tailLines": "1"}, "tailLines"),
    ],
)
def test_a_bad_value_names_its_parameter(query: dict[str, str], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        LogOptions.from_query(query, NOW)
