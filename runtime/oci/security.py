"""What a container may do: capabilities, paths it does not see, system calls it may not make."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from podium.api.types import Obj
from podium.runtime.oci.errors import ConfigError

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

# System calls that RuntimeDefault refuses, with the capability that allows them nevertheless. They reach the
# kernel outside the container, or parts of it that containers have no use for.
_GUARDED: dict[str, tuple[str, ...]] = {
    "SYS_ADMIN": (
        "bpf", "clone3", "fanotify_init", "fsconfig", "fsmount", "fsopen", "fspick", "lookup_dcookie",
        "mount", "mount_setattr", "move_mount", "open_tree", "perf_event_open", "pivot_root", "quotactl",
        "quotactl_fd", "setdomainname", "sethostname", "setns", "swapoff", "swapon", "umount", "umount2",
        "unshare",
    ),
    "SYS_BOOT": ("reboot", "kexec_load", "kexec_file_load"),
    "SYS_CHROOT": ("chroot",),
    "SYS_MODULE": (
        "create_module", "delete_module", "finit_module", "get_kernel_syms", "init_module", "query_module",
    ),
    "SYS_PACCT": ("acct",),
    "SYS_PTRACE": ("kcmp", "process_madvise", "process_vm_readv", "process_vm_writev"),
    "SYS_RAWIO": ("iopl", "ioperm"),
    "SYS_TIME": ("settimeofday", "stime", "clock_settime", "clock_settime64", "clock_adjtime", "adjtimex"),
    "SYS_TTY_CONFIG": ("vhangup",),
    "SYS_NICE": ("get_mempolicy", "mbind", "move_pages", "set_mempolicy"),
    "": (
        "add_key", "keyctl", "request_key", "userfaultfd", "uselib", "ustat", "sysfs", "_sysctl",
        "nfsservctl", "vm86", "vm86old", "io_uring_enter", "io_uring_register", "io_uring_setup",
    ),
}  # fmt: skip
_ENOSYS = 38


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


def security(pod: Obj, container: Obj, available: frozenset[str]) -> Security:
    """`available` are the capabilities of the node daemon itself: more it cannot give to anybody."""
    own = container.get("securityContext") or {}
    privileged = bool(own.get("privileged"))
    chosen = available if privileged else _chosen(own.get("capabilities") or {}, available)
    profile = {} if privileged else _seccomp(pod, own, chosen)
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


def _seccomp(pod: Obj, own: Obj, capabilities: frozenset[str]) -> Obj:
    asked = pod["spec"].get("securityContext") or {}
    profile = own.get("seccompProfile") or asked.get("seccompProfile") or {"type": "Unconfined"}
    if profile["type"] == "Unconfined":
        return {}
    if profile["type"] != "RuntimeDefault":
        raise ConfigError(f'cannot load seccomp profile "{profile.get("localhostProfile", "")}"')
    refused = sorted(name for guard, names in _GUARDED.items() if guard not in capabilities for name in names)
    # clone3 hides its flags from seccomp: libc falls back to clone when it gets ENOSYS.
    rules = [
        {"names": [name for name in refused if name != "clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": _ENOSYS},
    ]
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [rule for rule in rules if set(rule["names"]) & set(refused)],  # type: ignore[call-overload]
    }
