"""The tables as objects. Source: docs, "Using RBAC Authorization", default roles and role bindings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from podium.api.auth.policy.controllers import CONTROLLERS
from podium.api.auth.policy.namespaced import NAMESPACED
from podium.api.auth.policy.notation import rules
from podium.api.auth.policy.people import PARTS
from podium.api.auth.policy.system import SYSTEM
from podium.api.types import Obj
from podium.api.types.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES, Resource

GROUP = "rbac.authorization.k8s.io"
AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"
_LABELS = {"kubernetes.io/bootstrapping": "rbac-defaults"}
_AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"

# What the daemon of a node needs besides `system:node`: it serves the pod network and the Services, and makes
# the volumes of its disk. NodeRestriction says which of them are its own.
_DAEMON = (
    "list,watch: nodes pods namespaces",
    "read: services persistentvolumeclaims persistentvolumes",
    "read: endpointslices.discovery.k8s.io networkpolicies.networking.k8s.io storageclasses.storage.k8s.io",
    "create,update,patch,delete: persistentvolumes",
    "update,patch: persistentvolumeclaims persistentvolumeclaims/status",
)
_OWN = {"podium:node": _DAEMON}

# Role and name of the binding → the subjects.
_BINDINGS: dict[tuple[str, str], tuple[str, ...]] = {
    ("cluster-admin", "cluster-admin"): ("group:system:masters",),
    ("system:basic-user", "system:basic-user"): ("group:system:authenticated",),
    ("system:discovery", "system:discovery"): ("group:system:authenticated",),
    ("system:kube-controller-manager", "system:kube-controller-manager"): (
        "user:system:kube-controller-manager",
    ),
    ("system:kube-dns", "system:kube-dns"): ("account:kube-dns",),
    ("system:kube-scheduler", "system:kube-scheduler"): ("user:system:kube-scheduler",),
    ("system:monitoring", "system:monitoring"): ("group:system:monitoring",),
    # Nodes are let in by what they are there for, each for its own pods.
    ("system:node", "system:node"): (),
    ("system:node-proxier", "system:node-proxier"): ("user:system:kube-proxy",),
    ("system:public-info-viewer", "system:public-info-viewer"): (
        "group:system:authenticated",
        "group:system:unauthenticated",
    ),
    ("system:service-account-issuer-discovery", "system:service-account-issuer-discovery"): (
        "group:system:serviceaccounts",
    ),
    ("system:volume-scheduler", "system:volume-scheduler"): ("user:system:kube-scheduler",),
    ("podium:node", "podium:node"): ("group:system:nodes",),
    ("system:node-bootstrapper", "podium:node-bootstrap"): ("group:system:bootstrappers",),
    (
        "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
        "podium:node-autoapprove-bootstrap",
    ): ("group:system:bootstrappers",),
    (
        "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
        "podium:node-autoapprove-certificate-rotation",
    ): ("group:system:nodes",),
}

NODE_RULES = tuple(rules(SYSTEM["system:node"]))


class Default(NamedTuple):
    resource: Resource
    namespace: str
    obj: Obj


def defaults() -> Iterator[Default]:
    """Roles before their bindings."""
    for name, lines in {**SYSTEM, **_OWN}.items():
        yield _cluster_role(name, lines)
    for name, lines in PARTS.items():
        yield _cluster_role(name, lines, {_AGGREGATE + name.removeprefix("system:aggregate-to-"): "true"})
    for name, into in (("admin", ""), ("edit", "admin"), ("view", "edit")):
        yield _gathering(name, into)
    for name, lines in CONTROLLERS.items():
        yield _cluster_role(f"system:controller:{name}", lines)
        yield _cluster_binding(f"system:controller:{name}", f"system:controller:{name}", (f"account:{name}",))
    for (role, name), people in _BINDINGS.items():
        yield _cluster_binding(name, role, people)
    for within in NAMESPACED:
        meta = _meta(within.role, namespace=within.namespace)
        yield Default(ROLES, within.namespace, {"metadata": meta, "rules": rules(within.rules)})
        bound = _binding(within.binding or within.role, "Role", within.role, within.subjects)
        bound["metadata"]["namespace"] = within.namespace
        yield Default(ROLE_BINDINGS, within.namespace, bound)


def _cluster_role(name: str, lines: Iterable[str], labels: dict[str, str] | None = None) -> Default:
    return Default(CLUSTER_ROLES, "", {"metadata": _meta(name, labels), "rules": rules(lines)})


def _gathering(name: str, into: str) -> Default:
    """A role of the rules of all roles that are labelled for it. A controller keeps them up to date; those of
    the start are there at once."""
    lines = [line for part in _parts(name) for line in PARTS[f"system:aggregate-to-{part}"]]
    role = {
        "metadata": _meta(name, {_AGGREGATE + into: "true"} if into else None),
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {_AGGREGATE + name: "true"}}]},
        "rules": rules(lines),
    }
    return Default(CLUSTER_ROLES, "", role)


def _parts(name: str) -> Iterable[str]:
    everything = ("view", "edit", "admin")
    return everything[: everything.index(name) + 1]


def _cluster_binding(name: str, role: str, people: Iterable[str]) -> Default:
    return Default(CLUSTER_ROLE_BINDINGS, "", _binding(name, "ClusterRole", role, people))


def _binding(name: str, kind: str, role: str, people: Iterable[str]) -> Obj:
    reference = {"apiGroup": GROUP, "kind": kind, "name": role}
    return {"metadata": _meta(name), "roleRef": reference, "subjects": [_subject(who) for who in people]}


def _subject(who: str) -> Obj:
    kind, _, name = who.partition(":")
    if kind == "account":
        return {"kind": "ServiceAccount", "name": name, "namespace": "kube-system"}
    return {"kind": kind.capitalize(), "name": name, "apiGroup": GROUP}


def _meta(name: str, labels: dict[str, str] | None = None, *, namespace: str = "") -> Obj:
    meta: Obj = {"name": name, "labels": {**_LABELS, **(labels or {})}, "annotations": {AUTOUPDATE: "true"}}
    return {**meta, "namespace": namespace} if namespace else meta
