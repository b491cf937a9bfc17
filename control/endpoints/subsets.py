"""The subsets of a Service's Endpoints object. Pure. Source: core/v1 EndpointSubset; at most 1,000 addresses
are kept."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from podium.api.types import Obj
from podium.control.endpoints.selection import (
    addresses,
    hostname,
    is_eligible,
    is_headless,
    reference,
    target_port,
)
from podium.control.pods import is_ready

CAPACITY = 1000
_Port: TypeAlias = tuple[str, int, str, str]
_Group: TypeAlias = dict[tuple[str, str], tuple[Obj, bool]]


def subsets(service: Obj, pods: Iterable[Obj]) -> list[Obj]:
    """Addresses with the same ports together; each once, ready or not."""
    tolerant = bool(service["spec"].get("publishNotReadyAddresses"))
    groups: dict[tuple[_Port, ...], _Group] = {}
    for pod in pods:
        address = _address(service, pod) if is_eligible(pod, terminating=tolerant) else None
        if address is None:
            continue
        ports = _ports(service, pod)
        if ports or (is_headless(service) and not service["spec"].get("ports")):
            key = (address["ip"], pod["metadata"]["uid"])
            groups.setdefault(ports, {})[key] = (address, tolerant or is_ready(pod))
    return [_subset(ports, group) for ports, group in sorted(groups.items())]


def _address(service: Obj, pod: Obj) -> Obj | None:
    """The pod's address of the Service's first family."""
    spec = service["spec"]
    family = (spec.get("ipFamilies") or ["IPv6" if ":" in spec.get("clusterIP", "") else "IPv4"])[0]
    found = [address for address in addresses(pod) if (":" in address) == (family == "IPv6")]
    if not found:
        return None
    address: Obj = {"ip": found[0], "targetRef": reference(pod)}
    optional = {"hostname": hostname(pod, service), "nodeName": pod["spec"].get("nodeName")}
    return address | {name: value for name, value in optional.items() if value}


def _ports(service: Obj, pod: Obj) -> tuple[_Port, ...]:
    found = []
    for port in service["spec"].get("ports") or ():
        number = target_port(pod, port)
        if number is not None:
            found.append(
                (port.get("name", ""), number, port.get("protocol", "TCP"), port.get("appProtocol", ""))
            )
    return tuple(sorted(found))


def _subset(ports: tuple[_Port, ...], group: Mapping[tuple[str, str], tuple[Obj, bool]]) -> Obj:
    ordered = sorted(group.items(), key=lambda entry: (ipaddress.ip_address(entry[0][0]).packed, entry[0][1]))
    subset: Obj = {}
    if ready := [address for _, (address, is_up) in ordered if is_up]:
        subset["addresses"] = ready
    if waiting := [address for _, (address, is_up) in ordered if not is_up]:
        subset["notReadyAddresses"] = waiting
    if ports:
        subset["ports"] = [_port(*port) for port in ports]
    return subset


def _port(name: str, number: int, protocol: str, application: str) -> Obj:
    port: Obj = {"name": name} if name else {}
    port |= {"port": number, "protocol": protocol}
    return port | {"appProtocol": application} if application else port


def truncated(entries: list[Obj]) -> tuple[list[Obj], bool]:
    """At most CAPACITY addresses, ready ones before others, and whether any had to go."""
    count = sum(len(entry.get(kind, ())) for entry in entries for kind in ("addresses", "notReadyAddresses"))
    if count <= CAPACITY:
        return entries, False
    room = CAPACITY
    kept: list[Obj] = [{"ports": entry["ports"]} if "ports" in entry else {} for entry in entries]
    for kind in ("addresses", "notReadyAddresses"):
        for entry, copy in zip(entries, kept, strict=True):
            if taken := entry.get(kind, [])[:room]:
                copy[kind] = taken
                room -= len(taken)
    return [entry for entry in kept if entry.keys() - {"ports"}], True
