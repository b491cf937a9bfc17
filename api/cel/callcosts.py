"""What calls of functions and operators cost at most, by what they are called on: one table.

Source: docs, "Resource use of validation rules"; KEP-2876, "Resource constraints".
"""

from __future__ import annotations

import math
from collections.abc import Callable

from podium.api.cel.amounts import CHECK, LIST, MESSAGE, PATTERN, TRAVERSAL, Found, Size, cap, part
from podium.api.cel.sizes import DYN, Shape

_TEXTS = ("string", "bytes")


def operation(name: str, target: Found | None, arguments: list[Found]) -> Found:
    """What the call itself costs, and what it gives."""
    if (costs := _CALLS.get(name)) is not None:
        operands = arguments if target is None else [target, *arguments]
        if operands or name in _FREE:
            return costs(operands)
    return Found(1)


def _flat(kind: str, cost: int = 1) -> Callable[[list[Found]], Found]:
    return lambda given: Found(cost, Shape(kind))


def _logic(given: list[Found]) -> Found:
    return Found(0, Shape("bool"))


def _conditional(given: list[Found]) -> Found:
    one, other = given[1], given[2]
    entries = None
    if one.entries and other.entries:
        entries = (one.entries[0].or_(other.entries[0]), one.entries[1].or_(other.entries[1]))
    return Found(0, one.type if one.type.kind != "dyn" else other.type, one.size.or_(other.size), entries)


def _add(given: list[Found]) -> Found:
    if len(given) != 2:
        return Found(1)
    one, other = given
    kinds = {one.type.kind, other.type.kind}
    size = one.size.plus(other.size)
    if "list" in kinds:
        entries = None
        if one.entries and other.entries:
            entries = (one.entries[0].or_(other.entries[0]), one.entries[1].or_(other.entries[1]))
        return Found(1, one.type, size, entries or other.entries)
    if kinds & set(_TEXTS) or kinds == {"dyn"}:
        return Found(part(size.most, TRAVERSAL), one.type, size)
    return Found(1, one.type if one.type.kind != "dyn" else other.type)


def _compare(given: list[Found]) -> Found:
    if any(each.type.kind not in ("dyn", *_TEXTS) for each in given):
        return Found(1, Shape("bool"))
    return _equal(given)


def _equal(given: list[Found]) -> Found:
    if any(each.type.kind[:1].isupper() for each in given):
        return Found(1, Shape("bool"))
    return Found(part(min(each.size.most for each in given), TRAVERSAL), Shape("bool"))


def _index(given: list[Found]) -> Found:
    holder = given[0]
    return Found(1, holder.type.item or DYN, holder.entries[1] if holder.entries else None)


def _in(given: list[Found]) -> Found:
    holder = given[1]
    return Found(1 if holder.type.kind == "map" else holder.size.most, Shape("bool"))


def _over(factor: float, kind: str, *, keeps: bool = False) -> Callable[[list[Found]], Found]:
    """Goes through the first operand."""
    return lambda given: Found(
        part(given[0].size.most, factor), Shape(kind), given[0].size if keeps else None
    )


def _prefix(given: list[Found]) -> Found:
    return Found(part(given[-1].size.most, TRAVERSAL), Shape("bool"))


def _pattern(kind: str) -> Callable[[list[Found]], Found]:
    def costs(given: list[Found]) -> Found:
        text, pattern = given[0].size, given[1].size
        cost = part(cap(text.most + 1), TRAVERSAL) * part(pattern.most, PATTERN)
        size = None if kind == "bool" else Size(0, text.most)
        item = Shape("string") if kind == "list" else None
        return Found(cap(cost), Shape(kind, item=item), size)

    return costs


def _contains(given: list[Found]) -> Found:
    return Found(
        cap(part(given[0].size.most, TRAVERSAL) * part(given[1].size.most, TRAVERSAL)), Shape("bool")
    )


def _each(kind: str) -> Callable[[list[Found]], Found]:
    """Goes through a list, and through the texts in it; or through a text."""

    def costs(given: list[Found]) -> Found:
        over = given[0]
        item = over.type.item
        result = DYN if kind == "dyn" else Shape(kind)
        if over.type.kind == "string" or item is None:
            return Found(part(over.size.most, TRAVERSAL), result)
        each = 1
        if item.kind in _TEXTS:
            inside = over.entries[1] if item.most is None and over.entries else Found(0, item).size
            each += part(inside.most, TRAVERSAL)
        return Found(cap(over.size.most * each), item if kind == "dyn" else result)

    return costs


def _join(given: list[Found]) -> Found:
    listed = given[0]
    inside = Size(0, 0)
    if listed.type.item is not None:
        inside = Found(0, listed.type.item).size
    size = listed.size.times(inside)
    if len(given) > 1:
        size = size.plus(given[1].size.times(Size(0, max(listed.size.most - 1, 0))))
    return Found(part(size.most, TRAVERSAL), Shape("string"), size)


def _split(given: list[Found]) -> Found:
    size = given[0].size
    return Found(part(size.most, 2 * TRAVERSAL), Shape("list", item=Shape("string")), Size(0, size.most))


def _replace(given: list[Found]) -> Found:
    text, old, new = given[0].size, given[1].size, given[2].size
    if old.least == 0:
        size = Size(0, cap((text.most + 1) * new.most + text.most))
    elif new.most <= old.least:
        size = Size(0, text.most)
    else:
        size = Size(0, cap(math.ceil(text.most / old.least) * new.most))
    return Found(part(text.most, 2 * TRAVERSAL), Shape("string"), size)


def _bytes(given: list[Found]) -> Found:
    if given[0].type.kind not in ("string", "dyn"):
        return Found(1, Shape("bytes"))
    size = given[0].size
    return Found(part(size.most, TRAVERSAL), Shape("bytes"), Size(size.least, cap(size.most * 4)))


def _string(given: list[Found]) -> Found:
    if given[0].type.kind != "bytes":
        return Found(1, Shape("string"))
    size = given[0].size
    return Found(part(size.most, TRAVERSAL), Shape("string"), Size(size.least // 4, size.most))


def _selector(given: list[Found]) -> Found:
    length = given[-1].size.most
    cost = LIST + part(length, TRAVERSAL) + cap(part(length, 0.5) * (LIST + MESSAGE))
    return Found(cap(cost), Shape("ResourceCheck"))


def _within(given: list[Found]) -> Found:
    cost = part(32, TRAVERSAL) + part(16, TRAVERSAL) + 1
    return Found(cap(cost + _text_operand(given)), Shape("bool"))


def _holds_address(given: list[Found]) -> Found:
    return Found(cap(part(32, TRAVERSAL) + _text_operand(given)), Shape("bool"))


def _text_operand(given: list[Found]) -> int:
    return part(given[-1].size.most, TRAVERSAL) if given[-1].type.kind in ("string", "dyn") else 0


def _address(given: list[Found]) -> Found:
    if given[0].type.kind == "CIDR":
        return Found(1, Shape("IP"))
    return Found(part(given[0].size.most, TRAVERSAL), Shape("IP"))


def _validate(given: list[Found]) -> Found:
    return Found(part(part(given[-1].size.most, TRAVERSAL), 128 * PATTERN), Shape("optional"))


def _dyn(given: list[Found]) -> Found:
    return Found(1, given[0].type, given[0].known, given[0].entries)


_FREE = frozenset({"optional.none"})
_CALLS: dict[str, Callable[[list[Found]], Found]] = {
    **dict.fromkeys(("_&&_", "_||_"), _logic),
    **dict.fromkeys(("_==_", "_!=_"), _equal),
    **dict.fromkeys(("_<_", "_<=_", "_>_", "_>=_"), _compare),
    **dict.fromkeys(("!_", "@not_strictly_false", "has"), _flat("bool")),
    **dict.fromkeys(("@in", "_in_", "in"), _in),
    **dict.fromkeys(("startsWith", "endsWith"), _prefix),
    **dict.fromkeys(("url", "jsonpatch.escapeKey"), _over(TRAVERSAL, "URL", keeps=True)),
    **dict.fromkeys(
        ("lowerAscii", "upperAscii", "substring", "trim"), _over(TRAVERSAL, "string", keeps=True)
    ),
    **dict.fromkeys(("indexOf", "lastIndexOf"), _each("int")),
    **dict.fromkeys(("sum", "min", "max"), _each("dyn")),
    **dict.fromkeys(("isIP", "isCIDR", "isQuantity", "isSemver"), _over(TRAVERSAL, "bool")),
    **dict.fromkeys(("fieldSelector", "labelSelector"), _selector),
    **dict.fromkeys(("group", "resource", "subresource", "namespace", "name"), _flat("ResourceCheck")),
    **dict.fromkeys(("allowed", "errored"), _flat("bool")),
    **dict.fromkeys(("reason", "error"), _flat("string")),
    **dict.fromkeys(("isGreaterThan", "isLessThan", "isInteger"), _flat("bool")),
    **dict.fromkeys(("size", "int", "sign", "asInteger", "compareTo"), _flat("int")),
    **dict.fromkeys(("major", "minor", "patch", "prefixLength", "family"), _flat("int")),
    "_?_:_": _conditional,
    "_+_": _add,
    "_[_]": _index,
    "double": _flat("double"),
    "duration": _flat("duration"),
    "timestamp": _flat("timestamp"),
    "isSorted": _each("bool"),
    "matches": _pattern("bool"),
    "find": _pattern("string"),
    "findAll": _pattern("list"),
    "contains": _contains,
    "join": _join,
    "split": _split,
    "replace": _replace,
    "bytes": _bytes,
    "string": _string,
    "dyn": _dyn,
    "format": _over(TRAVERSAL, "string"),
    "strings.quote": _over(TRAVERSAL, "string"),
    "check": _flat("Decision", CHECK),
    "path": _flat("PathCheck"),
    "serviceAccount": _flat("Authorizer"),
    "ip": _address,
    "masked": _flat("CIDR"),
    "cidr": _over(TRAVERSAL, "CIDR"),
    "ip.isCanonical": _over(2 * TRAVERSAL, "bool"),
    "containsIP": _holds_address,
    "containsCIDR": _within,
    "quantity": _over(TRAVERSAL, "Quantity"),
    "semver": _over(TRAVERSAL, "Semver"),
    "validate": _validate,
}
