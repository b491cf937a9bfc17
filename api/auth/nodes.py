"""What a node may do: what its own pods need.

A user `system:node:NAME` in the group `system:nodes` is the node NAME. It may read a Secret, a ConfigMap, a
claim, a volume or a ServiceAccount only when a pod that is bound to it refers to it. Which those are is
followed in the store like roles are. Source: docs, "Using Node Authorization"."""

from __future__ import annotations

from collections import Counter

from podium.api.auth.actions import Action, Verdict
from podium.api.auth.policy import NODE_RULES
from podium.api.auth.references import CLAIMS, SECRETS, Reference, references, volume_secrets
from podium.api.auth.rules import compiled
from podium.api.auth.users import NODES, User
from podium.api.kinds import Kinds
from podium.api.store.base import Entry, Store
from podium.api.types import Obj
from podium.api.types.resources import (
    PERSISTENT_VOLUMES,
    PODS,
    RESOURCE_SLICES,
    VOLUME_ATTACHMENTS,
    Resource,
)

PREFIX = "system:node:"
LEASES = "kube-node-lease"
_NO = Verdict(False)
_YES = Verdict(True)
_READS = frozenset({"get", "list", "watch"})
_POD_WRITES = frozenset({
    ("", "create"), ("", "delete"), ("status", "update"), ("status", "patch"), ("eviction", "create"),
})  # fmt: skip
_OWN_VERBS = frozenset({"get", "create", "update", "patch", "delete"})
_CORE = ("secrets", "configmaps", "persistentvolumeclaims", "persistentvolumes", "serviceaccounts")
_FOLLOWED = frozenset({*(("", plural) for plural in _CORE), ("resource.k8s.io", "resourceclaims")})


def node_of(user: User) -> str:
    """The name of the node that the user is; "" for everybody else."""
    if NODES in user.groups and user.name.startswith(PREFIX):
        return user.name.removeprefix(PREFIX)
    return ""


class Pods:
    """The pods of each node and what they refer to, as the store has it at the moment of asking."""

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

    def refers_to_claim(self, node: str, volume: Obj) -> bool:
        claim: Obj = volume["spec"].get("claimRef") or {}
        return self.refer(node, Reference(CLAIMS, claim.get("namespace", ""), claim.get("name", "")))

    def _count(self, entry: Entry | None, sign: int) -> None:
        node = entry.obj["spec"].get("nodeName") if entry is not None else None
        if entry is None or not node:
            return
        counts = self._counts.setdefault(node, Counter())
        meta = entry.obj["metadata"]
        for reference in (Reference(PODS.plural, meta["namespace"], meta["name"]), *references(entry.obj)):
            counts[reference] += sign
            if counts[reference] <= 0:
                del counts[reference]
        if not counts:
            del self._counts[node]


class Nodes:
    def __init__(self, store: Store, kinds: Kinds) -> None:
        self._store, self._kinds = store, kinds
        self._pods = Pods(store, kinds.of(PODS).prefix)
        self._rules = list(compiled(NODE_RULES))

    def decide(self, user: User, action: Action) -> Verdict:
        node = node_of(user)
        if not node:
            return _NO
        match action.group, action.resource:
            case ("", "nodes"):
                return _node(node, action)
            case ("", "pods"):
                return self._pod(node, action)
            case ("resource.k8s.io", "resourceslices"):
                return self._slice(node, action)
            case ("storage.k8s.io", "volumeattachments"):
                return self._attachment(node, action)
            case ("coordination.k8s.io", "leases"):
                return _lease(node, action)
            case ("storage.k8s.io", "csinodes"):
                return _own(node, action, "CSINode")
            case what if what in _FOLLOWED:
                return self._referred(node, action)
        return self._by_rule(action)

    def _pod(self, node: str, action: Action) -> Verdict:
        """Which it may write is NodeRestriction's."""
        if (action.subresource, action.verb) in _POD_WRITES:
            return _YES
        if action.subresource or action.verb not in _READS:
            return _NO
        if action.verb != "get" and action.selects("spec.nodeName", node):
            return _YES
        if action.name:
            return self._referred(node, action)
        return Verdict(False, "can only list/watch pods with spec.nodeName field selector")

    def _slice(self, node: str, action: Action) -> Verdict:
        if action.subresource:
            return Verdict(False, "cannot authorize ResourceSlice subresources")
        if action.verb == "create":
            return _YES
        if action.verb in ("list", "watch", "deletecollection"):
            if action.selects("spec.nodeName", node):
                return _YES
            only = "can only list/watch/deletecollection resourceslices"
            return Verdict(False, f"{only} with nodeName field selector")
        if action.verb not in _OWN_VERBS:
            verbs = "get, watch, list, create, update, patch, delete, deletecollection"
            return Verdict(False, f"only the following verbs are allowed for a ResourceSlice: {verbs}")
        return self._on(node, RESOURCE_SLICES, action)

    def _attachment(self, node: str, action: Action) -> Verdict:
        why = _unfit(action)
        return Verdict(False, why) if why else self._on(node, VOLUME_ATTACHMENTS, action)

    def _on(self, node: str, resource: Resource, action: Action) -> Verdict:
        """Whether the object says that it is on the node."""
        if not action.name:
            return Verdict(False, "No Object name found")
        entry = self._store.get(self._kinds.of(resource).key("", action.name))
        return _YES if entry and entry.obj["spec"].get("nodeName") == node else _unrelated(node)

    def _by_rule(self, action: Action) -> Verdict:
        return _YES if any(rule.allows(action) for rule in self._rules) else _NO

    def _referred(self, node: str, action: Action) -> Verdict:
        if why := _unfit(action):
            return Verdict(False, why)
        if not action.name:
            return Verdict(False, "No Object name found")
        if self._reaches(node, action):
            return _YES
        return _unrelated(node)

    def _reaches(self, node: str, action: Action) -> bool:
        volumes = self._kinds.of(PERSISTENT_VOLUMES)
        if action.resource == PERSISTENT_VOLUMES.plural:
            entry = self._store.get(volumes.key("", action.name))
            return entry is not None and self._pods.refers_to_claim(node, entry.obj)
        reference = Reference(action.resource, action.namespace, action.name)
        if self._pods.refer(node, reference):
            return True
        return action.resource == SECRETS and any(
            reference in volume_secrets(entry.obj) and self._pods.refers_to_claim(node, entry.obj)
            for entry in self._store.list(volumes.prefix)
        )


def _node(node: str, action: Action) -> Verdict:
    """Of others it learns no more than its roles say; which it may write is NodeRestriction's."""
    match action.subresource, action.verb:
        case ("", "create" | "update" | "patch") | ("status", "update" | "patch"):
            return _YES
        case ("", "get" | "list" | "watch"):
            if action.name == node:
                return _YES
            which = f"'{action.name}'" if action.name else "all nodes"
            return Verdict(False, f"node '{node}' cannot read {which}, only its own Node object")
    return _NO


def _unrelated(node: str) -> Verdict:
    return Verdict(False, f"no relationship found between node '{node}' and this object")


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
        case "pods":
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
