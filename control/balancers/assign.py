"""Which addresses a load balancer has, or why it has none. Pure. Source: core/v1 ServiceSpec and
LoadBalancerStatus."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from podium.api.types import Obj
from podium.api.types.meta import deleting, key_of

# The class of what is balanced here; Services without a class are, too.
CLASS = "podium.io/nodes"
EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"
GOING = "ToBeDeletedByClusterAutoscaler"
ANY = ("", "0.0.0.0", "::")


class Refused(Exception):
    """The load balancer cannot be; the text says why."""


def is_balanced(service: Obj) -> bool:
    spec = service["spec"]
    return spec.get("type") == "LoadBalancer" and spec.get("loadBalancerClass") in (None, "", CLASS)


def is_local(service: Obj) -> bool:
    return bool(service["spec"].get("externalTrafficPolicy") == "Local")


def ingress_of(service: Obj) -> list[Obj]:
    return ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []


def ports_of(service: Obj) -> list[str]:
    """What the load balancer takes of every node it is on, as "PORT/PROTOCOL"."""
    return [f"{port['port']}/{port.get('protocol') or 'TCP'}" for port in service["spec"].get("ports") or ()]


def claims_of(service: Obj) -> Iterator[str]:
    """Every port of the nodes that a Service takes, in whatever way."""
    spec = service["spec"]
    if is_balanced(service):
        yield from ports_of(service)
    for port in spec.get("ports") or ():
        if port.get("nodePort"):
            yield f"{port['nodePort']}/{port.get('protocol') or 'TCP'}"
    if spec.get("healthCheckNodePort"):
        yield f"{spec['healthCheckNodePort']}/TCP"


def host_ports_of(pod: Obj) -> Iterator[tuple[str, str]]:
    """(port of the node, address of the node that it is for: "" for any) of a pod that has a node."""
    if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed") or not pod["spec"].get("nodeName"):
        return
    spec = pod["spec"]
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        for port in container.get("ports") or ():
            if port.get("hostPort"):
                host = port.get("hostIP") or ""
                yield f"{port['hostPort']}/{port.get('protocol') or 'TCP'}", "" if host in ANY else host


def own_ports(nodes: Iterable[Obj], api: Iterable[Obj]) -> set[str]:
    """The ports that the cluster itself cannot do without: the API server's (`api` are its EndpointSlices)
    and the node daemons'."""
    found = {f"{port['port']}/TCP" for entry in api for port in entry.get("ports") or () if port.get("port")}
    for node in nodes:
        endpoint = ((node.get("status") or {}).get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}
        if endpoint.get("Port"):
            found.add(f"{endpoint['Port']}/TCP")
    return found


def address_of(node: Obj) -> str:
    addresses = (node.get("status") or {}).get("addresses") or ()
    return next((entry["address"] for entry in addresses if entry.get("type") == "InternalIP"), "")


def is_balancing(node: Obj) -> bool:
    """Whether a node takes part in load balancers."""
    if deleting(node) or not address_of(node) or EXCLUDED in (node["metadata"].get("labels") or {}):
        return False
    if any(taint.get("key") == GOING for taint in node.get("spec", {}).get("taints") or ()):
        return False
    conditions = (node.get("status") or {}).get("conditions") or ()
    return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)


def serving_nodes(slices: Iterable[Obj]) -> set[str]:
    """The nodes on which a Service has a ready endpoint."""
    return {
        endpoint["nodeName"]
        for entry in slices
        for endpoint in entry.get("endpoints") or ()
        if endpoint.get("nodeName") and (endpoint.get("conditions") or {}).get("ready") is not False
    }


def rival(
    service: Obj, claiming: Callable[[str], Collection[Obj]], refused: Collection[str]
) -> tuple[str, Obj] | None:
    """(port, Service that has it) for the first port that is not this one's to have. `claiming` names the
    Services that claim a port. Who has addresses keeps them; among those who wait the oldest is first, unless
    it was `refused` (keys)."""
    for port in ports_of(service):
        for other in sorted(claiming(port), key=_rank):
            if key_of(other) == key_of(service) or (key_of(other) in refused and not ingress_of(other)):
                continue
            if _comes_before(other, service, port):
                return port, other
    return None


def _comes_before(other: Obj, service: Obj, port: str) -> bool:
    if not is_balanced(other) or port not in ports_of(other):
        # A node port, which it was given and does not share.
        return True
    return not deleting(other) and _rank(other) < _rank(service)


def _rank(service: Obj) -> tuple[bool, str, str]:
    meta = service["metadata"]
    return not ingress_of(service), meta.get("creationTimestamp") or "", meta["uid"]


def assign(
    service: Obj,
    nodes: Iterable[Obj],
    *,
    serving: set[str],
    reserved: set[str],
    claiming: Callable[[str], Collection[Obj]],
    refused: Collection[str] = (),
    busy: Callable[[str, str], bool],
) -> list[Obj]:
    """The Service's `status.loadBalancer.ingress`. `serving` are the nodes with endpoints, `reserved` the
    ports that nobody may have, `busy(port, node)` whether a pod has the port there. Raises Refused."""
    for port in ports_of(service):
        if port in reserved:
            raise Refused(f"port {port} is used by the cluster itself")
    if found := rival(service, claiming, refused):
        port, other = found
        raise Refused(f"port {port} is already used by Service {key_of(other)}")
    able = [node for node in nodes if is_balancing(node)]
    if wanted := service["spec"].get("loadBalancerIP"):
        able = [node for node in able if address_of(node) == wanted]
        if not able:
            raise Refused(f"no node has the address {wanted}")
    if not able:
        raise Refused("no node is ready for load balancers")
    free = [
        node for node in able if not any(busy(port, node["metadata"]["name"]) for port in ports_of(service))
    ]
    if not free:
        raise Refused(f"port {' or '.join(ports_of(service))} is used by pods on every node")
    if is_local(service):
        free = [node for node in free if node["metadata"]["name"] in serving]
    addresses = sorted({address_of(node) for node in free}, key=_numeric)
    return [{"ip": address, "ipMode": "VIP"} for address in addresses]


def _numeric(address: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else 0 for part in address.split("."))
