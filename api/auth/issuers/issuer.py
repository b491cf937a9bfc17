"""An issuer's tokens, from the text to the user."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime

import jwt

from podium.api.auth.issuers.claims import ClaimError, user_of
from podium.api.auth.issuers.configuration import IssuerConfig
from podium.api.auth.issuers.keys import ALGORITHMS, Keys, KeysError, Session
from podium.api.auth.users import User, authenticated
from podium.api.types import Obj

log = logging.getLogger(__name__)

# Seconds by which another machine's clock may be ahead.
SKEW = 300.0
REMEMBERED = 1024
# Seconds that a token is taken for good without another look.
TRUSTED = 10.0


class Issuer:
    """`clock` tells the time that tokens expire by."""

    def __init__(self, config: IssuerConfig, session: Session, clock: Callable[[], datetime]) -> None:
        self.url = config.url
        self._config = config
        self._keys = Keys(config, session)
        self._clock = clock
        # Users of tokens that were found good: a signature costs more than everything else.
        self._known: dict[str, tuple[User, float]] = {}

    async def check(self, token: str) -> User | None:
        """None for a token that is not good."""
        now = self._clock().timestamp()
        if (known := self._known.get(token)) and now < known[1]:
            return known[0]
        try:
            claims = await self._claims(token)
            _timely(claims, now)
            _meant(claims, self._config.audiences)
            user = authenticated(user_of(self._config, claims))
        except (KeysError, ClaimError, jwt.PyJWTError) as error:
            log.info("a token of %s was refused: %s", self.url, error)
            return None
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[token] = (user, min(now + TRUSTED, claims["exp"]))
        return user

    async def _claims(self, token: str) -> Obj:
        fault: Exception = KeysError("failed to verify id token signature")
        for key in await self._keys.of(token):
            try:
                claims: Obj = jwt.decode(
                    token,
                    key,
                    algorithms=[key.algorithm_name] if key.algorithm_name in ALGORITHMS else list(ALGORITHMS),
                    issuer=self.url,
                    options={
                        "require": ["exp", "iss", "aud"],
                        "verify_exp": False,
                        "verify_nbf": False,
                        "verify_iat": False,
                        "verify_aud": False,
                        "verify_sub": False,
                    },
                )
            except jwt.PyJWTError as error:
                fault = error
                continue
            return claims
        raise fault


def _timely(claims: Obj, now: float) -> None:
    if not isinstance(claims["exp"], (int, float)) or now >= claims["exp"]:
        raise ClaimError("token is expired")
    begins = claims.get("nbf", 0)
    if not isinstance(begins, (int, float)) or begins > now + SKEW:
        raise ClaimError("token is not valid yet")


def _meant(claims: Obj, audiences: Sequence[str]) -> None:
    given = claims["aud"]
    given = [given] if isinstance(given, str) else given
    if not isinstance(given, list) or not any(audience in given for audience in audiences):
        raise ClaimError(f"expected audience in {list(audiences)} got {given}")


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
