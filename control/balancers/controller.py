"""Keeps `status.loadBalancer` of every Service that is balanced by the nodes themselves."""

from __future__ import annotations

from collections.abc import Iterable

from podium.api.types import Obj
from podium.api.types.meta import deleting, key_of, namespace_of, split_key
from podium.api.types.resources import ENDPOINT_SLICES, NODES, PODS, SERVICES
from podium.control.balancers.assign import (
    Refused,
    address_of,
    assign,
    claims_of,
    host_ports_of,
    ingress_of,
    is_balanced,
    is_balancing,
    is_local,
    own_ports,
    serving_nodes,
)
from podium.control.controller import Context, Controller
from podium.control.endpoints.slices import SERVICE_NAME

BALANCED, CLAIMS, OF_SERVICE, HOST_PORTS = "balanced", "claims", "of-service", "host-ports"
API = "default/kubernetes"


def balanced(service: Obj) -> Iterable[str]:
    """The indexer BALANCED: all of them under one key."""
    return ("",) if is_balanced(service) else ()


def of_service(entry: Obj) -> Iterable[str]:
    """The indexer OF_SERVICE, whoever manages the slice."""
    name = (entry["metadata"].get("labels") or {}).get(SERVICE_NAME)
    return (f"{namespace_of(entry)}/{name}",) if name else ()


def by_host_port(pod: Obj) -> Iterable[str]:
    return {port for port, _ in host_ports_of(pod)}


class LoadBalancers(Controller):
    name = "service-controller"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.recorder = context.recorder(self.name)
        self._refused: dict[str, str] = {}
        self.services = self.watch(
            SERVICES, self._service_changed, {BALANCED: balanced, CLAIMS: lambda one: set(claims_of(one))}
        )
        self.slices = self.watch(ENDPOINT_SLICES, self._slice_changed, {OF_SERVICE: of_service})
        self.nodes = self.watch(NODES, self._node_changed)
        self.pods = self.watch(PODS, self._pod_changed, {HOST_PORTS: by_host_port})

    def _service_changed(self, old: Obj | None, new: Obj | None) -> Iterable[str]:
        """Itself, and those who may wait for what it had."""
        for service in (old, new):
            if service is not None and is_balanced(service):
                yield key_of(service)
        if old is None or (new is not None and _claim(old) == _claim(new)):
            return
        for port in claims_of(old):
            yield from self._claiming(port)

    def _claiming(self, port: str) -> Iterable[str]:
        return [key_of(one) for one in self.services.by_index(CLAIMS, port) if is_balanced(one)]

    def _slice_changed(self, old: Obj | None, new: Obj | None) -> Iterable[str]:
        entry = new or old
        for key in of_service(entry) if entry is not None else ():
            namespace, name = split_key(key)
            service = self.services.get(name, namespace)
            if service is not None and is_balanced(service) and is_local(service):
                yield key
            elif key == API and _ports(old) != _ports(new):
                yield from self._all()

    def _node_changed(self, old: Obj | None, new: Obj | None) -> Iterable[str]:
        return self._all() if _part(old) != _part(new) else ()

    def _all(self) -> list[str]:
        return [key_of(service) for service in self.services.by_index(BALANCED, "")]

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> Iterable[str]:
        before, after = (set(host_ports_of(pod)) if pod is not None else set() for pod in (old, new))
        for port, _ in before ^ after:
            yield from self._claiming(port)

    async def reconcile(self, key: str) -> None:
        namespace, name = split_key(key)
        service = self.services.get(name, namespace)
        if service is None or deleting(service) or not is_balanced(service):
            self._refused.pop(key, None)
            return
        try:
            wanted = assign(
                service,
                self.nodes.list(),
                serving=serving_nodes(self.slices.by_index(OF_SERVICE, key)),
                reserved=own_ports(self.nodes.list(), self.slices.by_index(OF_SERVICE, API)),
                claiming=lambda port: self.services.by_index(CLAIMS, port),
                refused=self._refused,
                busy=self._busy,
            )
        except Refused as error:
            self._report(key, service, str(error))
            wanted = []
        else:
            self._refused.pop(key, None)
        if wanted != ingress_of(service):
            await self._write(service, wanted)

    def _busy(self, port: str, node: str) -> bool:
        home = self.nodes.get(node)
        own = address_of(home) if home is not None else ""
        return any(
            pod["spec"].get("nodeName") == node
            and any(taken == port and host in ("", own) for taken, host in host_ports_of(pod))
            for pod in self.pods.by_index(HOST_PORTS, port)
        )

    def _report(self, key: str, service: Obj, why: str) -> None:
        """Once for each reason: nothing is tried again until something changes. Others may have its ports."""
        if self._refused.get(key) != why:
            self._refused[key] = why
            for port in claims_of(service):
                for other in self._claiming(port):
                    if other != key:
                        self.queue.add(other)
            message = f"Error syncing load balancer: failed to ensure load balancer: {why}"
            self.recorder.event(service, "Warning", "SyncLoadBalancerFailed", message)

    async def _write(self, service: Obj, wanted: list[Obj]) -> None:
        meta = service["metadata"]
        patch = {
            "metadata": {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]},
            "status": {"loadBalancer": {"ingress": wanted or None}},
        }
        await self.client.patch(
            SERVICES, meta["name"], patch, meta["namespace"], kind="merge", subresource="status"
        )
        if not wanted:
            return
        if ingress_of(service):
            self.recorder.event(
                service, "Normal", "UpdatedLoadBalancer", "Updated load balancer with new hosts"
            )
        else:
            self.recorder.event(service, "Normal", "EnsuredLoadBalancer", "Ensured load balancer")


def _claim(service: Obj) -> tuple[object, ...]:
    return sorted(claims_of(service)), bool(ingress_of(service)), deleting(service)


def _part(node: Obj | None) -> tuple[str, bool] | None:
    """What of a node its part in load balancers depends on."""
    return (address_of(node), is_balancing(node)) if node is not None else None


def _ports(entry: Obj | None) -> object:
    return entry.get("ports") if entry is not None else None
