"""Which pods a node refuses although they were bound to it: those that ask for what it does not have, does
not allow, or has given to others. Pure.

`refusal` is about what cannot change in a pod, and can be asked at any time; `forbidden` and `unfit` are
about the node and those that are there already, and are asked once, when a pod comes.

Source: the kubelet's lifecycle/predicate.go and sysctl/safe_sysctls.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from podium.api.types import Obj, affinity, taints
from podium.api.types.requests import Amounts, amounts, pod_requests
from podium.runtime.oci.confinement import wants_apparmor
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
# All that are of a namespace.
_IPC_NAMES = frozenset({"kernel.sem"})
_IPC_GROUPS = ("kernel.shm", "kernel.msg", "fs.mqueue.")
_NAME = re.compile(r"[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*")


def refusal(pod: Obj) -> tuple[str, str] | None:
    """(reason, message) for a pod that cannot run here."""
    spec = pod["spec"]
    if (pod["metadata"].get("labels") or {}).get(_OS_LABEL, OS) != OS:
        reason = "PodOSSelectorNodeLabelDoesNotMatch"
        return reason, f"{REJECTED}Failed to admit pod as the `{_OS_LABEL}` label doesn't match node label"
    if (spec.get("os") or {}).get("name", OS) != OS:
        return "PodOSNotSupported", f"{REJECTED}Failed to admit pod as the OS field doesn't match node OS"
    return None


class Abilities(NamedTuple):
    """What pods may ask of a node. `unsafe_sysctls` are names, or beginnings of names before a `*`."""

    unsafe_sysctls: Sequence[str] = ()
    apparmor: bool = False


def forbidden(pod: Obj, able: Abilities) -> tuple[str, str] | None:
    """(reason, message) for a pod that asks for what this node does not let it have, or cannot enforce."""
    spec = pod["spec"]
    for sysctl in (spec.get("securityContext") or {}).get("sysctls") or ():
        if why := _forbidden(sysctl_name(sysctl["name"]), spec, able.unsafe_sysctls):
            return "SysctlForbidden", f"{REJECTED}forbidden sysctl: {why}"
    if wants_apparmor(pod) and not able.apparmor:
        return "AppArmor", f"{REJECTED}Cannot enforce AppArmor: AppArmor is not enabled on the host"
    return None


def check_unsafe(patterns: Iterable[str]) -> None:
    """Raises ValueError for a sysctl that has no namespace: it would be the machine's, not the pod's."""
    for pattern in patterns:
        name = sysctl_name(pattern.removesuffix("*"))
        if not _NAME.fullmatch(name.removesuffix(".")) or not _namespaced(name):
            raise ValueError(f"the sysctls {pattern!r} are not known to be namespaced")


def unfit(pod: Obj, node: Obj, others: Sequence[Obj]) -> tuple[str, str] | None:
    """(reason, message) for a pod that this node, with `others` on it, cannot take. Whoever bound it did not
    look, or somebody else was faster."""
    return (
        shortage(pod, node, others)
        or _predicate("NodeAffinity", _unwanted(pod, node))
        or _predicate("NodePorts", _port_conflict(pod, others))
        or _predicate("TaintToleration", _repelled(pod, node))
    )


def _predicate(name: str, why: str) -> tuple[str, str] | None:
    return (name, f"{REJECTED}Predicate {name} failed: {why}") if why else None


def shortage(pod: Obj, node: Obj, others: Sequence[Obj]) -> tuple[str, str] | None:
    """Extended resources that the node does not have are the cluster's, and somebody else's to count."""
    status = node.get("status") or {}
    room = amounts(status.get("allocatable") or status.get("capacity"))
    wanted = {
        name: amount
        for name, amount in pod_requests(pod["spec"]).items()
        if name in room or not _is_extended(name)
    }
    used = _used(others) if wanted else {}
    for name, amount in {"pods": 1, **wanted}.items():
        there = len(others) if name == "pods" else used.get(name, 0)
        if amount > room.get(name, 0) - there:
            numbers = f"requested: {amount}, used: {there}, capacity: {room.get(name, 0)}"
            return f"OutOf{name}", f"{REJECTED}Node didn't have enough resource: {name}, {numbers}"
    return None


def _used(pods: Iterable[Obj]) -> Amounts:
    total: Amounts = {}
    for pod in pods:
        for name, amount in pod_requests(pod["spec"], pod.get("status")).items():
            total[name] = total.get(name, 0) + amount
    return total


def _is_extended(name: str) -> bool:
    return "/" in name and "kubernetes.io/" not in name


def _unwanted(pod: Obj, node: Obj) -> str:
    meta = node["metadata"]
    if affinity.required(pod["spec"]).matches(meta["name"], meta.get("labels") or {}):
        return ""
    return "node(s) didn't match Pod's node affinity/selector"


def _repelled(pod: Obj, node: Obj) -> str:
    """Only taints that would end the pod at once keep it away here."""
    there = [taints.taint(entry) for entry in (node.get("spec") or {}).get("taints") or ()]
    ending = [entry for entry in there if entry.effect == "NoExecute"]
    if taints.bears_all(taints.tolerations(pod["spec"]), ending):
        return ""
    return "node(s) had taints that the pod didn't tolerate"


def _port_conflict(pod: Obj, others: Iterable[Obj]) -> str:
    wanted = set(_host_ports(pod))
    taken = {port for other in others for port in _host_ports(other)} if wanted else set()
    if not any(_collide(one, other) for one in wanted for other in taken):
        return ""
    return "node(s) didn't have free ports for the requested pod ports"


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


def _namespaced(name: str) -> str:
    """The namespace that a sysctl is of, "" for the machine's."""
    if name in _IPC_NAMES or name.startswith(_IPC_GROUPS):
        return "IPC"
    return "Net" if name.startswith("net.") else ""


def _forbidden(name: str, spec: Obj, allowed: Sequence[str]) -> str:
    safe = name in _IPC_SYSCTLS or name in _NETWORK_SYSCTLS
    if not safe and not any(_matches(name, pattern) for pattern in allowed):
        return f'"{name}" not allowlisted'
    kind = _namespaced(name)
    host = {"IPC": spec.get("hostIPC"), "Net": spec.get("hostNetwork")}
    return f'"{name}" not allowed with host {kind} enabled' if host.get(kind) else ""


def _matches(name: str, pattern: str) -> bool:
    wanted = sysctl_name(pattern)
    return name.startswith(wanted[:-1]) if wanted.endswith("*") else name == wanted
