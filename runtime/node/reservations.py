"""What a node has, and how much of it is for pods. Pure. Amounts: cpu in thousandths, all else in bytes or
numbers.

Source: "Reserve Compute Resources for System Daemons"."""

from __future__ import annotations

from collections.abc import Mapping

from podium.runtime.config import NodeConfig
from podium.runtime.eviction.thresholds import BadThreshold, binary, kept_back, reserved
from podium.runtime.machine import Machine

Capacity = Mapping[str, int]
_PID = "pid"


def capacity(config: NodeConfig, machine: Machine, disk: int) -> dict[str, int]:
    """`disk` is in bytes."""
    return {
        "cpu": machine.cpus * 1000,
        "ephemeral-storage": disk,
        **machine.huge_pages,
        "memory": machine.memory,
        "pods": config.max_pods,
    }


def for_pods(config: NodeConfig, whole: Capacity) -> dict[str, int]:
    """What pods are held to in all: without what is reserved for the system and the node itself."""
    taken = reserved((config.kube_reserved, config.system_reserved))
    return {name: max(0, amount - taken.get(name, 0)) for name, amount in whole.items()}


def reserved_pids(config: NodeConfig) -> int:
    return reserved((config.kube_reserved, config.system_reserved)).get(_PID, 0)


def allocatable(config: NodeConfig, whole: Capacity) -> dict[str, int]:
    """What pods can ask for: no more than lets the node stay clear of its eviction thresholds, and no memory
    that is huge pages."""
    left = for_pods(config, whole)
    for name, amount in kept_back(config.eviction.thresholds(), whole).items():
        left[name] -= amount
    left["memory"] -= sum(amount for name, amount in whole.items() if name.startswith("hugepages-"))
    return {name: max(0, amount) for name, amount in left.items()}


def check(config: NodeConfig, whole: Capacity) -> None:
    """Raises BadThreshold when more is reserved than there is."""
    taken = reserved((config.kube_reserved, config.system_reserved))
    for name, amount in kept_back(config.eviction.thresholds(), whole).items():
        taken[name] = taken.get(name, 0) + amount
    for name, amount in taken.items():
        if name in whole and amount > whole[name]:
            raise BadThreshold(
                f'invalid Node Allocatable configuration. Resource "{name}" has a reservation of {amount} '
                f"but capacity of {whole[name]}. Expected capacity >= reservation."
            )


def texts(amounts: Capacity, *, exact: bool = False) -> dict[str, str]:
    """As a Node's status tells them. `exact`: bytes of the disk as they are."""
    return {name: _text(name, amount, exact) for name, amount in amounts.items()}


def _text(name: str, amount: int, exact: bool) -> str:
    if name == "cpu":
        return f"{amount}m" if amount % 1000 else str(amount // 1000)
    if name == "memory" or (name == "ephemeral-storage" and not exact):
        return f"{amount // 1024}Ki"
    return binary(amount) if name.startswith("hugepages-") else str(amount)
