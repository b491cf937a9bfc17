"""Claims that a token does not hold but says where to find: of those, the one that groups are made of is
fetched. What is found there is a token too, of an issuer that signs it.

Source: OpenID Connect Core 1.0, section 5.6.2."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import jwt

from podium.api.auth.issuers.claims import ClaimError
from podium.api.auth.issuers.configuration import IssuerConfig
from podium.api.auth.issuers.keys import MOST, PATIENCE, Keys, Session
from podium.api.auth.issuers.verifying import verified
from podium.api.types import Obj

# Issuers whose keys are kept.
KNOWN = 16


class Distributed:
    """Of one configured issuer, whose audiences and authority count for the others as well."""

    def __init__(self, config: IssuerConfig, session: Session) -> None:
        self._config = config
        self._session = session
        self._context = ssl.create_default_context(cadata=config.authority or None)
        self._keys: dict[str, Keys] = {}

    async def complete(self, claims: Obj, now: float) -> Obj:
        """The claims, with that of the groups where it lies elsewhere. Raises ClaimError, KeysError,
        jwt.PyJWTError."""
        wanted = self._config.groups.claim
        source = _source(claims, wanted)
        if source is None:
            return claims
        endpoint, access = source.get("endpoint"), source.get("access_token")
        if not isinstance(endpoint, str) or not endpoint:
            return claims
        found = await self._claims(await self._fetched(endpoint, access), now)
        if wanted not in found:
            raise ClaimError(
                f'jwt returned by distributed claim endpoint "{endpoint}" did not contain claim: {wanted}'
            )
        return {**claims, wanted: found[wanted]}

    async def _claims(self, token: str, now: float) -> Obj:
        issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
        if not isinstance(issuer, str) or not issuer.startswith("https://"):
            raise ClaimError("the token of a distributed claim has no issuer")
        keys = self._keys.get(issuer)
        if keys is None:
            if len(self._keys) >= KNOWN:
                self._keys.clear()
            config = self._config._replace(url=issuer, discovery_url="")
            keys = self._keys[issuer] = Keys(config, self._session)
        return await verified(keys, token, issuer, self._config.audiences, now)

    async def _fetched(self, endpoint: str, access: Any) -> str:
        import aiohttp

        if not endpoint.startswith("https://"):
            raise ClaimError(f"the endpoint {endpoint!r} of a distributed claim is not https")
        headers = {"Authorization": f"Bearer {access}"} if access else {}
        try:
            async with (
                asyncio.timeout(PATIENCE),
                self._session().get(
                    endpoint, ssl=self._context, headers=headers, allow_redirects=False
                ) as response,
            ):
                body = await response.content.read(MOST + 1)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise ClaimError(f"while getting a distributed claim: {error or 'timed out'}") from None
        if response.status != 200 or len(body) > MOST:
            raise ClaimError(f"while getting a distributed claim: {endpoint} answered {response.status}")
        return body.decode("latin-1").strip()


def _source(claims: Obj, wanted: str) -> Obj | None:
    """Where the claim lies, if it is wanted and not in the token. Raises ClaimError."""
    names, sources = claims.get("_claim_names"), claims.get("_claim_sources")
    if not wanted or wanted in claims or not isinstance(names, dict) or wanted not in names:
        return None
    if not isinstance(sources, dict):
        return None
    found = sources.get(names[wanted]) if isinstance(names[wanted], str) else None
    if not isinstance(found, dict):
        raise ClaimError(f'no source of the distributed claim "{wanted}"')
    return found
