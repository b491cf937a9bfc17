"""What pods of the one operating system may not say: options for Windows, and what Windows does not have.

Source: API reference, PodSpec `os`, WindowsSecurityContextOptions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, names, values

SYSTEMS = ("linux", "windows")
MAX_CREDENTIAL_SPEC = 64  # KiB
MAX_DOMAIN, MAX_USER = 256, 104
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NET_BIOS = re.compile(r'[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}')
_NOT_IN_USER = re.compile(r'["/\\:;|=,+*?<>@\[\]]')
_ONLY_DOTS = re.compile(r"[. ]+")
# What a pod of Windows cannot have.
_OF_CONTEXT = (
    "appArmorProfile", "seLinuxOptions", "seccompProfile", "fsGroup", "fsGroupChangePolicy", "sysctls",
    "runAsUser", "runAsGroup", "supplementalGroups", "supplementalGroupsPolicy", "seLinuxChangePolicy",
)  # fmt: skip
_OF_SPEC = ("hostUsers", "hostPID", "hostIPC", "shareProcessNamespace")
_OF_CONTAINER = (
    "appArmorProfile", "seLinuxOptions", "seccompProfile", "capabilities", "readOnlyRootFilesystem",
    "privileged", "allowPrivilegeEscalation", "procMount", "runAsUser", "runAsGroup",
)  # fmt: skip


def containers_of(spec: Obj, path: str) -> Iterator[tuple[Obj, str]]:
    """All containers of a PodSpec, each with its path."""
    for key in ("initContainers", "containers", "ephemeralContainers"):
        for index, entry in enumerate(spec.get(key) or ()):
            yield entry, f"{path}.{key}[{index}]"


def check_system(spec: Obj, path: str) -> list[Cause]:
    """The operating system that a pod says it is for, and what the pod has against it."""
    if spec.get("os") is None:
        return []
    name = spec["os"].get("name", "")
    if not name:
        return [causes.required(f"{path}.os.name")]
    if name not in SYSTEMS:
        return [causes.not_supported(f"{path}.os", name, SYSTEMS)]
    contexts = [(entry.get("securityContext") or {}, where) for entry, where in containers_of(spec, path)]
    if name == "linux":
        detail = "windows options cannot be set for a linux pod"
        return [
            causes.forbidden(f"{where}.securityContext.windowsOptions", detail)
            for context, where in ((spec.get("securityContext") or {}, path), *contexts)
            if context.get("windowsOptions") is not None
        ]
    told = "cannot be set for a windows pod"
    context = spec.get("securityContext") or {}
    found = [
        causes.forbidden(f"{path}.securityContext.{key}", told)
        for key in _OF_CONTEXT
        if context.get(key) not in (None, [])
    ]
    found += [causes.forbidden(f"{path}.{key}", told) for key in _OF_SPEC if spec.get(key) is not None]
    return found + [
        causes.forbidden(f"{where}.securityContext.{key}", told)
        for own, where in contexts
        for key in _OF_CONTAINER
        if own.get(key) is not None
    ]


def check_options(options: Obj | None, path: str) -> list[Cause]:
    """WindowsSecurityContextOptions."""
    if options is None:
        return []
    found: list[Cause] = []
    name, spec = options.get("gmsaCredentialSpecName"), options.get("gmsaCredentialSpec")
    if name is not None:
        found += values.named(name, f"{path}.gmsaCredentialSpecName", names.dns_subdomain)
    if spec is not None:
        where = f"{path}.gmsaCredentialSpec"
        if not spec:
            found.append(causes.invalid(where, spec, "gmsaCredentialSpec cannot be an empty string"))
        elif len(spec) > MAX_CREDENTIAL_SPEC * 1024:
            detail = f"gmsaCredentialSpec size must be under {MAX_CREDENTIAL_SPEC} KiB"
            found.append(causes.invalid(where, spec, detail))
    if options.get("runAsUserName") is not None:
        user, where = options["runAsUserName"], f"{path}.runAsUserName"
        found += [causes.invalid(where, user, f"runAsUserName{text}") for text in _user_faults(user)]
    return found


def _user_faults(text: str) -> Iterator[str]:
    """What is wrong with `DOMAIN\\USER` or `USER`."""
    if not text:
        yield " cannot be an empty string"
        return
    if _CONTROL.search(text):
        yield " cannot contain control characters"
        return
    if text.count("\\") > 1:
        yield " cannot contain more than one backslash"
        return
    domain, slash, user = text.rpartition("\\")
    if len(domain) >= MAX_DOMAIN:
        yield f"'s Domain length must be under {MAX_DOMAIN} characters"
    if slash and not (_NET_BIOS.fullmatch(domain) or names.dns_subdomain(domain.lower()) == ()):
        yield "'s Domain doesn't match the NetBios nor the DNS format"
    if not user:
        yield "'s User cannot be empty"
    elif len(user) > MAX_USER:
        yield f"'s User length must not be longer than {MAX_USER} characters"
    if _ONLY_DOTS.fullmatch(user):
        yield "'s User cannot contain only periods or spaces"
    if _NOT_IN_USER.search(user):
        yield "'s User cannot contain the following characters: \"/\\:;|=,+*?<>@[]"


def check_host_process(spec: Obj, path: str) -> list[Cause]:
    """Either all containers are processes of the host or none is; the pod has its network then."""
    whole = _host_process(spec)
    entries = list(containers_of(spec, path))
    given = [_host_process(entry) for entry, _ in entries]
    if whole is None and not any(each is not None for each in given):
        return []
    detail = f"pod hostProcess value must be identical if both are specified, was {str(whole).lower()}"
    found = [
        causes.invalid(f"{where}.securityContext.windowsOptions.hostProcess", own, detail)
        for (_, where), own in zip(entries, given, strict=True)
        if None not in (whole, own) and own != whole
    ]
    count = sum(bool(whole if own is None else own) for own in given)
    if count and count != len(entries):
        detail = "If pod contains any hostProcess containers then all containers must be "
        found.append(causes.invalid(path, "", f"{detail}HostProcess containers"))
    if count and not spec.get("hostNetwork"):
        detail = "hostNetwork must be true if pod contains any hostProcess containers"
        found.append(causes.invalid(f"{path}.hostNetwork", False, detail))
    return found


def _host_process(part: Obj) -> bool | None:
    options = (part.get("securityContext") or {}).get("windowsOptions") or {}
    value: bool | None = options.get("hostProcess")
    return value
