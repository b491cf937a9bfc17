"""Whether a value is what its schema promises. What an update leaves as it is was judged before and is not
judged again (ratcheting), so that a stricter schema does not lock up the objects there are.

Source of the texts: the API server's answers (kube-openapi's validation, as a field error). KEP-4008
(ratcheting).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from podium.api.extensions.formats import FORMATS
from podium.api.extensions.nodes import Node, type_name
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes

NOTHING: Any = object()
# More is of no use to anybody, and an answer has to end somewhere.
MOST = 200


def check(value: Any, node: Node, path: str = "", old: Any = NOTHING) -> list[Cause]:
    """Every fault; `old` is the value at the same place of the object that is replaced."""
    found = list(_value(value, node, path, old))
    return list(dict.fromkeys(found))[:MOST]


def equal(one: Any, other: Any) -> bool:
    """As JSON sees it: true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(each, other[key]) for key, each in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


def below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _value(value: Any, node: Node, path: str, old: Any) -> Iterator[Cause]:
    if old is not NOTHING and equal(value, old):
        return
    if value is None and node.nullable:
        return
    wrong = _wrong_type(value, node, path)
    if wrong is not None:
        yield wrong
        return
    yield from _enum(value, node, path)
    if isinstance(value, dict):
        yield from _object(value, node, path, old)
    elif isinstance(value, list):
        yield from _array(value, node, path, old)
    elif isinstance(value, str):
        yield from _string(value, node, path)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield from _number(value, node, path)
    yield from _combined(value, node, path)


def _wrong_type(value: Any, node: Node, path: str) -> Cause | None:
    name = type_name(value)
    if not node.types and value is not None:
        return None
    if name in node.types or (name == "integer" and "number" in node.types):
        return None
    if not node.types:
        return None
    detail = f'{_in_body(path)} must be of type {",".join(node.types)}: "{name}"'
    return Cause("FieldValueTypeInvalid", f'Invalid value: "{name}": {detail}', _field(path))


def _in_body(path: str) -> str:
    return f"{path} in body"


def _field(path: str) -> str:
    return path or "<nil>"


def _invalid(path: str, value: Any, text: str) -> Cause:
    return causes.invalid(_field(path), value, f"{_in_body(path)} {text}")


def _enum(value: Any, node: Node, path: str) -> Iterator[Cause]:
    allowed = node.keywords.get("enum")
    if allowed is None or any(equal(value, each) for each in allowed):
        return
    listed = [each if isinstance(each, str) else json.dumps(each) for each in allowed]
    yield causes.not_supported(_field(path), value, listed)


def _object(value: Obj, node: Node, path: str, old: Any) -> Iterator[Cause]:
    limit, most = node.keywords.get("minProperties"), node.keywords.get("maxProperties")
    if limit is not None and len(value) < limit:
        yield _invalid(path, value, f"should have at least {limit} properties")
    if most is not None and len(value) > most:
        yield causes.too_many(_field(path), len(value), most)
    for key in node.required:
        if key not in value:
            yield causes.required(below(path, key))
    before = old if isinstance(old, dict) else {}
    for key, entry in value.items():
        child = node.properties.get(key, node.additional)
        if isinstance(child, Node):
            yield from _value(entry, child, below(path, key), before.get(key, NOTHING))


def _array(value: list[Any], node: Node, path: str, old: Any) -> Iterator[Cause]:
    limit, most = node.keywords.get("minItems"), node.keywords.get("maxItems")
    if limit is not None and len(value) < limit:
        yield _invalid(path, value, f"should have at least {limit} items")
    if most is not None and len(value) > most:
        yield causes.too_many(_field(path), len(value), most)
    if node.keywords.get("uniqueItems") and len({_canonical(each) for each in value}) < len(value):
        yield _invalid(path, value, "shouldn't contain duplicates")
    if node.items is not None:
        former = former_items(node, old)
        plain = node.items.plain
        for index, entry in enumerate(value):
            if type(entry) is plain:
                continue
            before = former.get(item_key(node, entry), NOTHING) if former else NOTHING
            yield from _value(entry, node.items, f"{path}[{index}]", before)


def former_items(node: Node, old: Any) -> dict[str, Any]:
    """The items of the replaced list by what tells them from each other; none where nothing does."""
    if node.list_type != "map" or not isinstance(old, list):
        return {}
    return {item_key(node, entry): entry for entry in old}


def item_key(node: Node, entry: Any) -> str:
    if not isinstance(entry, dict) or node.list_type != "map":
        return _canonical(entry) if node.list_type == "set" else ""
    return _canonical([entry.get(key) for key in node.list_keys])


def _canonical(value: Any) -> str:
    """The same text for equal values."""
    # By far the most frequent items.
    if type(value) is str:
        return f'"{value}'
    return repr(value) if type(value) is int else json.dumps(value, sort_keys=True)


def _string(value: str, node: Node, path: str) -> Iterator[Cause]:
    limit, most = node.keywords.get("minLength"), node.keywords.get("maxLength")
    if most is not None and len(value) > most:
        yield causes.too_long(_field(path), most)
    if limit is not None and len(value) < limit:
        yield _invalid(path, value, f"should be at least {limit} chars long")
    if node.pattern is not None and node.pattern.search(value) is None:
        yield _invalid(path, value, f"should match '{node.pattern.pattern}'")
    test = FORMATS.get(node.format)
    if test is not None and not test(value):
        detail = f"{_in_body(path)} must be of type {node.format}: {json.dumps(value, ensure_ascii=False)}"
        text = f"Invalid value: {json.dumps(value, ensure_ascii=False)}: {detail}"
        yield Cause("FieldValueTypeInvalid", text, _field(path))


def _number(value: float, node: Node, path: str) -> Iterator[Cause]:
    keys = node.keywords
    least, most, factor = keys.get("minimum"), keys.get("maximum"), keys.get("multipleOf")
    if factor and not (
        math.isfinite(value) and (Fraction(str(value)) / Fraction(str(factor))).denominator == 1
    ):
        yield _invalid(path, value, f"should be a multiple of {_shown(factor)}")
    if most is not None:
        if keys.get("exclusiveMaximum") and value >= most:
            yield _invalid(path, value, f"should be less than {_shown(most)}")
        elif value > most:
            yield _invalid(path, value, f"should be less than or equal to {_shown(most)}")
    if least is not None:
        if keys.get("exclusiveMinimum") and value <= least:
            yield _invalid(path, value, f"should be greater than {_shown(least)}")
        elif value < least:
            yield _invalid(path, value, f"should be greater than or equal to {_shown(least)}")


def _shown(number: float) -> str:
    return str(int(number)) if float(number).is_integer() else str(number)


def _combined(value: Any, node: Node, path: str) -> Iterator[Cause]:
    if node.any_of:
        tries = [check(value, each, path) for each in node.any_of]
        if all(tries):
            yield _whole(path, "must validate at least one schema (anyOf)")
            yield from min(tries, key=len)
    if node.one_of:
        tries = [check(value, each, path) for each in node.one_of]
        valid = sum(not faults for faults in tries)
        if valid != 1:
            why = "Found none valid" if not valid else f"Found {valid} valid alternatives"
            yield _whole(path, f"must validate one and only one schema (oneOf). {why}")
            if not valid:
                yield from min(tries, key=len)
    if node.all_of:
        tries = [check(value, each, path) for each in node.all_of]
        if any(tries):
            none = "" if not all(tries) else ". None validated"
            for faults in tries:
                yield from faults
            yield _whole(path, f"must validate all the schemas (allOf){none}")
    if node.not_ is not None and not check(value, node.not_, path):
        yield _whole(path, "must not validate the schema (not)")


def _whole(path: str, text: str) -> Cause:
    return causes.invalid(_field(path), "", f'"{path}" {text}')


def check_lists(value: Any, node: Node, path: str = "") -> list[Cause]:
    """That no set has a value twice, and no map a key."""
    return list(_lists(value, node, path))


def _lists(value: Any, node: Node, path: str) -> Iterator[Cause]:
    if isinstance(value, dict):
        for key, entry in value.items():
            child = node.properties.get(key, node.additional)
            if isinstance(child, Node):
                at = below(path, key) if key in node.properties else f"{path}[{key}]"
                yield from _lists(entry, child, at)
    elif isinstance(value, list):
        if node.list_type in ("set", "map"):
            yield from _twice(value, node, path)
        if node.items is not None:
            for index, entry in enumerate(value):
                if type(entry) is node.items.plain:
                    continue
                yield from _lists(entry, node.items, f"{path}[{index}]")


def _twice(value: list[Any], node: Node, path: str) -> Iterator[Cause]:
    seen: set[str] = set()
    for index, entry in enumerate(value):
        if node.list_type == "map" and not isinstance(entry, dict):
            continue
        key = item_key(node, entry)
        if key in seen:
            told = (
                {each: entry[each] for each in node.list_keys if each in entry} if node.list_keys else entry
            )
            yield causes.duplicate(f"{path}[{index}]", told)
        seen.add(key)
