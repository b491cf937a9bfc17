"""One aggregated API as it was last seen: whether it answers, and what it says it serves."""

from __future__ import annotations

import hashlib
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
from podium.api.services import service_endpoint
from podium.api.types import Obj
from podium.api.types.errors import StatusError

if TYPE_CHECKING:
    import aiohttp

ATTEMPTS = 3
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
        self._pair = pair
        self._told: tuple[bool, list[Obj] | None] | None = None

    @cached_property
    def context(self) -> ssl.SSLContext:
        """Raises ssl.SSLError for a bad CA bundle."""
        return self.remote.context(self._pair)

    def settle(self, available: bool) -> bool:
        """Notes whether it answers; says whether discovery has something new to tell."""
        self.available = available
        seen = (available, self.resources)
        changed, self._told = seen != self._told, seen
        return changed

    def extra(self) -> Extra:
        remote = self.remote
        return Extra(remote.group, remote.version, self.priority, self.resources or [], fresh=self.available)

    def endpoint(self, core: Core) -> Endpoint:
        """Raises 404, 503."""
        return service_endpoint(core, self.remote.namespace, self.remote.service, str(self.remote.port))

    async def discover(self, core: Core, client: aiohttp.ClientSession) -> None:
        """Raises Unreached."""
        document = orjson.loads(await self._persist(core, client, self.remote.path))
        self.resources = resources_of(document)
        try:
            index = orjson.loads(await self.get(core, client, "/openapi/v3", AGGREGATOR))
            self.schema_hash = _hash_of(index, self.remote.path[1:])
        except (Unreached, orjson.JSONDecodeError):
            # Not every server describes itself.
            self.schema_hash = ""

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
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError, StatusError, ssl.SSLError, OSError) as error:
            reason = str(error) or type(error).__name__
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


def _hash_of(index: Obj, path: str) -> str:
    """Of what the server's own index says about the document of `path`; "" where it says nothing."""
    entry = (index.get("paths") or {}).get(path)
    return hashlib.sha256(orjson.dumps(entry)).hexdigest().upper() if entry else ""
