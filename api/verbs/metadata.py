"""The part of ObjectMeta that is the server's: names made up, uid, times, versions. Source: API
conventions, "Metadata"."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from podium.api.ask import Ask
from podium.api.types import Obj
from podium.api.types.errors import Cause, StatusError, bad_request, conflict, invalid, modified
from podium.api.types.meta import new_uid, suffix, timestamp
from podium.api.verbs.lifecycle import VERSION_REQUIRED

# Upstream's room for a generated name: 63 characters, 5 of them the suffix.
LONGEST_BASE = 58
# What an update can neither set nor drop.
KEPT = ("creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink")
SERVER_SET = ("selfLink", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "managedFields")


def metadata_of(obj: Obj) -> dict[str, Any]:
    meta: dict[str, Any] = obj.setdefault("metadata", {})
    return meta


def stamp_new(ask: Ask, obj: Obj, now: datetime) -> None:
    """For an object about to be created. Raises 400."""
    meta = metadata_of(obj)
    for field in SERVER_SET:
        meta.pop(field, None)
    place(ask, meta)
    meta["uid"] = new_uid()
    meta["creationTimestamp"] = timestamp(now)


def drop_version(obj: Obj) -> None:
    """What is about to be stored first gets its version then. Raises 400."""
    if metadata_of(obj).pop("resourceVersion", None) not in (None, "", "0"):
        raise bad_request("resourceVersion should not be set on objects to be created")


def place(ask: Ask, meta: dict[str, Any]) -> None:
    """Puts the object into the request's namespace. Raises 400 when it says to be in another."""
    wanted = ask.namespace if ask.kind.resource.namespaced else ""
    stated = meta.get("namespace") or ""
    if stated and wanted and stated != wanted:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    if wanted:
        meta["namespace"] = wanted
    else:
        meta.pop("namespace", None)


def is_generated(meta: dict[str, Any]) -> bool:
    return not meta.get("name") and bool(meta.get("generateName"))


def generate_name(meta: dict[str, Any]) -> None:
    meta["name"] = f"{meta['generateName'][:LONGEST_BASE]}{suffix()}"


def check_name(ask: Ask, obj: Obj) -> None:
    """The object must be the one that the path names. Raises 400."""
    meta = metadata_of(obj)
    name, namespace = meta.get("name") or "", meta.get("namespace") or ""
    if not name:
        raise bad_request(
            f"the name of the object ({ask.name} based on URL) was undeterminable: name must be provided"
        )
    if name != ask.name:
        raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({ask.name})")
    if ask.namespace and namespace and namespace != ask.namespace:
        raise bad_request(
            f"the namespace of the object ({namespace}) does not match the namespace on the request "
            f"({ask.namespace})"
        )


def check_version(ask: Ask, new: Obj, old: Obj) -> None:
    """The uid and the resourceVersion of an update, where it states them, must be those of what it updates.
    Raises 409."""
    resource, meta, current = ask.kind.resource, metadata_of(new), old["metadata"]
    uid = meta.get("uid")
    if uid and uid != current["uid"]:
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {current['uid']}"
        raise conflict(resource.plural, ask.name, why, resource.group)
    version = meta.get("resourceVersion")
    if version in (None, "", "0"):
        if resource in VERSION_REQUIRED or ask.kind.strategy.version_required:
            raise _version_required(ask)
    elif version != current["resourceVersion"]:
        if not str(version).isdigit():
            raise _no_version(ask, version)
        raise modified(resource.plural, ask.name, resource.group)


def _version_required(ask: Ask) -> StatusError:
    cause = Cause(
        "FieldValueInvalid", "Invalid value: 0: must be specified for an update", "metadata.resourceVersion"
    )
    return invalid(ask.kind.resource.plural, ask.name, [cause], ask.kind.resource.group)


def _no_version(ask: Ask, version: object) -> StatusError:
    text = f'Invalid value: "{version}": must be the resourceVersion of an object'
    cause = Cause("FieldValueInvalid", text, "metadata.resourceVersion")
    return invalid(ask.kind.resource.plural, ask.name, [cause], ask.kind.resource.group)


def carry_over(ask: Ask, new: Obj, old: Obj) -> None:
    """Gives an update what only the server sets."""
    meta, current = metadata_of(new), old["metadata"]
    place(ask, meta)
    for field in KEPT:
        if field in current:
            meta[field] = current[field]
        else:
            meta.pop(field, None)
    meta["uid"] = current["uid"]
    meta["resourceVersion"] = current["resourceVersion"]
