"""From one Service and its EndpointSlices to what the table must hold for it. Pure."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from podium.api.types import Obj
from podium.netd.hostports import HostPort
from podium.netd.services import base

SERVICE_NAME = "kubernetes.io/service-name"
# A service with one of these labels is somebody else's, or nobody's, to proxy.
NOT_PROXIED = ("service.kubernetes.io/service-proxy-name", "service.kubernetes.io/headless")
AFFINITY_SECONDS = 10800

Address = tuple[str, int]


class Element(NamedTuple):
    """An element of one of the table's maps and sets, as nft writes its key."""

    set: str
    key: str


class Group(NamedTuple):
    """Endpoints that take turns."""

    protocol: str
    endpoints: frozenset[Address]


class Endpoint(NamedTuple):
    """`fallback`: it still serves while it terminates, and is used when nothing is ready."""

    ip: str
    port: int
    local: bool
    ready: bool
    fallback: bool


@dataclass
class Plan:
    """`elements` maps to the value, "" in a set. `groups` and `chains` map the name of a chain to what it
    holds; `sticky` maps the name of a set of clients to its timeout in seconds. `udp` are the endpoints that
    get datagrams."""

    elements: dict[Element, str] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    chains: dict[str, tuple[str, ...]] = field(default_factory=dict)
    sticky: dict[str, int] = field(default_factory=dict)
    udp: set[Address] = field(default_factory=set)


class Planner:
    """What a plan depends on besides the service: the node that it is made for."""

    def __init__(self, node_name: str, cluster_cidr: str) -> None:
        self._node = node_name
        self._cluster_cidr = cluster_cidr
        self._pods = ipaddress.IPv4Network(cluster_cidr)

    def service(self, service: Obj, slices: Iterable[Obj]) -> Plan:
        plan = Plan()
        spec = service.get("spec") or {}
        if not _proxied(service, spec):
            return plan
        slices = list(slices)
        for port in spec.get("ports") or ():
            self._port(plan, service, port, list(self._endpoints(slices, port)))
        return plan

    def host_ports(self, uid: str, ports: Iterable[HostPort]) -> Plan:
        """A pod's host ports: services of one endpoint."""
        plan = Plan()
        for port in ports:
            chain = f"host-{uid}/{port.protocol}-{port.port}-{port.host_ip or 'any'}"
            _spread(plan, chain, port.protocol, frozenset({(port.pod_ip, port.pod_port)}))
            if port.host_ip:
                key = Element(base.SERVICES, f"{port.host_ip} . {port.protocol} . {port.port}")
            else:
                key = Element(base.NODE_PORTS, f"{port.protocol} . {port.port}")
            plan.elements[key] = f"goto {chain}"
            plan.elements[Element(base.HAIRPIN, f"{port.pod_ip} . {port.pod_ip}")] = ""
        return plan

    def _endpoints(self, slices: list[Obj], port: Obj) -> Iterator[Endpoint]:
        wanted = (port.get("name") or "", port.get("protocol") or "TCP")
        for found in slices:
            if found.get("addressType") != "IPv4":
                continue
            for offered in found.get("ports") or ():
                if (offered.get("name") or "", offered.get("protocol") or "TCP") != wanted:
                    continue
                if offered.get("port"):
                    yield from self._addresses(found.get("endpoints") or (), offered["port"])

    def _addresses(self, endpoints: Iterable[Obj], port: int) -> Iterator[Endpoint]:
        for endpoint in endpoints:
            conditions = endpoint.get("conditions") or {}
            ready = conditions.get("ready") is not False
            serving = ready if conditions.get("serving") is None else bool(conditions["serving"])
            fallback = serving and bool(conditions.get("terminating"))
            local = endpoint.get("nodeName") == self._node
            for ip in filter(is_ipv4, endpoint.get("addresses") or ()):
                yield Endpoint(ip, port, local, ready, fallback)

    def _port(self, plan: Plan, service: Obj, port: Obj, found: list[Endpoint]) -> None:
        spec, meta = service["spec"], service["metadata"]
        protocol, number = (port.get("protocol") or "TCP").lower(), port["port"]
        name = f"{meta['namespace']}/{meta['name']}/{protocol}-{number}"
        affinity = _affinity(spec)
        internal_local = spec.get("internalTrafficPolicy") == "Local"
        external_local = spec.get("externalTrafficPolicy") == "Local"
        cluster = _balance(plan, f"svc-{name}", protocol, _usable(found), affinity)
        local = ""
        if internal_local or external_local:
            here = _usable([endpoint for endpoint in found if endpoint.local])
            local = _balance(plan, f"loc-{name}", protocol, here, affinity)
        internal = local if internal_local else cluster
        if internal:
            for ip in _cluster_ips(spec):
                plan.elements[Element(base.SERVICES, f"{ip} . {protocol} . {number}")] = f"goto {internal}"
        external = cluster
        if cluster and external_local and _is_external(service):
            external = f"ext-{name}"
            plan.chains[external] = self._strangers_stay(cluster, local)
        _expose(plan, service, port, protocol, external)
        self._paths(plan, protocol, found)

    def _strangers_stay(self, cluster: str, local: str) -> tuple[str, ...]:
        """The cluster's own clients may go anywhere; strangers stay on this node, so that their address is
        kept."""
        rules = (f"ip saddr {self._cluster_cidr} goto {cluster}", f"fib saddr type local goto {cluster}")
        return (*rules, f"goto {local}") if local else rules

    def _paths(self, plan: Plan, protocol: str, endpoints: Iterable[Endpoint]) -> None:
        """Endpoints whose answers only come back if the source is masqueraded."""
        for endpoint in endpoints:
            if endpoint.local:
                plan.elements[Element(base.HAIRPIN, f"{endpoint.ip} . {endpoint.ip}")] = ""
            elif ipaddress.IPv4Address(endpoint.ip) not in self._pods:
                key = f"{endpoint.ip} . {protocol} . {endpoint.port}"
                plan.elements[Element(base.OUTSIDE, key)] = ""


def _proxied(service: Obj, spec: Obj) -> bool:
    labels = service["metadata"].get("labels") or {}
    if spec.get("type") == "ExternalName" or any(label in labels for label in NOT_PROXIED):
        return False
    return bool(_cluster_ips(spec))


def _cluster_ips(spec: Obj) -> list[str]:
    ips = spec.get("clusterIPs") or [spec.get("clusterIP") or ""]
    return [ip for ip in ips if is_ipv4(ip)]


def is_ipv4(text: str) -> bool:
    """What is no IPv4 address (another family's, "None", nothing) must not get into a transaction, which
    would fail as a whole."""
    try:
        socket.inet_pton(socket.AF_INET, text)
    except OSError:
        return False
    return True


def _usable(endpoints: list[Endpoint]) -> list[Endpoint]:
    """Those that are ready; if there are none, those that still serve while they terminate."""
    ready = [endpoint for endpoint in endpoints if endpoint.ready]
    return ready or [endpoint for endpoint in endpoints if endpoint.fallback]


def _affinity(spec: Obj) -> int:
    """Seconds that a client sticks to an endpoint, 0 for not at all."""
    if spec.get("sessionAffinity") != "ClientIP":
        return 0
    settings = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
    return settings.get("timeoutSeconds") or AFFINITY_SECONDS


def _balance(plan: Plan, chain: str, protocol: str, endpoints: list[Endpoint], affinity: int) -> str:
    """Adds the chain that spreads connections over `endpoints`; its name, "" without any."""
    addresses = frozenset((endpoint.ip, endpoint.port) for endpoint in endpoints)
    if not addresses:
        return ""
    if affinity:
        _stick(plan, chain, protocol, sorted(addresses), affinity)
    else:
        _spread(plan, chain, protocol, addresses)
    return chain


def _spread(plan: Plan, chain: str, protocol: str, addresses: frozenset[Address]) -> None:
    plan.groups[chain] = Group(protocol, addresses)
    if protocol == "udp":
        plan.udp |= addresses


def _stick(plan: Plan, chain: str, protocol: str, addresses: list[Address], seconds: int) -> None:
    """An endpoint has a chain and a set of the clients that it had within the last `seconds`."""
    rules, turns = [], []
    for index, (ip, port) in enumerate(addresses):
        own, clients = f"{chain}/{ip}.{port}", f"sticky{seconds}-{chain}/{ip}.{port}"
        plan.sticky[clients] = seconds
        plan.chains[own] = (
            f"update @{clients} {{ ip saddr }}",
            f"meta l4proto {protocol} dnat to {ip}:{port}",
        )
        rules.append(f"ip saddr @{clients} goto {own}")
        turns.append(f"{index} : goto {own}")
    rules.append(f"numgen inc mod {len(turns)} vmap {{ {', '.join(turns)} }}")
    plan.chains[chain] = tuple(rules)
    if protocol == "udp":
        plan.udp.update(addresses)


def _public_ips(service: Obj) -> list[str]:
    """Addresses beside the cluster's own that lead to the service."""
    ips = list(service["spec"].get("externalIPs") or ())
    for ingress in ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ():
        if ingress.get("ip") and ingress.get("ipMode", "VIP") == "VIP":
            ips.append(ingress["ip"])
    return [ip for ip in ips if is_ipv4(ip)]


def _is_external(service: Obj) -> bool:
    return service["spec"].get("type") in ("NodePort", "LoadBalancer") or bool(_public_ips(service))


def _expose(plan: Plan, service: Obj, port: Obj, protocol: str, chain: str) -> None:
    """Node port, external and load balancer addresses lead to `chain`; "" means that nobody is there."""
    if port.get("nodePort") and chain:
        plan.elements[Element(base.NODE_PORTS, f"{protocol} . {port['nodePort']}")] = f"goto {chain}"
    for ip in _public_ips(service):
        key = f"{ip} . {protocol} . {port['port']}"
        if chain:
            plan.elements[Element(base.SERVICES, key)] = f"goto {chain}"
        else:
            plan.elements[Element(base.REFUSED, key)] = ""
