"""Bootstrap tokens: what a machine shows to be let in for just long enough to ask for a certificate. A token
ID.SECRET is good while the Secret `bootstrap-token-ID` in kube-system says so. Source: docs, "Authenticating
with Bootstrap Tokens"."""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
import re
from collections.abc import Callable
from datetime import datetime

from podium.api.auth.users import AUTHENTICATED, BOOTSTRAPPERS, User
from podium.api.types import Obj
from podium.api.types.errors import unauthorized
from podium.api.types.meta import deleting, parse_time
from podium.api.types.resources import SECRETS, Resource

log = logging.getLogger(__name__)

SECRET_TYPE = "bootstrap.kubernetes.io/token"
NAMESPACE = "kube-system"
PREFIX = "system:bootstrap:"
_TOKEN = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
_GROUP = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]")

Lookup = Callable[[Resource, str, str], Obj | None]


def is_bootstrap_token(token: str) -> bool:
    """No other kind of token looks like this."""
    return _TOKEN.fullmatch(token) is not None


def user_of(token: str, lookup: Lookup, now: datetime) -> User:
    """Whom a bootstrap token stands for. Raises 401."""
    ident, _, secret = token.partition(".")
    found = lookup(SECRETS, NAMESPACE, f"bootstrap-token-{ident}")
    if found is None:
        raise unauthorized()
    if fault := _fault(found, ident, secret, now):
        log.info("the token of Secret %s/%s was refused: %s", NAMESPACE, found["metadata"]["name"], fault)
        raise unauthorized()
    groups = sorted({BOOTSTRAPPERS, *_extra_groups(found)})
    return User(f"{PREFIX}{ident}", (*groups, AUTHENTICATED))


def _fault(found: Obj, ident: str, secret: str, now: datetime) -> str:
    """Why the Secret does not make the token good; "" when it does."""
    if deleting(found):
        return "it is being deleted"
    if found.get("type") != SECRET_TYPE:
        return f"it is not of type {SECRET_TYPE}"
    if not hmac.compare_digest(_value(found, "token-secret").encode(), secret.encode()):
        return "token-secret is another"
    if _value(found, "token-id") != ident:
        return "token-id is another"
    if _expired(_value(found, "expiration"), now):
        return "it has expired"
    if _value(found, "usage-bootstrap-authentication") != "true":
        return "usage-bootstrap-authentication is not true"
    if not all(_GROUP.fullmatch(group) for group in _extra_groups(found)):
        return "auth-extra-groups names a group that is not of system:bootstrappers:"
    return ""


def _value(found: Obj, key: str) -> str:
    try:
        return base64.b64decode((found.get("data") or {}).get(key, ""), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _expired(moment: str, now: datetime) -> bool:
    """What cannot be read as a time is over."""
    try:
        return bool(moment) and parse_time(moment) <= now
    except ValueError:
        return True


def _extra_groups(found: Obj) -> list[str]:
    listed = _value(found, "auth-extra-groups")
    return listed.split(",") if listed else []
