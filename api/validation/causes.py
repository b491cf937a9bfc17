"""The faults a field can have, in upstream's words. Each function gives one `Cause`.

Source: apimachinery, util/validation/field (types of error and how a value is rendered).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from podium.api.types.errors import Cause


def render(value: Any) -> str:
    """A value as upstream prints it in a message: JSON, numbers and words bare."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def invalid(path: str, value: Any, detail: str) -> Cause:
    return Cause("FieldValueInvalid", _join(f"Invalid value: {render(value)}", detail), path)


def required(path: str, detail: str = "") -> Cause:
    return Cause("FieldValueRequired", _join("Required value", detail), path)


def forbidden(path: str, detail: str) -> Cause:
    return Cause("FieldValueForbidden", _join("Forbidden", detail), path)


def duplicate(path: str, value: Any) -> Cause:
    return Cause("FieldValueDuplicate", f"Duplicate value: {render(value)}", path)


def not_found(path: str, value: Any, detail: str = "") -> Cause:
    return Cause("FieldValueNotFound", _join(f"Not found: {render(value)}", detail), path)


def not_supported(path: str, value: Any, supported: Iterable[str]) -> Cause:
    listed = ", ".join(render(entry) for entry in supported)
    detail = f"supported values: {listed}" if listed else ""
    return Cause("FieldValueNotSupported", _join(f"Unsupported value: {render(value)}", detail), path)


def too_long(path: str, limit: int) -> Cause:
    return Cause(
        "FieldValueTooLong", f"Too long: may not be more than {limit} byte{'s' * (limit != 1)}", path
    )


def too_many(path: str, count: int, limit: int) -> Cause:
    detail = f"must have at most {limit} item{'s' * (limit != 1)}"
    return Cause("FieldValueTooMany", f"Too many: {count}: {detail}", path)


def immutable(path: str, value: Any) -> Cause:
    return invalid(path, value, "field is immutable")


def _join(head: str, detail: str) -> str:
    return f"{head}: {detail}" if detail else head
