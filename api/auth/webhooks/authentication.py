"""Tokens that another server knows: it is sent a TokenReview.

Source: docs, "Webhook Token Authentication"; API reference, authentication.k8s.io/v1 TokenReview."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from typing import NamedTuple

from podium.api.auth.remembering import Remembered
from podium.api.auth.users import User, authenticated
from podium.api.auth.webhooks.remote import Remote, RemoteError
from podium.api.types import Obj

log = logging.getLogger(__name__)

CACHE_SECONDS = 120.0


class Known(NamedTuple):
    user: User
    audiences: list[str]


class TokenReviewer:
    """`audiences` are the server's own, for answers that know nothing of audiences. Refusals are kept like
    users are, so that a bad client costs the other server no more than a good one."""

    def __init__(
        self, remote: Remote, audiences: Sequence[str], version: str = "v1", seconds: float = CACHE_SECONDS
    ) -> None:
        self._remote = remote
        self._audiences = tuple(audiences)
        self._version = version
        self._seconds = seconds
        self._known: Remembered[Known | None] = Remembered(4096)

    async def check(self, token: str, audiences: Sequence[str]) -> Known | None:
        """None for a token that the other does not know, or while it does not answer."""
        wanted = tuple(audiences) or self._audiences

        async def ask() -> tuple[Known | None, float]:
            return await self._ask(token, wanted), self._seconds

        try:
            # Of what nobody knows yet, a client may send as much as a header holds.
            return await self._known.get((hashlib.sha256(token.encode()).digest(), wanted), ask)
        except RemoteError as error:
            log.error("a token could not be reviewed: %s", error)
            return None

    async def _ask(self, token: str, audiences: Sequence[str]) -> Known | None:
        review = {
            "apiVersion": f"authentication.k8s.io/{self._version}",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": list(audiences)},
        }
        status = (await self._remote.ask(review))["status"]
        if status.get("authenticated") is not True:
            if why := status.get("error"):
                log.info("a token was refused: %s", why)
            return None
        given = status.get("audiences")
        try:
            meant = [one for one in audiences if one in _texts(given)] if given else list(audiences)
            user = _user(status.get("user") or {})
        except (AttributeError, TypeError) as error:
            raise RemoteError(f"the review's status has not the form of one: {error}") from None
        return Known(user, meant) if meant and user.name else None


def _user(info: Obj) -> User:
    """Raises AttributeError, TypeError for what is none."""
    extra = {key: _texts(values) for key, values in (info.get("extra") or {}).items()}
    name, uid = _texts([info.get("username") or "", info.get("uid") or ""])
    return authenticated(User(name, _texts(info.get("groups") or []), uid, extra))


def _texts(given: object) -> tuple[str, ...]:
    """Raises TypeError."""
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        raise TypeError(f"{given!r} is no list of texts")
    return tuple(given)
