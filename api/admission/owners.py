"""OwnerReferencesPermissionEnforcement: who says that an object has an owner must be allowed to delete the
object, and who lets it block the owner's deletion must be allowed to set the owner's finalizers.

Source: docs, "Admission Control", OwnerReferencesPermissionEnforcement."""

from __future__ import annotations

from podium.api.admission.request import AdmissionRequest, Cluster
from podium.api.auth.actions import Action
from podium.api.auth.authorizer import Authorizer
from podium.api.auth.users import User
from podium.api.kinds import Kinds
from podium.api.types import Obj

_FINALIZES_ANYTHING = Action("update", "*", "*", "finalizers", "", "*")
# Whoever binds or evicts a pod changes no owner.
_LEFT_ALONE = frozenset({("pods", "status"), ("pods", "binding"), ("pods", "eviction"), ("bindings", "")})


class OwnerReferences:
    name = "OwnerReferencesPermissionEnforcement"

    def __init__(self, authorizer: Authorizer, kinds: Kinds) -> None:
        self._authorizer = authorizer
        self._kinds = kinds

    async def mutate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        """What counts is what is going to be stored."""

    async def validate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        user, new, old = request.user, request.obj, request.old
        if not isinstance(user, User) or new is None or request.operation not in ("CREATE", "UPDATE"):
            return
        resource = request.resource
        if not resource.group and (resource.plural, request.subresource) in _LEFT_ALONE:
            return
        if _owners(new) == _owners(old):
            return
        if request.operation == "UPDATE":
            await self._may_delete(user, request)
        blocking = _newly_blocking(new, old)
        if not blocking or await self._authorizer.allowed(user, _FINALIZES_ANYTHING):
            return
        for owner in blocking:
            await self._may_finalize(user, request, owner)

    async def _may_delete(self, user: User, request: AdmissionRequest) -> None:
        resource = request.resource
        verdict = await self._authorizer.decide(
            user,
            Action(
                "delete", resource.group, resource.plural, request.subresource, request.namespace,
                request.name,
            ),
        )  # fmt: skip
        if not verdict.allowed:
            why = "cannot set an ownerRef on a resource you can't delete"
            raise request.refuse(f"{why}: {verdict.reason}, <nil>")

    async def _may_finalize(self, user: User, request: AdmissionRequest, owner: Obj) -> None:
        version, name = owner.get("apiVersion", ""), owner.get("kind", "")
        found = [
            kind.resource
            for kind in self._kinds.all()
            if (kind.resource.api_version, kind.resource.kind) == (version, name)
        ]
        if not found:
            why = "cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion"
            no_match = f'no matches for kind "{name}" in version "{version}"'
            raise request.refuse(f"{why} {version} Kind {name}: {no_match}")
        for resource in found:
            namespace = request.namespace if resource.namespaced else ""
            action = Action("update", resource.group, resource.plural, "finalizers", namespace, owner["name"])
            verdict = await self._authorizer.decide(user, action)
            if not verdict.allowed:
                why = "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set"
                raise request.refuse(f"{why} finalizers on: {verdict.reason}, <nil>")


def _owners(obj: Obj | None) -> list[Obj]:
    return ((obj or {}).get("metadata") or {}).get("ownerReferences") or []


def _newly_blocking(new: Obj, old: Obj | None) -> list[Obj]:
    had = {owner["uid"] for owner in _owners(old) if owner.get("blockOwnerDeletion")}
    return [owner for owner in _owners(new) if owner.get("blockOwnerDeletion") and owner["uid"] not in had]
