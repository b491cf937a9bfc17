"""Lets in whom the API server lets in: by certificate or bearer token, each asked about once in a while."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from typing import Any

from aiohttp import web

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.resources import SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS
from podium.client.base import Client
from podium.runtime.nodeapi import access
from podium.runtime.nodeapi.access import Wanted

log = logging.getLogger(__name__)

# Seconds that answers are kept: whose a token is, a yes, a no.
TOKENS, ALLOWED, DENIED = 120.0, 300.0, 30.0
REMEMBERED = 1024


class Guard:
    """Without a `client` there is nobody to ask, and only administrators and API servers come in."""

    def __init__(self, node: str, client: Client | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._node = node
        self._client = client
        self._clock = clock
        # Question → answer, and until when it counts.
        self._known: dict[object, tuple[Any, float]] = {}

    async def admit(self, request: web.Request) -> None:
        """Raises 401, 403, and 500 while the API server does not answer."""
        try:
            user = await self._user(request)
            asked = access.wanted(request.method, request.path)
            if not await self._may(user, asked):
                raise web.HTTPForbidden(text=access.refusal(user, asked))
        except (StatusError, OSError) as error:
            log.error("a request to the node API could not be judged: %s", error)
            raise web.HTTPInternalServerError(text="Authorization error\n") from None

    async def _user(self, request: web.Request) -> Obj:
        certificate = request.transport.get_extra_info("peercert") if request.transport else None
        user = access.user_of(certificate)
        if user is None:
            scheme, _, token = request.headers.get("Authorization", "").partition(" ")
            if scheme.lower() == "bearer" and token.strip():
                user = await self._of_token(token.strip())
        if user is None:
            raise web.HTTPUnauthorized(text="Unauthorized")
        # What a token says of groups is no certificate of this cluster's.
        return {**user, "certified": bool(certificate)}

    async def _of_token(self, token: str) -> Obj | None:
        key = hashlib.sha256(token.encode()).digest()
        if (known := self._recalled(key)) is not None:
            return known or None
        if self._client is None:
            return None
        status = (await self._client.create(TOKEN_REVIEWS, access.token_review(token))).get("status") or {}
        user: Obj = status.get("user") or {} if status.get("authenticated") else {}
        self._remember(key, user, TOKENS)
        return user or None

    async def _may(self, user: Obj, asked: Wanted) -> bool:
        if user["certified"] and access.trusted(user):
            return True
        for subresource in asked.subresources:
            if asked.verb and await self._allowed(user, asked.verb, subresource):
                return True
        return False

    async def _allowed(self, user: Obj, verb: str, subresource: str) -> bool:
        review = access.access_review(user, verb, self._node, subresource)
        key = str(review["spec"])
        if (known := self._recalled(key)) is not None:
            return bool(known)
        if self._client is None:
            return False
        answer = await self._client.create(SUBJECT_ACCESS_REVIEWS, review)
        allowed = (answer.get("status") or {}).get("allowed") is True
        self._remember(key, allowed, ALLOWED if allowed else DENIED)
        return allowed

    def _recalled(self, key: object) -> Any:
        found = self._known.get(key)
        return found[0] if found is not None and self._clock() < found[1] else None

    def _remember(self, key: object, value: Any, seconds: float) -> None:
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[key] = (value, self._clock() + seconds)
