"""EndpointSlices."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from podium.api.groups import cells
from podium.api.groups.core.service_validation import reachable_address
from podium.api.strategy import Strategy
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, metadata, names, values

ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
MAX_PORTS, MAX_ENDPOINTS, MAX_ADDRESSES = 20000, 1000, 100
MAX_TOPOLOGY, MAX_HINTS = 16, 8


class EndpointSlices(Strategy):
    has_generation = True
    columns = cells.table("Name", "AddressType", "Ports", "Endpoints", "Age")

    def default(self, obj: Obj) -> None:
        for port in obj.get("ports") or ():
            port.setdefault("name", "")
            port.setdefault("protocol", "TCP")

    def check(self, obj: Obj) -> list[Cause]:
        found = values.one_of(obj.get("addressType"), "addressType", ADDRESS_TYPES)
        found += _ports(obj.get("ports") or ())
        return found + _endpoints(obj.get("endpoints") or (), obj.get("addressType", ""))

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        found = values.one_of(new.get("addressType"), "addressType", ADDRESS_TYPES)
        found += _ports(new.get("ports") or ())
        if new.get("endpoints") != old.get("endpoints"):
            found += _endpoints(new.get("endpoints") or (), new.get("addressType", ""))
        return found + metadata.immutable(new.get("addressType"), old.get("addressType"), "addressType")

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        ports = [str(port.get("port") or port.get("name") or "*") for port in obj.get("ports") or ()]
        addresses = [text for entry in obj.get("endpoints") or () for text in entry.get("addresses") or ()]
        return [
            obj["metadata"]["name"], obj.get("addressType", ""), cells.shortened(ports),
            cells.shortened(addresses), cells.age(obj, now),
        ]  # fmt: skip


def _ports(ports: Sequence[Obj]) -> list[Cause]:
    if len(ports) > MAX_PORTS:
        return [causes.too_many("ports", len(ports), MAX_PORTS)]
    found: list[Cause] = []
    taken: set[str] = set()
    for index, port in enumerate(ports):
        path, name = f"ports[{index}]", port.get("name", "")
        if name:
            found += values.named(name, f"{path}.name", names.dns_label)
        if name in taken:
            found.append(causes.duplicate(f"{path}.name", name))
        taken.add(name)
        found += values.one_of(port.get("protocol"), f"{path}.protocol", values.PROTOCOLS)
        if port.get("appProtocol") is not None:
            found += values.named(port["appProtocol"], f"{path}.appProtocol", names.qualified)
    return found


def _endpoints(endpoints: Sequence[Obj], kind: str) -> list[Cause]:
    if len(endpoints) > MAX_ENDPOINTS:
        return [causes.too_many("endpoints", len(endpoints), MAX_ENDPOINTS)]
    found: list[Cause] = []
    for index, endpoint in enumerate(endpoints):
        path = f"endpoints[{index}]"
        addresses = endpoint.get("addresses") or ()
        if not addresses:
            found.append(causes.required(f"{path}.addresses", "must contain at least 1 address"))
        elif len(addresses) > MAX_ADDRESSES:
            found.append(causes.too_many(f"{path}.addresses", len(addresses), MAX_ADDRESSES))
        for number, address in enumerate(addresses):
            found += _address(address, kind, f"{path}.addresses", number)
        if endpoint.get("nodeName") is not None:
            found += values.named(endpoint["nodeName"], f"{path}.nodeName", names.dns_subdomain)
        if topology := endpoint.get("deprecatedTopology"):
            if len(topology) > MAX_TOPOLOGY:
                where = f"{path}.deprecatedTopology"
                found.append(causes.too_many(where, len(topology), MAX_TOPOLOGY))
            found += metadata.check_labels(topology, f"{path}.deprecatedTopology")
        if endpoint.get("hostname") is not None:
            found += values.named(endpoint["hostname"], f"{path}.hostname", names.dns_label)
        if endpoint.get("hints") is not None:
            found += _hints(endpoint["hints"], f"{path}.hints")
    return found


def _hints(hints: Obj, path: str) -> list[Cause]:
    found: list[Cause] = []
    for key, rule in (("forZones", names.label_value), ("forNodes", names.dns_subdomain)):
        entries = hints.get(key) or ()
        if len(entries) > MAX_HINTS:
            return [*found, causes.too_many(f"{path}.{key}", len(entries), MAX_HINTS)]
        seen: set[str] = set()
        for index, entry in enumerate(entries):
            name, where = entry.get("name", ""), f"{path}.{key}[{index}].name"
            if name in seen:
                found.append(causes.duplicate(where, name))
            seen.add(name)
            found += values.named(name, where, rule)
    return found


def _address(address: str, kind: str, path: str, number: int) -> list[Cause]:
    where = f"{path}[{number}]"
    if kind == "FQDN":
        return _domain(address, where)
    rule = values.canonical_address if kind == "IPv6" else values.address
    if kind not in ("IPv4", "IPv6") or (found := rule(address, where)):
        return found if kind in ("IPv4", "IPv6") else []
    if (":" in address) != (kind == "IPv6"):
        found.append(causes.invalid(path, address, f"must be an {kind} address"))
    return found + reachable_address(address, where)


def _domain(name: str, path: str) -> list[Cause]:
    """A fully qualified domain name: labels, at least two of them."""
    if not name:
        return [causes.required(path)]
    bare = name.removesuffix(".")
    found = values.named(bare, path, names.dns_subdomain)
    if found:
        return found
    if bare.count(".") < 1:
        detail = "should be a domain with at least two segments separated by dots"
        return [causes.invalid(path, bare, detail)]
    return [causes.invalid(path, label, text) for label in bare.split(".") for text in names.dns_label(label)]
