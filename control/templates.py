"""Pod templates as values: a short name for each, and whether two mean the same."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from podium.api.types import Obj, quantity
from podium.api.types.meta import SUFFIX_ALPHABET

HASH = "pod-template-hash"
_QUANTITIES = {"limits", "requests", "sizeLimit", "divisor"}


def template_hash(template: Obj, collisions: int) -> str:
    """The label value that tells a template from all others; `collisions` makes another one of the same
    template."""
    text = orjson.dumps([template, collisions], option=orjson.OPT_SORT_KEYS)
    number = int.from_bytes(hashlib.blake2s(text, digest_size=4).digest(), "big")
    return "".join(SUFFIX_ALPHABET[ord(digit) % len(SUFFIX_ALPHABET)] for digit in str(number))


def same_template(one: Obj, other: Obj) -> bool:
    """Whether two pod templates mean the same, whatever their hash label and however a quantity is
    written."""
    return _same(_unhashed(one), _unhashed(other), "")


def _unhashed(template: Obj) -> Obj:
    meta = {name: value for name, value in (template.get("metadata") or {}).items() if value}
    labels = {name: value for name, value in (meta.pop("labels", None) or {}).items() if name != HASH}
    return {"metadata": {**meta, "labels": labels}, "spec": template.get("spec")}


def _same(one: Any, other: Any, field: str) -> bool:
    if one == other:
        return True
    if isinstance(one, dict) and isinstance(other, dict):
        parts = (
            (name, field if field in _QUANTITIES else name)
            for name in one.keys() | other.keys()
            if one.get(name) is not None or other.get(name) is not None
        )
        return all(_same(one.get(name), other.get(name), inner) for name, inner in parts)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_same(a, b, field) for a, b in zip(one, other, strict=True))
    if field in _QUANTITIES and isinstance(one, str | int) and isinstance(other, str | int):
        return quantity.parse(one) == quantity.parse(other)
    return False
