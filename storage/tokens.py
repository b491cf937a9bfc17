"""Service account tokens for pods: requested once, and again when most of their life is over.

Source: "ServiceAccount token volume projection": the token is replaced when it is older than 80 % of its
lifetime, or than 24 hours."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from podium.api.types import Obj, meta
from podium.api.types.errors import StatusError
from podium.api.types.resources import SERVICE_ACCOUNTS
from podium.client.base import Client
from podium.storage.errors import failed

log = logging.getLogger(__name__)

DEFAULT_SECONDS = 3600
RETRY = timedelta(seconds=30)
_MAX_AGE = timedelta(hours=24)
_SHARE_OF_LIFE = 0.8


class Token(NamedTuple):
    """`refresh` is when a new one is due, `expires` when this one ends."""

    text: str
    refresh: datetime
    expires: datetime


class TokenKey(NamedTuple):
    uid: str
    account: str
    audience: str
    seconds: int


def utc_now() -> datetime:
    return datetime.now(UTC)


class Tokens:
    """The tokens of the pods on this node, in memory."""

    def __init__(self, client: Client, now: Callable[[], datetime] = utc_now) -> None:
        self._client = client
        self._now = now
        self._tokens: dict[TokenKey, Token] = {}

    async def get(self, pod: Obj, audience: str, seconds: int) -> Token:
        """A token that is good for a while. While the server does not answer, the old one as long as it
        lasts.

        Raises VolumeError."""
        account = str(pod["spec"].get("serviceAccountName") or "default")
        key = TokenKey(str(pod["metadata"]["uid"]), account, audience, seconds)
        held = self._tokens.get(key)
        now = self._now()
        if held is not None and now < held.refresh:
            return held
        try:
            token = await self._request(pod, key)
        except (StatusError, ConnectionError) as error:
            if held is None:
                raise failed(f"failed to fetch token: {error}") from error
            if held.expires <= now:
                raise failed(
                    f"token of service account {account!r} expired and refresh failed: {error}"
                ) from error
            log.warning("could not refresh the token of pod %s: %s", meta.key_of(pod), error)
            token = held._replace(refresh=now + RETRY)
        self._tokens[key] = token
        return token

    def forget(self, uid: str) -> None:
        for key in [key for key in self._tokens if key.uid == uid]:
            del self._tokens[key]

    async def _request(self, pod: Obj, key: TokenKey) -> Token:
        answer = await self._client.create(
            SERVICE_ACCOUNTS,
            token_request(pod, key),
            meta.namespace_of(pod),
            name=key.account,
            subresource="token",
        )
        expires = meta.parse_time(answer["status"]["expirationTimestamp"])
        lifetime = timedelta(seconds=int((answer.get("spec") or {}).get("expirationSeconds") or key.seconds))
        return Token(str(answer["status"]["token"]), refresh_time(expires, lifetime), expires)


def refresh_time(expires: datetime, lifetime: timedelta) -> datetime:
    return expires - lifetime + min(lifetime * _SHARE_OF_LIFE, _MAX_AGE)


def token_request(pod: Obj, key: TokenKey) -> Obj:
    """Bound to the pod: the token ends with it."""
    spec: Obj = {
        "audiences": [key.audience] if key.audience else [],
        "expirationSeconds": key.seconds,
        "boundObjectRef": {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": pod["metadata"]["name"],
            "uid": pod["metadata"]["uid"],
        },
    }
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {}, "spec": spec}
