"""Subresources through which a part of an object is read and changed: for each, which part.

Those that are objects of their own (a Scale, a Binding, an Eviction, a token) have a file each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from podium.api.groups.core.pod_validation import resize
from podium.api.kinds import Kind
from podium.api.strategy import Strategy
from podium.api.types import Obj
from podium.api.types.errors import Cause, no_such_path
from podium.api.validation import metadata
from podium.api.validation.conditions import kept
from podium.api.verbs.update import Rule


def _nothing_more(new: Obj, old: Obj) -> list[Cause]:
    return []


class Part(NamedTuple):
    """What a subresource may change. `move(new, sent)` brings it from what was sent into the former object,
    which `new` is a copy of, one level deep; `check` says what is wrong with the change besides the
    object's own rules."""

    move: Callable[[Obj, Obj], None]
    check: Callable[[Obj, Obj], list[Cause]] = _nothing_more


def rule_of(kind: Kind, subresource: str) -> Rule:
    """Raises 404 for a subresource that the kind does not have, or that is no part of the object."""
    strategy = kind.strategy
    if not subresource:
        return Rule(strategy.prepare_update, strategy.validate_update)
    if subresource not in kind.resource.subresources:
        raise no_such_path()
    if subresource == "status":
        return Rule(strategy.prepare_status, strategy.validate_status)
    if part := _PARTS.get(subresource):
        return _only(strategy, part)
    raise no_such_path()


def is_part(kind: Kind, subresource: str) -> bool:
    """Whether the subresource shows the object itself, so that it can be read, updated and patched like
    it."""
    return subresource in kind.resource.subresources and (subresource == "status" or subresource in _PARTS)


def _only(strategy: Strategy, part: Part) -> Rule:
    """A rule that brings the changeable part of what was sent into a copy of the former object."""

    def prepare(new: Obj, old: Obj) -> None:
        sent = {key: new.get(key) or {} for key in ("spec", "status")}
        for key in (new.keys() | old.keys()) - {"metadata"}:
            if key in old:
                new[key] = old[key]
            else:
                del new[key]
        part.move(new, sent)
        generation = old["metadata"].get("generation")
        if strategy.has_generation and generation and new.get("spec") != old.get("spec"):
            new["metadata"]["generation"] = generation + 1

    def validate(new: Obj, old: Obj) -> list[Cause]:
        return metadata.updated(new["metadata"], old["metadata"]) + strategy.check(new) + part.check(new, old)

    return Rule(prepare, validate)


def _finalizers(new: Obj, sent: Obj) -> None:
    """namespaces/finalize: spec.finalizers."""
    spec = {key: value for key, value in (new.get("spec") or {}).items() if key != "finalizers"}
    if finalizers := sent["spec"].get("finalizers"):
        spec["finalizers"] = finalizers
    new["spec"] = spec


def _ephemeral_containers(new: Obj, sent: Obj) -> None:
    """pods/ephemeralcontainers: spec.ephemeralContainers."""
    spec = {key: value for key, value in new["spec"].items() if key != "ephemeralContainers"}
    if containers := sent["spec"].get("ephemeralContainers"):
        spec["ephemeralContainers"] = containers
    new["spec"] = spec


def _keeps_ephemeral_containers(new: Obj, old: Obj) -> list[Cause]:
    wanted = {entry.get("name"): entry for entry in new["spec"].get("ephemeralContainers") or ()}
    faults = []
    for entry in old["spec"].get("ephemeralContainers") or ():
        name = entry["name"]
        if wanted.get(name) != entry:
            what = "changed" if name in wanted else "removed"
            text = f'Forbidden: existing ephemeral containers "{name}" may not be {what}'
            faults.append(Cause("FieldValueForbidden", text, "spec.ephemeralContainers"))
    return faults


def _approval(new: Obj, sent: Obj) -> None:
    """certificatesigningrequests/approval: the conditions of the status."""
    new["status"] = {**(new.get("status") or {}), "conditions": sent["status"].get("conditions") or []}


def _keeps_decision(new: Obj, old: Obj) -> list[Cause]:
    return kept(new, old, ("Approved", "Denied", "Failed"))


_PARTS: dict[str, Part] = {
    "finalize": Part(_finalizers),
    "ephemeralcontainers": Part(_ephemeral_containers, _keeps_ephemeral_containers),
    "resize": Part(resize.move, resize.check),
    "approval": Part(_approval, _keeps_decision),
}
