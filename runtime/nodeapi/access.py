"""Who may use the node API: what is asked of the API server about a request. Pure.

Source: docs, "Kubelet authentication/authorization"; KEP-2862 (fine-grained authorization)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from podium.api.types import Obj

ADMINISTRATORS = "system:masters"
AUTHENTICATED = "system:authenticated"
API_SERVERS = frozenset({"kube-apiserver-kubelet-client", "system:kube-apiserver"})

_VERBS = {
    "POST": "create",
    "GET": "get",
    "HEAD": "get",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
# First part of a path → the subresource of nodes that it belongs to; everything else is `proxy`. The second
# are parts of `proxy`, whose holders keep them.
_OWN = {"stats": "stats", "metrics": "metrics", "logs": "log", "checkpoint": "checkpoint", "spec": "spec"}
_OF_PROXY = {"healthz": "healthz", "configz": "configz", "pods": "pods", "runningpods": "pods"}


class Wanted(NamedTuple):
    """One of `subresources` of the node is enough."""

    verb: str
    subresources: tuple[str, ...]


def user_of(certificate: Mapping[str, Any] | None) -> Obj | None:
    """The user (authentication/v1 UserInfo) of a client certificate, as `ssl.SSLSocket.getpeercert` gives it
    after verification: the common name, and the organizations as groups."""
    if not certificate:
        return None
    names: list[tuple[str, str]] = [pair for part in certificate.get("subject", ()) for pair in part]
    name = next((value for kind, value in names if kind == "commonName"), "")
    groups = [value for kind, value in names if kind == "organizationName"]
    return {"username": name, "groups": [*groups, AUTHENTICATED]} if name else None


def trusted(user: Obj) -> bool:
    """Whether nobody needs to be asked: administrators and API servers, by certificate."""
    return ADMINISTRATORS in user["groups"] or user["username"] in API_SERVERS


def wanted(method: str, path: str) -> Wanted:
    first = path.lstrip("/").partition("/")[0]
    verb = _VERBS.get(method, "")
    if first in _OWN:
        return Wanted(verb, (_OWN[first],))
    return Wanted(verb, (_OF_PROXY[first], "proxy") if first in _OF_PROXY else ("proxy",))


def access_review(user: Obj, verb: str, node: str, subresource: str) -> Obj:
    """The SubjectAccessReview."""
    attributes = {
        "verb": verb, "version": "v1", "resource": "nodes", "subresource": subresource, "name": node,
    }  # fmt: skip
    spec: Obj = {"user": user["username"], "resourceAttributes": attributes}
    spec |= {key: user[key] for key in ("groups", "uid", "extra") if user.get(key)}
    return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}


def token_review(token: str) -> Obj:
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}


def refusal(user: Obj, asked: Wanted) -> str:
    parts = " ".join(asked.subresources)
    return (
        f"Forbidden (user={user['username']}, verb={asked.verb}, resource=nodes, subresource(s)=[{parts}])\n"
    )
