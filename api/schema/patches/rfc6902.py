"""JSON patch (RFC 6902) with the API server's answers: 400 for what is no patch, 413 for too many operations,
422 for one that does not apply.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeAlias

import orjson

from podium.api.schema.body import MAX_DEPTH, too_deep
from podium.api.types import Obj, errors
from podium.api.types.errors import StatusError

MAX_OPERATIONS = 10_000
_VALUED = ("add", "replace", "test")
_SOURCED = ("move", "copy")

# Bytes that the `copy` operations of one patch may add (upstream's number).
MAX_COPIED = 3 << 20


# Containers that were made for this patch, by identity.
Own: TypeAlias = dict[int, Any]


class _Inapplicable(Exception):
    """The operation names what is not there, or a test failed."""


def json_patch(doc: Obj, operations: Any) -> Obj:
    """Applies the operations in order, all or none. Raises 400, 413, 422."""
    _check(operations)
    result: Any = doc
    copied = 0
    # What has been copied already need not be copied for the next operation. Held here, so that no identity
    # comes back.
    own: Own = {}
    for operation in operations:
        try:
            if operation["op"] == "copy":
                copied += len(orjson.dumps(_get(result, _pointer(operation["from"]))))
                if copied > MAX_COPIED:
                    raise errors.too_large(
                        "Unable to complete the copy, the accumulated size increase of copy is "
                        f"{copied}, exceeding the limit {MAX_COPIED}"
                    )
            result = _OPERATIONS[operation["op"]](result, operation, own)
        except (_Inapplicable, RecursionError, orjson.JSONEncodeError):
            raise _rejected() from None
    if not isinstance(result, dict) or too_deep(result):
        raise _rejected()
    return result


def _rejected() -> StatusError:
    return StatusError(422, "Invalid", "the server rejected our request due to an error in our request", {})


def _check(operations: Any) -> None:
    if not isinstance(operations, list):
        raise errors.bad_request("error decoding patch: json: a JSON patch is an array of operations")
    if len(operations) > MAX_OPERATIONS:
        raise errors.too_large(
            f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(operations)}"
        )
    for index, operation in enumerate(operations):
        if not isinstance(operation, dict):
            raise errors.bad_request(f"error decoding patch: operation {index} is not an object")
        _check_operation(index, operation)


def _check_operation(index: int, operation: Obj) -> None:
    op = operation.get("op")
    if not isinstance(op, str) or op not in _OPERATIONS:
        raise errors.bad_request(f"error decoding patch: operation {index}: unexpected kind: {op}")
    needed = ["path"] + (["from"] if op in _SOURCED else [])
    for key in needed:
        text = operation.get(key)
        if not isinstance(text, str) or (text and not text.startswith("/")):
            raise errors.bad_request(
                f"error decoding patch: operation {index}: {key!r} must be a JSON pointer"
            )
        if text.count("/") > MAX_DEPTH:
            raise errors.bad_request(f"error decoding patch: operation {index}: {key!r} exceeds max depth")
    if op in _VALUED and "value" not in operation:
        raise errors.bad_request(f"error decoding patch: operation {index}: 'value' is missing")


def _pointer(text: str) -> list[str]:
    return [token.replace("~1", "/").replace("~0", "~") for token in text.split("/")[1:]]


def _get(node: Any, tokens: list[str]) -> Any:
    for token in tokens:
        if isinstance(node, dict):
            if token not in node:
                raise _Inapplicable
            node = node[token]
        elif isinstance(node, list):
            node = node[_index(token, len(node) - 1)]
        else:
            raise _Inapplicable
    return node


def _index(token: str, last: int) -> int:
    if not (token.isascii() and token.isdigit()) or (token[0] == "0" and token != "0") or int(token) > last:
        raise _Inapplicable
    return int(token)


def _change(node: Any, tokens: list[str], change: Callable[[Any, str], None], own: Own) -> Any:
    """`node` with `change(container, last token)` done to a copy of the container that `tokens` lead to; the
    containers on the way are copied too, each once for all operations."""
    if not isinstance(node, (dict, list)):
        raise _Inapplicable
    fresh: Any = node
    if id(node) not in own:
        fresh = node.copy()
        own[id(fresh)] = fresh
    token = tokens[0]
    if len(tokens) == 1:
        change(fresh, token)
        return fresh
    key: Any = token if isinstance(fresh, dict) else _index(token, len(fresh) - 1)
    if isinstance(fresh, dict) and key not in fresh:
        raise _Inapplicable
    fresh[key] = _change(fresh[key], tokens[1:], change, own)
    return fresh


def _put(doc: Any, tokens: list[str], value: Any, own: Own) -> Any:
    if not tokens:
        return value

    def put(container: Any, token: str) -> None:
        if isinstance(container, dict):
            container[token] = value
        elif token == "-":
            container.append(value)
        else:
            container.insert(_index(token, len(container)), value)

    return _change(doc, tokens, put, own)


def _drop(doc: Any, tokens: list[str], own: Own) -> Any:
    if not tokens:
        raise _Inapplicable

    def drop(container: Any, token: str) -> None:
        if isinstance(container, dict):
            if token not in container:
                raise _Inapplicable
            del container[token]
        else:
            del container[_index(token, len(container) - 1)]

    return _change(doc, tokens, drop, own)


def _add(doc: Any, operation: Obj, own: Own) -> Any:
    return _put(doc, _pointer(operation["path"]), operation["value"], own)


def _remove(doc: Any, operation: Obj, own: Own) -> Any:
    return _drop(doc, _pointer(operation["path"]), own)


def _replace(doc: Any, operation: Obj, own: Own) -> Any:
    tokens = _pointer(operation["path"])
    _get(doc, tokens)
    if not tokens:
        return operation["value"]

    def replace(container: Any, token: str) -> None:
        container[token if isinstance(container, dict) else int(token)] = operation["value"]

    return _change(doc, tokens, replace, own)


def _move(doc: Any, operation: Obj, own: Own) -> Any:
    source, target = _pointer(operation["from"]), _pointer(operation["path"])
    if len(target) > len(source) and target[: len(source)] == source:
        raise _Inapplicable
    value = _get(doc, source)
    if source == target:
        return doc
    return _put(_drop(doc, source, own), target, value, own)


def _copy(doc: Any, operation: Obj, own: Own) -> Any:
    value = copy.deepcopy(_get(doc, _pointer(operation["from"])))
    return _put(doc, _pointer(operation["path"]), value, own)


def _test(doc: Any, operation: Obj, own: Own) -> Any:
    tokens, wanted = _pointer(operation["path"]), operation["value"]
    try:
        found = _get(doc, tokens)
    except _Inapplicable:
        # What is absent equals null; its parent must be there.
        if wanted is not None:
            raise
        _get(doc, tokens[:-1])
        found = None
    if not _equal(found, wanted):
        raise _Inapplicable
    return doc


def _equal(left: Any, right: Any) -> bool:
    """JSON equality: true is not 1."""
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_equal(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    return bool(left == right)


_OPERATIONS: dict[str, Callable[[Any, Obj, Own], Any]] = {
    "add": _add, "remove": _remove, "replace": _replace, "move": _move, "copy": _copy, "test": _test,
}  # fmt: skip
