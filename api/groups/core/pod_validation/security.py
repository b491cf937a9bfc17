"""Security contexts of pods and containers."""

from __future__ import annotations

import re

from podium.api.groups.core.pod_validation import windows
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, values

MAX_ID = 2**31 - 1
ID_RANGE = values.in_range(0, MAX_ID)
SECCOMP_TYPES = ("Localhost", "RuntimeDefault", "Unconfined")
APP_ARMOR_TYPES = ("Localhost", "RuntimeDefault", "Unconfined")
MAX_PATH = 4095
_POLICIES = (
    ("supplementalGroupsPolicy", ("Merge", "Strict")), ("seLinuxChangePolicy", ("MountOption", "Recursive")),
)  # fmt: skip
_SYSCTL_FORM = r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SYSCTL = re.compile(_SYSCTL_FORM)
_POD_IDS = ("fsGroup", "runAsUser", "runAsGroup")
_IPC_SYSCTLS = ("kernel.shm", "kernel.msg", "fs.mqueue.")


def _id(value: int | None, path: str) -> list[Cause]:
    return [causes.invalid(path, value, ID_RANGE)] if value is not None and not 0 <= value <= MAX_ID else []


def _profile(profile: Obj | None, path: str) -> list[Cause]:
    """A seccomp profile."""
    if profile is None:
        return []
    kind, name = profile.get("type"), profile.get("localhostProfile")
    found: list[Cause] = []
    if not kind:
        found.append(causes.required(f"{path}.type", "type is required when seccompProfile is set"))
    elif kind not in SECCOMP_TYPES:
        found.append(causes.not_supported(f"{path}.type", kind, SECCOMP_TYPES))
    where = f"{path}.localhostProfile"
    if kind == "Localhost":
        if name is None:
            return [*found, causes.required(where, "must be set when seccomp type is Localhost")]
        return found + values.descending(name, where)
    if name is not None:
        found.append(causes.invalid(where, profile, "can only be set when seccomp type is Localhost"))
    return found


def _app_armor(profile: Obj | None, path: str) -> list[Cause]:
    if profile is None:
        return []
    kind, name, where = profile.get("type"), profile.get("localhostProfile"), f"{path}.localhostProfile"
    if not kind:
        return [causes.required(f"{path}.type", "type is required when appArmorProfile is set")]
    if kind not in APP_ARMOR_TYPES:
        return [causes.not_supported(f"{path}.type", kind, APP_ARMOR_TYPES)]
    if kind != "Localhost":
        detail = "can only be set when AppArmor type is Localhost"
        return [] if name is None else [causes.invalid(where, name, detail)]
    if name is not None and name != name.strip():
        found = [causes.invalid(where, name, "must not be padded with whitespace")]
    else:
        found = [] if name else [causes.required(where, "must be set when AppArmor type is Localhost")]
    return [*found, causes.too_long(where, MAX_PATH)] if name and len(name) > MAX_PATH else found


def check_container(context: Obj, path: str, host_users: bool = True) -> list[Cause]:
    """`host_users` says whether the pod has the host's user namespace."""
    found: list[Cause] = []
    for key in ("runAsUser", "runAsGroup"):
        found += _id(context.get(key), f"{path}.{key}")
    mount = context.get("procMount")
    found += values.optional_one_of(mount, f"{path}.procMount", ("Default", "Unmasked"))
    if host_users and mount == "Unmasked":
        detail = "`hostUsers` must be false to use `Unmasked`"
        found.append(causes.invalid(f"{path}.procMount", mount, detail))
    found += _profile(context.get("seccompProfile"), f"{path}.seccompProfile")
    if context.get("allowPrivilegeEscalation") is False:
        rule = "cannot set `allowPrivilegeEscalation` to false and"
        if context.get("privileged"):
            found.append(causes.invalid(path, context, f"{rule} `privileged` to true"))
        if "CAP_SYS_ADMIN" in ((context.get("capabilities") or {}).get("add") or ()):
            found.append(causes.invalid(path, context, f"{rule} `capabilities.Add` CAP_SYS_ADMIN"))
    found += windows.check_options(context.get("windowsOptions"), f"{path}.windowsOptions")
    return found + _app_armor(context.get("appArmorProfile"), f"{path}.appArmorProfile")


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
    found += windows.check_options(context.get("windowsOptions"), f"{path}.windowsOptions")
    found += _app_armor(context.get("appArmorProfile"), f"{path}.appArmorProfile")
    for key, supported in _POLICIES:
        found += values.optional_one_of(context.get(key), f"{path}.{key}", supported)
    return found


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
