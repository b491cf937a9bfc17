"""What an issuer signs with: found through its discovery document, kept, and fetched again when a token names
a key that is not among them, but never more often than every few seconds.

Source: OpenID Connect Discovery 1.0; RFC 7517."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jwt
import orjson

from podium.api.auth.issuers.configuration import IssuerConfig
from podium.api.types import Obj

if TYPE_CHECKING:
    import aiohttp

log = logging.getLogger(__name__)

ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512")
DOCUMENT = "/.well-known/openid-configuration"
PAUSE = 10.0  # seconds between two fetches
PATIENCE = 10.0  # seconds that a fetch may take
MOST = 1 << 20  # bytes of an answer

Session = Callable[[], "aiohttp.ClientSession"]


class KeysError(Exception):
    """There is no such key."""


class Keys:
    def __init__(
        self, config: IssuerConfig, session: Session, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._config = config
        self._session = session
        self._clock = clock
        self._context = ssl.create_default_context(cadata=config.authority or None)
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._fetched: float | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._fault = ""

    async def of(self, token: str) -> list[jwt.PyJWK]:
        """Those that may have signed the token. Raises KeysError."""
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError as error:
            raise KeysError(str(error)) from None
        if header.get("alg") not in ALGORITHMS:
            raise KeysError(f"unsupported signing algorithm {header.get('alg')!r}")
        wanted = header.get("kid") or ""
        if not self._matching(wanted):
            await self._refresh()
        found = self._matching(wanted)
        if not found:
            raise KeysError(self._fault or "failed to verify id token signature")
        return found

    def _matching(self, wanted: str) -> list[jwt.PyJWK]:
        if not wanted:
            return list(self._keys.values())
        return [self._keys[wanted]] if wanted in self._keys else []

    async def _refresh(self) -> None:
        if self._fetching is None:
            if self._fetched is not None and self._clock() - self._fetched < PAUSE:
                return
            self._fetching = asyncio.ensure_future(self._fetch())
        # All who need the keys wait for the same fetch, whoever of them goes away.
        await asyncio.shield(self._fetching)

    async def _fetch(self) -> None:
        import aiohttp

        try:
            async with asyncio.timeout(PATIENCE):
                self._keys = _keys(await self._get(await self._keys_url()))
            self._fault = ""
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeysError) as error:
            self._fault = f"the keys of {self._config.url} cannot be had: {error or 'timed out'}"
            log.error("%s", self._fault)
        finally:
            self._fetched = self._clock()
            self._fetching = None

    async def _keys_url(self) -> str:
        config = self._config
        found = await self._get(config.discovery_url or config.url.rstrip("/") + DOCUMENT)
        if found.get("issuer") != config.url:
            said = f"expected {config.url!r} got {found.get('issuer')!r}"
            raise KeysError(f"issuer did not match the issuer returned by provider, {said}")
        url = found.get("jwks_uri")
        if not isinstance(url, str) or not url.startswith("https://"):
            raise KeysError("the discovery document names no jwks_uri of https")
        return url

    async def _get(self, url: str) -> Obj:
        async with self._session().get(url, ssl=self._context, allow_redirects=False) as response:
            body = await response.content.read(MOST + 1)
            if response.status != 200:
                raise KeysError(f"{url} answered {response.status}")
        found = orjson.loads(body) if len(body) <= MOST else None
        if not isinstance(found, dict):
            raise KeysError(f"{url} answered with no object")
        return found


def _keys(given: Mapping[str, Any]) -> dict[str, jwt.PyJWK]:
    """By their ids; those that are not for signing, or not known here, are left out."""
    found: dict[str, jwt.PyJWK] = {}
    listed = given.get("keys")
    for number, entry in enumerate(listed if isinstance(listed, list) else ()):
        if not isinstance(entry, dict) or entry.get("use", "sig") != "sig" or entry.get("kty") == "oct":
            continue
        try:
            found[str(entry.get("kid") or f"#{number}")] = jwt.PyJWK.from_dict(entry)
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError) as error:
            log.info("a key that is not known here is left out: %s", error)
    return found
