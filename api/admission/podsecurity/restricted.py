"""The checks that the level restricted adds: what hardens a pod has to be there. Pure.

Source: docs, "Pod Security Standards", Restricted."""

from __future__ import annotations

from podium.api.admission.podsecurity.baseline import PROFILES, proc_mount
from podium.api.admission.podsecurity.findings import (
    Check,
    Finding,
    containers,
    context,
    in_user_namespace,
    named,
    on_windows,
    quoted,
    setters,
)
from podium.api.types import Obj

VOLUMES = (
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected",
    "secret",
)  # fmt: skip


def unless_windows(check: Check) -> Check:
    return lambda meta, spec: None if on_windows(spec) else check(meta, spec)


def unless_own_users(check: Check) -> Check:
    """Root of a user namespace of its own is nobody outside of it."""
    return lambda meta, spec: None if in_user_namespace(spec) else check(meta, spec)


def privilege_escalation(meta: Obj, spec: Obj) -> Finding | None:
    names = [
        each["name"]
        for each in containers(spec)
        if context(each).get("allowPrivilegeEscalation") is not False
    ]
    if not names:
        return None
    what = f"{named('container', names)} must set securityContext.allowPrivilegeEscalation=false"
    return Finding("allowPrivilegeEscalation != false", what)


def capabilities(meta: Obj, spec: Obj) -> Finding | None:
    given = {each["name"]: context(each).get("capabilities") or {} for each in containers(spec)}
    keeping = [name for name, entry in given.items() if "ALL" not in (entry.get("drop") or ())]
    added = {name: set(entry.get("add") or ()) - {"NET_BIND_SERVICE"} for name, entry in given.items()}
    adding = [name for name, extra in added.items() if extra]
    what = []
    if keeping:
        what.append(f'{named("container", keeping)} must set securityContext.capabilities.drop=["ALL"]')
    if adding:
        extra = sorted(set[str]().union(*added.values()))
        where = "in securityContext.capabilities.add"
        what.append(f"{named('container', adding)} must not include {quoted(extra)} {where}")
    return Finding("unrestricted capabilities", "; ".join(what)) if what else None


def volumes(meta: Obj, spec: Obj) -> Finding | None:
    bad = [
        volume for volume in spec.get("volumes") or () if all(volume.get(kind) is None for kind in VOLUMES)
    ]
    if not bad:
        return None
    names = [volume["name"] for volume in bad]
    kinds = sorted({next((key for key in volume if key != "name"), "unknown") for volume in bad})
    uses = "uses" if len(names) == 1 else "use"
    return Finding(
        "restricted volume types", f"{named('volume', names)} {uses} {named('restricted volume type', kinds)}"
    )


def not_root(meta: Obj, spec: Obj) -> Finding | None:
    reason = "runAsNonRoot != true"
    of_pod = context(spec).get("runAsNonRoot")
    given = {each["name"]: context(each).get("runAsNonRoot") for each in containers(spec)}
    if who := setters(of_pod is False, [name for name, value in given.items() if value is False]):
        return Finding(reason, f"{who} must not set securityContext.runAsNonRoot=false")
    silent = [name for name, value in given.items() if value is None and not of_pod]
    if not silent:
        return None
    return Finding(reason, f"pod or {named('container', silent)} must set securityContext.runAsNonRoot=true")


def user(meta: Obj, spec: Obj) -> Finding | None:
    def bad(part: Obj) -> bool:
        return context(part).get("runAsUser") == 0

    who = setters(bad(spec), [each["name"] for each in containers(spec) if bad(each)])
    return Finding("runAsUser=0", f"{who} must not set runAsUser=0") if who else None


def seccomp(meta: Obj, spec: Obj) -> Finding | None:
    reason, field = "seccompProfile", "securityContext.seccompProfile.type"
    of_pod = context(spec).get("seccompProfile")
    given = {each["name"]: context(each).get("seccompProfile") for each in containers(spec)}
    bad = [
        name for name, profile in given.items() if profile is not None and profile.get("type") not in PROFILES
    ]
    pod_bad = of_pod is not None and of_pod.get("type") not in PROFILES
    if who := setters(pod_bad, bad):
        profiles = [*([of_pod] if pod_bad else []), *(given[name] for name in bad)]
        values = sorted({(profile or {}).get("type", "") for profile in profiles})
        return Finding(reason, f"{who} must not set {field} to {quoted(values)}")
    silent = [name for name, profile in given.items() if profile is None and of_pod is None]
    if not silent:
        return None
    what = f'pod or {named("container", silent)} must set {field} to "RuntimeDefault" or "Localhost"'
    return Finding(reason, what)


# Name of the check → minor version that it counts from → check, ascending.
RESTRICTED: dict[str, dict[int, Check]] = {
    "allowPrivilegeEscalation": {8: privilege_escalation, 25: unless_windows(privilege_escalation)},
    "capabilities_restricted": {22: capabilities, 25: unless_windows(capabilities)},
    "procMount_restricted": {35: proc_mount},
    "restrictedVolumes": {0: volumes},
    "runAsNonRoot": {0: not_root, 35: unless_own_users(not_root)},
    "runAsUser": {23: user, 35: unless_own_users(user)},
    "seccompProfile_restricted": {19: seccomp, 25: unless_windows(seccomp)},
}
# Of these each says more than the check of baseline behind it, which then need not be heard.
REPLACES = {
    "capabilities_restricted": "capabilities_baseline",
    "procMount_restricted": "procMount",
    "restrictedVolumes": "hostPathVolumes",
    "seccompProfile_restricted": "seccompProfile_baseline",
}
