"""Whether a token is an issuer's, timely, and meant for the server.

Source: OpenID Connect Core 1.0, section 3.1.3.7; RFC 7519."""

from __future__ import annotations

from collections.abc import Sequence

import jwt

from podium.api.auth.issuers.claims import ClaimError
from podium.api.auth.issuers.keys import ALGORITHMS, Keys, KeysError
from podium.api.types import Obj

# Seconds by which another machine's clock may be ahead.
SKEW = 300.0


async def verified(keys: Keys, token: str, issuer: str, audiences: Sequence[str], now: float) -> Obj:
    """The token's claims. Raises KeysError, ClaimError, jwt.PyJWTError."""
    claims = await _signed(keys, token, issuer)
    _timely(claims, now)
    _meant(claims, audiences)
    return claims


async def _signed(keys: Keys, token: str, issuer: str) -> Obj:
    fault: Exception = KeysError("failed to verify id token signature")
    for key in await keys.of(token):
        try:
            claims: Obj = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name] if key.algorithm_name in ALGORITHMS else list(ALGORITHMS),
                issuer=issuer,
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
