"""The selectors of a request, as far as they say what it may see: a list with one is a narrower request than
one without. Source: KEP-4601; API reference, authorization.k8s.io/v1 FieldSelectorAttributes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.types.selectors import Requirement, parse_fields, parse_labels

SELECTING = frozenset({"list", "watch", "deletecollection"})
_OPERATORS = frozenset({"In", "NotIn", "Exists", "DoesNotExist"})
Requirements = tuple[Requirement, ...]


def of_fields(text: str) -> Requirements:
    """Of a request's `fieldSelector`. One that cannot be read narrows nothing; the verb refuses it."""
    try:
        terms = parse_fields(text)
    except ValueError:
        return ()
    return tuple(Requirement(term.path, "NotIn" if term.negated else "In", (term.value,)) for term in terms)


def of_labels(text: str) -> Requirements:
    """Of a request's `labelSelector`. Comparisons of numbers are left out, which only makes the request look
    wider."""
    try:
        found = parse_labels(text).requirements
    except ValueError:
        return ()
    return tuple(each for each in found if each.operator in _OPERATORS)


def of_attributes(given: Mapping[str, Any], *, labels: bool) -> Requirements:
    """Of a review's `fieldSelector` or `labelSelector`: what cannot be used is left out."""
    if raw := given.get("rawSelector"):
        return of_labels(raw) if labels else of_fields(raw)
    found = []
    for entry in given.get("requirements") or ():
        operator, values = entry.get("operator", ""), tuple(entry.get("values") or ())
        usable = operator in _OPERATORS and (labels or (operator in ("In", "NotIn") and len(values) == 1))
        if usable:
            found.append(Requirement(entry.get("key", ""), operator, values))
    return tuple(found)


def described(terms: Iterable[Requirement]) -> list[Obj]:
    return [
        {"key": key, "operator": operator, **({"values": list(values)} if values else {})}
        for key, operator, values in terms
    ]


def faults(given: Mapping[str, Any], path: str) -> list[Cause]:
    """Of a review's selector."""
    raw, terms = given.get("rawSelector") or "", given.get("requirements") or []
    if raw and terms:
        why = "may not specified at the same time as requirements"
        return [Cause("FieldValueInvalid", f'Invalid value: "{raw}": {why}', f"{path}.rawSelector")]
    if not raw and not terms:
        why = f"when {path} is specified, requirements or rawSelector is required"
        return [Cause("FieldValueRequired", f"Required value: {why}", f"{path}.requirements")]
    return [
        cause
        for index, entry in enumerate(terms)
        for cause in _requirement_faults(entry, f"{path}.requirements[{index}]")
    ]


def _requirement_faults(entry: Mapping[str, Any], path: str) -> list[Cause]:
    operator, values = entry.get("operator") or "", entry.get("values") or []
    if not entry.get("key"):
        return [Cause("FieldValueRequired", "Required value: must be specified", f"{path}.key")]
    if operator in ("In", "NotIn") and not values:
        text = "Required value: must be specified when `operator` is 'In' or 'NotIn'"
        return [Cause("FieldValueRequired", text, f"{path}.values")]
    if operator in ("Exists", "DoesNotExist") and values:
        text = "Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
        return [Cause("FieldValueForbidden", text, f"{path}.values")]
    # An operator that is not known here may be a newer client's: it narrows nothing.
    return []
