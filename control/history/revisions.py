"""ControllerRevisions as values: made from an owner's template, compared, numbered, counted out. Pure.

Source: apps/v1 ControllerRevision; kubernetes.io "Perform a Rollback on a DaemonSet", section "Understanding
DaemonSet revisions". The data is the patch that `kubectl rollout undo` sends to go back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from podium.api.types import Obj
from podium.api.types.meta import controller_reference
from podium.control.templates import same_template, template_hash

POD_LABEL = "controller-revision-hash"
NAME_LIMIT = 223  # characters of the owner's name, so that the hash always fits behind


class Choice(NamedTuple):
    """Which of the existing revisions is the owner's present template: `current` (None: none is), the number
    it is to have, other revisions of the same template, and those of other templates."""

    current: Obj | None
    number: int
    twins: list[Obj]
    olds: list[Obj]


def number_of(revision: Obj) -> int:
    return int(revision.get("revision", 0))


def in_order(revisions: Iterable[Obj]) -> list[Obj]:
    """Oldest first."""
    return sorted(
        revisions,
        key=lambda entry: (
            number_of(entry),
            entry["metadata"].get("creationTimestamp", ""),
            entry["metadata"]["name"],
        ),
    )


def template_of(revision: Obj) -> Obj:
    """The pod template that a revision keeps."""
    kept = ((revision.get("data") or {}).get("spec") or {}).get("template") or {}
    return {name: value for name, value in kept.items() if name != "$patch"}


def choose(owner: Obj, revisions: Iterable[Obj]) -> Choice:
    """Finds the owner's present template again. Going back to an earlier one makes that one the newest."""
    template = owner["spec"]["template"]
    equal: list[Obj] = []
    olds: list[Obj] = []
    for revision in in_order(revisions):
        (equal if same_template(template_of(revision), template) else olds).append(revision)
    highest = max(map(number_of, olds), default=0)
    current = equal.pop() if equal else None
    number = max(highest + 1, number_of(current) if current is not None else 0)
    return Choice(current, number, equal, olds)


def build(owner: Obj, number: int, collisions: int, hash_label: str) -> Obj:
    """The revision of the owner's present template. `hash_label` is the label that holds its hash."""
    meta, template = owner["metadata"], owner["spec"]["template"]
    text = template_hash(template, collisions)
    labels = (template.get("metadata") or {}).get("labels") or {}
    made: Obj = {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": f"{meta['name'][:NAME_LIMIT]}-{text}",
            "namespace": meta["namespace"],
            "labels": {**labels, hash_label: text},
            "ownerReferences": [controller_reference(owner)],
        },
        "data": _sorted({"spec": {"template": {**template, "$patch": "replace"}}}),
        "revision": number,
    }
    if meta.get("annotations"):
        made["metadata"]["annotations"] = meta["annotations"]
    return made


def _sorted(value: Any) -> Any:
    """With keys in order: kubectl compares a revision's data by its bytes."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(entry) for entry in value] if isinstance(value, list | tuple) else value


def surplus(revisions: Sequence[Obj], live: Collection[str], limit: int) -> list[Obj]:
    """Of `revisions` those beyond `limit` that are not `live` (by name), oldest first."""
    idle = [entry for entry in in_order(revisions) if entry["metadata"]["name"] not in live]
    return idle[: max(0, len(idle) - limit)]
