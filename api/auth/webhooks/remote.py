"""A server that is asked about users: where it is and how it knows us, by a kubeconfig.

Source: docs, "Webhook Token Authentication", "Webhook Mode", configuration file format."""

from __future__ import annotations

import asyncio
import base64
import binascii
import ssl
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
import yaml

from podium.api.auth.configuration import ConfigError
from podium.api.types import Obj

if TYPE_CHECKING:
    import aiohttp

# Bytes of an answer that are read.
MOST = 1 << 20
TRIES = 5
FIRST_PAUSE, FACTOR = 0.5, 1.5
# Answers after which it is worth trying again.
_TRY_AGAIN = frozenset({429, 500, 502, 503, 504})

Session = Callable[[], "aiohttp.ClientSession"]


class RemoteError(Exception):
    """There is no answer."""


class Place(NamedTuple):
    url: str
    context: ssl.SSLContext | bool
    headers: Mapping[str, str]


def place_of(path: Path) -> Place:
    """What a kubeconfig's current context names. Raises ConfigError."""
    try:
        config = yaml.safe_load(path.read_text())
        name = config.get("current-context") or ""
        found = _named(config, "contexts", "context", name) if name else {}
        cluster = _named(config, "clusters", "cluster", found.get("cluster", ""))
        user = _named(config, "users", "user", found.get("user", "")) if found.get("user") else {}
        url = str(cluster.get("server") or "")
        if not url.startswith(("https://", "http://")):
            raise ConfigError(f"{path}: the server {url!r} is no URL")
        return Place(url, _context(cluster, user, path.parent), _headers(user, path.parent))
    except (OSError, yaml.YAMLError, AttributeError, TypeError, binascii.Error, ssl.SSLError) as error:
        raise ConfigError(f"{path}: {error}") from None


def _named(config: Mapping[str, Any], plural: str, single: str, name: str) -> Mapping[str, Any]:
    """The entry of that name; the only one where no name is given."""
    entries = config.get(plural) or []
    for entry in entries:
        if entry.get("name") == name or (not name and len(entries) == 1):
            return dict(entry.get(single) or {})
    raise ConfigError(f"there is no {single} {name!r}")


def _context(cluster: Mapping[str, Any], user: Mapping[str, Any], base: Path) -> ssl.SSLContext | bool:
    authority = _pem(cluster, "certificate-authority", base)
    context = ssl.create_default_context(cadata=authority.decode() if authority else None)
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate, key = _pem(user, "client-certificate", base), _pem(user, "client-key", base)
    if certificate and key:
        # `ssl` takes files only.
        with tempfile.NamedTemporaryFile(suffix=".pem") as file:
            file.write(certificate + b"\n" + key)
            file.flush()
            context.load_cert_chain(file.name)
    return context


def _headers(user: Mapping[str, Any], base: Path) -> dict[str, str]:
    token = user.get("token") or ""
    if not token and user.get("tokenFile"):
        token = (base / user["tokenFile"]).read_text().strip()
    if token:
        return {"Authorization": f"Bearer {token}"}
    if user.get("username"):
        pair = f"{user['username']}:{user.get('password', '')}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return {}


def _pem(entry: Mapping[str, Any], key: str, base: Path) -> bytes:
    if data := entry.get(f"{key}-data"):
        return base64.b64decode(data, validate=True)
    return (base / entry[key]).read_bytes() if entry.get(key) else b""


class Remote:
    """Posts reviews. `timeout` is for one try; a server that is not there is tried a few times."""

    def __init__(self, place: Place, session: Session, timeout: float = 30.0, tries: int = TRIES) -> None:
        self._place = place
        self._session = session
        self._timeout = timeout
        self._tries = tries

    async def ask(self, review: Obj) -> Obj:
        """The review with its status. Raises RemoteError."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._try(review)
        except TimeoutError:
            raise RemoteError(f"{self._place.url}: context deadline exceeded") from None

    async def _try(self, review: Obj) -> Obj:
        pause = FIRST_PAUSE
        for _ in range(self._tries - 1):
            try:
                return await self._post(review)
            except _AgainError:
                # What is down tells nobody when it is up again.
                await asyncio.sleep(pause)
                pause *= FACTOR
        try:
            return await self._post(review)
        except _AgainError as error:
            raise RemoteError(str(error)) from None

    async def _post(self, review: Obj) -> Obj:
        import aiohttp

        place = self._place
        headers = {"Content-Type": "application/json", "Accept": "application/json", **place.headers}
        try:
            async with self._session().post(
                place.url, data=orjson.dumps(review), headers=headers, ssl=place.context,
                allow_redirects=False,
            ) as response:  # fmt: skip
                body = await response.content.read(MOST + 1)
                status = response.status
        except (aiohttp.ClientError, OSError, ssl.SSLError, ValueError) as error:
            raise _AgainError(f'Post "{place.url}": {error}') from None
        if status in _TRY_AGAIN:
            raise _AgainError(f"{place.url} answered {status}")
        return _answer(place.url, status, body)


class _AgainError(Exception):
    """The next try may get an answer."""


def _answer(url: str, status: int, body: bytes) -> Obj:
    """Raises RemoteError."""
    if not 200 <= status < 300:
        raise RemoteError(f"{url} answered {status}")
    try:
        found = orjson.loads(body) if len(body) <= MOST else None
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("status"), dict):
        raise RemoteError(f"{url} answered with something else than a review")
    return found
