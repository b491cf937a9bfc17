"""What may change in a pod that exists: images, deadline, tolerations to be added, gates to be opened, the
status."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from podium.api.groups.core.pod_validation import claims
from podium.api.groups.core.pod_validation.containers import check_image
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
    found = _images(new) + _deadline(new.get("activeDeadlineSeconds"), old.get("activeDeadlineSeconds"))
    found += _tolerations(new, old) + _gates(new, old)
    munged = _munged(new, old)
    if old.get("schedulingGates"):
        found += _gated(munged, new, old)
    changes = differences(old, munged, "spec")
    if changes:
        text = f"pod updates may not change fields other than {','.join(CHANGEABLE)}\n"
        found.append(causes.forbidden("spec", text + "\n".join(changes)))
    return found


def _images(new: Obj) -> list[Cause]:
    """Said once more of a change: an image there is, and nothing around its name."""
    found: list[Cause] = []
    for key in ("containers", "initContainers"):
        for index, entry in enumerate(new.get(key) or ()):
            if not entry.get("image"):
                found.append(causes.required(f"spec.{key}[{index}].image"))
            found += check_image(entry, f"spec.{key}[{index}]")
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
    found += _narrowed((new_node or {}).get(REQUIRED) or {}, (old_node or {}).get(REQUIRED) or {})
    affinity = {**(munged.get("affinity") or {})}
    _restore(affinity, old.get("affinity") or {}, "nodeAffinity")
    munged["affinity"] = affinity
    if not affinity and "affinity" not in old:
        del munged["affinity"]
    return found


def _narrowed(new: Obj, old: Obj) -> list[Cause]:
    """Terms are alternatives: none comes or goes, and each may only ask for more."""
    path, key = f"spec.affinity.nodeAffinity.{REQUIRED}.nodeSelectorTerms", "nodeSelectorTerms"
    wanted, former = new.get(key) or [], old.get(key) or []
    if former and len(wanted) != len(former):
        detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed"
        return [causes.invalid(path, wanted or None, detail)]
    detail = "only additions are allowed (no mutations or deletions)"
    return [
        causes.invalid(f"{path}[{index}]", wanted[index], detail)
        for index, term in enumerate(former)
        if not _asks_for_more(wanted[index], term)
    ]


def _asks_for_more(new: Obj, old: Obj) -> bool:
    pairs = [(new.get(key) or [], old.get(key) or []) for key in ("matchExpressions", "matchFields")]
    if not any(former for _, former in pairs):
        return not any(wanted for wanted, _ in pairs)
    return all(wanted[: len(former)] == former for wanted, former in pairs)


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


_NODE_CONDITIONS = ("PodScheduled", "Ready", "Initialized")
_NOT_NEGATIVE = "must be a non-negative integer"
_PARTS = ("initContainers", "containers")


def check_status(new: Obj, old: Obj) -> list[Cause]:
    """The faults of a changed status (both are Pods)."""
    status, former = new.get("status") or {}, old.get("status") or {}
    found = _conditions(status.get("conditions") or ())
    nominated = status.get("nominatedNodeName")
    if nominated and nominated != former.get("nominatedNodeName"):
        where = "status.nominatedNodeName"
        found += values.named(nominated, where, names.dns_subdomain)
        if old["spec"].get("nodeName"):
            detail = "may not be set on pods that are already bound to a node"
            found.append(causes.forbidden(where, detail))
    if (generation := status.get("observedGeneration") or 0) < 0:
        found.append(causes.invalid("status.observedGeneration", generation, _NOT_NEGATIVE))
    if former.get("qosClass") and status.get("qosClass") != former["qosClass"]:
        found.append(causes.immutable("status.qosClass", status.get("qosClass")))
    for part, key in zip(_PARTS, ("initContainerStatuses", "containerStatuses"), strict=True):
        found += _transitions(status.get(key) or (), former.get(key) or (), old["spec"], part)
    key = "ephemeralContainerStatuses"
    found += _ended(status.get(key) or (), former.get(key) or (), key)
    if statuses := status.get("resourceClaimStatuses"):
        path = "status.resourceClaimStatuses"
        found += claims.check_statuses(statuses, new["spec"].get("resourceClaims") or (), path)
    return found + _addresses(status)


def _conditions(listed: Sequence[Obj]) -> list[Cause]:
    found: list[Cause] = []
    for index, entry in enumerate(listed):
        where, kind = f"status.conditions[{index}]", entry.get("type", "")
        if (generation := entry.get("observedGeneration") or 0) < 0:
            found.append(causes.invalid(f"{where}.observedGeneration", generation, _NOT_NEGATIVE))
        if kind not in _NODE_CONDITIONS:
            found += values.named(kind, f"{where}.Type", names.qualified)
    return found


def _addresses(status: Obj) -> list[Cause]:
    found: list[Cause] = []
    hosts = status.get("hostIPs") or ()
    if hosts and hosts[0].get("ip") != status.get("hostIP"):
        value = hosts[0].get("ip", "")
        found.append(causes.invalid("status.hostIPs[0].ip", value, "must be equal to `hostIP`"))
    for key in ("podIPs", "hostIPs"):
        listed = [entry.get("ip", "") for entry in status.get(key) or ()]
        for index, ip in enumerate(listed):
            found += values.address(ip, f"status.{key}[{index}]")
        families = {":" in ip for ip in listed}
        if len(listed) > len(families):
            detail = "may specify no more than one IP for each IP family"
            found.append(causes.invalid(f"status.{key}", status[key], detail))
    return found


def _transitions(statuses: Sequence[Obj], former: Sequence[Obj], spec: Obj, part: str) -> list[Cause]:
    """A container that may not be restarted stays terminated."""
    if any(_restarts_all(entry) for key in _PARTS for entry in spec.get(key) or ()):
        return []
    known = {entry.get("name"): entry for entry in spec.get(part) or ()}
    policy = spec.get("restartPolicy", "Always")

    def stays(status: Obj) -> bool:
        container, code = known.get(status.get("name")), status["state"]["terminated"].get("exitCode", 0)
        return container is None or not _restarts(container, policy, code)

    key = "initContainerStatuses" if part == "initContainers" else "containerStatuses"
    skipped = {
        status.get("name")
        for status in former
        if (status.get("state") or {}).get("terminated") is not None and not stays(status)
    }
    return _ended(statuses, former, key, skipped)


def _ended(
    statuses: Sequence[Obj], former: Sequence[Obj], key: str, skipped: Collection[str | None] = ()
) -> list[Cause]:
    """The faults of statuses that run again what has ended."""
    now = {entry.get("name"): entry.get("state") or {} for entry in statuses}
    detail = "may not be transitioned to non-terminated state"
    return [
        causes.forbidden(f"status.{key}[{index}].state", detail)
        for index, entry in enumerate(former)
        if entry.get("name") not in skipped
        and (entry.get("state") or {}).get("terminated") is not None
        and entry.get("name") in now
        and now[entry.get("name")].get("terminated") is None
    ]


def _restarts_all(container: Obj) -> bool:
    rules = container.get("restartPolicyRules") or ()
    return any(rule.get("action") == "RestartAllContainers" for rule in rules)


def _restarts(container: Obj, policy: str, code: int) -> bool:
    """Whether a container that ended with `code` is started again."""
    for rule in container.get("restartPolicyRules") or ():
        codes = rule.get("exitCodes") or {}
        if (code in (codes.get("values") or ())) == (codes.get("operator") == "In"):
            return True
    match container.get("restartPolicy") or policy:
        case "Always":
            return True
        case "OnFailure":
            return code != 0
    return False
