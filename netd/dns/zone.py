"""The names of a cluster, by the Kubernetes DNS specification 1.1.0. Pure: what is asked of `Cluster` decides
the answer.

SERVICE.NS.svc.ZONE                      A     the cluster IP; headless: every ready endpoint
HOST.SERVICE.NS.svc.ZONE                 A     one endpoint, by its hostname or its address with dashes
_PORT._PROTO.SERVICE.NS.svc.ZONE         SRV   the named port; headless: once per endpoint
1-2-3-4.NS.pod.ZONE                      A     the address itself
dns-version.ZONE                         TXT
4.3.2.1.in-addr.arpa                     PTR   of a cluster IP, or of an endpoint that has a name
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from podium.api.types import Obj
from podium.netd.dns import wire
from podium.netd.dns.wire import Record

TTL = 5
SPECIFICATION = "1.1.0"
WEIGHT = 100


class Cluster(Protocol):
    """What the zone needs to know; asked anew for every answer."""

    def service(self, namespace: str, name: str) -> Obj | None: ...

    def slices(self, namespace: str, service: str) -> Iterable[Obj]: ...

    def has_namespace(self, namespace: str) -> bool:
        """Whether there is any service in it."""
        ...

    def services_at(self, ip: str) -> Iterable[Obj]: ...

    def slices_at(self, ip: str) -> Iterable[Obj]: ...


@dataclass
class Answer:
    """`follow` is a name outside of the cluster whose addresses belong behind `records`."""

    rcode: int = wire.NOERROR
    records: list[Record] = field(default_factory=list)
    additional: list[Record] = field(default_factory=list)
    authority: list[Record] = field(default_factory=list)
    follow: str = ""


class Port(NamedTuple):
    name: str
    protocol: str
    number: int


class Named(NamedTuple):
    """An endpoint with the label that it has below its service."""

    label: str
    ip: str
    ports: tuple[Port, ...]


class Zone:
    def __init__(self, domain: str, ranges: Iterable[str], cluster: Cluster) -> None:
        self._domain = domain
        self._suffix = "." + domain
        self._cluster = cluster
        self._ranges = [ipaddress.IPv4Network(cidr) for cidr in ranges]

    def answer(self, name: str, kind: int) -> Answer | None:
        """None for a name that is not the cluster's to know."""
        if name == self._domain:
            return self._apex(kind)
        if name.endswith(self._suffix):
            found = self._inside(name, name[: -len(self._suffix)].split("."), kind)
        elif name.endswith(".in-addr.arpa"):
            reverse = self._reverse(name, kind)
            if reverse is None:
                return None
            found = reverse
        else:
            return None
        if not found.records:
            found.authority.append(self._soa())
        return found

    def _soa(self) -> Record:
        return wire.soa(self._domain, TTL, f"ns.dns{self._suffix}", f"hostmaster{self._suffix}", 1)

    def _apex(self, kind: int) -> Answer:
        if kind == wire.SOA:
            return Answer(records=[self._soa()])
        if kind == wire.NS:
            return Answer(records=[wire.pointer(self._domain, wire.NS, TTL, f"ns.dns{self._suffix}")])
        return Answer(authority=[self._soa()])

    def _inside(self, name: str, labels: list[str], kind: int) -> Answer:
        match labels:
            case ["dns-version"]:
                return Answer(
                    records=[wire.txt(name, TTL, SPECIFICATION)] if kind in (wire.TXT, wire.ANY) else []
                )
            case ["svc"] | ["pod"] | ["dns"] | ["ns", "dns"]:
                return Answer()
            case [namespace, "svc" | "pod"]:
                return Answer() if self._cluster.has_namespace(namespace) else _missing()
            case [address, _, "pod"]:
                return _pod(name, address, kind)
            case [*rest, service, namespace, "svc"]:
                return self._service(name, kind, rest, service, namespace)
        return _missing()

    def _service(self, name: str, kind: int, rest: list[str], service_name: str, namespace: str) -> Answer:
        service = self._cluster.service(namespace, service_name)
        if service is None:
            return _missing()
        spec = service.get("spec") or {}
        own = f"{service_name}.{namespace}.svc{self._suffix}"
        if spec.get("type") == "ExternalName":
            return self._external(name, kind, spec) if not rest else _missing()
        if len(rest) == 2 and rest[0].startswith("_") and rest[1].startswith("_"):
            return self._ports(name, kind, service, own, rest[0][1:], rest[1][1:])
        if len(rest) == 1 and not rest[0].startswith("_"):
            found = [one for one in self._named(service) if one.label == rest[0]]
            if not found:
                return _missing()
            return _addresses(name, kind, (one.ip for one in found))
        if rest:
            return _missing()
        if kind == wire.SRV:
            return self._ports(name, kind, service, own, "", "")
        if _headless(spec):
            endpoints = list(self._named(service))
            return _addresses(name, kind, (one.ip for one in endpoints)) if endpoints else _missing()
        return _addresses(name, kind, _cluster_ips(spec))

    def _external(self, name: str, kind: int, spec: Obj) -> Answer:
        """A CNAME, and what it leads to."""
        target = str(spec.get("externalName") or "").rstrip(".").lower()
        try:
            alias = wire.pointer(name, wire.CNAME, TTL, target)
        except wire.WireError:
            return _missing()
        if kind not in (wire.A, wire.AAAA):
            return Answer(records=[alias] if kind in (wire.CNAME, wire.ANY) else [])
        if target == name or self._is_external_name(target):
            return Answer(records=[alias])
        beyond = self.answer(target, kind)
        if beyond is None:
            return Answer(records=[alias], follow=target)
        return Answer(records=[alias, *beyond.records], follow=beyond.follow)

    def _is_external_name(self, name: str) -> bool:
        """Whether a name is again one of ours that leads elsewhere: these are not followed, so that there is
        no circle."""
        labels = name.removesuffix(self._suffix).split(".")
        if not name.endswith(self._suffix) or len(labels) != 3 or labels[2] != "svc":
            return False
        service = self._cluster.service(labels[1], labels[0])
        return service is not None and (service.get("spec") or {}).get("type") == "ExternalName"

    def _ports(self, name: str, kind: int, service: Obj, own: str, port_name: str, protocol: str) -> Answer:
        """SRV records; with port_name "", those of all ports."""
        answer = Answer()
        spec = service["spec"]
        if _headless(spec):
            targets = [(f"{one.label}.{own}", one.ip, one.ports) for one in self._named(service)]
        else:
            ports = tuple(_port(port, "port") for port in spec.get("ports") or ())
            targets = [(own, ip, ports) for ip in _cluster_ips(spec)]
        for target, ip, ports in targets:
            found = [
                port for port in ports if not port_name or (port.name, port.protocol) == (port_name, protocol)
            ]
            answer.records += [wire.srv(name, TTL, WEIGHT, port.number, target) for port in found]
            if found:
                answer.additional.append(wire.a(target, TTL, ip))
        if not answer.records:
            return _missing()
        return answer if kind in (wire.SRV, wire.ANY) else Answer()

    def _named(self, service: Obj) -> Iterator[Named]:
        meta = service["metadata"]
        seen = set()
        for slice_ in self._cluster.slices(meta["namespace"], meta["name"]):
            for one in _endpoints(slice_):
                if (one.label, one.ip, one.ports) not in seen:
                    seen.add((one.label, one.ip, one.ports))
                    yield one

    def _reverse(self, name: str, kind: int) -> Answer | None:
        parts = name.removesuffix(".in-addr.arpa").split(".")
        try:
            ip = ipaddress.IPv4Address(".".join(reversed(parts)))
        except ValueError:
            return None
        targets = list(self._names_of(str(ip)))
        if not targets:
            return _missing() if any(ip in network for network in self._ranges) else None
        if kind not in (wire.PTR, wire.ANY):
            return Answer()
        return Answer(records=[wire.pointer(name, wire.PTR, TTL, target) for target in targets])

    def _names_of(self, ip: str) -> Iterator[str]:
        for service in self._cluster.services_at(ip):
            meta = service["metadata"]
            yield f"{meta['name']}.{meta['namespace']}.svc{self._suffix}"
        for slice_ in self._cluster.slices_at(ip):
            yield from self._endpoint_names(slice_, ip)

    def _endpoint_names(self, slice_: Obj, ip: str) -> Iterator[str]:
        meta = slice_["metadata"]
        name = (meta.get("labels") or {}).get("kubernetes.io/service-name", "")
        service = self._cluster.service(meta["namespace"], name)
        if service is None:
            return
        for endpoint in slice_.get("endpoints") or ():
            if ip not in (endpoint.get("addresses") or ()):
                continue
            if endpoint.get("hostname") or _headless(service.get("spec") or {}):
                label = endpoint.get("hostname") or ip.replace(".", "-")
                yield f"{label}.{name}.{meta['namespace']}.svc{self._suffix}"


def _missing() -> Answer:
    return Answer(wire.NXDOMAIN)


def _headless(spec: Obj) -> bool:
    return spec.get("clusterIP") == "None"


def _cluster_ips(spec: Obj) -> list[str]:
    ips = spec.get("clusterIPs") or [spec.get("clusterIP") or ""]
    return [ip for ip in ips if ip and ip != "None" and ":" not in ip]


def _port(port: Obj, number: str) -> Port:
    return Port(port.get("name") or "", (port.get("protocol") or "TCP").lower(), port.get(number) or 0)


def _endpoints(slice_: Obj) -> Iterator[Named]:
    if slice_.get("addressType") != "IPv4":
        return
    ports = tuple(_port(port, "port") for port in slice_.get("ports") or ())
    for endpoint in slice_.get("endpoints") or ():
        if (endpoint.get("conditions") or {}).get("ready") is False:
            continue
        for ip in endpoint.get("addresses") or ():
            yield Named((endpoint.get("hostname") or ip.replace(".", "-")).lower(), ip, ports)


def _addresses(name: str, kind: int, ips: Iterable[str]) -> Answer:
    if kind not in (wire.A, wire.ANY):
        return Answer()
    return Answer(records=[wire.a(name, TTL, ip) for ip in dict.fromkeys(ips)])


def _pod(name: str, address: str, kind: int) -> Answer:
    try:
        ip = str(ipaddress.IPv4Address(address.replace("-", ".")))
    except ValueError:
        return _missing()
    return _addresses(name, kind, [ip])
