"""The objects that a cluster has from the start: system namespaces, the API server's own Service, cluster
DNS, priorities.

Each is created where it is missing; what already is there is somebody's and is left alone, except for the
address that the API server is reached at, which is this start's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import orjson

from podium.api.ask import Ask, copied
from podium.api.core import Core
from podium.api.pki import Authority
from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import timestamp
from podium.api.types.resources import (
    CONFIG_MAPS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    NAMESPACES,
    PRIORITY_CLASSES,
    ROLES,
    SERVICE_ACCOUNTS,
    SERVICE_CIDRS,
    SERVICES,
    Resource,
)
from podium.api.verbs.create import create
from podium.api.verbs.subresources import rule_of
from podium.api.verbs.update import change

NAMESPACE_NAMES = ("default", "kube-system", "kube-public", "kube-node-lease")
PRIORITIES = (
    (
        "system-node-critical",
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
    (
        "system-cluster-critical",
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if "
        "necessary.",
    ),
)
PORT_NAME = "https"
RANGE_NAME = "kubernetes"  # the ServiceCIDR that the server allocates from


# The user that the server is for the APIs it passes requests to, and the headers in which it names who asks.
FRONT_PROXY = "front-proxy-client"
_HEADERS = {
    "requestheader-allowed-names": [FRONT_PROXY],
    "requestheader-extra-headers-prefix": ["X-Remote-Extra-"],
    "requestheader-group-headers": ["X-Remote-Group"],
    "requestheader-uid-headers": ["X-Remote-Uid"],
    "requestheader-username-headers": ["X-Remote-User"],
}
_READER = "extension-apiserver-authentication-reader"
_AUTHORITIES = "extension-apiserver-authentication"


class Addresses(NamedTuple):
    """Service addresses of this cluster. `advertise` is where nodes and pods reach the API server, None
    when nobody shall (an embedded server)."""

    kubernetes: str = "10.43.0.1"
    dns: str = "10.43.0.10"
    cidr: str = "10.43.0.0/16"
    advertise: tuple[str, int] | None = None


async def ensure(core: Core, addresses: Addresses) -> None:
    """Idempotent."""
    for resource, namespace, obj in _first(addresses):
        await _create_missing(core, resource, namespace, obj)
    await _confirm_range(core)
    if addresses.advertise:
        host, port = addresses.advertise
        for resource, obj in _reached_at(host, port):
            await _put(core, resource, obj)


async def publish_authorities(core: Core, clients: Authority, front: Authority) -> None:
    """What an aggregated API's server has to know to trust this one's word about users: the CAs of clients
    and of this server as a client, and the headers."""
    data = {
        "client-ca-file": clients.pem.decode(),
        "requestheader-client-ca-file": front.pem.decode(),
        **{key: orjson.dumps(names).decode() for key, names in _HEADERS.items()},
    }
    meta = {"name": _AUTHORITIES, "namespace": "kube-system"}
    kind = core.kinds.of(CONFIG_MAPS)
    entry = core.store.latest(kind.key("kube-system", _AUTHORITIES))
    if entry is None or entry.obj.get("data") != data:
        await _put(core, CONFIG_MAPS, {"metadata": meta, "data": data})
    rule = {
        "apiGroups": [""],
        "resources": ["configmaps"],
        "resourceNames": [_AUTHORITIES],
        "verbs": ["get", "list", "watch"],
    }
    reader: Obj = {
        "name": _READER,
        "namespace": "kube-system",
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
    }
    await _create_missing(core, ROLES, "kube-system", {"metadata": reader, "rules": [rule]})


def _first(addresses: Addresses) -> Iterable[tuple[Resource, str, Obj]]:
    for name in NAMESPACE_NAMES:
        yield NAMESPACES, "", {"metadata": {"name": name}}
        # Pods can be made at once; in other namespaces a controller makes this one.
        yield SERVICE_ACCOUNTS, name, {"metadata": {"name": "default"}}
    for name, value, text in PRIORITIES:
        yield PRIORITY_CLASSES, "", {"metadata": {"name": name}, "value": value, "description": text}
    yield SERVICE_CIDRS, "", {"metadata": {"name": RANGE_NAME}, "spec": {"cidrs": [addresses.cidr]}}
    yield SERVICES, "default", _kubernetes_service(addresses.kubernetes)
    yield SERVICES, "kube-system", _dns_service(addresses.dns)


def _kubernetes_service(address: str) -> Obj:
    return {
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "clusterIP": address,
            "clusterIPs": [address],
            "type": "ClusterIP",
            "ports": [{"name": PORT_NAME, "port": 443, "protocol": "TCP", "targetPort": 6443}],
        },
    }


def _dns_service(address: str) -> Obj:
    """Answered by the node daemons themselves: without a selector."""
    return {
        "metadata": {
            "name": "kube-dns",
            "namespace": "kube-system",
            "labels": {
                "k8s-app": "kube-dns",
                "kubernetes.io/cluster-service": "true",
                "kubernetes.io/name": "CoreDNS",
            },
        },
        "spec": {
            "clusterIP": address,
            "clusterIPs": [address],
            "type": "ClusterIP",
            "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
            ],
        },
    }


def _reached_at(host: str, port: int) -> Iterable[tuple[Resource, Obj]]:
    """The endpoints of the `kubernetes` Service. Its slice is marked as managed by the server itself, so
    that no controller mirrors or removes it."""
    yield (
        ENDPOINTS,
        {
            "metadata": {
                "name": "kubernetes",
                "namespace": "default",
                "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
            },
            "subsets": [
                {"addresses": [{"ip": host}], "ports": [{"name": PORT_NAME, "port": port, "protocol": "TCP"}]}
            ],
        },
    )
    yield (
        ENDPOINT_SLICES,
        {
            "metadata": {
                "name": "kubernetes",
                "namespace": "default",
                "labels": {"kubernetes.io/service-name": "kubernetes"},
            },
            "addressType": "IPv6" if ":" in host else "IPv4",
            "endpoints": [{"addresses": [host], "conditions": {"ready": True}}],
            "ports": [{"name": PORT_NAME, "port": port, "protocol": "TCP"}],
        },
    )


async def _confirm_range(core: Core) -> None:
    """The server allocates from its range whatever becomes of the record; so it is ready from the start."""
    kind = core.kinds.of(SERVICE_CIDRS)
    condition: Obj = {
        "type": "Ready",
        "status": "True",
        "reason": "",
        "message": "Kubernetes default Service CIDR is ready",
        "lastTransitionTime": timestamp(core.clock()),
    }

    def confirmed(old: Obj) -> Obj:
        if (old.get("status") or {}).get("conditions"):
            return copied(old)
        return {**copied(old), "status": {"conditions": [condition]}}

    await change(core, Ask(kind, "", RANGE_NAME, "status"), rule_of(kind, "status"), confirmed)


async def _create_missing(core: Core, resource: Resource, namespace: str, obj: Obj) -> None:
    kind = core.kinds.of(resource)
    if core.store.latest(kind.key(namespace, obj["metadata"]["name"])) is not None:
        return
    try:
        await create(core, Ask(kind, namespace), obj)
    except StatusError as error:
        # Another server of the same cluster was faster.
        if error.code != 409:
            raise


async def _put(core: Core, resource: Resource, obj: Obj) -> None:
    """Creates the object, or gives the present one this content; its metadata stays."""
    namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
    kind = core.kinds.of(resource)
    if core.store.latest(kind.key(namespace, name)) is None:
        await _create_missing(core, resource, namespace, obj)
        return
    ask = Ask(kind, namespace, name)

    def renewed(old: Obj) -> Obj:
        return {**copied(old), **{key: value for key, value in copied(obj).items() if key != "metadata"}}

    await change(core, ask, rule_of(kind, ""), renewed)
