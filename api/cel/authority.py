"""What somebody may do, asked from an expression.

Source: docs, "Kubernetes authorizer library".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from podium.api.auth.actions import Action, Verdict
from podium.api.auth.users import AUTHENTICATED, User
from podium.api.cel.errors import EvaluationError
from podium.api.types.selectors import Requirement, parse_fields, parse_labels
from podium.api.validation import names

Decide = Callable[[User, Action], Verdict]


@dataclass(frozen=True, slots=True)
class Authorizer:
    """Knows what `user` may do. `request` asks about what the request is for, in expressions
    `authorizer.requestResource`."""

    user: User
    decide: Decide
    request: ResourceCheck | None = None
    TYPE: ClassVar[str] = "kubernetes.authorization.Authorizer"

    def __getitem__(self, field: str) -> ResourceCheck:
        if field == "requestResource" and self.request is not None:
            return self.request
        raise KeyError(field)

    def __contains__(self, field: str) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class PathCheck:
    by: Authorizer
    path: str
    TYPE: ClassVar[str] = "kubernetes.authorization.PathCheck"


@dataclass(frozen=True, slots=True)
class GroupCheck:
    by: Authorizer
    group: str
    TYPE: ClassVar[str] = "kubernetes.authorization.GroupCheck"


@dataclass(frozen=True, slots=True)
class ResourceCheck:
    by: Authorizer
    action: Action
    TYPE: ClassVar[str] = "kubernetes.authorization.ResourceCheck"

    def to(self, subresource: str | None = None, namespace: str = "", name: str = "") -> ResourceCheck:
        """About less."""
        action = self.action
        changed = action._replace(
            subresource=action.subresource if subresource is None else subresource,
            namespace=namespace or action.namespace,
            name=name or action.name,
        )
        return replace(self, action=changed)


@dataclass(frozen=True, slots=True)
class Decision:
    allowed: bool
    reason: str = ""
    error: str = ""
    TYPE: ClassVar[str] = "kubernetes.authorization.Decision"


def _path(by: Authorizer, path: str) -> PathCheck:
    if not path.strip():
        raise EvaluationError("path must not be empty")
    return PathCheck(by, path)


def _account(by: Authorizer, namespace: str, name: str) -> Authorizer:
    if names.dns_subdomain(name):
        raise EvaluationError("Invalid service account name")
    if names.dns_label(namespace):
        raise EvaluationError("Invalid service account namespace")
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
    return Authorizer(User(f"system:serviceaccount:{namespace}:{name}", groups), by.decide)


def _resource(group: GroupCheck, resource: str) -> ResourceCheck:
    if not resource.strip():
        raise EvaluationError("resource must not be empty")
    return ResourceCheck(group.by, Action("", group.group, resource))


def _of_fields(check: ResourceCheck, selector: str) -> ResourceCheck:
    """A selector that is none selects everything: what is asked for is then more, never less."""
    try:
        terms = parse_fields(selector)
    except ValueError:
        terms = ()
    fields = tuple(Requirement(each.path, "NotIn" if each.negated else "In", (each.value,)) for each in terms)
    return replace(check, action=check.action._replace(fields=fields))


def _of_labels(check: ResourceCheck, selector: str) -> ResourceCheck:
    try:
        labels = parse_labels(selector).requirements
    except ValueError:
        labels = ()
    return replace(check, action=check.action._replace(labels=labels))


def _check_path(check: PathCheck, verb: str) -> Decision:
    return _decided(check.by, Action(verb, path=check.path))


def _check(check: ResourceCheck, verb: str) -> Decision:
    return _decided(check.by, check.action._replace(verb=verb))


def _decided(by: Authorizer, action: Action) -> Decision:
    verdict = by.decide(by.user, action)
    return Decision(verdict.allowed, verdict.reason)


_CHECK = ("ResourceCheck", "string")
# Name, whether it is a method, parameters, result, implementation.
FUNCTIONS: tuple[tuple[str, bool, tuple[str, ...], str, Any], ...] = (
    ("path", True, ("Authorizer", "string"), "PathCheck", _path),
    ("group", True, ("Authorizer", "string"), "GroupCheck", GroupCheck),
    ("serviceAccount", True, ("Authorizer", "string", "string"), "Authorizer", _account),
    ("resource", True, ("GroupCheck", "string"), "ResourceCheck", _resource),
    ("subresource", True, _CHECK, "ResourceCheck", lambda check, name: check.to(name)),
    ("namespace", True, _CHECK, "ResourceCheck", lambda check, name: check.to(namespace=name)),
    ("name", True, _CHECK, "ResourceCheck", lambda check, name: check.to(name=name)),
    ("fieldSelector", True, _CHECK, "ResourceCheck", _of_fields),
    ("labelSelector", True, _CHECK, "ResourceCheck", _of_labels),
    ("check", True, ("PathCheck", "string"), "Decision", _check_path),
    ("check", True, _CHECK, "Decision", _check),
    ("allowed", True, ("Decision",), "bool", lambda decision: decision.allowed),
    ("reason", True, ("Decision",), "string", lambda decision: decision.reason),
    ("errored", True, ("Decision",), "bool", lambda decision: bool(decision.error)),
    ("error", True, ("Decision",), "string", lambda decision: decision.error),
)
