"""Roles in the system's namespaces, and who has them: (namespace, role) → its rules, and the subjects as
`people` of the bindings' table write them."""

from __future__ import annotations

from typing import NamedTuple

from podium.api.auth.policy.notation import EVENTS


class Within(NamedTuple):
    """A Role and its RoleBinding; `binding` is the name where it is not the role's."""

    namespace: str
    role: str
    rules: tuple[str, ...]
    subjects: tuple[str, ...] = ()
    binding: str = ""


_LEADER = (
    "get,list,watch,create,update: leases.coordination.k8s.io",
    "get,list,watch,create,update: leasecandidates.coordination.k8s.io",
)
_MANAGER, _SCHEDULER = "user:system:kube-controller-manager", "user:system:kube-scheduler"

NAMESPACED = (
    Within(
        "kube-system",
        "extension-apiserver-authentication-reader",
        ("read: configmaps =extension-apiserver-authentication",),
        (_MANAGER, _SCHEDULER),
        "system::extension-apiserver-authentication-reader",
    ),
    Within(
        "kube-system",
        "system::leader-locking-kube-controller-manager",
        _LEADER,
        (_MANAGER, "account:kube-controller-manager", "account:leader-election-controller"),
    ),
    Within(
        "kube-system",
        "system::leader-locking-kube-scheduler",
        _LEADER,
        (_SCHEDULER, "account:kube-scheduler"),
    ),
    Within(
        "kube-system", "system:controller:bootstrap-signer", ("read: secrets",), ("account:bootstrap-signer",)
    ),
    Within(
        "kube-system",
        "system:controller:cloud-provider",
        ("get,list,watch,create: configmaps",),
        ("account:cloud-provider",),
    ),
    Within(
        "kube-system",
        "system:controller:token-cleaner",
        ("get,list,watch,delete: secrets", EVENTS),
        ("account:token-cleaner",),
    ),
    Within(
        "kube-public",
        "system:controller:bootstrap-signer",
        ("read: configmaps", "update: configmaps =cluster-info", EVENTS),
        ("account:bootstrap-signer",),
    ),
    # What a machine that wants to join reads before it has any reason to trust the server.
    Within(
        "kube-public",
        "podium:cluster-info",
        ("get: configmaps =cluster-info",),
        ("group:system:unauthenticated", "group:system:authenticated"),
    ),
)
