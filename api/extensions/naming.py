"""Which of the names a definition wants it gets, and what its conditions say about that.

Source: API reference, CustomResourceDefinitionStatus; docs, "Extend the Kubernetes API".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from podium.api.extensions.approval import POLICY, approval
from podium.api.types import Obj

NAMES_ACCEPTED, ESTABLISHED, TERMINATING = "NamesAccepted", "Established", "Terminating"


def settled(definition: Obj, others: Iterable[Obj], now: str) -> Obj:
    """The definition's status: the names that no other of its group has, and the conditions."""
    status = definition.get("status") or {}
    names, refused = _accept(definition, [other for other in others if _same_group(definition, other)])
    conditions = list(status.get("conditions") or ())
    verdict = ("True", "NoConflicts", "no conflicts found") if refused is None else ("False", *refused)
    conditions = put(conditions, NAMES_ACCEPTED, verdict, now)
    established = next((each for each in conditions if each.get("type") == ESTABLISHED), None)
    if established is None or established.get("status") != "True":
        verdict = (
            ("True", "InitialNamesAccepted", "the initial names have been accepted")
            if refused is None
            else ("False", "NotAccepted", "not all names are accepted")
        )
        conditions = put(conditions, ESTABLISHED, verdict, now)
    if (approved := approval(definition)) is not None:
        conditions = put(conditions, POLICY, approved, now)
    return {**status, "acceptedNames": names, "conditions": conditions}


def put(conditions: Iterable[Obj], kind: str, verdict: tuple[str, str, str], now: str) -> list[Obj]:
    """The conditions with this one; its time of transition stays while its status does."""
    status, reason, message = verdict
    kept = list(conditions)
    for index, entry in enumerate(kept):
        if entry.get("type") == kind:
            since = entry.get("lastTransitionTime", now) if entry.get("status") == status else now
            kept[index] = _condition(kind, status, reason, message, since)
            return kept
    return [*kept, _condition(kind, status, reason, message, now)]


def _condition(kind: str, status: str, reason: str, message: str, since: str) -> Obj:
    return {"type": kind, "status": status, "lastTransitionTime": since, "reason": reason, "message": message}


def _same_group(one: Obj, other: Obj) -> bool:
    return bool(
        one["spec"]["group"] == other["spec"]["group"] and one["metadata"]["uid"] != other["metadata"]["uid"]
    )


def _accept(definition: Obj, others: list[Obj]) -> tuple[Obj, tuple[str, str] | None]:
    """The names, and the reason and message of the last refusal."""
    resources, kinds = _taken(others)
    wanted = definition["spec"]["names"]
    have: dict[str, Any] = (definition.get("status") or {}).get("acceptedNames") or {}
    names, refused = dict(have), None
    for key, reason, taken in (
        ("plural", "PluralConflict", resources),
        ("singular", "SingularConflict", resources),
        ("shortNames", "ShortNamesConflict", resources),
        ("kind", "KindConflict", kinds),
        ("listKind", "ListKindConflict", kinds),
    ):
        given = wanted.get(key)
        asked = list(given or ()) if key == "shortNames" else [given] if given else []
        mine = have.get(key) or ()
        clashes = [name for name in asked if name in taken and name != mine and name not in _listed(mine)]
        if clashes:
            texts = [f'"{name}" is already in use' for name in clashes]
            refused = reason, texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
        elif given:
            names[key] = given
        else:
            names.pop(key, None)
    if wanted.get("categories"):
        names["categories"] = wanted["categories"]
    else:
        names.pop("categories", None)
    return {"plural": "", "kind": "", **names}, refused


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else []


def _taken(others: list[Obj]) -> tuple[set[str], set[str]]:
    resources: set[str] = set()
    kinds: set[str] = set()
    for other in others:
        names = (other.get("status") or {}).get("acceptedNames") or {}
        resources |= {names.get("plural", ""), names.get("singular", ""), *(names.get("shortNames") or ())}
        kinds |= {names.get("kind", ""), names.get("listKind", "")}
    return resources - {""}, kinds - {""}
