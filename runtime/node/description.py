"""A Node object of what is known about the machine. Source: the kubelet's nodestatus setters, for words and
units."""

from __future__ import annotations

from collections.abc import Sequence, Set
from datetime import datetime

from podium.api.types import Obj, meta
from podium.runtime.config import NodeConfig
from podium.runtime.machine import Machine, system_uuid
from podium.runtime.node import reservations

VERSION = "v1.36.0"
"""The Kubernetes version whose kubelet this daemon stands in for."""

MAX_IMAGES = 50


def node(config: NodeConfig, machine: Machine) -> Obj:
    """The object as it is created. Later only the status is written, and labels that are missing."""
    spec: Obj = {"taints": [dict(each) for each in config.taints]} if config.taints else {}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": config.node_name, "labels": labels(config, machine)},
        "spec": spec,
    }


def labels(config: NodeConfig, machine: Machine) -> dict[str, str]:
    return {
        "kubernetes.io/hostname": config.node_name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": machine.architecture,
        "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": machine.architecture,
        **config.node_labels,
    }


def status(
    config: NodeConfig,
    machine: Machine,
    *,
    disk: int,
    runtime_version: str,
    images: Sequence[Obj],
    own_users: Set[str] = frozenset(),
) -> Obj:
    """Everything of the status but the conditions. `disk` is in bytes; `own_users` are the handlers whose
    pods can have users of their own."""
    whole = reservations.capacity(config, machine, disk)
    return {
        "capacity": reservations.texts(whole),
        "allocatable": reservations.texts(reservations.allocatable(config, whole), exact=True),
        "addresses": [
            {"type": "InternalIP", "address": config.node_address},
            {"type": "Hostname", "address": config.node_name},
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": config.node_port}},
        "nodeInfo": _info(machine, runtime_version),
        "images": list(images[:MAX_IMAGES]),
        "features": {"supplementalGroupsPolicy": True},
        "runtimeHandlers": [
            {"name": name, "features": {"recursiveReadOnlyMounts": True, "userNamespaces": name in own_users}}
            for name in sorted(config.runtimes)
        ],
    }


def allotment(node: Obj) -> dict[str, str | None]:
    """What is to change in `status.allocatable` so that extended resources, which others write into the
    capacity, can be asked for; None where one is gone."""
    status = node.get("status") or {}
    there, free = status.get("capacity") or {}, status.get("allocatable") or {}
    wanted: dict[str, str | None] = {
        name: amount for name, amount in there.items() if "/" in name and free.get(name) != amount
    }
    return wanted | {name: None for name in free if "/" in name and name not in there}


def _info(machine: Machine, runtime_version: str) -> Obj:
    made: Obj = {
        "machineID": machine.machine_id,
        "systemUUID": system_uuid() or machine.machine_id,
        "bootID": machine.boot_id,
        "kernelVersion": machine.kernel,
        "osImage": machine.os_image,
        "containerRuntimeVersion": f"containerd://{runtime_version}",
        "kubeletVersion": VERSION,
        "kubeProxyVersion": "",
        "operatingSystem": "linux",
        "architecture": machine.architecture,
    }
    return {**made, "swap": {"capacity": machine.swap}} if machine.swap else made


def conditions(old: Sequence[Obj], pressure: Set[str], not_ready: str, now: datetime) -> list[Obj]:
    """The node's conditions: `pressure` names those that hold, `not_ready` says why it is not ready, "" when
    it is. Transition times change with the status."""
    before = {each["type"]: each for each in old}
    stamp = meta.timestamp(now)
    made = [
        _pressure("MemoryPressure", "MemoryPressure" in pressure, "Memory", "memory available"),
        _disk("DiskPressure" in pressure),
        _pressure("PIDPressure", "PIDPressure" in pressure, "PID", "PID available"),
        _ready(not_ready),
    ]
    return [{**each, **_times(each, before.get(each["type"]), stamp)} for each in made]


def _times(condition: Obj, before: Obj | None, stamp: str) -> Obj:
    same = before is not None and before.get("status") == condition["status"]
    changed = before["lastTransitionTime"] if same and before else stamp
    return {"lastHeartbeatTime": stamp, "lastTransitionTime": changed}


def _pressure(kind: str, short: bool, of: str, what: str) -> Obj:
    return {
        "type": kind,
        "status": "True" if short else "False",
        "reason": f"KubeletHas{'Insufficient' if short else 'Sufficient'}{of}",
        "message": f"kubelet has {'insufficient' if short else 'sufficient'} {what}",
    }


def _disk(short: bool) -> Obj:
    return {
        "type": "DiskPressure",
        "status": "True" if short else "False",
        "reason": "KubeletHasDiskPressure" if short else "KubeletHasNoDiskPressure",
        "message": "kubelet has disk pressure" if short else "kubelet has no disk pressure",
    }


def _ready(why_not: str) -> Obj:
    if why_not:
        return {"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": why_not}
    return {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "message": "kubelet is posting ready status",
    }


def lease(config: NodeConfig, now: datetime, owner: Obj | None) -> Obj:
    """The node's heartbeat. It goes with its Node."""
    made: Obj = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": config.node_name, "namespace": "kube-node-lease"},
        "spec": {
            "holderIdentity": config.node_name,
            "leaseDurationSeconds": max(1, round(config.lease_duration)),
            "renewTime": meta.micro_timestamp(now),
        },
    }
    if owner is not None:
        metadata = owner["metadata"]
        made["metadata"]["ownerReferences"] = [
            {"apiVersion": "v1", "kind": "Node", "name": metadata["name"], "uid": metadata["uid"]}
        ]
    return made
