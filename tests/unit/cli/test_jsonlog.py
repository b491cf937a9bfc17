"""Log entries as lines of JSON."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

from podium.cli.jsonlog import JsonFormatter


def entry(level: int, text: str, *values: object, error: bool = False) -> dict[str, Any]:
    caught = None
    if error:
        try:
            raise ValueError("no good")
        except ValueError:
            caught = sys.exc_info()
    record = logging.LogRecord("podium.api.server", level, "/x/server.py", 7, text, values, caught)
    record.created = 1580306777.04728
    line = JsonFormatter().format(record)
    assert "\n" not in line
    made: dict[str, Any] = json.loads(line)
    return made


def test_an_entry_has_the_keys_that_shippers_know() -> None:
    assert entry(logging.INFO, "pod %s/%s\nstarted", "default", "é") == {
        "ts": 1580306777047.28,
        "logger": "podium.api.server",
        "caller": "server.py:7",
        "msg": "pod default/é\nstarted",
        "v": 0,
    }


def test_how_much_it_matters_is_told() -> None:
    assert entry(logging.DEBUG, "detail")["v"] == 4
    assert entry(logging.WARNING, "careful")["level"] == "warning"
    assert "v" not in entry(logging.ERROR, "bad")
    assert entry(logging.ERROR, "bad")["err"] == "bad"


def test_an_exception_is_one_line_too() -> None:
    failed = entry(logging.ERROR, "it failed", error=True)
    assert failed["err"] == "no good"
    assert "ValueError: no good" in failed["stacktrace"]
