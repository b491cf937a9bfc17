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
        found = metadata.immutable(new.get("addressType"), old.get("addressType"), "addressType")
        if new.get("endpoints") == old.get("endpoints"):
            return found + _ports(new.get("ports") or ())
        return found + self.check(new)

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
        if endpoint.get("hostname") is not None:
            found += values.named(endpoint["hostname"], f"{path}.hostname", names.dns_label)
    return found


def _address(address: str, kind: str, path: str, number: int) -> list[Cause]:
    if kind == "FQDN":
        return values.named(address.removesuffix("."), f"{path}[{number}]", names.dns_subdomain)
    found = reachable_address(address, f"{path}[{number}]")
    if values.is_address(address) and (":" in address) != (kind == "IPv6"):
        found.append(causes.invalid(path, address, f"must be an {kind} address"))
    return found
