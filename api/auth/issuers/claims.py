"""Whom the claims of a token stand for. Pure."""

from __future__ import annotations

from typing import Any

from podium.api.auth.issuers.configuration import IssuerConfig, Mapped, Rule
from podium.api.auth.users import CREDENTIAL_ID, User
from podium.api.cel import EvaluationError, Program
from podium.api.types import Obj


class ClaimError(Exception):
    """The claims make no user."""


def user_of(config: IssuerConfig, claims: Obj) -> User:
    """Raises ClaimError."""
    name = _username(config.username, claims)
    groups = tuple(_groups(config.groups, claims))
    user = User(name, groups, _uid(config.uid, claims), _extra(config, claims))
    for rule in config.claim_rules:
        _hold(rule, claims)
    described = {
        "username": user.name, "uid": user.uid, "groups": list(user.groups),
        "extra": {key: list(values) for key, values in user.extra.items()},
    }  # fmt: skip
    for rule in config.user_rules:
        _judge(rule, {"user": described})
    return user


def _username(mapping: Mapped, claims: Obj) -> str:
    if mapping.expression is not None:
        name = _value(mapping.expression, claims)
        if not isinstance(name, str):
            raise ClaimError("username claim expression must return a string")
        if not name:
            raise ClaimError("empty username via CEL expression is not allowed")
        return name
    name = claims.get(mapping.claim)
    if not isinstance(name, str):
        raise ClaimError(f'parse username claims "{mapping.claim}": claim not present')
    if mapping.claim == "email" and claims.get("email_verified", True) is not True:
        raise ClaimError("email not verified")
    return mapping.prefix + name


def _groups(mapping: Mapped, claims: Obj) -> list[str]:
    if mapping.expression is not None:
        return _texts(_value(mapping.expression, claims))
    given = claims.get(mapping.claim) if mapping.claim else None
    if given is None:
        return []
    listed = [given] if isinstance(given, str) else given
    if not isinstance(listed, list) or not all(isinstance(group, str) for group in listed):
        raise ClaimError(f'parse groups claim "{mapping.claim}": neither a string nor a list of strings')
    return [mapping.prefix + group for group in listed]


def _uid(mapping: Mapped, claims: Obj) -> str:
    if mapping.expression is not None:
        uid = _value(mapping.expression, claims)
        if not isinstance(uid, str):
            raise ClaimError("uid claim expression must return a string")
        return uid
    if not mapping.claim:
        return ""
    uid = claims.get(mapping.claim)
    if not isinstance(uid, str):
        raise ClaimError(f'parse uid claim "{mapping.claim}": claim not present')
    return uid


def _extra(config: IssuerConfig, claims: Obj) -> dict[str, tuple[str, ...]]:
    extra: dict[str, tuple[str, ...]] = {}
    if isinstance(claims.get("jti"), str) and claims["jti"]:
        extra[CREDENTIAL_ID] = (f"JTI={claims['jti']}",)
    for key, program in config.extra:
        if values := _texts(_value(program, claims)):
            extra[key] = tuple(values)
    return extra


def _hold(rule: Rule, claims: Obj) -> None:
    if rule.expression is not None:
        _judge(rule, {"claims": claims})
    elif rule.claim not in claims:
        raise ClaimError(f"required claim {rule.claim} not present in ID token")
    elif claims[rule.claim] != rule.value:
        got = f"Got = {claims[rule.claim]}, want = {rule.value}"
        raise ClaimError(f"required claim {rule.claim} value does not match. {got}")


def _judge(rule: Rule, values: Obj) -> None:
    assert rule.expression is not None
    try:
        held = rule.expression.evaluate(values)
    except EvaluationError as error:
        raise ClaimError(str(error)) from None
    if held is not True:
        raise ClaimError(f"validation expression '{rule.expression.source}' failed: {rule.message}")


def _value(program: Program, claims: Obj) -> Any:
    try:
        return program.evaluate({"claims": claims})
    except EvaluationError as error:
        raise ClaimError(str(error)) from None


def _texts(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return [value] if value else []
    if not isinstance(value, (list, tuple)) or not all(isinstance(each, str) for each in value):
        raise ClaimError("expression must return a string or a list of strings")
    return [each for each in value if each]
