"""What a container may do: capabilities, paths it does not see, system calls it may not make."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from podium.api.types import Obj
from podium.runtime.archive import architecture
from podium.runtime.oci import seccomp

# Bit numbers are the kernel's (linux/capability.h).
CAPABILITIES = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
    "CHECKPOINT_RESTORE",
)  # fmt: skip

# What containerd's CRI gives to a container that asks for nothing.
DEFAULT_CAPABILITIES = (
    "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
    "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
)  # fmt: skip

MASKED_PATHS = (
    "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
    "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
)  # fmt: skip
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


class Security(NamedTuple):
    """A container's share of a runtime spec. `seccomp` is {} for none."""

    capabilities: Obj
    masked: tuple[str, ...]
    readonly: tuple[str, ...]
    no_new_privileges: bool
    seccomp: Obj
    privileged: bool


def names_of(mask: int) -> frozenset[str]:
    """The capabilities in a bit mask such as /proc/PID/status shows."""
    return frozenset(name for bit, name in enumerate(CAPABILITIES) if mask >> bit & 1)


def security(pod: Obj, container: Obj, available: frozenset[str], local: Obj | None = None) -> Security:
    """`available` are the capabilities of the node daemon itself: more it cannot give to anybody. `local` is
    the profile on this machine that a `seccompProfile` of type Localhost names."""
    own = container.get("securityContext") or {}
    privileged = bool(own.get("privileged"))
    chosen = available if privileged else _chosen(own.get("capabilities") or {}, available)
    profile = {} if privileged else _seccomp(pod, container, chosen, local)
    hidden = not privileged and own.get("procMount", "Default") == "Default"
    listed = sorted(f"CAP_{name}" for name in chosen)
    return Security(
        capabilities={"bounding": listed, "effective": listed, "permitted": listed},
        masked=MASKED_PATHS if hidden else (),
        readonly=READONLY_PATHS if hidden else (),
        no_new_privileges=own.get("allowPrivilegeEscalation") is False,
        seccomp=profile,
        privileged=privileged,
    )


def _chosen(asked: Obj, available: frozenset[str]) -> frozenset[str]:
    add, drop = _plain(asked.get("add")), _plain(asked.get("drop"))
    chosen = set(DEFAULT_CAPABILITIES) & available
    if "ALL" in add:
        chosen = set(available)
    if "ALL" in drop:
        chosen = set()
    return frozenset((chosen | (add - {"ALL"})) - drop)


def _plain(names: Iterable[str] | None) -> set[str]:
    return {name.upper().removeprefix("CAP_") for name in names or ()}


def _seccomp(pod: Obj, container: Obj, capabilities: frozenset[str], local: Obj | None) -> Obj:
    kind = seccomp.asked(pod, container)["type"]
    if kind == "RuntimeDefault":
        return seccomp.default_profile(capabilities, architecture())
    return local or {} if kind == "Localhost" else {}
