"""How objects end, and which writes their kinds accept: decided from the object and from these tables alone.

Source: docs, "Finalizers"; API conventions; the behaviour of v1.36 for each kind.
"""

from __future__ import annotations

from collections.abc import Callable

from podium.api.types import Obj
from podium.api.types import resources as kinds
from podium.api.types.resources import Resource

ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"

# A DELETE answers with the object instead of a Status.
SHOWN_WHEN_DELETED = frozenset(
    {
        kinds.CSI_DRIVERS, kinds.CSI_NODES, kinds.DEVICE_CLASSES, kinds.NAMESPACES,
        kinds.PERSISTENT_VOLUME_CLAIMS, kinds.PERSISTENT_VOLUMES, kinds.PODS, kinds.POD_TEMPLATES,
        kinds.RESOURCE_CLAIMS, kinds.RESOURCE_CLAIM_TEMPLATES, kinds.RESOURCE_QUOTAS,
        kinds.RESOURCE_SLICES, kinds.SERVICES, kinds.SERVICE_ACCOUNTS, kinds.STORAGE_CLASSES,
        kinds.VOLUME_ATTACHMENTS, kinds.VOLUME_ATTRIBUTES_CLASSES,
    }
)  # fmt: skip

# Dependents stay unless the request says otherwise: the first versions of these kinds did so.
ORPHANS_BY_DEFAULT = frozenset({kinds.JOBS, kinds.REPLICATION_CONTROLLERS})
# What keeps an object until somebody has cleared up behind it, from the first request to delete it on.
CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
_KEPT_BY = {kinds.CUSTOM_RESOURCE_DEFINITIONS: CLEANUP}
# Nothing depends on them; they know no propagation policy.
NOT_OWNING = frozenset({kinds.EVENTS, kinds.EVENTS_V1})

# An update has to say what it is based on.
VERSION_REQUIRED = frozenset(
    {
        kinds.CSI_DRIVERS, kinds.CSI_NODES, kinds.CSI_STORAGE_CAPACITIES, kinds.LEASES,
        kinds.MUTATING_ADMISSION_POLICIES, kinds.MUTATING_ADMISSION_POLICY_BINDINGS,
        kinds.MUTATING_WEBHOOK_CONFIGURATIONS, kinds.POD_DISRUPTION_BUDGETS, kinds.RUNTIME_CLASSES,
        kinds.VALIDATING_ADMISSION_POLICIES, kinds.VALIDATING_ADMISSION_POLICY_BINDINGS,
        kinds.VALIDATING_WEBHOOK_CONFIGURATIONS, kinds.VOLUME_ATTACHMENTS,
    }
)  # fmt: skip


def _namespace_holds(obj: Obj) -> bool:
    return bool((obj.get("spec") or {}).get("finalizers"))


def _terminate_namespace(obj: Obj) -> None:
    obj["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}


# Kinds that something else than metadata.finalizers keeps.
_HOLDS: dict[Resource, Callable[[Obj], bool]] = {kinds.NAMESPACES: _namespace_holds}
# Kinds that say in their status that they are going.
_TERMINATE: dict[Resource, Callable[[Obj], None]] = {kinds.NAMESPACES: _terminate_namespace}


def held(resource: Resource, obj: Obj) -> bool:
    """Whether somebody has to let go of it first."""
    if obj["metadata"].get("finalizers"):
        return True
    holds = _HOLDS.get(resource)
    return holds is not None and holds(obj)


def terminate(resource: Resource, obj: Obj) -> None:
    """Tells in the object that its deletion has begun."""
    if begin := _TERMINATE.get(resource):
        begin(obj)


def ends_with_update(resource: Resource, new: Obj, old: Obj) -> bool:
    """Whether an update took away the last thing that kept an object which is to be deleted."""
    meta = old["metadata"]
    return (
        "deletionTimestamp" in meta and not meta.get("deletionGracePeriodSeconds") and not held(resource, new)
    )


def finalizers_after(resource: Resource, obj: Obj, policy: str) -> list[str]:
    """The finalizers once deletion was asked for with propagation `policy` ("" for none): the two that tell
    the garbage collector what to do are the request's, the rest stay."""
    present: list[str] = obj["metadata"].get("finalizers") or []
    keeper = _KEPT_BY.get(resource)
    if keeper and keeper not in present and "deletionTimestamp" not in obj["metadata"]:
        present = [*present, keeper]
    kept = [name for name in present if name not in (ORPHAN, FOREGROUND)]
    if resource in NOT_OWNING or policy == "Background":
        return kept
    if policy:
        return [*kept, ORPHAN if policy == "Orphan" else FOREGROUND]
    if len(kept) == len(present) and resource in ORPHANS_BY_DEFAULT:
        return [*kept, ORPHAN]
    return list(present)
