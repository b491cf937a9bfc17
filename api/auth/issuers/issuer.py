"""An issuer's tokens, from the text to the user."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime

import jwt

from podium.api.auth.issuers.claims import ClaimError, user_of
from podium.api.auth.issuers.configuration import IssuerConfig
from podium.api.auth.issuers.distributed import Distributed
from podium.api.auth.issuers.keys import Keys, KeysError, Session
from podium.api.auth.issuers.verifying import verified
from podium.api.auth.users import User, authenticated

log = logging.getLogger(__name__)

REMEMBERED = 1024
# Seconds that a token is taken for good without another look.
TRUSTED = 10.0


class Issuer:
    """`clock` tells the time that tokens expire by."""

    def __init__(self, config: IssuerConfig, session: Session, clock: Callable[[], datetime]) -> None:
        self.url = config.url
        self._config = config
        self._keys = Keys(config, session)
        self._distributed = Distributed(config, session)
        self._clock = clock
        # Users of tokens that were found good: a signature costs more than everything else.
        self._known: dict[str, tuple[User, float]] = {}

    async def check(self, token: str) -> User | None:
        """None for a token that is not good."""
        now = self._clock().timestamp()
        if (known := self._known.get(token)) and now < known[1]:
            return known[0]
        try:
            claims = await verified(self._keys, token, self.url, self._config.audiences, now)
            claims = await self._distributed.complete(claims, now)
            user = authenticated(user_of(self._config, claims))
        except (KeysError, ClaimError, jwt.PyJWTError) as error:
            log.info("a token of %s was refused: %s", self.url, error)
            return None
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[token] = (user, min(now + TRUSTED, claims["exp"]))
        return user


class Issuers:
    def __init__(
        self, configs: Sequence[IssuerConfig], session: Session, clock: Callable[[], datetime]
    ) -> None:
        self._issuers = {config.url: Issuer(config, session, clock) for config in configs}

    async def check(self, token: str) -> User | None:
        """None for a token of somebody else, too."""
        if token.count(".") != 2 or not self._issuers:
            return None
        try:
            claims = jwt.decode(token, options={"verify_signature": False})
        except (jwt.PyJWTError, RecursionError):
            return None
        named = claims.get("iss")
        issuer = self._issuers.get(named) if isinstance(named, str) else None
        return await issuer.check(token) if issuer is not None else None
