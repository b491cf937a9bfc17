"""From one Service and its EndpointSlices to what the table must hold for it. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from podium.api.types import Obj
from podium.netd.config import NetConfig
from podium.netd.hostports import HostPort
from podium.netd.services import base
from podium.netd.services.endpoints import Endpoint, endpoints_of, is_ipv4, nearest, usable

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


class Health(NamedTuple):
    """What a load balancer's probe of `port` is told: how many endpoints are ready on this node."""

    port: int
    endpoints: int


@dataclass
class Plan:
    """`elements` maps to the value, "" in a set. `groups` and `chains` map the name of a chain to what it
    holds; `sticky` maps the name of a set of clients to its timeout in seconds. `udp` are the endpoints that
    get datagrams. `health` is None for a service that nobody probes."""

    elements: dict[Element, str] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    chains: dict[str, tuple[str, ...]] = field(default_factory=dict)
    sticky: dict[str, int] = field(default_factory=dict)
    udp: set[Address] = field(default_factory=set)
    health: Health | None = None


class Planner:
    """What a plan depends on besides the service: the node that it is made for, in `zone` ("" for none)."""

    def __init__(self, config: NetConfig, zone: str = "") -> None:
        self._node, self._bridge = config.node_name, config.bridge
        self.zone = zone
        self._pods = ipaddress.IPv4Network(config.cluster_cidr)

    def service(self, service: Obj, slices: Iterable[Obj]) -> Plan:
        plan = Plan()
        spec = service.get("spec") or {}
        if not _proxied(service, spec):
            return plan
        slices = list(slices)
        here: set[str] = set()
        for port in spec.get("ports") or ():
            found = list(endpoints_of(slices, port, self._node))
            here |= {endpoint.ip for endpoint in found if endpoint.local and endpoint.ready}
            self._port(plan, service, port, found)
        if spec.get("healthCheckNodePort"):
            plan.health = Health(spec["healthCheckNodePort"], len(here))
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

    def _port(self, plan: Plan, service: Obj, port: Obj, found: list[Endpoint]) -> None:
        spec, meta = service["spec"], service["metadata"]
        protocol, number = (port.get("protocol") or "TCP").lower(), port["port"]
        name = f"{meta['namespace']}/{meta['name']}/{protocol}-{number}"
        affinity = _affinity(spec)
        internal_local = spec.get("internalTrafficPolicy") == "Local"
        external_local = spec.get("externalTrafficPolicy") == "Local"
        near = nearest(usable(found), self._node, self.zone)
        cluster = _balance(plan, f"svc-{name}", protocol, near, affinity)
        local = ""
        if internal_local or external_local:
            here = usable(endpoint for endpoint in found if endpoint.local)
            local = _balance(plan, f"loc-{name}", protocol, here, affinity)
        internal = local if internal_local else cluster
        if internal:
            for ip in _cluster_ips(spec):
                plan.elements[Element(base.SERVICES, f"{ip} . {protocol} . {number}")] = f"goto {internal}"
        external = cluster
        if cluster and external_local and _is_external(service):
            external = f"ext-{name}"
            plan.chains[external] = self._strangers_stay(cluster, local)
        if port.get("nodePort") and external:
            plan.elements[Element(base.NODE_PORTS, f"{protocol} . {port['nodePort']}")] = f"goto {external}"
        for kind, ips, ranges in _public(service):
            if not ips:
                continue
            way = _guarded(plan, f"{kind}-{name}", external, ranges, strict=external != cluster)
            for ip in ips:
                _lead(plan, f"{ip} . {protocol} . {number}", way)
        self._paths(plan, protocol, found)

    def _strangers_stay(self, cluster: str, local: str) -> tuple[str, ...]:
        """The node's own clients and its pods may go anywhere; strangers, other nodes and their pods too,
        stay on this node, so that their address is kept."""
        rules = (f'iifname "{self._bridge}" goto {cluster}', f"fib saddr type local goto {cluster}")
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


def _load_balancer_ips(service: Obj) -> list[str]:
    """Those whose packets come with this address."""
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    found = (entry.get("ip") or "" for entry in ingress if entry.get("ipMode", "VIP") == "VIP")
    return [ip for ip in found if is_ipv4(ip)]


def _external_ips(service: Obj) -> list[str]:
    return [ip for ip in service["spec"].get("externalIPs") or () if is_ipv4(ip)]


def _is_external(service: Obj) -> bool:
    kind = service["spec"].get("type")
    return kind in ("NodePort", "LoadBalancer") or bool(_external_ips(service))


def _public(service: Obj) -> list[tuple[str, list[str], list[str] | None]]:
    """(kind, addresses beside the cluster's own that lead to the service, whose packets may use them: None
    for everybody's)."""
    return [
        ("lb", _load_balancer_ips(service), _source_ranges(service["spec"])),
        ("eip", _external_ips(service), None),
    ]


def _source_ranges(spec: Obj) -> list[str] | None:
    listed = spec.get("loadBalancerSourceRanges")
    if not listed:
        return None
    parsed = (ipaddress.ip_network(text.strip(), strict=False) for text in listed)
    ranges = ipaddress.collapse_addresses(one for one in parsed if isinstance(one, ipaddress.IPv4Network))
    found = [str(one) for one in ranges]
    return None if found == ["0.0.0.0/0"] else found


def _guarded(plan: Plan, name: str, chain: str, ranges: list[str] | None, *, strict: bool) -> str:
    """The chain that leads to `chain` whom it may; "" if nobody is there. `strict`: what `chain` does not
    take must not go on to what else has the address."""
    if not chain or (ranges is None and not strict):
        return chain
    rules = []
    if ranges is not None:
        rules.append(f"ip saddr != {{ {', '.join(ranges)} }} drop" if ranges else "drop")
    rules += [f"jump {chain}", "drop"] if strict else [f"goto {chain}"]
    plan.chains[name] = tuple(rules)
    return name


def _lead(plan: Plan, key: str, chain: str) -> None:
    if chain:
        plan.elements[Element(base.SERVICES, key)] = f"goto {chain}"
    else:
        plan.elements[Element(base.REFUSED, key)] = ""
