"""Values that may be missing.

Source: CEL's optional values; docs, "CEL options, language features and libraries".
"""

from __future__ import annotations

from typing import Any

from podium.api.cel.errors import EvaluationError
from podium.api.cel.kinds import NONE, Optional


def _value(given: Optional) -> Any:
    if not given.present:
        raise EvaluationError("optional.none() dereference")
    return given.value


def _nonzero(value: Any) -> Optional:
    return Optional(True, value) if value else NONE


def _present(items: list[Any]) -> list[Any]:
    return [each.value for each in items if each.present]


# Name, whether it is a method, parameters, result, implementation: what the checker knows.
STANDARD: tuple[tuple[str, bool, tuple[str, ...], str, Any], ...] = (
    ("optional.of", False, ("dyn",), "optional", lambda value: Optional(True, value)),
    ("optional.none", False, (), "optional", lambda: NONE),
    ("optional.ofNonZeroValue", False, ("dyn",), "optional", _nonzero),
    (
        "optional.unwrap",
        False,
        ("list",),
        "list",
        _present,
    ),
    ("unwrapOpt", True, ("list",), "list", _present),
    ("hasValue", True, ("optional",), "bool", lambda given: given.present),
    ("value", True, ("optional",), "dyn", _value),
    ("or", True, ("optional", "optional"), "optional", lambda one, two: one if one.present else two),
    ("orValue", True, ("optional", "dyn"), "dyn", lambda one, two: one.value if one.present else two),
    ("first", True, ("list",), "optional", lambda items: Optional(True, items[0]) if items else NONE),
    ("last", True, ("list",), "optional", lambda items: Optional(True, items[-1]) if items else NONE),
)
