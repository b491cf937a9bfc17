"""Strategic merge patch: a merge patch that knows from the schema which lists are merged by key and which are
replaced.

Directives: `$patch: merge|replace|delete` in a map or list element, `$retainKeys` (keys to keep),
`$deleteFromPrimitiveList/F` (values to take from list F), `$setElementOrder/F` (the order of list F). Source:
Kubernetes' contributor notes on strategic merge patch; apimachinery's util/strategicpatch for the order of
what the patch does not name.
"""

from __future__ import annotations

from typing import Any

from podium.api.schema.patches import order
from podium.api.schema.schema import Schema
from podium.api.schema.walk import Field, Type
from podium.api.types import Obj, errors
from podium.api.types.errors import StatusError

_PATCH = "$patch"
_RETAIN = "$retainKeys"
_DELETE = "$deleteFromPrimitiveList/"
_ORDER = "$setElementOrder/"


def strategic_patch(doc: Obj, patch: Any, schema: Schema) -> Obj:
    """Raises 400 for a patch that is malformed or does not fit the kind's lists."""
    if not isinstance(patch, dict):
        raise _bad("invalid JSON document")
    return _merge_map(doc, patch, schema.type)


def _bad(why: str) -> StatusError:
    return errors.bad_request(why)


def _merge_map(doc: Obj, patch: Obj, kind: Type | None) -> Obj:
    if _PATCH in patch:
        return _directed_map(patch)
    pending = dict(patch)
    result = _retained(doc, pending)
    for name in [key for key in pending if key.startswith(_ORDER)]:
        _merge_ordered(result, pending, name, kind)
    for key, change in pending.items():
        if key.startswith(_DELETE):
            _delete_values(result, key.removeprefix(_DELETE), change)
        elif change is None:
            result.pop(key, None)
        else:
            _merge_field(result, key, change, kind)
    return result


def _directed_map(patch: Obj) -> Obj:
    match patch[_PATCH]:
        case "replace":
            return {key: value for key, value in patch.items() if key != _PATCH}
        case "delete":
            return {}
    raise _bad(f"unknown patch type: {patch[_PATCH]} in map: {patch}")


def _retained(doc: Obj, pending: Obj) -> Obj:
    """A copy of `doc`, with only the keys that `$retainKeys` (taken out of `pending`) allows."""
    if _RETAIN not in pending:
        return dict(doc)
    retain = pending.pop(_RETAIN)
    if not isinstance(retain, list):
        raise _bad("invalid patch format of retainKeys")
    for key, change in pending.items():
        if change is not None and not key.startswith((_DELETE, _ORDER)) and key not in retain:
            raise _bad("invalid patch format of retainKeys")
    return {key: value for key, value in doc.items() if key in retain}


def _field_of(kind: Type | None, key: str) -> Field:
    """What the schema says about a field; nothing where it is a map's value, free-form or unknown."""
    if kind is None:
        return _NO_FIELD
    found = kind.fields.get(key)
    if found is None:
        return Field(kind.item) if kind.item is not None and kind.accepts is dict else _NO_FIELD
    return found


_NO_FIELD = Field(Type("", None))


def _merge_field(result: Obj, key: str, change: Any, kind: Type | None) -> None:
    old = result.get(key)
    field = _field_of(kind, key)
    if isinstance(old, dict) and isinstance(change, dict):
        if "replace" in field.strategies:
            result[key] = change
        else:
            result[key] = _merge_map(old, change, field.type)
    elif isinstance(old, list) and isinstance(change, list):
        result[key] = _merge_list(old, change, field) if "merge" in field.strategies else change
    else:
        value, keep = _without_directives(change)
        if keep:
            result[key] = value
        else:
            result.pop(key, None)


def _without_directives(value: Any) -> tuple[Any, bool]:
    """A value that meets nothing to merge with: nulls and directives go. (value, whether there is one)."""
    if isinstance(value, dict):
        if _PATCH in value:
            return None, False
        clean: Obj = {}
        for key, entry in value.items():
            if entry is None or key == _RETAIN or key.startswith((_DELETE, _ORDER)):
                continue
            entry, keep = _without_directives(entry)
            if keep:
                clean[key] = entry
        return clean, True
    if isinstance(value, list):
        cleaned = [_without_directives(entry) for entry in value]
        return [entry for entry, keep in cleaned if keep], True
    return value, True


def _delete_values(result: Obj, key: str, values: Any) -> None:
    if not isinstance(values, list):
        raise _bad("invalid patch format of primitive list")
    old = result.get(key)
    if isinstance(old, list):
        result[key] = [entry for entry in old if entry not in values]


def _merge_ordered(result: Obj, pending: Obj, directive: str, kind: Type | None) -> None:
    """Merges the list that a `$setElementOrder` is about, and brings it into that order. Takes both out of
    `pending`."""
    wanted = pending.pop(directive)
    key = directive.removeprefix(_ORDER)
    field = _field_of(kind, key)
    old, change = result.get(key), pending.get(key)
    if (
        not isinstance(wanted, list)
        or not isinstance(change, (list, type(None)))
        or not isinstance(old, (list, type(None)))
    ):
        raise _bad("invalid patch format of setElementOrder list")
    _check_order(change or [], wanted, field.merge_key)
    if old is None and change is None:
        return
    if old is None:
        merged, _ = _without_directives(change)
    elif change is None:
        merged = old
    else:
        merged = _merge_list(old, change, field) if "merge" in field.strategies else change
    pending.pop(key, None)
    result[key] = order.arrange(merged, wanted, old or [], field.merge_key)


def _check_order(change: list[Any], wanted: list[Any], merge_key: str) -> None:
    """The patch's elements must be among the wanted ones, in the same order."""
    if not change or not wanted:
        return
    keys = [
        order.key_of(entry, merge_key)
        for entry in change
        if not (isinstance(entry, dict) and _PATCH in entry)
    ]
    remaining = iter([order.key_of(entry, merge_key) for entry in wanted])
    if not all(key in remaining for key in keys):
        raise _bad(f"The order in patch list:\n{change}\n doesn't match {_ORDER[:-1]} list:\n{wanted}\n")


def _merge_list(old: list[Any], change: list[Any], field: Field) -> list[Any]:
    if not old and not change:
        return old
    kinds = {type(entry) for entry in (*old, *change)}
    if list in kinds:
        raise _bad("lists of lists are not supported")
    if dict not in kinds:
        merged = list(dict.fromkeys([*old, *change]))
        return order.arrange(merged, change, old, "")
    if kinds != {dict}:
        raise _bad("expected a map, but received a list of mixed types")
    if not field.merge_key:
        raise _bad("cannot merge lists without merge key")
    kept, additions = _special_elements(old, change, field.merge_key)
    merged = _merge_elements(kept, additions, field)
    return order.arrange(merged, additions, kept, field.merge_key)


def _special_elements(old: list[Obj], change: list[Obj], merge_key: str) -> tuple[list[Obj], list[Obj]]:
    """Carries out `$patch` elements. Returns (what is left of `old`, what is still to be merged into it)."""
    additions: list[Obj] = []
    replace = False
    for entry in change:
        match entry.get(_PATCH):
            case None:
                additions.append(entry)
            case "delete":
                key = order.key_of(entry, merge_key)
                old = [element for element in old if element.get(merge_key) != key]
            case "replace":
                replace = True
            case "merge":
                raise _bad("merging lists cannot yet be specified in the patch")
            case other:
                raise _bad(f"unknown patch type: {other} in map: {entry}")
    return ([], additions) if replace else (old, additions)


def _merge_elements(old: list[Obj], additions: list[Obj], field: Field) -> list[Obj]:
    merged = list(old)
    places: dict[Any, int] = {}
    for index, element in enumerate(merged):
        places.setdefault(element.get(field.merge_key), index)
    for entry in additions:
        key = order.key_of(entry, field.merge_key)
        place = places.get(key)
        if place is None:
            places[key] = len(merged)
            merged.append(_without_directives(entry)[0])
        else:
            merged[place] = _merge_map(merged[place], entry, field.type.item)
    return merged
