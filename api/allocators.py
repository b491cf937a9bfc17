"""Addresses and ports that Services hold: each given once, given back when its Service goes.

What is taken is derived from the stored Services when the server starts (`seed`) and kept in memory from then
on; there is no record of its own that could disagree with them. A claim is made right before the store's
write and is taken back when that fails (`strategy.Reservation`). Everything happens on the event loop,
without an await between looking and taking, so two writes never get the same. IPv4, one family.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Collection, Iterable

from podium.api.strategy import NOTHING_RESERVED, Reservation
from podium.api.types import Obj, errors
from podium.api.types.errors import StatusError
from podium.api.validation import causes

SERVICE_CIDR = "10.43.0.0/16"
NODE_PORTS = range(30000, 32768)
_WITH_PORTS = ("NodePort", "LoadBalancer")
_WITH_ADDRESS = ("ClusterIP", *_WITH_PORTS)


class Taken(Exception):
    """A number that was asked for cannot be had; the text says why."""


class Pool:
    """Numbers of a range, counted by who holds them. A number may be held more than once: one node port
    serves TCP and UDP of one Service. `low` numbers at the start of the range are left for those who ask for
    one by name; they are given to others only when the rest is used up."""

    def __init__(self, numbers: range, low: int) -> None:
        self._numbers = numbers
        self._low = low
        self._held: dict[int, int] = {}

    def __contains__(self, number: int) -> bool:
        return number in self._numbers

    def hold(self, number: int) -> None:
        """Notes a number as held, whether it was free or not: what is stored is a fact."""
        self._held[number] = self._held.get(number, 0) + 1

    def release(self, number: int) -> None:
        left = self._held.get(number, 0) - 1
        if left > 0:
            self._held[number] = left
        else:
            self._held.pop(number, None)

    def is_held(self, number: int) -> bool:
        return number in self._held

    def free(self) -> int:
        """Any free number, at random, so that one just released is not soon met again. Raises Taken."""
        upper = self._numbers[self._low :]
        for part in (upper, self._numbers[: self._low]):
            if not part:
                continue
            start = random.randrange(len(part))
            for step in range(len(part)):
                number = part[(start + step) % len(part)]
                if number not in self._held:
                    return number
        raise Taken("range is full")

    @property
    def used(self) -> int:
        return len(self._held)


class ServiceAllocators:
    """The cluster's service addresses and node ports."""

    def __init__(self, cidr: str = SERVICE_CIDR, ports: range = NODE_PORTS) -> None:
        self.network = ipaddress.IPv4Network(cidr)
        first = int(self.network.network_address) + 1
        addresses = range(first, int(self.network.broadcast_address))
        self._addresses = Pool(addresses, _static_share(len(addresses), 16, 256))
        self._ports = Pool(ports, _static_share(len(ports), 32, 128))
        self._port_text = f"{ports.start}-{ports.stop - 1}"

    def seed(self, services: Iterable[Obj]) -> None:
        """Takes what stored Services hold. Called once, before the first claim."""
        for service in services:
            for address in addresses_of(service):
                self._addresses.hold(int(ipaddress.IPv4Address(address)))
            for port in ports_of(service):
                self._ports.hold(port)

    def claim(self, new: Obj | None, old: Obj | None, dry_run: bool = False) -> Reservation:
        """Fills the addresses and ports that `new` (None: the Service goes) lacks and takes what it did not
        hold as `old` (None: it is new). Raises StatusError 422 for what cannot be had, 500 when a range is
        full."""
        claim = _Claim(self._addresses, self._ports, old)
        if new is not None:
            try:
                self._take_addresses(new, claim)
                self._take_ports(new, claim)
            except BaseException:
                claim.rollback()
                raise
        claim.settle(new)
        if dry_run:
            claim.rollback()
            return NOTHING_RESERVED
        return claim

    def _take_addresses(self, service: Obj, claim: _Claim) -> None:
        spec = service["spec"]
        if spec.get("type") not in _WITH_ADDRESS or spec.get("clusterIP") == "None":
            return
        for index, text in enumerate(spec.get("clusterIPs") or ()):
            if text not in claim.old_addresses:
                self._take_address(service, index, text, claim)
        if not spec.get("clusterIP"):
            try:
                number = self._addresses.free()
            except Taken as error:
                name = service["metadata"].get("name", "")
                raise errors.internal(
                    f'failed to allocate a serviceIP for Service "{name}": {error}'
                ) from None
            claim.take(self._addresses, number)
            spec["clusterIP"] = str(ipaddress.IPv4Address(number))
            spec["clusterIPs"] = [spec["clusterIP"]]

    def _take_address(self, service: Obj, index: int, text: str, claim: _Claim) -> None:
        number = int(ipaddress.IPv4Address(text))
        why = ""
        if number not in self._addresses:
            why = (
                f"the provided IP ({text}) is not in the valid range. "
                f"The range of valid IPs is {self.network}"
            )
        elif self._addresses.is_held(number):
            why = "provided IP is already allocated"
        if why:
            detail = f"failed to allocate IP {text}: {why}"
            raise _invalid(service, "spec.clusterIPs", service["spec"]["clusterIPs"], detail)
        claim.take(self._addresses, number)

    def _take_ports(self, service: Obj, claim: _Claim) -> None:
        spec = service["spec"]
        if spec.get("type") not in _WITH_PORTS:
            return
        wanted = spec["type"] == "NodePort" or spec.get("allocateLoadBalancerNodePorts", True)
        shared: dict[int, int] = {}
        for index, port in enumerate(spec.get("ports") or ()):
            path = f"spec.ports[{index}].nodePort"
            if number := port.get("nodePort"):
                self._take_port(service, path, number, claim)
            elif wanted:
                # The same port number under another protocol shares the node port.
                number = shared.get(port["port"]) or self._free_port(claim)
                port["nodePort"] = number
            if number:
                shared.setdefault(port["port"], number)
        if needs_health_check(service):
            if number := spec.get("healthCheckNodePort"):
                self._take_port(service, "spec.healthCheckNodePort", number, claim)
            else:
                spec["healthCheckNodePort"] = self._free_port(claim)

    def _free_port(self, claim: _Claim) -> int:
        try:
            number = self._ports.free()
        except Taken as error:
            raise errors.internal(f"failed to allocate a nodePort: {error}") from None
        claim.take(self._ports, number)
        return number

    def _take_port(self, service: Obj, path: str, number: int, claim: _Claim) -> None:
        if number in claim.old_ports or claim.has(self._ports, number):
            return
        if number not in self._ports:
            text = f"provided port is not in the valid range. The range of valid ports is {self._port_text}"
            raise _invalid(service, path, number, text)
        if self._ports.is_held(number):
            raise _invalid(service, path, number, "provided port is already allocated")
        claim.take(self._ports, number)


class _Claim(Reservation):
    """One write's claims. What the former object held and the new one does not is released when the write is
    durable."""

    def __init__(self, addresses: Pool, ports: Pool, old: Obj | None) -> None:
        self._pools = (addresses, ports)
        self.old_addresses = addresses_of(old) if old else []
        self.old_ports = ports_of(old) if old else set()
        self._taken: list[tuple[Pool, int]] = []
        self._released: list[tuple[Pool, int]] = []

    def take(self, pool: Pool, number: int) -> None:
        pool.hold(number)
        self._taken.append((pool, number))

    def has(self, pool: Pool, number: int) -> bool:
        return (pool, number) in self._taken

    def settle(self, new: Obj | None) -> None:
        kept = set(addresses_of(new)) if new else set()
        for text in set(self.old_addresses) - kept:
            self._released.append((self._pools[0], int(ipaddress.IPv4Address(text))))
        for number in self.old_ports - (ports_of(new) if new else set()):
            self._released.append((self._pools[1], number))

    def commit(self) -> None:
        self._give_back(self._released)

    def rollback(self) -> None:
        self._give_back(self._taken)

    def _give_back(self, entries: Collection[tuple[Pool, int]]) -> None:
        for pool, number in entries:
            pool.release(number)
        self._taken, self._released = [], []


def _static_share(size: int, least: int, most: int) -> int:
    """How much of a range is left for those who ask by name; nothing of a small one."""
    return 0 if size <= least else min(max(least, size // 16), most)


def _invalid(service: Obj, path: str, value: object, detail: str) -> StatusError:
    name = service["metadata"].get("name", "")
    return errors.invalid("Service", name, [causes.invalid(path, value, detail)])


def addresses_of(service: Obj) -> list[str]:
    """The cluster's addresses that a Service holds."""
    spec = service["spec"]
    if spec.get("type") not in _WITH_ADDRESS:
        return []
    listed = spec.get("clusterIPs") or [spec.get("clusterIP")]
    return [text for text in listed if text and text != "None"]


def ports_of(service: Obj) -> set[int]:
    """The node ports that a Service holds."""
    spec = service["spec"]
    ports = {port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")}
    if spec.get("healthCheckNodePort"):
        ports.add(spec["healthCheckNodePort"])
    return ports if spec.get("type") in _WITH_PORTS else set()


def needs_health_check(service: Obj) -> bool:
    spec = service["spec"]
    return bool(spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local")
