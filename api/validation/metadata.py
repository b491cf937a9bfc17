"""What holds for the metadata of every object. Source: apimachinery, api/validation/objectmeta."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, names
from podium.api.validation.names import NameRule

ANNOTATIONS_LIMIT = 256 * 1024
NEGATIVE = "must be greater than or equal to 0"
_IMMUTABLE = (
    ("name", ""), ("namespace", ""), ("uid", ""), ("creationTimestamp", None), ("deletionTimestamp", None),
    ("deletionGracePeriodSeconds", None),
)  # fmt: skip
_ORPHAN, _FOREGROUND = "orphan", "foregroundDeletion"


def created(meta: Obj, namespaced: bool, rule: NameRule) -> list[Cause]:
    """The faults of a new object's metadata; its name has been generated already."""
    found = []
    prefix = meta.get("generateName")
    if prefix:
        masked = f"{prefix[:-2]}a" if len(prefix) > 1 and prefix.endswith("-") else prefix
        found += [causes.invalid("metadata.generateName", prefix, text) for text in rule(masked)]
    name = meta.get("name")
    if not name:
        found.append(causes.required("metadata.name", "name or generateName is required"))
    else:
        found += [causes.invalid("metadata.name", name, text) for text in rule(name)]
    return found + _common(meta, namespaced)


def updated(new: Obj, old: Obj) -> list[Cause]:
    """The faults of a changed object's metadata beside the former one."""
    found = []
    if old.get("deletionTimestamp"):
        found += _no_new_finalizers(new, old)
    if not new.get("resourceVersion"):
        found.append(causes.invalid("metadata.resourceVersion", "", "must be specified for an update"))
    generation = new.get("generation") or 0
    if generation < (old.get("generation") or 0):
        found.append(causes.invalid("metadata.generation", generation, "must not be decremented"))
    for key, absent in _IMMUTABLE:
        if new.get(key, absent) != old.get(key, absent):
            found.append(causes.immutable(f"metadata.{key}", new.get(key, absent)))
    if new.get("labels") != old.get("labels"):
        found += check_labels(new.get("labels"), "metadata.labels")
    if new.get("annotations") != old.get("annotations"):
        found += check_annotations(new.get("annotations"), "metadata.annotations")
    if new.get("ownerReferences") != old.get("ownerReferences"):
        found += _owners(new.get("ownerReferences") or ())
    if new.get("finalizers") != old.get("finalizers"):
        found += _finalizers(new.get("finalizers") or ())
    return found


def _common(meta: Obj, namespaced: bool) -> list[Cause]:
    found = []
    namespace = meta.get("namespace")
    if not namespaced and namespace:
        found.append(causes.forbidden("metadata.namespace", "not allowed on this type"))
    elif namespaced and not namespace:
        found.append(causes.required("metadata.namespace"))
    elif namespace:
        found += [
            causes.invalid("metadata.namespace", namespace, text) for text in names.dns_label(namespace)
        ]
    if (meta.get("generation") or 0) < 0:
        found.append(causes.invalid("metadata.generation", meta["generation"], NEGATIVE))
    if meta.get("labels"):
        found += check_labels(meta["labels"], "metadata.labels")
    if meta.get("annotations"):
        found += check_annotations(meta["annotations"], "metadata.annotations")
    if meta.get("ownerReferences"):
        found += _owners(meta["ownerReferences"])
    if meta.get("finalizers"):
        found += _finalizers(meta["finalizers"])
    return found


def check_labels(values: Mapping[str, str] | None, path: str) -> list[Cause]:
    found = []
    for key, value in (values or {}).items():
        for text in names.qualified(key):
            found.append(causes.invalid(path, key, text))
        for text in names.label_value(value):
            found.append(causes.invalid(path, value, text))
    return found


def check_annotations(values: Mapping[str, str] | None, path: str) -> list[Cause]:
    found, size = [], 0
    for key, value in (values or {}).items():
        for text in names.annotation_key(key):
            found.append(causes.invalid(path, key, text))
        size += len(key.encode()) + len(value.encode())
    if size > ANNOTATIONS_LIMIT:
        found.append(causes.too_long(path, ANNOTATIONS_LIMIT))
    return found


def _owners(references: Iterable[Obj]) -> list[Cause]:
    path = "metadata.ownerReferences"
    found, controller = [], ""
    for reference in references:
        if not reference.get("apiVersion"):
            found.append(causes.invalid(f"{path}.apiVersion", "", "version must not be empty"))
        found += [
            causes.invalid(f"{path}.{key}", "", "must not be empty")
            for key in ("kind", "name", "uid")
            if not reference.get(key)
        ]
        if (reference.get("apiVersion"), reference.get("kind")) == ("v1", "Event"):
            found.append(causes.invalid(path, reference, "/v1, Kind=Event is disallowed from being an owner"))
        if reference.get("controller"):
            this = f"{reference.get('kind')}/{reference.get('name')}"
            if controller:
                detail = (
                    "Only one reference can have Controller set to true. "
                    f'Found "true" in references for {controller} and {this}'
                )
                found.append(causes.invalid(path, list(references), detail))
            controller = controller or this
    return found


def _finalizers(finalizers: Iterable[str]) -> list[Cause]:
    path = "metadata.finalizers"
    listed = list(finalizers)
    found = [causes.invalid(path, entry, text) for entry in listed for text in names.qualified(entry)]
    if _ORPHAN in listed and _FOREGROUND in listed:
        detail = f"finalizer {_ORPHAN} and {_FOREGROUND} cannot be both set"
        found.append(causes.invalid(path, listed, detail))
    return found


def _no_new_finalizers(new: Obj, old: Obj) -> list[Cause]:
    extra = sorted(set(new.get("finalizers") or ()) - set(old.get("finalizers") or ()))
    if not extra:
        return []
    shown = ", ".join(causes.render(entry) for entry in extra)
    detail = (
        "no new finalizers can be added if the object is being deleted, "
        f"found new finalizers []string{{{shown}}}"
    )
    return [causes.forbidden("metadata.finalizers", detail)]


def immutable(new: Any, old: Any, path: str) -> list[Cause]:
    """A field that keeps its first value; absent and empty are the same."""
    if (new or None) == (old or None):
        return []
    return [causes.immutable(path, new)]
