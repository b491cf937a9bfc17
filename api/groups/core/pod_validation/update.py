"""What may change in a pod that exists: images, deadline, tolerations to be added, gates to be opened, the
status."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from podium.api.groups.core.pod_validation.scheduling import REQUIRED
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, names, values

MAX_INT32 = 2**31 - 1
CHANGEABLE = (
    "`spec.containers[*].image`",
    "`spec.initContainers[*].image`",
    "`spec.activeDeadlineSeconds`",
    "`spec.tolerations` (only additions to existing tolerations)",
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
)


def check_update(new: Obj, old: Obj) -> list[Cause]:
    """The faults of a changed spec (both are PodSpecs), beyond those it has by itself."""
    for key in ("containers", "initContainers"):
        if len(new.get(key) or ()) != len(old.get(key) or ()):
            return [causes.forbidden(f"spec.{key}", "pod updates may not add or remove containers")]
    found = _deadline(new.get("activeDeadlineSeconds"), old.get("activeDeadlineSeconds"))
    found += _tolerations(new, old) + _gates(new, old)
    munged = _munged(new, old)
    if old.get("schedulingGates"):
        found += _gated(munged, new, old)
    changes = differences(old, munged, "spec")
    if changes:
        text = f"pod updates may not change fields other than {','.join(CHANGEABLE)}\n"
        found.append(causes.forbidden("spec", text + "\n".join(changes)))
    return found


def _munged(new: Obj, old: Obj) -> Obj:
    """`new` with everything that may change as it was, so that whatever differs still is a fault."""
    munged = dict(new)
    for key in ("containers", "initContainers"):
        if key in new:
            pairs = zip(new[key], old.get(key) or (), strict=True)
            munged[key] = [{**entry, "image": former.get("image")} for entry, former in pairs]
    for key in ("activeDeadlineSeconds", "schedulingGates", "tolerations"):
        if key in old:
            munged[key] = old[key]
        else:
            munged.pop(key, None)
    if old.get("terminationGracePeriodSeconds", 0) < 0 and new.get("terminationGracePeriodSeconds") == 1:
        munged["terminationGracePeriodSeconds"] = old["terminationGracePeriodSeconds"]
    return munged


def _deadline(new: int | None, old: int | None) -> list[Cause]:
    path = "spec.activeDeadlineSeconds"
    if new is None:
        if old is None:
            return []
        return [causes.invalid(path, None, "must not update from a positive integer to nil value")]
    if not 0 <= new <= MAX_INT32:
        return [causes.invalid(path, new, values.in_range(0, MAX_INT32))]
    if old is not None and old < new:
        return [causes.invalid(path, new, "must be less than or equal to previous value")]
    return []


def _tolerations(new: Obj, old: Obj) -> list[Cause]:
    kept = [_timeless(entry) for entry in new.get("tolerations") or ()]
    if all(_timeless(entry) in kept for entry in old.get("tolerations") or ()):
        return []
    detail = "existing toleration can not be modified except its tolerationSeconds"
    return [causes.forbidden("spec.tolerations", detail)]


def _timeless(toleration: Obj) -> Obj:
    return {key: value for key, value in toleration.items() if key != "tolerationSeconds"}


def _gates(new: Obj, old: Obj) -> list[Cause]:
    former = {gate.get("name") for gate in old.get("schedulingGates") or ()}
    return [
        causes.forbidden(
            f"spec.schedulingGates[{index}].name",
            f"only deletion is allowed, but found new scheduling gate '{gate.get('name')}'",
        )
        for index, gate in enumerate(new.get("schedulingGates") or ())
        if gate.get("name") not in former
    ]


def _gated(munged: Obj, new: Obj, old: Obj) -> list[Cause]:
    """A pod that waits at a gate may be narrowed: more node selector, more required node affinity."""
    found: list[Cause] = []
    wanted, former = new.get("nodeSelector") or {}, old.get("nodeSelector") or {}
    if any(wanted.get(key) != value for key, value in former.items()):
        path = "spec.nodeSelector"
        detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
        found.append(causes.invalid(path, wanted, detail))
    _restore(munged, old, "nodeSelector")
    old_node, new_node = ((spec.get("affinity") or {}).get("nodeAffinity") for spec in (old, new))
    if old_node and REQUIRED in old_node and (new_node or {}).get(REQUIRED) is None:
        path = f"spec.affinity.nodeAffinity.{REQUIRED}.nodeSelectorTerms"
        detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed"
        found.append(causes.invalid(path, None, detail))
    affinity = {**(munged.get("affinity") or {})}
    _restore(affinity, old.get("affinity") or {}, "nodeAffinity")
    munged["affinity"] = affinity
    if not affinity and "affinity" not in old:
        del munged["affinity"]
    return found


def _restore(new: Obj, old: Obj, key: str) -> None:
    if key in old:
        new[key] = old[key]
    else:
        new.pop(key, None)


def differences(old: Any, new: Any, path: str) -> list[str]:
    """`-` and `+` lines for every value that differs."""
    if old == new:
        return []
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(old.keys() | new.keys())
        return [line for key in keys for line in differences(old.get(key), new.get(key), f"{path}.{key}")]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [line for index, pair in pairs for line in differences(*pair, f"{path}[{index}]")]
    return [
        f"{sign} {path}: {causes.render(value)}"
        for sign, value in (("-", old), ("+", new))
        if value is not None
    ]


def check_ephemeral(new: Obj, old: Obj) -> list[Cause]:
    """Ephemeral containers are added and never taken away or changed (both are PodSpecs)."""
    path = "spec.ephemeralContainers"
    wanted = {entry.get("name"): entry for entry in new.get("ephemeralContainers") or ()}
    found = []
    for entry in old.get("ephemeralContainers") or ():
        name = entry.get("name", "")
        text = f"existing ephemeral containers {causes.render(name)} may not be"
        if name not in wanted:
            found.append(causes.forbidden(path, f"{text} removed\n"))
        elif wanted[name] != entry:
            lines = "\n".join(differences(entry, wanted[name], path))
            found.append(causes.forbidden(path, f"{text} changed\n{lines}"))
    return found


def check_status(new: Obj, old: Obj) -> list[Cause]:
    """The faults of a changed status (both are Pods)."""
    status, former = new.get("status") or {}, old.get("status") or {}
    found: list[Cause] = []
    for index, entry in enumerate(status.get("conditions") or ()):
        where = f"status.conditions[{index}].type"
        kind = entry.get("type", "")
        if not kind.startswith("kubernetes.io/"):
            found += values.named(kind, where, names.qualified)
    nominated = status.get("nominatedNodeName")
    if nominated and nominated != former.get("nominatedNodeName"):
        found += values.named(nominated, "status.nominatedNodeName", names.dns_subdomain)
    if former.get("qosClass") and status.get("qosClass") != former["qosClass"]:
        found.append(causes.immutable("status.qosClass", status.get("qosClass")))
    if old["spec"].get("restartPolicy") in ("Never", "OnFailure"):
        found += _transitions(status.get("containerStatuses") or (), former, old["spec"]["restartPolicy"])
    for index, entry in enumerate(status.get("podIPs") or ()):
        found += values.address(entry.get("ip", ""), f"status.podIPs[{index}].ip")
    return found


def _transitions(statuses: Sequence[Obj], former: Obj, policy: str) -> list[Cause]:
    """A container that may not be restarted stays terminated."""
    before = {entry.get("name"): entry for entry in former.get("containerStatuses") or ()}
    found = []
    for index, entry in enumerate(statuses):
        ended = (before.get(entry.get("name"), {}).get("state") or {}).get("terminated")
        if ended is None or (policy == "OnFailure" and ended.get("exitCode", 0) != 0):
            continue
        if (entry.get("state") or {}).get("terminated") is None:
            path = f"status.containerStatuses[{index}].state"
            found.append(causes.forbidden(path, "may not be transitioned to non-terminated state"))
    return found
