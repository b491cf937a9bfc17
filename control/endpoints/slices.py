"""EndpointSlices of a Service, planned: which to make, change and delete. Pure.

A change touches as few slices as it can, for every change goes to every node: an endpoint stays in the slice
it is in, new ones go into slices that have room, and a slice that is no longer needed is used for another set
of ports before it is deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeAlias

from podium.api.types import Obj
from podium.api.types.meta import controller_reference, deleting
from podium.control.endpoints.selection import (
    HEADLESS,
    addresses,
    hostname,
    is_eligible,
    is_headless,
    reference,
    target_port,
)
from podium.control.pods import is_ready

MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
SERVICE_NAME = "kubernetes.io/service-name"
MANAGER = "endpointslice-controller.k8s.io"
CAPACITY = 100  # endpoints of one slice
ZONE = "topology.kubernetes.io/zone"
_RESERVED = (MANAGED_BY, SERVICE_NAME, HEADLESS)
_Ports: TypeAlias = tuple[tuple[str, int, str, str], ...]
NodeLookup: TypeAlias = Callable[[str], Obj | None]


class Plan(NamedTuple):
    create: list[Obj]
    update: list[Obj]
    delete: list[Obj]


def plan(service: Obj, pods: Iterable[Obj], node: NodeLookup, existing: Sequence[Obj]) -> Plan:
    """What turns the Service's `existing` slices (those this controller manages) into the right ones."""
    result = Plan([], [], [])
    families = _families(service)
    eligible = [pod for pod in pods if is_eligible(pod, terminating=True)]
    uid = service["metadata"]["uid"]
    ours: dict[str, list[Obj]] = {family: [] for family in families}
    for entry in existing:
        owners = entry["metadata"].get("ownerReferences") or ()
        if entry["addressType"] in ours and any(owner["uid"] == uid for owner in owners):
            ours[entry["addressType"]].append(entry)
        else:
            result.delete.append(entry)
    for family in families:
        groups = _groups(service, eligible, node, family)
        _plan_family(service, family, groups, ours[family], result)
    return result


def _families(service: Obj) -> list[str]:
    families = service["spec"].get("ipFamilies")
    if families:
        return list(families)
    return ["IPv6" if ":" in service["spec"].get("clusterIP", "") else "IPv4"]


def _groups(service: Obj, pods: Iterable[Obj], node: NodeLookup, family: str) -> dict[_Ports, dict[str, Obj]]:
    """Endpoints by their ports, and by pod uid: pods may differ in what number a named port has."""
    groups: dict[_Ports, dict[str, Obj]] = {}
    for pod in pods:
        home = node(pod["spec"].get("nodeName", ""))
        if home is None and not service["spec"].get("publishNotReadyAddresses"):
            continue
        own = [address for address in addresses(pod) if (":" in address) == (family == "IPv6")]
        if own:
            endpoint = endpoint_of(service, pod, home, own)
            groups.setdefault(_ports(service, pod), {})[pod["metadata"]["uid"]] = endpoint
    # Without any endpoint one empty slice tells "nobody answers" from "nobody looked yet".
    return groups or {(): {}}


def _ports(service: Obj, pod: Obj) -> _Ports:
    found = []
    for port in service["spec"].get("ports") or ():
        number = target_port(pod, port)
        if number is not None:
            found.append(
                (port.get("name", ""), number, port.get("protocol", "TCP"), port.get("appProtocol", ""))
            )
    return tuple(sorted(found))


def endpoint_of(service: Obj, pod: Obj, node: Obj | None, own: list[str]) -> Obj:
    """The discovery/v1 Endpoint of one pod."""
    serving, terminating = is_ready(pod), deleting(pod)
    ready = bool(service["spec"].get("publishNotReadyAddresses")) or (serving and not terminating)
    endpoint: Obj = {
        "addresses": own,
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
        "targetRef": reference(pod),
    }
    zone = ((node or {}).get("metadata") or {}).get("labels", {}).get(ZONE, "")
    optional = {"hostname": hostname(pod, service), "nodeName": pod["spec"].get("nodeName"), "zone": zone}
    endpoint |= {name: value for name, value in optional.items() if value}
    if ready and (hints := _hints(service, endpoint)):
        endpoint["hints"] = hints
    return endpoint


def _hints(service: Obj, endpoint: Obj) -> Obj:
    """Whom `spec.trafficDistribution` wants to use this endpoint."""
    wish = service["spec"].get("trafficDistribution")
    hints: Obj = {}
    if wish in ("PreferClose", "PreferSameZone", "PreferSameNode") and endpoint.get("zone"):
        hints["forZones"] = [{"name": endpoint["zone"]}]
    if wish == "PreferSameNode" and endpoint.get("nodeName"):
        hints["forNodes"] = [{"name": endpoint["nodeName"]}]
    return hints


class _Draft:
    """A slice being filled; `was` is the existing one it replaces, if any."""

    def __init__(self, ports: _Ports, endpoints: list[Obj], was: Obj | None) -> None:
        self.ports, self.endpoints, self.was = ports, endpoints, was

    @property
    def room(self) -> int:
        return CAPACITY - len(self.endpoints)

    @property
    def changed(self) -> bool:
        return self.was is None or (self.was.get("endpoints") or []) != self.endpoints

    def fill(self, waiting: list[Obj]) -> None:
        """Takes as many of `waiting`, from its front, as there is room for."""
        room = self.room
        self.endpoints += waiting[:room]
        del waiting[:room]


def _plan_family(
    service: Obj, family: str, groups: dict[_Ports, dict[str, Obj]], existing: list[Obj], result: Plan
) -> None:
    by_ports: dict[_Ports, list[Obj]] = {}
    for entry in existing:
        by_ports.setdefault(_ports_of(entry), []).append(entry)
    spare = [entry for ports, entries in by_ports.items() if ports not in groups for entry in entries]
    for ports, endpoints in groups.items():
        drafts = _distribute(ports, endpoints, by_ports.get(ports, []), spare)
        kept = [draft for draft in drafts if draft.endpoints] or drafts[:1]
        for draft in drafts:
            if draft not in kept and draft.was is not None:
                spare.append(draft.was)
        for draft in kept:
            _emit(service, family, draft, result)
    result.delete.extend(spare)


def _distribute(
    ports: _Ports, endpoints: dict[str, Obj], existing: list[Obj], spare: list[Obj]
) -> list[_Draft]:
    """At least one draft; those of `existing` come first."""
    waiting = dict(endpoints)
    drafts = []
    for entry in existing:
        stay = [_uid(endpoint) for endpoint in entry.get("endpoints") or ()]
        drafts.append(_Draft(ports, [waiting.pop(uid) for uid in stay if uid in waiting], entry))
    left = list(waiting.values())
    # Slices that are written anyway come first, then the fullest.
    for draft in sorted(drafts, key=lambda draft: (not draft.changed, draft.room)):
        draft.fill(left)
    while left or not drafts:
        drafts.append(_Draft(ports, [], spare.pop(0) if spare else None))
        drafts[-1].fill(left)
    return drafts


def _uid(endpoint: Obj) -> str:
    return str((endpoint.get("targetRef") or {}).get("uid", ""))


def _ports_of(entry: Obj) -> _Ports:
    return tuple(
        sorted(
            (
                port.get("name", ""),
                port.get("port", 0),
                port.get("protocol", "TCP"),
                port.get("appProtocol", ""),
            )
            for port in entry.get("ports") or ()
        )
    )


def _emit(service: Obj, family: str, draft: _Draft, result: Plan) -> None:
    labels = labels_of(service)
    was = draft.was
    if was is None:
        result.create.append(_new(service, family, draft, labels))
        return
    same_ports = _ports_of(was) == draft.ports
    if draft.changed or not same_ports or was["metadata"].get("labels") != labels:
        result.update.append(
            {
                **was,
                "metadata": {**was["metadata"], "labels": labels},
                "endpoints": draft.endpoints,
                "ports": was.get("ports") if same_ports else _port_list(draft.ports),
            }
        )


def _new(service: Obj, family: str, draft: _Draft, labels: dict[str, str]) -> Obj:
    meta = service["metadata"]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "generateName": f"{meta['name']}-",
            "namespace": meta["namespace"],
            "labels": labels,
            "ownerReferences": [controller_reference({**service, "apiVersion": "v1", "kind": "Service"})],
        },
        "addressType": family,
        "endpoints": draft.endpoints,
        "ports": _port_list(draft.ports),
    }


def labels_of(service: Obj) -> dict[str, str]:
    """The Service's own labels, and those that say whose slice it is."""
    own = service["metadata"].get("labels") or {}
    labels = {name: value for name, value in own.items() if name not in _RESERVED}
    if is_headless(service):
        labels[HEADLESS] = ""
    return {**labels, SERVICE_NAME: service["metadata"]["name"], MANAGED_BY: MANAGER}


def _port_list(ports: _Ports) -> list[Obj]:
    entries = []
    for name, number, protocol, application in ports:
        entry: Obj = {"name": name, "port": number, "protocol": protocol}
        if application:
            entry["appProtocol"] = application
        entries.append(entry)
    return entries
