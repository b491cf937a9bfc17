"""Security contexts of pods and containers."""

from __future__ import annotations

import re

from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, values

MAX_ID = 2**31 - 1
ID_RANGE = values.in_range(0, MAX_ID)
SECCOMP_TYPES = ("Localhost", "RuntimeDefault", "Unconfined")
_SYSCTL_FORM = r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SYSCTL = re.compile(_SYSCTL_FORM)
_POD_IDS = ("fsGroup", "runAsUser", "runAsGroup")
_IPC_SYSCTLS = ("kernel.shm", "kernel.msg", "fs.mqueue.")


def _id(value: int | None, path: str) -> list[Cause]:
    return [causes.invalid(path, value, ID_RANGE)] if value is not None and not 0 <= value <= MAX_ID else []


def _profile(profile: Obj | None, path: str) -> list[Cause]:
    """A seccomp or AppArmor profile."""
    if profile is None:
        return []
    kind = profile.get("type")
    if kind not in SECCOMP_TYPES:
        return values.one_of(kind, f"{path}.type", SECCOMP_TYPES)
    name = profile.get("localhostProfile")
    if kind == "Localhost" and not name:
        detail = "must be set when seccomp type is Localhost"
        return [causes.required(f"{path}.localhostProfile", detail)]
    if kind != "Localhost" and name is not None:
        detail = "can only be set when seccomp type is Localhost"
        return [causes.invalid(f"{path}.localhostProfile", profile, detail)]
    return values.descending(name, f"{path}.localhostProfile") if name else []


def check_container(context: Obj, path: str) -> list[Cause]:
    found: list[Cause] = []
    for key in ("runAsUser", "runAsGroup"):
        found += _id(context.get(key), f"{path}.{key}")
    found += values.optional_one_of(context.get("procMount"), f"{path}.procMount", ("Default", "Unmasked"))
    found += _profile(context.get("seccompProfile"), f"{path}.seccompProfile")
    if context.get("allowPrivilegeEscalation") is False:
        rule = "cannot set `allowPrivilegeEscalation` to false and"
        if context.get("privileged"):
            found.append(causes.invalid(path, context, f"{rule} `privileged` to true"))
        if "CAP_SYS_ADMIN" in ((context.get("capabilities") or {}).get("add") or ()):
            found.append(causes.invalid(path, context, f"{rule} `capabilities.Add` CAP_SYS_ADMIN"))
    return found


def check_pod(spec: Obj, where: str) -> list[Cause]:
    context, path = spec.get("securityContext"), f"{where}.securityContext"
    found: list[Cause] = []
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        detail = "ShareProcessNamespace and HostPID cannot both be enabled"
        found.append(causes.invalid(f"{path}.shareProcessNamespace", True, detail))
    if not context:
        return found
    for key in _POD_IDS:
        found += _id(context.get(key), f"{path}.{key}")
    for index, group in enumerate(context.get("supplementalGroups") or ()):
        found += _id(group, f"{path}.supplementalGroups[{index}]")
    found += _sysctls(spec, f"{path}.sysctls")
    policy = context.get("fsGroupChangePolicy")
    found += values.optional_one_of(policy, f"{path}.fsGroupChangePolicy", ("Always", "OnRootMismatch"))
    found += _profile(context.get("seccompProfile"), f"{path}.seccompProfile")
    policy = context.get("supplementalGroupsPolicy")
    return found + values.optional_one_of(policy, f"{path}.supplementalGroupsPolicy", ("Merge", "Strict"))


def _sysctls(spec: Obj, path: str) -> list[Cause]:
    found = []
    taken: set[str] = set()
    for index, entry in enumerate(spec["securityContext"].get("sysctls") or ()):
        name, where = entry.get("name", ""), f"{path}[{index}].name"
        if not name:
            found.append(causes.required(where))
        elif len(name) > 253 or not _SYSCTL.fullmatch(name):
            detail = f"must have at most 253 characters and match regex {_SYSCTL_FORM}"
            found.append(causes.invalid(where, name, detail))
        elif name in taken:
            found.append(causes.duplicate(where, name))
        if spec.get("hostNetwork") and name.startswith("net."):
            found.append(causes.invalid(where, name, "may not be specified when 'hostNetwork' is true"))
        if spec.get("hostIPC") and name.startswith(_IPC_SYSCTLS):
            found.append(causes.invalid(where, name, "may not be specified when 'hostIPC' is true"))
        taken.add(name)
    return found
