"""Which pods a node refuses although they were bound to it: those that ask for what it does not have, does
not allow, or has given to others. Pure; what is looked at cannot change in a pod.

Source: the kubelet's lifecycle/predicate.go and sysctl/safe_sysctls.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from podium.api.types import Obj
from podium.runtime.oci.spec import sysctl_name

REJECTED = "Pod was rejected: "

OS = "linux"
_OS_LABEL = "kubernetes.io/os"

# Of a namespace each, and without effect on other pods. All are of a namespace since Linux 4.15.
_IPC_SYSCTLS = frozenset({"kernel.shm_rmid_forced"})
_NETWORK_SYSCTLS = frozenset(
    {
        "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range",
        "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
    }
)  # fmt: skip


def refusal(pod: Obj) -> tuple[str, str] | None:
    """(reason, message) for a pod that cannot run here."""
    spec = pod["spec"]
    if (spec.get("nodeSelector") or {}).get(_OS_LABEL, OS) != OS:
        reason = "PodOSSelectorNodeLabelDoesNotMatch"
        return reason, f"{REJECTED}Failed to admit pod as the `{_OS_LABEL}` label doesn't match node label"
    if (spec.get("os") or {}).get("name", OS) != OS:
        return "PodOSNotSupported", f"{REJECTED}Failed to admit pod as the OS field doesn't match node OS"
    for sysctl in (spec.get("securityContext") or {}).get("sysctls") or ():
        if why := _forbidden(sysctl_name(sysctl["name"]), spec):
            return "SysctlForbidden", f"{REJECTED}forbidden sysctl: {why}"
    return None


def port_conflict(pod: Obj, others: Iterable[Obj]) -> tuple[str, str] | None:
    """(reason, message) for a pod that wants a port of the host which one of `others`, already here, has."""
    wanted = set(_host_ports(pod))
    if not wanted:
        return None
    taken = {port for other in others for port in _host_ports(other)}
    if not any(_collide(one, other) for one in wanted for other in taken):
        return None
    why = "node(s) didn't have free ports for the requested pod ports"
    return "NodePorts", f"{REJECTED}Predicate NodePorts failed: {why}"


def _host_ports(pod: Obj) -> Iterator[tuple[str, str, int]]:
    """(address, protocol, port); address "" is every one."""
    spec = pod["spec"]
    sidecars = [each for each in spec.get("initContainers") or () if each.get("restartPolicy") == "Always"]
    for container in (*(spec.get("containers") or ()), *sidecars):
        for port in container.get("ports") or ():
            if port.get("hostPort"):
                address = port.get("hostIP") or ""
                yield "" if address == "0.0.0.0" else address, port.get("protocol", "TCP"), port["hostPort"]


def _collide(one: tuple[str, str, int], other: tuple[str, str, int]) -> bool:
    return one[1:] == other[1:] and (one[0] == other[0] or "" in (one[0], other[0]))


def _forbidden(name: str, spec: Obj) -> str:
    if name in _IPC_SYSCTLS:
        return f'"{name}" not allowed with host IPC enabled' if spec.get("hostIPC") else ""
    if name in _NETWORK_SYSCTLS:
        return f'"{name}" not allowed with host Net enabled' if spec.get("hostNetwork") else ""
    return f'"{name}" not allowlisted'
