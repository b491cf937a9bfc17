"""Where a node's own API is, and the connection to it."""

from __future__ import annotations

import ssl
from typing import NamedTuple

from podium.api.core import Core
from podium.api.pki import Pair
from podium.api.types import Obj
from podium.api.types.errors import StatusError, bad_request, not_found, unavailable
from podium.api.types.resources import NODES, PODS

PREFERRED = ("InternalIP", "ExternalIP", "Hostname")
DEFAULT_PORT = 10250
# With one container chosen for it, a client need not name one.
DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
_LISTS = ("containers", "initContainers", "ephemeralContainers")


class Endpoint(NamedTuple):
    host: str
    port: int


def client_context(pair: Pair, ca: str) -> ssl.SSLContext:
    """TLS to the nodes, with the API server's client certificate."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca)
    context.load_cert_chain(pair.cert, pair.key)
    return context


def endpoint_of(core: Core, name: str) -> Endpoint:
    """The node API of node `name`. Raises 404, 503."""
    node = core.lookup(NODES, "", name)
    if node is None:
        raise not_found(NODES.plural, name)
    status = node.get("status") or {}
    port = ((status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}).get("Port") or DEFAULT_PORT
    addresses = status.get("addresses") or []
    for kind in PREFERRED:
        for entry in addresses:
            if entry.get("type") == kind and entry.get("address"):
                return Endpoint(entry["address"], port)
    raise unavailable(f"node {name} has no address yet")


def pod_of(core: Core, namespace: str, name: str) -> Obj:
    """Raises 404."""
    pod = core.lookup(PODS, namespace, name)
    if pod is None:
        raise not_found(PODS.plural, name)
    return pod


def node_of(pod: Obj) -> str:
    """Raises 400 for a pod that is on no node."""
    node = (pod.get("spec") or {}).get("nodeName")
    if not node:
        raise bad_request(f"pod {pod['metadata']['name']} does not have a host assigned")
    return str(node)


def choose_container(pod: Obj, asked: str) -> str:
    """The container that is meant: the one asked for, or the only one. Raises 400."""
    spec, name = pod["spec"], pod["metadata"]["name"]
    if asked:
        if any(entry["name"] == asked for field in _LISTS for entry in spec.get(field) or ()):
            return asked
        raise bad_request(f"container {asked} is not valid for pod {name}")
    containers = [entry["name"] for entry in spec.get("containers") or ()]
    if len(containers) == 1:
        return str(containers[0])
    preferred = (pod["metadata"].get("annotations") or {}).get(DEFAULT_CONTAINER)
    if preferred in containers:
        return str(preferred)
    raise _must_choose(spec, name, containers)


def _must_choose(spec: Obj, name: str, containers: list[str]) -> StatusError:
    text = f"a container name must be specified for pod {name}, choose one of: [{' '.join(containers)}]"
    if starting := [entry["name"] for entry in spec.get("initContainers") or ()]:
        text += f" or one of the init containers: [{' '.join(starting)}]"
    return bad_request(text)
