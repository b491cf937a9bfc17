"""What a node may do: what its own pods need.

A user `system:node:NAME` in the group `system:nodes` is the node NAME. It may read a Secret, a ConfigMap, a
claim, a volume or a ServiceAccount only when a pod that is bound to it refers to it. Which those are is
followed in the store like roles are. Source: docs, "Using Node Authorization"."""

from __future__ import annotations

from collections import Counter

from podium.api.auth.actions import Action, Verdict
from podium.api.auth.policy import NODE_RULES
from podium.api.auth.references import Reference, references
from podium.api.auth.rules import compiled
from podium.api.auth.users import NODES, User
from podium.api.store.base import Entry, Store
from podium.api.types import Obj

PREFIX = "system:node:"
LEASES = "kube-node-lease"
_NO = Verdict(False)
_YES = Verdict(True)
_READS = frozenset({"get", "list", "watch"})
_OWN_VERBS = frozenset({"get", "create", "update", "patch", "delete"})
_CORE = ("secrets", "configmaps", "persistentvolumeclaims", "persistentvolumes", "serviceaccounts")
_FOLLOWED = frozenset({*(("", plural) for plural in _CORE), ("resource.k8s.io", "resourceclaims")})


def node_of(user: User) -> str:
    """The name of the node that the user is; "" for everybody else."""
    if NODES in user.groups and user.name.startswith(PREFIX):
        return user.name.removeprefix(PREFIX)
    return ""


class Pods:
    """What the pods of each node refer to, as the store has it at the moment of asking."""

    def __init__(self, store: Store, pods: str) -> None:
        self._store, self._prefix = store, pods
        self._revision = -1
        self._counts: dict[str, Counter[Reference]] = {}

    def refer(self, node: str, reference: Reference) -> bool:
        if self._store.revision != self._revision:
            self._follow()
        counts = self._counts.get(node)
        return counts is not None and counts[reference] > 0

    def _follow(self) -> None:
        revision = self._store.revision
        changes = self._store.changes(self._prefix, self._revision) if self._revision >= 0 else None
        if changes is None:
            self._counts.clear()
            changes = [(None, entry) for entry in self._store.list(self._prefix)]
        for before, after in changes:
            self._count(before, -1)
            self._count(after, 1)
        self._revision = revision

    def _count(self, entry: Entry | None, sign: int) -> None:
        node = entry.obj["spec"].get("nodeName") if entry is not None else None
        if entry is None or not node:
            return
        counts = self._counts.setdefault(node, Counter())
        for reference in references(entry.obj):
            counts[reference] += sign
            if counts[reference] <= 0:
                del counts[reference]
        if not counts:
            del self._counts[node]


class Nodes:
    """`pods` and `volumes` are where the store keeps them."""

    def __init__(self, store: Store, pods: str, volumes: str) -> None:
        self._store, self._volumes = store, volumes
        self._pods = Pods(store, pods)
        self._rules = [compiled(rule) for rule in NODE_RULES]

    def decide(self, user: User, action: Action) -> Verdict:
        node = node_of(user)
        if not node:
            return _NO
        match action.group, action.resource:
            case ("", "nodes"):
                return self._node(node, action)
            case ("coordination.k8s.io", "leases"):
                return _lease(node, action)
            case ("storage.k8s.io", "csinodes"):
                return _own(node, action, "CSINode")
            case what if what in _FOLLOWED:
                return self._referred(node, action)
        return self._by_rule(action)

    def _node(self, node: str, action: Action) -> Verdict:
        """Of others it learns no more than its roles say; which it may write is NodeRestriction's."""
        if action.verb in _READS and not action.subresource:
            if action.name == node:
                return _YES
            which = f"'{action.name}'" if action.name else "all nodes"
            return Verdict(False, f"node '{node}' cannot read {which}, only its own Node object")
        return self._by_rule(action)

    def _by_rule(self, action: Action) -> Verdict:
        return _YES if any(rule.allows(action) for rule in self._rules) else _NO

    def _referred(self, node: str, action: Action) -> Verdict:
        if why := _unfit(action):
            return Verdict(False, why)
        if not action.name:
            return Verdict(False, "No Object name found")
        if self._reaches(node, action):
            return _YES
        return Verdict(False, f"no relationship found between node '{node}' and this object")

    def _reaches(self, node: str, action: Action) -> bool:
        if action.resource != "persistentvolumes":
            return self._pods.refer(node, Reference(action.resource, action.namespace, action.name))
        entry = self._store.get(self._volumes + action.name)
        claim: Obj = (entry.obj["spec"].get("claimRef") if entry else None) or {}
        reference = Reference("persistentvolumeclaims", claim.get("namespace", ""), claim.get("name", ""))
        return self._pods.refer(node, reference)


def _unfit(action: Action) -> str:
    """Why a node may not do this to any object; "" when it depends on the object."""
    verb, part = action.verb, action.subresource
    match action.resource:
        case "secrets" | "configmaps":
            if verb not in _READS:
                return "can only read resources of this type"
            return "cannot read subresource" if part else ""
        case "serviceaccounts" if verb == "get" and not part:
            return ""
        case "serviceaccounts":
            if verb != "create" or not action.name:
                return "can only create tokens for individual service accounts"
            return "" if part == "token" else "can only create token subresource of serviceaccount"
        case "persistentvolumeclaims" if part == "status":
            return "" if verb in ("update", "patch") else "can only get/update/patch this type"
    if verb != "get":
        return "can only get individual resources of this type"
    return "cannot get subresource" if part else ""


def _lease(node: str, action: Action) -> Verdict:
    if action.namespace != LEASES:
        return Verdict(False, f'can only access leases in the "{LEASES}" system namespace')
    return _own(node, action, "node lease")


def _own(node: str, action: Action, what: str) -> Verdict:
    """Who makes an object cannot be held to its name yet: NodeRestriction does that."""
    if action.verb not in _OWN_VERBS:
        return Verdict(False, f"can only get, create, update, patch, or delete a {what}")
    if action.subresource:
        return Verdict(False, f"cannot authorize {what} subresources")
    if action.verb != "create" and action.name != node:
        return Verdict(False, f"can only access {what} with the same name as the requesting node")
    return _YES
