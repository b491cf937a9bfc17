"""OpenAPI v2 documents of other servers as parts of the one document. Pure.

Source: docs, "Kubernetes API Aggregation Layer"; API concepts, "OpenAPI V2".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from podium.api.types import Obj

_REFERENCE = "#/definitions/"


def part_of(document: Any, prefix: str) -> Obj:
    """The paths below `prefix`, which are all that the other server may say something of, and the
    definitions that they need. Raises ValueError for what is no such document."""
    if not isinstance(document, dict) or not isinstance(document.get("paths"), dict):
        raise ValueError("not an OpenAPI v2 document")
    paths = {
        path: item
        for path, item in document["paths"].items()
        if path.startswith(prefix) and isinstance(item, dict)
    }
    known = document.get("definitions")
    known = known if isinstance(known, dict) else {}
    found: Obj = {}
    pending = [*_references(paths)]
    while pending:
        name = pending.pop()
        if name in found:
            continue
        if not isinstance(known.get(name), dict):
            raise ValueError(f"the definition {name} is missing")
        found[name] = known[name]
        pending += _references(known[name])
    return {"paths": paths, "definitions": found}


def merge(document: Obj, parts: Iterable[Obj]) -> Obj:
    """`document` with the parts, into which it is changed. A definition whose name is another's gets a new
    name; paths that are there already stay."""
    paths, definitions = document["paths"], document.setdefault("definitions", {})
    for part in parts:
        names = {
            name: _free(name, definitions, content)
            for name, content in part["definitions"].items()
            if definitions.get(name, content) != content
        }
        for path, item in part["paths"].items():
            paths.setdefault(path, _renamed(item, names))
        for name, content in part["definitions"].items():
            definitions.setdefault(names.get(name, name), _renamed(content, names))
    return document


def _free(name: str, taken: Obj, content: Obj) -> str:
    number = 2
    while taken.get(f"{name}_v{number}", content) != content:
        number += 1
    return f"{name}_v{number}"


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        target = value.get("$ref")
        if isinstance(target, str) and target.startswith(_REFERENCE):
            yield target.removeprefix(_REFERENCE)
        for each in value.values():
            yield from _references(each)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if not names:
        return value
    if isinstance(value, dict):
        made = {key: _renamed(each, names) for key, each in value.items()}
        target = made.get("$ref")
        if isinstance(target, str) and (new := names.get(target.removeprefix(_REFERENCE))):
            made["$ref"] = _REFERENCE + new
        return made
    if isinstance(value, list):
        return [_renamed(each, names) for each in value]
    return value
