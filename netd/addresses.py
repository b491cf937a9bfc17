"""Addresses of a node's pod range, handed out in turn."""

from __future__ import annotations

import ipaddress


class RangeFull(RuntimeError):
    """No address is left in the node's pod range."""


class AddressPool:
    """In turn, so that an address that was let go rests for as long as possible: a client that still has it
    must not meet the next pod. The first address of the range is the gateway's; the range's own and its
    broadcast address stay unused."""

    def __init__(self, cidr: str) -> None:
        self.network = ipaddress.IPv4Network(cidr)
        self._first = int(self.network.network_address) + 2
        self._count = self.network.num_addresses - 3
        if self._count < 1:
            raise ValueError(f"pod range {cidr} is too small")
        self._used: set[int] = set()
        self._next = 0

    @property
    def gateway(self) -> str:
        return str(self.network.network_address + 1)

    def take(self) -> str:
        for _ in range(self._count):
            number = self._first + self._next
            self._next = (self._next + 1) % self._count
            if number not in self._used:
                self._used.add(number)
                return str(ipaddress.IPv4Address(number))
        raise RangeFull(f"no address left in the pod range {self.network}")

    def claim(self, address: str) -> None:
        """Marks an address as taken; the next one is looked for behind it."""
        number = int(ipaddress.IPv4Address(address))
        self._used.add(number)
        if 0 <= number - self._first < self._count:
            self._next = max(self._next, (number - self._first + 1) % self._count)

    def release(self, address: str) -> None:
        self._used.discard(int(ipaddress.IPv4Address(address)))


def mac_of(address: str) -> str:
    """A locally administered MAC that follows from the address: whoever gets the address next has it too, so
    that no neighbour's cache is ever wrong."""
    return ":".join(f"{byte:02x}" for byte in b"\x02\x50" + ipaddress.IPv4Address(address).packed)
