"""The versions in which the objects of a request can be shown."""

from __future__ import annotations

from collections.abc import Callable

from podium.api.admission.request import AdmissionRequest
from podium.api.ask import copied
from podium.api.kinds import Kind, Kinds
from podium.api.schema import Schema
from podium.api.types import Obj
from podium.api.types.resources import Resource


class Versions:
    """Admission works on objects as they are stored or, of kinds that are translated, as they are asked for;
    webhooks and policies want to see them otherwise."""

    def __init__(self, kinds: Kinds, schema: Callable[[str, str, str], Schema]) -> None:
        self._kinds = kinds
        self._schema = schema

    def kind(self, resource: Resource) -> Kind | None:
        return self._kinds.find(resource.group, resource.version, resource.plural)

    def of(self, resource: Resource) -> list[Resource]:
        """All resources that show the same objects, itself included."""
        own = self.kind(resource)
        if own is None:
            return [resource]
        return [kind.resource for kind in self._kinds.all() if kind.prefix == own.prefix]

    async def shown(self, obj: Obj, request: AdmissionRequest, as_: Resource) -> Obj:
        """An object of a request as `as_` has it; the object itself where that is how it is stored. Raises
        500."""
        kind, own = self.kind(as_), self.kind(request.resource)
        if kind is None:
            return obj
        if own is not None and own.translation is not None:
            return await own.translation.as_(obj, as_)
        shown = kind.conversion.from_storage(obj) if kind.conversion else obj
        if "kind" in shown and "apiVersion" in shown:
            return shown
        return {"apiVersion": as_.api_version, "kind": as_.kind, **shown}

    async def both(self, request: AdmissionRequest, as_: Resource) -> tuple[Obj | None, Obj | None]:
        """The new and the old object. Raises 500."""
        if request.stand_in is not None:
            return request.obj, request.old
        return (
            None if request.obj is None else await self.shown(request.obj, request, as_),
            None if request.old is None else await self.shown(request.old, request, as_),
        )

    async def replace(self, request: AdmissionRequest, as_: Resource, made: Obj) -> bool:
        """Makes `made`, a changed object as `as_` has it, the request's object; gives whether it differs.
        Raises 400 for one that does not fit its schema, 500."""
        assert request.obj is not None
        fresh = copied(made)
        kind = self.kind(as_)
        if (shown := request.stand_in) is not None:
            group, _, version = shown["apiVersion"].rpartition("/")
            self._schema(group, version, shown["kind"]).decode(fresh)
        elif kind is not None:
            kind.schema.decode(fresh)
            if kind.conversion:
                fresh = kind.conversion.to_storage(fresh)
            kind.strategy.default(fresh)
            if kind.translation is not None:
                fresh = await kind.translation.as_(fresh, request.resource)
        if fresh == request.obj:
            return False
        request.obj.clear()
        request.obj.update(fresh)
        return True
