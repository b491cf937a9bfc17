"""The LabelSelector form. Source: apimachinery, apis/meta/v1/validation."""

from __future__ import annotations

from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, names
from podium.api.validation.metadata import check_labels


def label_selector(selector: Obj | None, path: str) -> list[Cause]:
    if not selector:
        return []
    found = check_labels(selector.get("matchLabels"), f"{path}.matchLabels")
    for index, term in enumerate(selector.get("matchExpressions") or ()):
        found += _requirement(term, f"{path}.matchExpressions[{index}]")
    return found


def _requirement(term: Obj, path: str) -> list[Cause]:
    values = term.get("values") or ()
    found = []
    match term.get("operator"):
        case "In" | "NotIn":
            if not values:
                detail = "must be specified when `operator` is 'In' or 'NotIn'"
                found.append(causes.required(f"{path}.values", detail))
        case "Exists" | "DoesNotExist":
            if values:
                detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                found.append(causes.forbidden(f"{path}.values", detail))
        case operator:
            found.append(causes.invalid(f"{path}.operator", operator or "", "not a valid selector operator"))
    key = term.get("key", "")
    found += [causes.invalid(f"{path}.key", key, text) for text in names.qualified(key)]
    for index, value in enumerate(values):
        found += [causes.invalid(f"{path}.values[{index}]", value, text) for text in names.label_value(value)]
    return found


def is_empty(selector: Obj | None) -> bool:
    return not selector or not (selector.get("matchLabels") or selector.get("matchExpressions"))
