"""May this user do this? Two kinds of users may do everything: `system:masters`, and the cluster's own
components by their certificates. Everybody authenticated may ask about themselves and read what is public;
nothing else."""

from __future__ import annotations

from typing import NamedTuple

from podium.api.auth.users import AUTHENTICATED, BOOTSTRAPPERS, MASTERS, NODES, User
from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.resources import (
    CERTIFICATE_SIGNING_REQUESTS,
    SELF_SUBJECT_ACCESS_REVIEWS,
    SELF_SUBJECT_REVIEWS,
    SELF_SUBJECT_RULES_REVIEWS,
)

COMPONENTS = ("system:kube-", "system:apiserver")
ABOUT_ONESELF = frozenset(
    (resource.group, resource.plural)
    for resource in (SELF_SUBJECT_ACCESS_REVIEWS, SELF_SUBJECT_REVIEWS, SELF_SUBJECT_RULES_REVIEWS)
)
# The first parts of the paths that are open to everybody, with credentials or without.
PUBLIC = frozenset({"healthz", "livez", "readyz", "version"})
DISCOVERY = (
    "/api",
    "/apis",
    "/openapi",
    "/healthz",
    "/livez",
    "/readyz",
    "/version",
    "/.well-known",
    "/openid",
)

# (verb, subresource) of signing requests that whoever has a bootstrap token may do: ask for a certificate and
# wait for it; `nodeclient` stands for having it approved at once when it is a node's.
BOOTSTRAP = frozenset({("create", ""), ("get", ""), ("list", ""), ("watch", ""), ("create", "nodeclient")})
# Where the cluster's CA is read by those who have no reason to trust it yet.
CLUSTER_INFO = ("", "configmaps", "", "kube-public", "cluster-info")


class Action(NamedTuple):
    """What somebody wants to do: on a resource, or on a `path` that is none (then `resource` is "")."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""


def allowed(user: User, action: Action) -> bool:
    if MASTERS in user.groups or NODES in user.groups or user.name.startswith(COMPONENTS):
        return True
    if not action.resource:
        return public(action) or (AUTHENTICATED in user.groups and _discovers(action))
    if informs(action) or (BOOTSTRAPPERS in user.groups and _bootstraps(action)):
        return True
    about_oneself = (action.group, action.resource) in ABOUT_ONESELF and action.verb == "create"
    return about_oneself and AUTHENTICATED in user.groups


def public(action: Action) -> bool:
    return action.verb == "get" and action.path[1:].partition("/")[0] in PUBLIC


def informs(action: Action) -> bool:
    """The one object that is open to everybody, with credentials or without."""
    return action.verb == "get" and action[1:6] == CLUSTER_INFO


def _bootstraps(action: Action) -> bool:
    signing = (CERTIFICATE_SIGNING_REQUESTS.group, CERTIFICATE_SIGNING_REQUESTS.plural)
    return (action.group, action.resource) == signing and (action.verb, action.subresource) in BOOTSTRAP


def _discovers(action: Action) -> bool:
    return action.verb == "get" and action.path.startswith(DISCOVERY)


def authorize(user: User, action: Action) -> None:
    """Raises 403 as upstream words it."""
    if not allowed(user, action):
        raise _forbidden(user, action)


def _forbidden(user: User, action: Action) -> StatusError:
    if not action.resource:
        text = f'forbidden: User "{user.name}" cannot {action.verb} path "{action.path}"'
        return StatusError(403, "Forbidden", text, {})
    resource = f"{action.resource}/{action.subresource}" if action.subresource else action.resource
    where = f'in the namespace "{action.namespace}"' if action.namespace else "at the cluster scope"
    qualified = f"{action.resource}.{action.group}" if action.group else action.resource
    subject = f'{qualified} "{action.name}"' if action.name else qualified
    text = (
        f'{subject} is forbidden: User "{user.name}" cannot {action.verb} resource "{resource}" '
        f'in API group "{action.group}" {where}'
    )
    details: Obj = {"kind": action.resource}
    if action.name:
        details["name"] = action.name
    if action.group:
        details["group"] = action.group
    return StatusError(403, "Forbidden", text, details)


def rules_of(user: User) -> tuple[list[Obj], list[Obj]]:
    """authorization/v1 ResourceRules and NonResourceRules of what `allowed` grants."""
    if allowed(user, Action("*", "*", "*")):
        every = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
        return every, [{"verbs": ["*"], "nonResourceURLs": ["*"]}]
    resources = [
        {"verbs": ["create"], "apiGroups": [group], "resources": [plural]}
        for group, plural in sorted(ABOUT_ONESELF)
    ]
    paths = [path for prefix in DISCOVERY for path in (prefix, f"{prefix}/*")]
    return resources, [{"verbs": ["get"], "nonResourceURLs": paths}]
