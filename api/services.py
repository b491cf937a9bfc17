"""Where a Service is reached from the API server: at one of its ready endpoints."""

from __future__ import annotations

import random
from collections.abc import Iterator

from podium.api.core import Core
from podium.api.nodes import Endpoint
from podium.api.types import Obj
from podium.api.types.errors import not_found, unavailable
from podium.api.types.resources import ENDPOINT_SLICES, SERVICES

SERVICE_LABEL = "kubernetes.io/service-name"


def service_endpoint(
    core: Core, namespace: str, name: str, port: str, *, elsewhere: bool = False
) -> Endpoint:
    """One of the ready endpoints of the service's port, which is given by its name, its number or "" for the
    first. `elsewhere`: also where an ExternalName leads, which may be anywhere; for those alone whom an
    administrator sends there. Raises 404, 503."""
    service = core.lookup(SERVICES, namespace, name)
    if service is None:
        raise not_found(SERVICES.plural, name)
    wanted = port_of(service, port)
    if wanted is None:
        raise unavailable(f'no service port "{port}" found for service "{service["metadata"]["name"]}"')
    if elsewhere and service["spec"].get("type") == "ExternalName":
        return Endpoint(service["spec"]["externalName"], int(wanted["port"]))
    ready = list(ready_endpoints(slices_of(core, namespace, name), wanted.get("name") or ""))
    if not ready:
        raise unavailable(f'no endpoints available for service "{name}"')
    return random.choice(ready)


def port_of(service: Obj, asked: str) -> Obj | None:
    """The service's port of that name or number, or its first."""
    for entry in service["spec"].get("ports") or ():
        if asked in ("", entry.get("name"), str(entry["port"])):
            found: Obj = entry
            return found
    return None


def slices_of(core: Core, namespace: str, name: str) -> list[Obj]:
    """The service's EndpointSlices."""
    return [
        piece
        for piece in core.every(ENDPOINT_SLICES, namespace)
        if (piece["metadata"].get("labels") or {}).get(SERVICE_LABEL) == name
    ]


def ready_endpoints(slices: list[Obj], port_name: str) -> Iterator[Endpoint]:
    for piece in slices:
        if piece.get("addressType") == "FQDN":
            # Names that may mean anything, and that nothing in the cluster uses.
            continue
        ports = [
            entry["port"] for entry in piece.get("ports") or () if (entry.get("name") or "") == port_name
        ]
        for endpoint in piece.get("endpoints") or () if ports else ():
            if endpoint.get("addresses") and (endpoint.get("conditions") or {}).get("ready") is not False:
                yield Endpoint(endpoint["addresses"][0], ports[0])
