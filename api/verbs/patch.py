"""PATCH: JSON patch, merge patch, strategic merge patch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from podium.api.ask import Ask, Outcome, copied
from podium.api.core import Core, presented
from podium.api.schema import Schema, patches
from podium.api.types import Obj
from podium.api.types.errors import StatusError, bad_request, unsupported_media_type
from podium.api.types.resources import Resource
from podium.api.verbs import body
from podium.api.verbs.metadata import check_name
from podium.api.verbs.update import Rule, change

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
MEDIA_TYPES = {"json": JSON_PATCH, "merge": MERGE_PATCH, "strategic": STRATEGIC_PATCH}

Apply = Callable[[Obj], Obj]


def media_types(resource: Resource) -> tuple[str, ...]:
    """Those that change an object that is there."""
    return tuple(MEDIA_TYPES.values()) if resource.strategic else (JSON_PATCH, MERGE_PATCH)


def unsupported(resource: Resource) -> StatusError:
    supported = ", ".join((*media_types(resource), APPLY_PATCH))
    return unsupported_media_type(
        f"the body of the request was in an unknown format - accepted media types include: {supported}"
    )


def applier(schema: Schema, media_type: str, patch: Any) -> Apply:
    """What makes the patched object of the present one. Raises 400, 415."""
    match media_type:
        case "application/json-patch+json":
            return lambda doc: patches.json_patch(doc, patch)
        case "application/merge-patch+json":
            return lambda doc: patches.merge_patch(doc, patch)
        case "application/strategic-merge-patch+json":
            return lambda doc: patches.strategic_patch(doc, patch, schema)
    raise unsupported_media_type(f"{media_type} is no patch")


async def patch(core: Core, ask: Ask, rule: Rule, apply: Apply, duplicates: Sequence[str] = ()) -> Outcome:
    """Raises 400, 403, 404, 409, 422."""
    conversion = ask.kind.conversion

    def make(old: Obj) -> Obj:
        # A patch's result shares values with the object and with the patch: hence a copy, which is the
        # request's own.
        new = copied(apply(conversion.from_storage(old) if conversion else old))
        if not isinstance(new, dict):
            raise bad_request("the patch does not leave an object")
        ask.warnings.clear()
        body.take_patched(ask, new, duplicates)
        check_name(ask, new)
        return conversion.to_storage(new) if conversion else new

    return await presented(ask.kind, await change(core, ask, rule, make))
