"""The versions in which the objects of a request can be shown."""

from __future__ import annotations

from podium.api.admission.request import AdmissionRequest
from podium.api.ask import copied
from podium.api.kinds import Kind, Kinds
from podium.api.types import Obj
from podium.api.types.resources import Resource


class Versions:
    """Admission works on objects as they are stored; webhooks and policies want to see them otherwise."""

    def __init__(self, kinds: Kinds) -> None:
        self._kinds = kinds

    def kind(self, resource: Resource) -> Kind | None:
        return self._kinds.find(resource.group, resource.version, resource.plural)

    def of(self, resource: Resource) -> list[Resource]:
        """All resources that show the same objects, itself included."""
        own = self.kind(resource)
        if own is None:
            return [resource]
        return [kind.resource for kind in self._kinds.all() if kind.prefix == own.prefix]

    def shown(self, obj: Obj, as_: Resource) -> Obj:
        """An object as `as_` has it; the object itself where that is how it is stored."""
        kind = self.kind(as_)
        if kind is None:
            return obj
        shown = kind.conversion.from_storage(obj) if kind.conversion else obj
        if "kind" in shown and "apiVersion" in shown:
            return shown
        return {"apiVersion": as_.api_version, "kind": as_.kind, **shown}

    def both(self, request: AdmissionRequest, as_: Resource) -> tuple[Obj | None, Obj | None]:
        """The new and the old object."""
        if request.operation == "CONNECT":
            return request.obj, None
        return (
            None if request.obj is None else self.shown(request.obj, as_),
            None if request.old is None else self.shown(request.old, as_),
        )

    def replace(self, request: AdmissionRequest, as_: Resource, made: Obj) -> bool:
        """Makes `made`, a changed object as `as_` has it, the request's object; gives whether it differs.
        Raises 400 for one that does not fit its schema."""
        assert request.obj is not None
        fresh = copied(made)
        kind = self.kind(as_)
        if kind is not None:
            kind.schema.decode(fresh)
            if kind.conversion:
                fresh = kind.conversion.to_storage(fresh)
            kind.strategy.default(fresh)
        if fresh == request.obj:
            return False
        request.obj.clear()
        request.obj.update(fresh)
        return True
