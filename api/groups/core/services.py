"""Services."""

from __future__ import annotations

from datetime import datetime
from types import MappingProxyType
from typing import Any

from podium.api.allocators import needs_health_check, ports_of
from podium.api.groups import cells
from podium.api.groups.core import service_validation
from podium.api.strategy import Strategy, same
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import names

AFFINITY_SECONDS = 10800
WITH_ADDRESS = ("ClusterIP", "NodePort", "LoadBalancer")
WITH_PORTS = ("NodePort", "LoadBalancer")


class Services(Strategy):
    """`allocators` gives addresses and node ports; without it none are given (for tools that only want to
    validate)."""

    allow_create_on_update = True
    name_rule = staticmethod(names.dns_label)
    columns = cells.table("Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "Selector:string:1")
    fields = same("spec.clusterIP", "spec.type")
    first_status = MappingProxyType({"loadBalancer": {}})
    status_keeps = ()

    def default(self, obj: Obj) -> None:
        spec = obj.setdefault("spec", {})
        spec["type"] = spec.get("type") or "ClusterIP"
        _default_affinity(spec)
        for port in spec.get("ports") or ():
            port.setdefault("protocol", "TCP")
            if port.get("targetPort") in (None, 0, ""):
                port["targetPort"] = port.get("port", 0)
        if service_validation.is_external(spec):
            spec.setdefault("externalTrafficPolicy", "Cluster")
        if spec["type"] in WITH_ADDRESS:
            spec.setdefault("internalTrafficPolicy", "Cluster")
        if spec["type"] == "LoadBalancer":
            spec.setdefault("allocateLoadBalancerNodePorts", True)
            for entry in ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ():
                if entry.get("ip"):
                    entry.setdefault("ipMode", "VIP")

    def prepare_create(self, obj: Obj) -> None:
        super().prepare_create(obj)
        spec = obj["spec"]
        if spec.get("clusterIP") and not spec.get("clusterIPs"):
            spec["clusterIPs"] = [spec["clusterIP"]]
        _default_families(spec, None)

    def prepare_update(self, new: Obj, old: Obj) -> None:
        super().prepare_update(new, old)
        wanted, former = new["spec"], old["spec"]
        _normalize_addresses(wanted, former)
        _patch_allocated(new, old)
        _drop_unused(new, old)
        _default_families(wanted, former)

    def prepare_status(self, new: Obj, old: Obj) -> None:
        super().prepare_status(new, old)
        new.setdefault("status", {}).setdefault("loadBalancer", {})

    def check(self, obj: Obj) -> list[Cause]:
        return service_validation.check(obj)

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        return service_validation.check_update(new, old) + service_validation.check(new)

    def check_status(self, new: Obj, old: Obj) -> list[Cause]:
        return service_validation.check_status(new)

    def warnings(self, obj: Obj) -> list[str]:
        return service_validation.warnings(obj)

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        spec = obj["spec"]
        addresses = spec.get("clusterIPs") or ()
        ports = ",".join(_port_text(port) for port in spec.get("ports") or ())
        return [
            obj["metadata"]["name"], spec.get("type", ""), addresses[0] if addresses else cells.NONE,
            _external(obj), ports or cells.NONE, cells.age(obj, now), cells.labels(spec.get("selector")),
        ]  # fmt: skip


def _default_affinity(spec: Obj) -> None:
    affinity = spec.setdefault("sessionAffinity", "None")
    if affinity == "None":
        spec.pop("sessionAffinityConfig", None)
    elif affinity == "ClientIP":
        client = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
        if client.get("timeoutSeconds") is None:
            spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": AFFINITY_SECONDS}}


def _default_families(spec: Obj, former: Obj | None) -> None:
    """The policy and the families of a Service that has an address. A headless one without a selector is open
    to both families, since its endpoints are not the cluster's."""
    if spec["type"] not in WITH_ADDRESS:
        return
    open_to_both = spec.get("clusterIP") == "None" and not spec.get("selector")
    if not spec.get("ipFamilyPolicy"):
        inherited = (former or {}).get("ipFamilyPolicy")
        spec["ipFamilyPolicy"] = inherited or ("RequireDualStack" if open_to_both else "SingleStack")
    if spec.get("ipFamilies"):
        families = list(spec["ipFamilies"])
    else:
        addresses = [text for text in spec.get("clusterIPs") or () if text != "None"]
        families = list(dict.fromkeys("IPv6" if ":" in text else "IPv4" for text in addresses)) or ["IPv4"]
    if open_to_both and spec["ipFamilyPolicy"] != "SingleStack" and len(families) == 1:
        families.append("IPv4" if families == ["IPv6"] else "IPv6")
    spec["ipFamilies"] = families


def _normalize_addresses(spec: Obj, former: Obj) -> None:
    """A client that knows only one of clusterIP and clusterIPs changes the other along."""
    one, many = spec.get("clusterIP"), spec.get("clusterIPs")
    if one and not many and not former.get("clusterIPs"):
        spec["clusterIPs"] = [one]
    if one == former.get("clusterIP"):
        return
    if many and many == former.get("clusterIPs"):
        if one:
            spec["clusterIPs"] = [one, *many[1:]]
        else:
            del spec["clusterIPs"]
    elif one and not many:
        spec["clusterIPs"] = [one]


def _patch_allocated(new: Obj, old: Obj) -> None:
    """A client that leaves out what was given to the Service keeps it."""
    spec, former = new["spec"], old["spec"]
    if spec["type"] in WITH_ADDRESS and former.get("type") in WITH_ADDRESS and former.get("clusterIP"):
        if not spec.get("clusterIP"):
            spec["clusterIP"] = former["clusterIP"]
        if not spec.get("clusterIPs") and spec["clusterIP"] == former["clusterIP"]:
            spec["clusterIPs"] = list(former.get("clusterIPs") or [spec["clusterIP"]])
    if spec["type"] in WITH_PORTS and former.get("type") in WITH_PORTS:
        used = ports_of(old) & ports_of(new)
        known = {port.get("name", ""): port.get("nodePort") for port in former.get("ports") or ()}
        for port in spec.get("ports") or ():
            number = known.get(port.get("name", ""))
            if not port.get("nodePort") and number and number not in used:
                port["nodePort"] = number
                used.add(number)
    if needs_health_check(new) and needs_health_check(old) and not spec.get("healthCheckNodePort"):
        spec["healthCheckNodePort"] = former.get("healthCheckNodePort", 0)


def _drop_unused(new: Obj, old: Obj) -> None:
    """A change of type drops what the new type has no use for, unless the client changed that too."""
    spec, former = new["spec"], old["spec"]
    if spec["type"] not in WITH_ADDRESS and former.get("type") in WITH_ADDRESS:
        if spec.get("clusterIP") == former.get("clusterIP"):
            spec.pop("clusterIP", None)
            spec.pop("clusterIPs", None)
        _drop_same(spec, former, "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy")
    if spec["type"] not in WITH_PORTS and former.get("type") in WITH_PORTS and _ports(spec) <= _ports(former):
        for port in spec.get("ports") or ():
            port.pop("nodePort", None)
    if not needs_health_check(new) and needs_health_check(old):
        _drop_same(spec, former, "healthCheckNodePort")
    if spec["type"] != "LoadBalancer":
        if former.get("type") == "LoadBalancer":
            _drop_same(spec, former, "allocateLoadBalancerNodePorts", "loadBalancerClass")
        new["status"] = {**(new.get("status") or {}), "loadBalancer": {}}
    if not service_validation.is_external(spec) and service_validation.is_external(former):
        _drop_same(spec, former, "externalTrafficPolicy")


def _ports(spec: Obj) -> set[int]:
    return {port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")}


def _drop_same(spec: Obj, former: Obj, *keys: str) -> None:
    for key in keys:
        if key in spec and spec[key] == former.get(key):
            del spec[key]


def _port_text(port: Obj) -> str:
    node = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{port.get('port')}{node}/{port.get('protocol')}"


def _external(obj: Obj) -> str:
    spec = obj["spec"]
    listed = list(spec.get("externalIPs") or ())
    match spec.get("type"):
        case "ExternalName":
            return str(spec.get("externalName", ""))
        case "LoadBalancer":
            return ",".join([*load_balancer(obj), *listed]) or "<pending>"
        case "ClusterIP" | "NodePort":
            return ",".join(listed) or cells.NONE
    return cells.UNKNOWN


def load_balancer(obj: Obj) -> list[str]:
    """Addresses and host names in a status with a load balancer."""
    ingress = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return sorted({entry.get("ip") or entry.get("hostname") or "" for entry in ingress} - {""})
