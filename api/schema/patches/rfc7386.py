"""JSON merge patch (RFC 7386): null removes, objects merge, everything else replaces."""

from __future__ import annotations

from typing import Any

from podium.api.types import Obj, errors


def merge_patch(doc: Obj, patch: Any) -> Obj:
    """Raises 400 when the patch is no object, since an API object cannot become anything else."""
    if not isinstance(patch, dict):
        raise errors.bad_request("Invalid JSON Patch")
    return _merge(doc, patch)


def _merge(doc: Obj, patch: Obj) -> Obj:
    result = dict(doc)
    for key, change in patch.items():
        if change is None:
            result.pop(key, None)
        elif isinstance(change, dict):
            old = result.get(key)
            result[key] = _merge(old if isinstance(old, dict) else {}, change)
        else:
            result[key] = change
    return result
