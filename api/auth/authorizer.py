"""May this user do this? `system:masters` may do everything; for everybody else each of the modes is asked,
and one yes is enough."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Sequence
from typing import Protocol

from podium.api.auth.actions import Action, Verdict, forbidden
from podium.api.auth.nodes import Nodes, node_of
from podium.api.auth.rbac import Rbac
from podium.api.auth.rules import Rule, compiled
from podium.api.auth.users import ANONYMOUS, MASTERS, UNAUTHENTICATED, User
from podium.api.auth.webhooks.authorization import AccessReviewer
from podium.api.kinds import Kinds
from podium.api.metrics.exposition import Family
from podium.api.store.base import Store
from podium.api.types import Obj
from podium.api.types.errors import unauthorized

NODE, RBAC, ALWAYS_ALLOW = "Node", "RBAC", "AlwaysAllow"
MODES = (NODE, RBAC, ALWAYS_ALLOW)

# The first parts of the paths that are open to everybody, with credentials or without.
PUBLIC = frozenset({"healthz", "livez", "readyz", "version"})
# Where the cluster's CA is read by those who have no reason to trust it yet.
CLUSTER_INFO = ("", "configmaps", "", "kube-public", "cluster-info")

_EVERYTHING: list[Obj] = [
    {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
    {"verbs": ["*"], "nonResourceURLs": ["*"]},
]
_MASTER = Verdict(True)


class Mode(Protocol):
    """Some know at once, some have to ask."""

    def decide(self, user: User, action: Action) -> Verdict | Awaitable[Verdict]: ...


class Everything:
    """Whoever shows who he is may do everything."""

    def decide(self, user: User, action: Action) -> Verdict:
        known = UNAUTHENTICATED not in user.groups
        return Verdict(known or _public(action), "")


class Authorizer:
    """`modes` in the order in which they are asked, by name, and webhooks. Raises ValueError for a name that
    there is not."""

    def __init__(self, modes: Sequence[str | AccessReviewer], store: Store, kinds: Kinds) -> None:
        if unknown := [mode for mode in modes if isinstance(mode, str) and mode not in MODES]:
            raise ValueError(f"{unknown[0]!r} is no authorization mode")
        self.rbac = Rbac(store) if RBAC in modes else None
        self._open = ALWAYS_ALLOW in modes
        self._modes: list[Mode] = []
        for mode in modes:
            if mode == NODE:
                self._modes.append(Nodes(store, kinds))
            elif isinstance(mode, AccessReviewer):
                self._modes.append(mode)
            elif mode == RBAC and self.rbac is not None:
                self._modes.append(self.rbac)
            elif mode == ALWAYS_ALLOW:
                self._modes.append(Everything())
        self._attempts = {"allowed": 0, "denied": 0}
        self._node = NODE in modes
        self._webhook = any(isinstance(mode, AccessReviewer) for mode in modes)

    async def decide(self, user: User, action: Action) -> Verdict:
        if MASTERS in user.groups:
            return _MASTER
        reasons = []
        for mode in self._modes:
            verdict = mode.decide(user, action)
            if not isinstance(verdict, Verdict):
                verdict = await verdict
            if verdict.allowed:
                return verdict
            if verdict.reason:
                reasons.append(verdict.reason)
            if verdict.denied:
                return Verdict(False, "\n".join(reasons), denied=True)
        return Verdict(False, "\n".join(reasons))

    async def allowed(self, user: User, action: Action) -> bool:
        return (await self.decide(user, action)).allowed

    async def authorize(self, user: User, action: Action) -> None:
        """Raises 403 as upstream words it; 401 for who did not say who he is, where that is all it takes."""
        if MASTERS in user.groups:
            self._attempts["allowed"] += 1
            return
        verdict = await self.decide(user, action)
        self._attempts["allowed" if verdict.allowed else "denied"] += 1
        if not verdict.allowed:
            if user is ANONYMOUS and self._open:
                raise unauthorized()
            raise forbidden(user, action, verdict.reason)

    def families(self) -> Iterator[Family]:
        yield Family(
            "authorization_attempts_total", "counter", "Requests that were allowed and denied.", ("result",),
            [((result,), count) for result, count in self._attempts.items()],
        )  # fmt: skip

    async def rules_of(self, user: User, namespace: str) -> tuple[list[Obj], str]:
        """The PolicyRules of what the user may do there, and why those may not be all."""
        if self._open:
            return _EVERYTHING, ""
        rules: list[Obj] = []
        if self.rbac is not None:
            rules = await self.rbac.policy_rules(user, namespace)
        elif MASTERS in user.groups:
            rules = _EVERYTHING
        partial = ["node authorizer"] if self._node and node_of(user) else []
        partial += ["webhook authorizer"] if self._webhook else []
        faults = [f"{each} does not support user rule resolution" for each in partial]
        return rules, faults[0] if len(faults) == 1 else f"[{', '.join(faults)}]" if faults else ""

    async def owned(self, user: User, namespace: str) -> list[Rule]:
        """What the user can pass on to others there."""
        if self.rbac is None:
            return list(compiled(_EVERYTHING))
        return await self.rbac.rules_for(user, namespace)


def _public(action: Action) -> bool:
    if action.resource:
        return action.verb == "get" and action[1:6] == CLUSTER_INFO
    return action.verb == "get" and action.path[1:].partition("/")[0] in PUBLIC
