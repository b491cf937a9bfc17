"""Nobody gives more than he has: who writes or binds a role must have its rights, unless he may `escalate` or
`bind`.

Source: docs, "Using RBAC Authorization", privilege escalation prevention and bootstrapping."""

from __future__ import annotations

import asyncio

from podium.api.admission.request import AdmissionRequest, Cluster
from podium.api.auth.actions import Action
from podium.api.auth.authorizer import Authorizer
from podium.api.auth.covering import Endless, described, uncovered
from podium.api.auth.rbac import GROUP
from podium.api.auth.rolebook import SMALL, Role
from podium.api.auth.rules import Grain, Rule
from podium.api.auth.users import MASTERS, User
from podium.api.types import Obj
from podium.api.types.errors import StatusError, not_found
from podium.api.types.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES

_EVERYTHING: list[Obj] = [
    {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
    {"verbs": ["*"], "nonResourceURLs": ["*"]},
]
_COLLECTED = ("ownerReferences", "finalizers", "managedFields", "resourceVersion", "generation")


# Rules, and words in them, that are compared on the event loop.
FEW = 50


class Escalation:
    name = "RBACEscalation"

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    async def mutate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        """What counts is what is going to be stored."""

    async def validate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        user, obj = request.user, request.obj
        if obj is None or not isinstance(user, User) or MASTERS in user.groups:
            return
        if request.old is not None and _same_but_owners(obj, request.old):
            return
        if request.resource in (ROLES, CLUSTER_ROLES):
            await self._role(user, request, obj)
        elif request.resource in (ROLE_BINDINGS, CLUSTER_ROLE_BINDINGS):
            await self._binding(user, request, obj)

    async def _role(self, user: User, request: AdmissionRequest, role: Obj) -> None:
        escalate = Action(
            "escalate", GROUP, request.resource.plural, "", request.namespace,
            request.name if request.operation == "UPDATE" else "",
        )  # fmt: skip
        if await self._authorizer.allowed(user, escalate):
            return
        await self._confirm(user, request, role.get("rules") or [])
        if any(_gathers(each) for each in (role, request.old or {})):
            owned = await self._authorizer.owned(user, request.namespace)
            if await _lacking(owned, _EVERYTHING):
                raise request.refuse("must have cluster-admin privileges to use the aggregationRule")

    async def _binding(self, user: User, request: AdmissionRequest, binding: Obj) -> None:
        reference = binding["roleRef"]
        plural = "clusterroles" if reference["kind"] == "ClusterRole" else "roles"
        name = reference["name"]
        bind = Action("bind", GROUP, plural, "", request.namespace, name)
        if await self._authorizer.allowed(user, bind):
            return
        rbac = self._authorizer.rbac
        role = rbac.role(reference["kind"], name, request.namespace) if rbac is not None else None
        if role is not None:
            await self._confirm(user, request, await _rules_of(role))
        elif rbac is not None:
            raise not_found(plural, name, GROUP)

    async def _confirm(self, user: User, request: AdmissionRequest, rules: list[Obj]) -> None:
        """Raises 403."""
        owned = await self._authorizer.owned(user, request.namespace)
        if missing := await _lacking(owned, rules):
            groups = " ".join(f'"{group}"' for group in user.groups)
            lines = "\n".join(described(missing))
            raise request.refuse(
                f'user "{user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions not '
                f"currently held:\n{lines}"
            )


async def _rules_of(role: Role) -> list[Obj]:
    if role.size <= SMALL:
        return list(role.written())
    return await asyncio.to_thread(lambda: list(role.written()))


async def _lacking(owned: list[Rule], wanted: list[Obj]) -> list[Grain]:
    """Raises 504."""
    if len(owned) + len(wanted) <= FEW and sum(map(_words, wanted)) <= FEW:
        return uncovered(owned, wanted)
    try:
        return await asyncio.to_thread(uncovered, owned, wanted)
    except Endless:
        raise StatusError(504, "Timeout", "the rules are too many to be compared with those held") from None


def _words(rule: Obj) -> int:
    return sum(len(words or ()) for words in rule.values())


def _gathers(role: Obj) -> bool:
    return bool((role.get("aggregationRule") or {}).get("clusterRoleSelectors"))


def _same_but_owners(new: Obj, old: Obj) -> bool:
    """What is left to be collected may always be let go."""
    return _bare(new) == _bare(old)


def _bare(obj: Obj) -> Obj:
    meta = {key: value for key, value in obj["metadata"].items() if key not in _COLLECTED}
    return {**obj, "metadata": meta}
