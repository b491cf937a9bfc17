"""What is particular to one kind, behind one interface; the verbs know nothing else about kinds.

A `Strategy` without overrides serves a kind for which nothing but its schema is known; the groups under
`podium.api.groups` refine it. A strategy is pure: it sees the objects it is handed and nothing else, does no
I/O and keeps no state. In every method `new` (or `obj`) may be changed in place, `old` never; values of `old`
that move into `new` are shared.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, Protocol

from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.types.resources import BUILT_IN, Resource
from podium.api.validation import metadata, names

NAME_TEXT = "The object's name, unique among those of its kind in its namespace; it never changes."
CREATED_TEXT = "When the object was created: set by the server, RFC 3339 in UTC."


# What says nothing of what is wanted.
NOT_WANTED = frozenset({"metadata", "status", "apiVersion", "kind"})


class Column(NamedTuple):
    """A column of the Table form. `priority` above 0 is shown in wide output only."""

    name: str
    type: str = "string"
    format: str = ""
    description: str = ""
    priority: int = 0

    def wire(self) -> Obj:
        """The metav1.TableColumnDefinition."""
        return self._asdict()


NAME = Column("Name", "string", "name", NAME_TEXT)
CREATED_AT = Column("Created At", "date", "", CREATED_TEXT)


def same(*labels: str) -> Mapping[str, str]:
    """Field selectors that are named like the path they read."""
    return MappingProxyType({label: label for label in labels})


class Reservation:
    """What a write claimed beside its object (a Service's addresses and ports): kept when the write
    succeeds, given back when it fails (`verbs/reserved.py`). Also a context manager around such a write."""

    def commit(self) -> None:
        """The write is durable: what the former object held and the new one does not is free again."""

    def rollback(self) -> None:
        """The write failed: nothing is held that was not held before."""

    def __enter__(self) -> Reservation:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.commit()
        else:
            self.rollback()


NOTHING_RESERVED = Reservation()


class Claims(Protocol):
    """Who gives the objects of one kind what exists only once."""

    def claim(self, new: Obj | None, old: Obj | None, dry_run: bool = False) -> Reservation: ...


class Strategy:
    """One instance per resource, shared by all requests."""

    has_generation: ClassVar[bool] = False
    allow_create_on_update: ClassVar[bool] = False
    # Whether validation may take longer than the event loop has time for.
    lengthy: bool = False
    version_required: ClassVar[bool] = False
    """Whether an update has to say which version it is based on."""
    columns: ClassVar[tuple[Column, ...]] = (NAME, CREATED_AT)
    fields: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Supported field selectors beyond metadata.name and metadata.namespace: label to the path it reads,
    mostly the same."""
    first_status: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """The status of a new object; what is in it is never changed in place."""
    status_keeps: ClassVar[tuple[str, ...]] = ("labels",)
    """Fields of the metadata that an update of the status leaves as they are."""

    disabled: ClassVar[tuple[str, ...]] = ()
    """Fields of the spec whose feature is off by default: dropped from what is new, and from what changes
    unless they were there."""

    def __init__(self, resource: Resource, claims: Claims | None = None) -> None:
        self.resource = resource
        self.claims = claims
        self.has_status = "status" in resource.subresources
        self.has_scale = "scale" in resource.subresources
        self.field_labels = frozenset({"metadata.name", "metadata.namespace", *self.fields})

    # --- the write path

    @staticmethod
    def name_rule(name: str) -> names.Messages:
        """What is wrong with a name of this kind."""
        return names.dns_subdomain(name)

    def default(self, obj: Obj) -> None:
        """Fills in what the API reference promises for absent fields. Runs for every decoded object, and is
        idempotent."""

    def prepare_create(self, obj: Obj) -> None:
        """Drops what clients may not set: the status of kinds that have a subresource for it."""
        if self.has_status:
            obj["status"] = copy.deepcopy(dict(self.first_status)) if self.first_status else {}
        if self.has_generation:
            obj["metadata"]["generation"] = 1
        for field in self.disabled:
            (obj.get("spec") or {}).pop(field, None)

    def prepare_update(self, new: Obj, old: Obj) -> None:
        """Keeps the former status and counts the generation up when what is wanted has changed."""
        if self.has_status:
            _carry(new, old, "status")
        for field in self.disabled:
            if (old.get("spec") or {}).get(field) is None:
                (new.get("spec") or {}).pop(field, None)
        generation = old["metadata"].get("generation")
        if self.has_generation and self.wants_something_else(new, old):
            generation = (generation or 0) + 1
        if generation is None:
            new["metadata"].pop("generation", None)
        else:
            new["metadata"]["generation"] = generation

    def prepare_status(self, new: Obj, old: Obj) -> None:
        """Leaves the status and the rest of the metadata from `new`; everything else is the former
        object's."""
        for key in (new.keys() | old.keys()) - {"status", "metadata", "apiVersion", "kind"}:
            _carry(new, old, key)
        for key in ("generation", *self.status_keeps):
            _carry(new["metadata"], old["metadata"], key)

    def stamp(self, new: Obj, old: Obj, now: datetime) -> None:
        """Writes down when something changed, where the API promises that; after every update."""

    def wants_something_else(self, new: Obj, old: Obj) -> bool:
        """Whether the generation counts up: by default for any change outside metadata and status."""
        return any(new.get(key) != old.get(key) for key in (new.keys() | old.keys()) - NOT_WANTED)

    def validate_create(self, obj: Obj) -> list[Cause]:
        """Every fault of a new object, defaulted and named."""
        return metadata.created(obj["metadata"], self.resource.namespaced, self.name_rule) + self.check(obj)

    def validate_update(self, new: Obj, old: Obj) -> list[Cause]:
        """Every fault of a changed object, immutable fields included."""
        return metadata.updated(new["metadata"], old["metadata"]) + self.check_update(new, old)

    def validate_status(self, new: Obj, old: Obj) -> list[Cause]:
        return metadata.updated(new["metadata"], old["metadata"]) + self.check_status(new, old)

    def check(self, obj: Obj) -> list[Cause]:
        """The faults outside the metadata."""
        return []

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        """The faults outside the metadata, of an object that replaces `old`."""
        return self.check(new)

    def check_status(self, new: Obj, old: Obj) -> list[Cause]:
        return []

    def warnings(self, obj: Obj) -> list[str]:
        """What the client should be told about an object that is accepted."""
        return []

    def reserve(self, new: Obj | None, old: Obj | None, dry_run: bool) -> Reservation:
        """Claims what the write needs beside its object: right before the store's write, after all
        validation. `old` is None for a create, `new` for a delete. Raises StatusError. A dry run claims
        nothing that outlives the call."""
        return self.claims.claim(new, old, dry_run) if self.claims else NOTHING_RESERVED

    def grace_period(self, obj: Obj, requested: int | None) -> int:
        """Seconds between the request to delete `obj` and its removal."""
        return 0

    # --- the read path

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        """The cells of `columns` for one object."""
        meta = obj["metadata"]
        return [meta.get("name", ""), meta.get("creationTimestamp")]

    def row_conditions(self, obj: Obj) -> list[Obj]:
        """What the row says about its object as a whole (metav1.TableRowCondition): that a pod is done."""
        return []

    def unknown_label(self, label: str) -> str:
        """What is said of a field selector that is not supported."""
        if self.fields:
            return f"field label not supported: {label}"
        return f'"{label}" is not a known field selector: only "metadata.name", "metadata.namespace"'

    def field(self, obj: Obj, path: str) -> str:
        """The value that the field selector `path` (one of `field_labels`) compares, "" where there is
        none."""
        value: Any = obj
        for part in self.fields.get(path, path).split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if isinstance(value, bool):
            return "true" if value else "false"
        return "" if value is None else str(value)

    # --- scale

    def scale_of(self, obj: Obj) -> Obj:
        """The autoscaling/v1 Scale of a kind that has one."""
        meta = obj["metadata"]
        status: Obj = {"replicas": (obj.get("status") or {}).get("replicas", 0)}
        if selector := self.scale_selector(obj):
            status["selector"] = selector
        kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
        return {
            "kind": "Scale",
            "apiVersion": "autoscaling/v1",
            "metadata": {key: meta[key] for key in kept if key in meta},
            "spec": {"replicas": replicas} if (replicas := obj["spec"].get("replicas", 0)) else {},
            "status": status,
        }

    def set_scale(self, new: Obj, scale: Obj) -> None:
        """Moves the wanted size of `scale` into `new`."""
        new["spec"] = {**new["spec"], "replicas": (scale.get("spec") or {}).get("replicas", 0)}

    def scale_selector(self, obj: Obj) -> str:
        """The selector of the objects that the scale counts, in its string form."""
        return ""


def _carry(new: Obj, old: Obj, key: str) -> None:
    """`new` gets what `old` has under `key`, also when that is nothing."""
    if key in old:
        new[key] = old[key]
    else:
        new.pop(key, None)


def registry(
    claims: Mapping[Resource, Claims] = MappingProxyType({}),
) -> dict[tuple[str, str, str], Strategy]:
    """(group, version, plural) → strategy, for every built-in resource. `claims` are the allocators of the
    kinds that need one (Services); without it, nothing is allocated."""
    # The groups build on this module.
    from podium.api.groups import STRATEGIES

    return {
        (entry.group, entry.version, entry.plural): STRATEGIES.get(entry, Strategy)(entry, claims.get(entry))
        for entry in BUILT_IN
    }
