"""Taking a request's object in: is it of the kind that the path names, and does it fit its schema?"""

from __future__ import annotations

from collections.abc import Sequence

from podium.api.ask import Ask
from podium.api.kinds import Kind
from podium.api.types import Obj
from podium.api.types.errors import StatusError, bad_request


def take(ask: Ask, obj: Obj, duplicates: Sequence[str] = ()) -> None:
    """Makes `obj` fit its kind, in place. Raises 400."""
    check_kind(ask.kind, obj)
    ask.warnings += ask.kind.schema.decode(obj, ask.validation, duplicates)


def take_patched(ask: Ask, obj: Obj, duplicates: Sequence[str] = ()) -> None:
    """As `take`, for what a patch made of an object."""
    check_kind(ask.kind, obj)
    ask.warnings += ask.kind.schema.decode_patched(obj, ask.validation, duplicates)


def check_kind(kind: Kind, obj: Obj) -> None:
    """Names the kind where the object does not; raises 400 where it names another."""
    resource = kind.resource
    name, version = obj.get("kind") or resource.kind, obj.get("apiVersion") or resource.api_version
    if name != resource.kind or version != resource.api_version:
        raise _other_kind(kind, name, version)
    obj["kind"], obj["apiVersion"] = name, version


def _other_kind(kind: Kind, name: object, version: object) -> StatusError:
    resource = kind.resource
    group, _, number = str(version).rpartition("/")
    if not kind.knows(group, number, str(name)):
        why = f'no kind "{name}" is registered for version "{version}"'
    elif name == resource.kind:
        return bad_request(
            f"the API version in the data ({version}) does not match the expected API version "
            f"({resource.api_version})"
        )
    else:
        here = f"{resource.group or 'core'}.{resource.kind}"
        why = f"converting ({number}.{name}) to ({here}): unknown conversion"
    return bad_request(f'{name} in version "{number}" cannot be handled as a {resource.kind}: {why}')
