"""Which system calls a container may make: seccomp profiles for the OCI runtime.

Source: KEP-135; opencontainers/runtime-spec config-linux.md, which is also the form of profiles on this
machine.
"""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path

import orjson

from podium.api.types import Obj
from podium.runtime.oci.errors import CREATE_ERROR, ConfigError
from podium.runtime.oci.syscalls import (
    AF_VSOCK,
    ALWAYS,
    ARCHITECTURES,
    NEW_NAMESPACES,
    OF_ARCHITECTURE,
    PERSONALITIES,
    WITH_CAPABILITY,
)

_ENOSYS = 38
_KNOWN = (
    "defaultAction", "defaultErrnoRet", "architectures", "flags", "listenerPath", "listenerMetadata",
    "syscalls",
)  # fmt: skip


def asked(pod: Obj, container: Obj) -> Obj:
    """The `seccompProfile` in force, of the container or its pod. Who says nothing is not confined."""
    own, whole = container.get("securityContext") or {}, pod["spec"].get("securityContext") or {}
    found: Obj = own.get("seccompProfile") or whole.get("seccompProfile") or {"type": "Unconfined"}
    return found


def default_profile(capabilities: Set[str], architecture: str) -> Obj:
    """RuntimeDefault for a container with these capabilities."""
    names = set(ALWAYS | OF_ARCHITECTURE.get(architecture, frozenset()))
    names.update(*(calls for name, calls in WITH_CAPABILITY.items() if name in capabilities))
    rules = [_allow(sorted(names)), _allow(["socket"], 0, AF_VSOCK, "SCMP_CMP_NE")]
    rules += [_allow(["personality"], 0, each, "SCMP_CMP_EQ") for each in PERSONALITIES]
    if "SYS_ADMIN" not in capabilities:
        flags = 1 if architecture == "s390x" else 0
        rules.append(_allow(["clone"], flags, NEW_NAMESPACES, "SCMP_CMP_MASKED_EQ"))
        # clone3 hides its flags from seccomp: libc falls back to clone when it gets ENOSYS.
        rules.append({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": _ENOSYS})
    profile: Obj = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules}
    if architecture in ARCHITECTURES:
        profile["architectures"] = list(ARCHITECTURES[architecture])
    return profile


def _allow(names: list[str], index: int = -1, value: int = 0, comparison: str = "") -> Obj:
    rule: Obj = {"names": names, "action": "SCMP_ACT_ALLOW"}
    if index >= 0:
        rule["args"] = [{"index": index, "value": value, "valueTwo": 0, "op": comparison}]
    return rule


def read(folder: Path, name: str) -> Obj:
    """The profile of that name below the node's `folder`. Raises ConfigError for one that is not there or is
    none."""
    path = folder / name
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ConfigError(f'cannot load seccomp profile "{path}": it leads out of {folder}', CREATE_ERROR)
        text = path.read_bytes()
    except OSError as error:
        why = f"open {path}: {(error.strerror or str(error)).lower()}"
        raise ConfigError(f'cannot load seccomp profile "{path}": {why}', CREATE_ERROR) from error
    try:
        return _checked(orjson.loads(text))
    except ValueError as error:
        raise ConfigError(f'decoding seccomp profile failed "{path}": {error}', CREATE_ERROR) from error


def _checked(profile: object) -> Obj:
    """Raises ValueError for what the OCI runtime could make nothing of."""
    if not isinstance(profile, dict) or not isinstance(profile.get("defaultAction"), str):
        raise ValueError("an object with a defaultAction is expected")
    rules = profile.get("syscalls") or []
    if not isinstance(rules, list) or not all(isinstance(each, dict) for each in rules):
        raise ValueError("syscalls: a list of objects is expected")
    for rule in rules:
        names = rule.get("names")
        if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
            raise ValueError("syscalls: names: a list of names is expected")
        if not isinstance(rule.get("action"), str):
            raise ValueError("syscalls: an action is expected")
    return {name: profile[name] for name in _KNOWN if profile.get(name) is not None}
