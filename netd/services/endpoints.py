"""Which endpoints of a Service are used on a node. Pure. Source: EndpointSlice conditions (KEP-1672), traffic
policies (KEP-2086), hints (KEP-2433, KEP-3015)."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from podium.api.types import Obj


class Endpoint(NamedTuple):
    """`fallback`: it still serves while it terminates, and is used when nothing is ready. `zones` and `nodes`
    are for whom it is meant, if that was said."""

    ip: str
    port: int
    local: bool
    ready: bool
    fallback: bool
    zones: frozenset[str] = frozenset()
    nodes: frozenset[str] = frozenset()


def endpoints_of(slices: Iterable[Obj], port: Obj, node: str) -> Iterator[Endpoint]:
    """Those behind one port of a Service; `node` is where one is local."""
    wanted = (port.get("name") or "", port.get("protocol") or "TCP")
    for found in slices:
        if found.get("addressType") != "IPv4":
            continue
        for offered in found.get("ports") or ():
            if (offered.get("name") or "", offered.get("protocol") or "TCP") == wanted and offered.get(
                "port"
            ):
                for endpoint in found.get("endpoints") or ():
                    yield from _addresses(endpoint, offered["port"], node)


def _addresses(endpoint: Obj, port: int, node: str) -> Iterator[Endpoint]:
    conditions, hints = endpoint.get("conditions") or {}, endpoint.get("hints") or {}
    ready = conditions.get("ready") is not False
    serving = ready if conditions.get("serving") is None else bool(conditions["serving"])
    fallback = serving and bool(conditions.get("terminating"))
    local = endpoint.get("nodeName") == node
    zones, nodes = (_names(hints.get(key)) for key in ("forZones", "forNodes"))
    for ip in filter(is_ipv4, endpoint.get("addresses") or ()):
        yield Endpoint(ip, port, local, ready, fallback, zones, nodes)


def _names(entries: list[Obj] | None) -> frozenset[str]:
    return frozenset(entry["name"] for entry in entries or () if entry.get("name"))


def usable(endpoints: Iterable[Endpoint]) -> list[Endpoint]:
    """Those that are ready; if there are none, those that still serve while they terminate."""
    endpoints = list(endpoints)
    ready = [endpoint for endpoint in endpoints if endpoint.ready]
    return ready or [endpoint for endpoint in endpoints if endpoint.fallback]


def nearest(endpoints: list[Endpoint], node: str, zone: str) -> list[Endpoint]:
    """Of usable endpoints those that are meant for this node, or else for its zone; all where that is nobody,
    or where one of them is without a hint."""
    if not endpoints or not endpoints[0].ready:
        return endpoints
    for_node = [endpoint for endpoint in endpoints if node in endpoint.nodes]
    if for_node and all(endpoint.nodes for endpoint in endpoints):
        return for_node
    for_zone = [endpoint for endpoint in endpoints if zone in endpoint.zones]
    if for_zone and all(endpoint.zones for endpoint in endpoints):
        return for_zone
    return endpoints


def is_ipv4(text: str) -> bool:
    """What is no IPv4 address (another family's, "None", nothing) must not get into a transaction, which
    would fail as a whole."""
    try:
        socket.inet_pton(socket.AF_INET, text)
    except OSError:
        return False
    return True
