"""The kinds that are questions: who am I, may I, may they, whose token is this. They are answered, never
kept.

Source: API reference, authentication.k8s.io/v1 and authorization.k8s.io/v1.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from podium.api.ask import Ask, Made, Outcome
from podium.api.auth import selecting
from podium.api.auth.actions import Action
from podium.api.auth.authentication import Authentication
from podium.api.auth.authorizer import Authorizer
from podium.api.auth.users import User
from podium.api.types import Obj
from podium.api.types.errors import Cause, StatusError, bad_request, invalid
from podium.api.types.meta import timestamp
from podium.api.types.resources import (
    LOCAL_SUBJECT_ACCESS_REVIEWS,
    SELF_SUBJECT_ACCESS_REVIEWS,
    SELF_SUBJECT_REVIEWS,
    SELF_SUBJECT_RULES_REVIEWS,
    SUBJECT_ACCESS_REVIEWS,
    TOKEN_REVIEWS,
    Resource,
)

Review = Callable[[Ask, Obj], Awaitable[Outcome]]


def reviews(authentication: Authentication, authorizer: Authorizer) -> Mapping[Resource, Review]:
    """Each takes a decoded object and gives it back with its status. They raise 400 and 422."""
    return {
        SELF_SUBJECT_REVIEWS: _self_subject,
        SELF_SUBJECT_ACCESS_REVIEWS: lambda ask, obj: _access(authorizer, ask, obj, ask.user),
        SUBJECT_ACCESS_REVIEWS: lambda ask, obj: _access(authorizer, ask, obj, _subject(ask, obj)),
        LOCAL_SUBJECT_ACCESS_REVIEWS: lambda ask, obj: _local_access(authorizer, ask, obj),
        SELF_SUBJECT_RULES_REVIEWS: lambda ask, obj: _rules(authorizer, ask, obj),
        TOKEN_REVIEWS: lambda ask, obj: _token(authentication, ask, obj),
    }


def _answered(ask: Ask, obj: Obj, status: Obj) -> Outcome:
    resource = ask.kind.resource
    meta = obj.get("metadata") or {}
    return Made(
        {
            "kind": resource.kind,
            "apiVersion": resource.api_version,
            "metadata": meta,
            **({"spec": obj["spec"]} if "spec" in obj else {}),
            "status": status,
        }
    )


async def _self_subject(ask: Ask, obj: Obj) -> Outcome:
    obj.setdefault("metadata", {})["creationTimestamp"] = timestamp()
    return _answered(ask, obj, {"userInfo": ask.user.info()})


async def _local_access(authorizer: Authorizer, ask: Ask, obj: Obj) -> Outcome:
    attributes = (obj.get("spec") or {}).get("resourceAttributes") or {}
    if attributes.get("namespace", "") != ask.namespace:
        raise _fault(
            ask, "spec.resourceAttributes.namespace", f"must match metadata.namespace: {ask.namespace}"
        )
    return await _access(authorizer, ask, obj, _subject(ask, obj))


def _subject(ask: Ask, obj: Obj) -> User:
    spec = obj.get("spec") or {}
    if not spec.get("user") and not spec.get("groups"):
        raise _fault(ask, "spec.user", "at least one of user or group must be specified")
    extra = {key: tuple(values) for key, values in (spec.get("extra") or {}).items()}
    return User(spec.get("user") or "", tuple(spec.get("groups") or ()), spec.get("uid") or "", extra)


async def _access(authorizer: Authorizer, ask: Ask, obj: Obj, user: User) -> Outcome:
    spec = obj.get("spec") or {}
    of_resource, of_path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if (of_resource is None) == (of_path is None):
        why = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        raise _fault(ask, "spec.resourceAttributes", why)
    if of_resource is None:
        of_path = of_path or {}
        action = Action(of_path.get("verb", ""), path=of_path.get("path", ""))
    else:
        action = _action(ask, of_resource)
    verdict = await authorizer.decide(user, action)
    status: Obj = {"allowed": verdict.allowed}
    if verdict.denied:
        status["denied"] = True
    if verdict.reason:
        status["reason"] = verdict.reason
    return _answered(ask, obj, status)


def _action(ask: Ask, attributes: Mapping[str, Any]) -> Action:
    """Raises 422."""
    names = ("verb", "group", "resource", "subresource", "namespace", "name", "version")
    of_fields, of_labels = attributes.get("fieldSelector"), attributes.get("labelSelector")
    path, causes = "spec.resourceAttributes", list[Cause]()
    for key, given in (("fieldSelector", of_fields), ("labelSelector", of_labels)):
        if given is not None:
            causes += selecting.faults(given, f"{path}.{key}")
    if causes:
        raise invalid(ask.kind.resource.kind, "", causes, ask.kind.resource.group)
    given = {name: _text(attributes, name) for name in names}
    return Action(
        **given,
        fields=selecting.of_attributes(of_fields or {}, labels=False),
        labels=selecting.of_attributes(of_labels or {}, labels=True),
    )


def _text(attributes: Mapping[str, Any], field: str) -> str:
    return str(attributes.get(field) or "")


async def _rules(authorizer: Authorizer, ask: Ask, obj: Obj) -> Outcome:
    if not (obj.get("spec") or {}).get("namespace"):
        raise bad_request("no namespace on request")
    rules, why_partial = await authorizer.rules_of(ask.user, obj["spec"]["namespace"])
    status: Obj = {
        "resourceRules": [rule for rule in rules if "nonResourceURLs" not in rule],
        "nonResourceRules": [rule for rule in rules if "nonResourceURLs" in rule],
        "incomplete": bool(why_partial),
    }
    if why_partial:
        status["evaluationError"] = why_partial
    return _answered(ask, obj, status)


async def _token(authentication: Authentication, ask: Ask, obj: Obj) -> Outcome:
    spec = obj.get("spec") or {}
    token = spec.get("token") or ""
    if not token:
        raise bad_request("token is required for TokenReview in authentication")
    try:
        user, audiences = await authentication.check(token, tuple(spec.get("audiences") or ()))
    except StatusError:
        return _answered(ask, obj, {"authenticated": False, "user": {}, "error": "invalid bearer token"})
    return _answered(ask, obj, {"authenticated": True, "user": user.info(), "audiences": audiences})


def _fault(ask: Ask, field: str, why: str) -> StatusError:
    resource = ask.kind.resource
    return invalid(
        resource.kind, "", [Cause("FieldValueInvalid", f"Invalid value: {why}", field)], resource.group
    )
