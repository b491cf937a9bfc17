"""Endpoints, the older form of EndpointSlices."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from podium.api.groups import cells
from podium.api.groups.core.service_validation import reachable_address
from podium.api.strategy import Strategy
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, names, values


class Endpoints(Strategy):
    allow_create_on_update = True
    columns = cells.table("Name", "Endpoints", "Age")

    def default(self, obj: Obj) -> None:
        for subset in obj.get("subsets") or ():
            for port in subset.get("ports") or ():
                port.setdefault("protocol", "TCP")

    def check(self, obj: Obj) -> list[Cause]:
        found: list[Cause] = []
        for index, subset in enumerate(obj.get("subsets") or ()):
            found += _subset(subset, f"subsets[{index}]")
        return found

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        return [] if new.get("subsets") == old.get("subsets") else self.check(new)

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        listed = [text for subset in obj.get("subsets") or () for text in _addresses(subset)]
        return [obj["metadata"]["name"], cells.shortened(listed, empty=_empty(obj)), cells.age(obj, now)]


def _empty(obj: Obj) -> str:
    return "" if obj.get("subsets") else cells.NONE


def _addresses(subset: Obj) -> list[str]:
    ready = [entry.get("ip", "") for entry in subset.get("addresses") or ()]
    ports = subset.get("ports") or ()
    if not ports:
        return ready
    return [
        f"[{address}]:{port.get('port', 0)}" if ":" in address else f"{address}:{port.get('port', 0)}"
        for port in ports
        for address in ready
    ]


def _subset(subset: Obj, path: str) -> list[Cause]:
    found: list[Cause] = []
    if not subset.get("addresses") and not subset.get("notReadyAddresses"):
        found.append(causes.required(path, "must specify `addresses` or `notReadyAddresses`"))
    for key in ("addresses", "notReadyAddresses"):
        for index, address in enumerate(subset.get(key) or ()):
            found += _address(address, f"{path}.{key}[{index}]")
    ports = subset.get("ports") or ()
    for index, port in enumerate(ports):
        where = f"{path}.ports[{index}]"
        if port.get("name"):
            found += values.named(port["name"], f"{where}.name", names.dns_label)
        elif len(ports) > 1:
            found.append(causes.required(f"{where}.name"))
        found += values.port(port.get("port", 0), f"{where}.port")
        found += values.one_of(port.get("protocol"), f"{where}.protocol", values.PROTOCOLS)
        if port.get("appProtocol") is not None:
            found += values.named(port["appProtocol"], f"{where}.appProtocol", names.qualified)
    return found


def _address(address: Obj, path: str) -> list[Cause]:
    found = reachable_address(address.get("ip", ""), f"{path}.ip")
    if address.get("hostname"):
        found += values.named(address["hostname"], f"{path}.hostname", names.dns_label)
    if address.get("nodeName"):
        found += values.named(address["nodeName"], f"{path}.nodeName", names.dns_subdomain)
    return found
