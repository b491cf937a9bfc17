"""One aggregated API as it was last seen: whether it answers, and what it says it serves."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import ssl
from functools import cached_property
from typing import TYPE_CHECKING, Any

import orjson

from podium.api.aggregation.remote import Remote, identity, resources_of
from podium.api.auth.users import AUTHENTICATED, MASTERS, User
from podium.api.core import Core
from podium.api.discovery import Extra
from podium.api.nodes import Endpoint
from podium.api.pki import Pair
from podium.api.schema.openapi import gnostic, merging
from podium.api.services import service_endpoint
from podium.api.types import Obj
from podium.api.types.errors import StatusError

if TYPE_CHECKING:
    import aiohttp

log = logging.getLogger(__name__)

ATTEMPTS = 3
# Bytes of an answer about the server itself.
LONGEST = 32 * 1024 * 1024
TIMEOUT = 5.0
AGGREGATOR = User("system:kube-aggregator", (MASTERS, AUTHENTICATED))


class Unreached(Exception):
    """The API gave no usable answer; the text says why."""


class Backend:
    """`resources` is what it served when it last answered."""

    def __init__(self, remote: Remote, pair: Pair, priority: int) -> None:
        self.remote = remote
        self.priority = priority
        self.available = False
        self.resources: list[Obj] | None = None
        self.schema_hash = ""
        self.schema: Obj | None = None
        self._schema_of = ""
        self._pair = pair
        self._told: tuple[object, ...] | None = None

    @cached_property
    def context(self) -> ssl.SSLContext:
        """Raises ssl.SSLError for a bad CA bundle."""
        return self.remote.context(self._pair)

    def settle(self, available: bool) -> bool:
        """Notes whether it answers; says whether discovery has something new to tell."""
        self.available = available
        seen = (available, self.resources, self._schema_of)
        changed, self._told = seen != self._told, seen
        return changed

    def extra(self) -> Extra:
        remote = self.remote
        return Extra(remote.group, remote.version, self.priority, self.resources or [], fresh=self.available)

    def endpoint(self, core: Core) -> Endpoint:
        """Raises 404, 503."""
        remote = self.remote
        return service_endpoint(core, remote.namespace, remote.service, str(remote.port), elsewhere=True)

    async def discover(self, core: Core, client: aiohttp.ClientSession) -> None:
        """Raises Unreached."""
        document = orjson.loads(await self._persist(core, client, self.remote.path))
        try:
            self.resources = resources_of(document)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise Unreached(f"bad answer from {self.remote.path}: no APIResourceList: {error}") from None
        try:
            index = orjson.loads(await self.get(core, client, "/openapi/v3", AGGREGATOR))
            self.schema_hash = _hash_of(index, self.remote.path[1:])
        except (AttributeError, Unreached, orjson.JSONDecodeError):
            # Not every server describes itself.
            self.schema_hash = ""
        await self._describe(core, client)

    async def _describe(self, core: Core, client: aiohttp.ClientSession) -> None:
        """Its part of the OpenAPI v2 document, which is asked for again only as far as it has changed."""
        try:
            body = await self.get(core, client, "/openapi/v2", AGGREGATOR)
        except Unreached:
            self.schema, self._schema_of = None, ""
            return
        digest = hashlib.sha256(body).hexdigest()
        if digest == self._schema_of:
            return
        self._schema_of = digest
        try:
            self.schema = await asyncio.to_thread(_part, body, f"{self.remote.path}/")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            log.warning("APIService %s: its OpenAPI document is left out: %s", self.remote.name, error)
            self.schema = None

    async def _persist(self, core: Core, client: aiohttp.ClientSession, path: str) -> bytes:
        """Each attempt may meet another of the service's endpoints."""
        for left in reversed(range(ATTEMPTS)):
            try:
                body = await self.get(core, client, path, AGGREGATOR)
                orjson.loads(body)
                return body
            except Unreached:
                if not left:
                    raise
            except orjson.JSONDecodeError as error:
                raise Unreached(f"bad answer from {path}: {error}") from None
        raise AssertionError("unreachable")

    async def get(self, core: Core, client: aiohttp.ClientSession, path: str, user: User) -> bytes:
        """Raises Unreached."""
        import aiohttp

        url = path
        try:
            url = self.url(self.endpoint(core), path)
            options = self.options(user)
            options["timeout"] = aiohttp.ClientTimeout(total=TIMEOUT)
            async with client.get(url, **options) as response:
                body = await _read(response)
        except (aiohttp.ClientError, TimeoutError, StatusError, ssl.SSLError, OSError) as error:
            timed_out = "context deadline exceeded" if isinstance(error, TimeoutError) else ""
            reason = timed_out or str(error) or type(error).__name__
            raise Unreached(f"failing or missing response from {url}: {reason}") from None
        if not 200 <= response.status < 300:
            reason = f"bad status from {url}: {response.status}"
            raise Unreached(f"failing or missing response from {url}: {reason}")
        return body

    def url(self, endpoint: Endpoint, target: str) -> Any:
        from yarl import URL

        host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
        return URL(f"https://{host}:{endpoint.port}{target}", encoded=True)

    def options(self, user: User) -> dict[str, Any]:
        """What every request to it is sent with. Raises ssl.SSLError."""
        return {
            "headers": [("Accept", "application/json"), *identity(user)],
            "ssl": self.context,
            "server_hostname": self.remote.server_name,
            "allow_redirects": False,
        }


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Raises OSError for more than a document can be."""
    parts: list[bytes] = []
    length = 0
    async for part in response.content.iter_any():
        length += len(part)
        if length > LONGEST:
            raise OSError(f"the answer is longer than {LONGEST} bytes")
        parts.append(part)
    return b"".join(parts)


def _part(body: bytes, prefix: str) -> Obj:
    """Raises ValueError, and what the writing of a document raises that is none."""
    part = merging.part_of(orjson.loads(body), prefix)
    gnostic.encode({"swagger": "2.0", "info": {"title": "", "version": ""}, **part})
    return part


def _hash_of(index: Obj, path: str) -> str:
    """Of what the server's own index says about the document of `path`; "" where it says nothing."""
    entry = (index.get("paths") or {}).get(path)
    return hashlib.sha256(orjson.dumps(entry)).hexdigest().upper() if entry else ""
