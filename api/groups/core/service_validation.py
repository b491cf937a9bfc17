"""What a Service must keep to. Source: API reference, core/v1 ServiceSpec; messages as upstream's."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, metadata, names, values

TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
AFFINITIES = ("ClientIP", "None")
FAMILIES = ("IPv4", "IPv6")
POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
TRAFFIC = ("Cluster", "Local")
DISTRIBUTIONS = ("PreferClose", "PreferSameZone", "PreferSameNode")
MAX_AFFINITY_SECONDS = 86400
HINTS, TOPOLOGY = "service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode"
SOURCE_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"


def is_external(spec: Obj) -> bool:
    """Whether a Service can be reached from outside the cluster."""
    kind = spec.get("type")
    return kind in ("LoadBalancer", "NodePort") or (kind == "ClusterIP" and bool(spec.get("externalIPs")))


def is_headless(spec: Obj) -> bool:
    return (spec.get("clusterIPs") or [spec.get("clusterIP")]) == ["None"]


def check(service: Obj) -> list[Cause]:
    spec = service["spec"]
    found = _topology(service["metadata"].get("annotations") or {})
    if not spec.get("ports") and not is_headless(spec) and spec.get("type") != "ExternalName":
        found.append(causes.required("spec.ports"))
    found += _kind(spec)
    ports = spec.get("ports") or ()
    taken: set[str] = set()
    for index, port in enumerate(ports):
        found += _port(port, len(ports) > 1, taken, f"spec.ports[{index}]")
    found += metadata.check_labels(spec.get("selector"), "spec.selector")
    found += _affinity(spec)
    found += _addresses(spec)
    for index, address in enumerate(spec.get("externalIPs") or ()):
        found += reachable_address(address, f"spec.externalIPs[{index}]")
    found += values.one_of(spec.get("type"), "spec.type", TYPES)
    found += _port_numbers(spec)
    found += _load_balancer(spec)
    if not spec.get("loadBalancerSourceRanges"):
        found += _annotated_ranges(service)
    return found + _traffic(spec)


def _topology(annotations: Mapping[str, str]) -> list[Cause]:
    """The older and the newer name of one setting say the same."""
    older, newer = annotations.get(HINTS), annotations.get(TOPOLOGY)
    if older is None or newer is None or older == newer:
        return []
    detail = f"must match annotations[{HINTS}] when both are specified"
    return [causes.invalid(f"metadata.annotations[{TOPOLOGY}]", newer, detail)]


def _annotated_ranges(service: Obj) -> list[Cause]:
    text = (service["metadata"].get("annotations") or {}).get(SOURCE_RANGES)
    if text is None:
        return []
    path, found = f"metadata.annotations[{SOURCE_RANGES}]", []
    if service["spec"].get("type") != "LoadBalancer":
        found.append(causes.forbidden(path, "may only be used when `type` is 'LoadBalancer'"))
    for part in text.split(",") if text.strip() else ():
        found += values.cidr(part.strip(), path)
    return found


def _kind(spec: Obj) -> list[Cause]:
    kind = spec.get("type")
    if kind in ("LoadBalancer", "NodePort") and is_headless(spec):
        detail = f"may not be set to 'None' for {kind} services"
        return [causes.invalid("spec.clusterIPs[0]", "None", detail)]
    if kind != "ExternalName":
        return []
    detail = "may not be set for ExternalName services"
    keys = ("clusterIPs", "ipFamilies", "ipFamilyPolicy")
    found = [causes.forbidden(f"spec.{key}", detail) for key in keys if spec.get(key)]
    name = spec.get("externalName", "").removesuffix(".")
    if not name:
        return [*found, causes.required("spec.externalName")]
    return found + values.named(name, "spec.externalName", names.dns_subdomain)


def _port(port: Obj, named: bool, taken: set[str], path: str) -> list[Cause]:
    name, found = port.get("name", ""), []
    if name:
        found += values.named(name, f"{path}.name", names.dns_label)
        if name in taken:
            found.append(causes.duplicate(f"{path}.name", name))
        taken.add(name)
    elif named:
        found.append(causes.required(f"{path}.name"))
    found += values.port(port.get("port", 0), f"{path}.port")
    found += values.one_of(port.get("protocol"), f"{path}.protocol", values.PROTOCOLS)
    found += values.port_or_name(port.get("targetPort"), f"{path}.targetPort")
    if port.get("appProtocol") is not None:
        found += values.named(port["appProtocol"], f"{path}.appProtocol", names.qualified)
    return found


def _affinity(spec: Obj) -> list[Cause]:
    found = values.one_of(spec.get("sessionAffinity"), "spec.sessionAffinity", AFFINITIES)
    if spec.get("sessionAffinity") == "ClientIP":
        client = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
        seconds = client.get("timeoutSeconds", 0)
        if not 0 < seconds <= MAX_AFFINITY_SECONDS:
            detail = f"must be greater than 0 and less than {MAX_AFFINITY_SECONDS}"
            path = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
            found.append(causes.invalid(path, seconds, detail))
    return found


def _addresses(spec: Obj) -> list[Cause]:
    if spec.get("type") == "ExternalName":
        return []
    one, many = spec.get("clusterIP"), spec.get("clusterIPs") or []
    found: list[Cause] = []
    if one and not many:
        found.append(causes.required("spec.clusterIPs"))
    elif one and many[0] != one:
        found.append(causes.invalid("spec.clusterIPs", many, "first value must match `clusterIP`"))
    elif not one and many:
        detail = "must be empty when `clusterIP` is not specified"
        found.append(causes.invalid("spec.clusterIPs", many, detail))
    found += _families(spec)
    if "None" in many:
        if many != ["None"]:
            detail = "'None' must be the first and only value"
            found.append(causes.invalid("spec.clusterIPs", many, detail))
        return found
    wrong = [
        cause
        for index, address in enumerate(many)
        for cause in values.address(address, f"spec.clusterIPs[{index}]")
    ]
    found += wrong
    if len(many) > 2:
        found.append(causes.invalid("spec.clusterIPs", many, "may only hold up to 2 values"))
    return found if wrong else found + _address_families(many, spec.get("ipFamilies") or ())


def _address_families(addresses: Sequence[str], families: Sequence[str]) -> list[Cause]:
    found: list[Cause] = []
    if len(addresses) > 1 and len({":" in address for address in addresses}) < 2:
        detail = "may specify no more than one IP for each IP family"
        found.append(causes.invalid("spec.clusterIPs", addresses, detail))
    for index, (address, family) in enumerate(zip(addresses, families, strict=False)):
        if family in FAMILIES and (":" in address) != (family == "IPv6"):
            detail = f"expected an {family} value as indicated by `ipFamilies[{index}]`"
            found.append(causes.invalid(f"spec.clusterIPs[{index}]", address, detail))
    return found


def _families(spec: Obj) -> list[Cause]:
    """Families as such, and those that this cluster (IPv4 alone) does not have."""
    families, policy = spec.get("ipFamilies") or [], spec.get("ipFamilyPolicy")
    found: list[Cause] = []
    for index, family in enumerate(families):
        if family not in FAMILIES:
            found.append(causes.not_supported(f"spec.ipFamilies[{index}]", family, FAMILIES))
    found += values.duplicates(families, "spec.ipFamilies")
    found += values.optional_one_of(policy, "spec.ipFamilyPolicy", POLICIES)
    if is_headless(spec) and not spec.get("selector"):
        return found
    if policy == "SingleStack":
        for key, text in (("clusterIPs", "cluster IPs"), ("ipFamilies", "IP families")):
            if len(spec.get(key) or ()) == 2:
                detail = f"must be 'RequireDualStack' or 'PreferDualStack' when multiple {text} are specified"
                found.append(causes.invalid("spec.ipFamilyPolicy", policy, detail))
    if policy == "RequireDualStack":
        detail = "this cluster is not configured for dual-stack services"
        found.append(causes.invalid("spec.ipFamilyPolicy", policy, detail))
    for index, family in enumerate(families):
        if family == "IPv6":
            found.append(
                causes.invalid(f"spec.ipFamilies[{index}]", family, "not configured on this cluster")
            )
    return found


def _port_numbers(spec: Obj) -> list[Cause]:
    found: list[Cause] = []
    node_ports: set[Any] = set()
    ports: set[Any] = set()
    for index, port in enumerate(spec.get("ports") or ()):
        path, protocol = f"spec.ports[{index}]", port.get("protocol")
        if node_port := port.get("nodePort"):
            if spec.get("type") == "ClusterIP":
                detail = "may not be used when `type` is 'ClusterIP'"
                found.append(causes.forbidden(f"{path}.nodePort", detail))
            if (protocol, node_port) in node_ports:
                found.append(causes.duplicate(f"{path}.nodePort", node_port))
            node_ports.add((protocol, node_port))
        if (protocol, port.get("port")) in ports:
            found.append(causes.duplicate(path, _shown(protocol, port.get("port"))))
        ports.add((protocol, port.get("port")))
    return found


def _shown(protocol: str | None, port: int | None) -> Obj:
    """A port with nothing but these, as upstream shows it."""
    kept = {"Name": "", "Protocol": protocol, "AppProtocol": None, "Port": port}
    return {**kept, "TargetPort": 0, "NodePort": 0}


def _load_balancer(spec: Obj) -> list[Cause]:
    if spec.get("type") == "LoadBalancer":
        found: list[Cause] = []
        for index, text in enumerate(spec.get("loadBalancerSourceRanges") or ()):
            found += values.cidr(text.strip(), f"spec.LoadBalancerSourceRanges[{index}]")
        if spec.get("loadBalancerClass") is not None:
            found += values.named(spec["loadBalancerClass"], "spec.loadBalancerClass", names.qualified)
        return found
    detail = "may only be used when `type` is 'LoadBalancer'"
    fields = (
        ("loadBalancerSourceRanges", "LoadBalancerSourceRanges"), ("loadBalancerClass", "loadBalancerClass"),
        ("allocateLoadBalancerNodePorts", "allocateLoadBalancerNodePorts"),
    )  # fmt: skip
    return [
        causes.forbidden(f"spec.{shown}", detail) for key, shown in fields if spec.get(key) not in (None, [])
    ]


def _traffic(spec: Obj) -> list[Cause]:
    policy = spec.get("externalTrafficPolicy")
    found: list[Cause] = []
    if is_external(spec):
        found += values.one_of(policy, "spec.externalTrafficPolicy", TRAFFIC)
    elif policy:
        detail = "may only be set for externally-accessible services"
        found.append(causes.invalid("spec.externalTrafficPolicy", policy, detail))
    health = spec.get("healthCheckNodePort")
    if health and not _is_probed(spec):
        detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        found.append(causes.invalid("spec.healthCheckNodePort", health, detail))
    elif health:
        found += values.port(health, "spec.healthCheckNodePort")
    internal = spec.get("internalTrafficPolicy")
    found += values.optional_one_of(internal, "spec.internalTrafficPolicy", TRAFFIC)
    distribution = spec.get("trafficDistribution")
    return found + values.optional_one_of(distribution, "spec.trafficDistribution", DISTRIBUTIONS)


def check_update(new: Obj, old: Obj) -> list[Cause]:
    """What stays: the primary address (others may come and go), and what a load balancer was made by and is
    probed at."""
    found = _address_update(new, old)
    spec, former = new["spec"], old["spec"]
    if spec.get("type") == former.get("type") == "LoadBalancer":
        wanted = spec.get("loadBalancerClass")
        if wanted != former.get("loadBalancerClass"):
            found.append(causes.invalid("spec.loadBalancerClass", wanted, "may not change once set"))
        if _is_probed(spec) and _is_probed(former):
            port = spec.get("healthCheckNodePort")
            if port and port != former.get("healthCheckNodePort"):
                found.append(causes.forbidden("spec.healthCheckNodePort", "field is immutable"))
    return found


def _is_probed(spec: Obj) -> bool:
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def _address_update(new: Obj, old: Obj) -> list[Cause]:
    spec, former = new["spec"], old["spec"]
    if "ExternalName" in (spec.get("type"), former.get("type")) or (
        is_headless(spec) and is_headless(former)
    ):
        return []
    now, before = spec.get("clusterIPs") or [], former.get("clusterIPs") or []
    found = _kept(now, before, "clusterIPs", spec)
    if is_headless(spec) or is_headless(former):
        return found
    return found + _kept(spec.get("ipFamilies") or [], former.get("ipFamilies") or [], "ipFamilies", spec)


def _kept(now: list[str], before: list[str], key: str, spec: Obj) -> list[Cause]:
    """The first of a Service's addresses or families stays, the second may come and, of a Service that says
    so, go."""
    path, families = f"spec.{key}", key == "ipFamilies"
    detail = "may not change once set"
    if len(now) == len(before):
        pairs = enumerate(zip(before, now, strict=True))
        return [
            causes.invalid(f"{path}[{0 if families else index}]", now, detail)
            for index, (old, new) in pairs
            if old != new
        ]
    shown = (spec.get("clusterIPs") or None) if families else now
    found: list[Cause] = []
    if before and not now:
        what = "ipFamily" if families else "clusterIP"
        found.append(causes.invalid(f"{path}[0]", None, f"primary {what} can not be unset"))
    if before and now and now[0] != before[0]:
        found.append(causes.invalid(f"{path}[0]", shown, detail))
    policy = spec.get("ipFamilyPolicy")
    if len(before) > len(now) == 1 and policy != "SingleStack":
        what = "ipFamily" if families else "clusterIP"
        detail = f"must be set to 'SingleStack' when releasing the secondary {what}"
        found.append(causes.invalid("spec.ipFamilyPolicy", policy, detail))
    return found


def warnings(service: Obj) -> list[str]:
    """What of an accepted Service has no effect, or will have none."""
    spec, found = service["spec"], []
    if HINTS in (service["metadata"].get("annotations") or {}):
        found.append(f"annotation {HINTS} is deprecated, please use {TOPOLOGY} instead")
    if is_headless(spec):
        ignored = (
            ("loadBalancerIP", spec.get("loadBalancerIP")), ("externalIPs", spec.get("externalIPs")),
            ("SessionAffinity", spec.get("sessionAffinity", "None") != "None"),
        )  # fmt: skip
        found += [f"spec.{key} is ignored for headless services" for key, given in ignored if given]
    if spec.get("externalIPs"):
        found.append("spec.externalIPs is deprecated and may no longer be implemented in some clusters")
    if spec.get("type") == "ExternalName":
        if spec.get("externalIPs"):
            found.append('spec.externalIPs is ignored when spec.type is "ExternalName"')
    elif spec.get("externalName"):
        found.append('spec.externalName is ignored when spec.type is not "ExternalName"')
    return found


def check_status(service: Obj) -> list[Cause]:
    """Where a load balancer says it is."""
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    where = "status.loadBalancer.ingress"
    if ingress and service["spec"].get("type") != "LoadBalancer":
        return [causes.forbidden(where, "may only be used when `spec.type` is 'LoadBalancer'")]
    found: list[Cause] = []
    for index, entry in enumerate(ingress):
        found += _ingress(entry, f"{where}[{index}]")
    return found


def _ingress(entry: Obj, path: str) -> list[Cause]:
    found: list[Cause] = []
    ip, mode = entry.get("ip"), entry.get("ipMode")
    if mode is None and ip:
        found.append(causes.required(f"{path}.ipMode", "must be specified when `ip` is set"))
    elif mode is not None and not ip:
        found.append(causes.forbidden(f"{path}.ipMode", "may not be specified when `ip` is not set"))
    elif mode is not None:
        found += values.one_of(mode, f"{path}.ipMode", ("Proxy", "VIP"))
    told = reached_at(entry, path)
    # The address is looked at before how it is used, the name after.
    split = sum(cause.field == f"{path}.ip" for cause in told)
    return told[:split] + found + told[split:]


def reached_at(entry: Obj, path: str) -> list[Cause]:
    """The address and the name that a load balancer has."""
    found: list[Cause] = []
    ip, host = entry.get("ip"), entry.get("hostname")
    if ip:
        found += values.address(ip, f"{path}.ip")
    if host:
        found += values.named(host, f"{path}.hostname", names.dns_subdomain)
        if values.is_address(host):
            found.append(causes.invalid(f"{path}.hostname", host, "must be a DNS name, not an IP address"))
    return found


def reachable_address(address: str, path: str) -> list[Cause]:
    """An address that traffic may be sent to: of no special kind."""
    found = values.address(address, path)
    if found:
        return found
    parsed = ipaddress.ip_address(address)
    if parsed.is_unspecified:
        found.append(causes.invalid(path, address, f"may not be unspecified ({address})"))
    if parsed.is_loopback:
        found.append(causes.invalid(path, address, "may not be in the loopback range (127.0.0.0/8, ::1/128)"))
    if parsed.is_link_local:
        detail = "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
        found.append(causes.invalid(path, address, detail))
    if address.startswith("224.0.0."):
        detail = "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
        found.append(causes.invalid(path, address, detail))
    return found
