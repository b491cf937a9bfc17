"""Who owns a StatefulSet's claims, so that they go with it, with their pod, or never. Pure.

Source: KEP-1847, StatefulSet PVC auto-deletion; apps/v1 StatefulSetPersistentVolumeClaimRetentionPolicy.
"""

from __future__ import annotations

from podium.api.types import Obj
from podium.api.types.meta import controller_reference, name_of
from podium.control.statefulsets.identity import ordinal_of, ordinals


def deletes_on(stateful_set: Obj, occasion: str) -> bool:
    """Whether claims go on `occasion`, whenDeleted or whenScaled."""
    policy = stateful_set["spec"].get("persistentVolumeClaimRetentionPolicy") or {}
    return bool(policy.get(occasion) == "Delete")


def _names(reference: Obj, owner: Obj, *, api_version: str, kind: str) -> bool:
    given = (reference.get("apiVersion"), reference.get("kind"), reference.get("name"))
    return given == (api_version, kind, name_of(owner))


def _names_set(reference: Obj, stateful_set: Obj) -> bool:
    return _names(reference, stateful_set, api_version="apps/v1", kind="StatefulSet")


def _names_pod(reference: Obj, pod: Obj) -> bool:
    return _names(reference, pod, api_version="v1", kind="Pod")


def references_of(claim: Obj) -> list[Obj]:
    return list(claim["metadata"].get("ownerReferences") or ())


def _is(reference: Obj, owner: Obj) -> bool:
    return bool(reference.get("uid") == owner["metadata"].get("uid"))


def is_stale(claim: Obj, pod: Obj) -> bool:
    """Whether an earlier pod of this name owns the claim: the garbage collector is about to take it away."""
    return any(_names_pod(entry, pod) and not _is(entry, pod) for entry in references_of(claim))


def _is_stale_set(claim: Obj, stateful_set: Obj) -> bool:
    return any(
        _names_set(entry, stateful_set) and not _is(entry, stateful_set) for entry in references_of(claim)
    )


def has_other_controller(claim: Obj, stateful_set: Obj, pod: Obj) -> bool:
    """Whether something else manages the claim, so that the retention policy does not count for it."""
    if not deletes_on(stateful_set, "whenDeleted") and not deletes_on(stateful_set, "whenScaled"):
        return False
    for entry in references_of(claim):
        if _names_set(entry, stateful_set) or _names_pod(entry, pod):
            if not _is(entry, stateful_set) and not _is(entry, pod):
                return True
        elif entry.get("controller"):
            return True
    return False


def _owners(stateful_set: Obj, pod: Obj) -> list[Obj]:
    """The one that is to own the pod's claims, if any. A pod owns them only once it is scaled down: were it
    earlier, its eviction would take its data along."""
    scaled_down = ordinal_of(pod) not in ordinals(stateful_set)
    if deletes_on(stateful_set, "whenScaled") and scaled_down:
        return [pod]
    if deletes_on(stateful_set, "whenDeleted"):
        return [stateful_set]
    return []


def is_right(claim: Obj, stateful_set: Obj, pod: Obj) -> bool:
    """Whether the claim's owners are as the policy wants, or not ours to set."""
    if _is_stale_set(claim, stateful_set) or is_stale(claim, pod):
        return True
    ours = [entry for entry in references_of(claim) if _is(entry, stateful_set) or _is(entry, pod)]
    if has_other_controller(claim, stateful_set, pod):
        return not ours
    if not all(entry.get("controller") for entry in ours):
        return False
    return {entry["uid"] for entry in ours} == {
        owner["metadata"]["uid"] for owner in _owners(stateful_set, pod)
    }


def corrected(claim: Obj, stateful_set: Obj, pod: Obj) -> Obj:
    """The claim with the owners that the policy wants. `pod` has a uid."""
    kept = [
        entry
        for entry in references_of(claim)
        if not _names_set(entry, stateful_set) and not _names_pod(entry, pod)
    ]
    if not has_other_controller(claim, stateful_set, pod):
        kept += [controller_reference(owner) for owner in _owners(stateful_set, pod)]
    return {**claim, "metadata": {**claim["metadata"], "ownerReferences": kept}}
