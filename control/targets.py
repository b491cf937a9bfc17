"""From a reference to a workload to its scale: of built-in kinds by the table, of all others by
discovery."""

from __future__ import annotations

from typing import NamedTuple

from podium.api.types import Obj
from podium.api.types.errors import StatusError, not_found
from podium.api.types.resources import BUILT_IN, Resource
from podium.client.base import Client


class Target(NamedTuple):
    """A workload that can be scaled, and its autoscaling/v1 Scale."""

    resource: Resource
    scale: Obj

    @property
    def wanted(self) -> int:
        return int((self.scale.get("spec") or {}).get("replicas") or 0)

    @property
    def present(self) -> int:
        return int((self.scale.get("status") or {}).get("replicas") or 0)

    @property
    def selector(self) -> str:
        return str((self.scale.get("status") or {}).get("selector") or "")


async def find(client: Client, reference: Obj, namespace: str) -> Target:
    """The workload that a CrossVersionObjectReference names. Raises StatusError, ConnectionError."""
    resource = await resource_of(client, reference)
    scale = await client.read(resource.path(namespace, reference["name"], "scale"))
    return Target(resource, scale)


async def resource_of(client: Client, reference: Obj) -> Resource:
    """Raises StatusError, ConnectionError."""
    version, kind = reference.get("apiVersion") or "v1", reference["kind"]
    for known in BUILT_IN:
        if (known.api_version, known.kind) == (version, kind):
            return known
    group, _, plain = version.rpartition("/")
    try:
        listed = await client.read(f"/apis/{version}" if group else f"/api/{version}")
    except StatusError as error:
        if error.code != 404:
            raise
        raise _no_match(version, kind) from None
    for entry in listed.get("resources") or ():
        if entry["kind"] == kind and "/" not in entry["name"]:
            return Resource(group, plain, entry["name"], kind, bool(entry.get("namespaced")))
    raise _no_match(version, kind)


def _no_match(version: str, kind: str) -> StatusError:
    error = not_found(kind, "")
    return StatusError(error.code, error.reason, f'no matches for kind "{kind}" in version "{version}"')


async def resize(client: Client, target: Target, namespace: str, replicas: int) -> None:
    """Raises StatusError, ConnectionError."""
    name = target.scale["metadata"]["name"]
    await client.patch(
        target.resource, name, {"spec": {"replicas": replicas}}, namespace, subresource="scale"
    )
