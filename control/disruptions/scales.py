"""How many pods the workloads of some pods want: of the usual kinds from the caches, of all others from their
scale subresource."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import controller_of, namespace_of
from podium.api.types.resources import REPLICA_SETS, Resource
from podium.client.base import Client
from podium.client.informer import Informer
from podium.control import targets
from podium.control.disruptions.budgets import Unknown, Workload


class Scales:
    """`cached` are the informers by (apiVersion, kind)."""

    def __init__(self, client: Client, cached: Mapping[tuple[str, str], Informer]) -> None:
        self._client, self._cached = client, cached

    async def of(self, pods: Iterable[Obj]) -> dict[str, Workload | None]:
        """By the uid of the pods' controllers. Raises Unknown where one cannot be asked, StatusError."""
        found: dict[str, Workload | None] = {}
        for pod in pods:
            owner = controller_of(pod)
            if owner is not None and owner["uid"] not in found:
                found[owner["uid"]] = await self._workload(owner, namespace_of(pod))
        return found

    async def _workload(self, owner: Obj, namespace: str) -> Workload | None:
        if (owner["apiVersion"], owner["kind"]) not in self._cached:
            return await self._asked(owner, namespace)
        obj = self._look_up(owner, namespace)
        if obj is None:
            return None
        above = controller_of(obj) if owner["kind"] == REPLICA_SETS.kind else None
        if above is not None:
            obj = self._look_up(above, namespace) or obj
        return Workload(obj["metadata"]["uid"], int(obj["spec"].get("replicas", 1)))

    def _look_up(self, owner: Obj, namespace: str) -> Obj | None:
        informer = self._cached.get((owner["apiVersion"], owner["kind"]))
        obj = informer.get(owner["name"], namespace) if informer is not None else None
        return obj if obj is not None and obj["metadata"]["uid"] == owner["uid"] else None

    async def _asked(self, owner: Obj, namespace: str) -> Workload | None:
        resource = await targets.resource_of(self._client, owner)
        try:
            scale = await self._client.read(resource.path(namespace, owner["name"], "scale"))
        except StatusError as error:
            if error.code != 404:
                raise
            if not await self._has_scale(resource):
                plural = f"{resource.plural}.{resource.group}" if resource.group else resource.plural
                raise Unknown(f"{plural} does not implement the scale subresource") from None
            return None
        if scale["metadata"]["uid"] != owner["uid"]:
            return None
        return Workload(owner["uid"], int((scale.get("spec") or {}).get("replicas") or 0))

    async def _has_scale(self, resource: Resource) -> bool:
        listed = await self._client.read(f"/apis/{resource.api_version}" if resource.group else "/api/v1")
        return any(
            entry["name"] == f"{resource.plural}/scale" and entry["kind"] == "Scale"
            for entry in listed.get("resources") or ()
        )
