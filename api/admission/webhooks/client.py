"""The way to a webhook: by its Service, or by a URL."""

from __future__ import annotations

import asyncio
import base64
import binascii
import errno
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from podium.api.admission.webhooks.responses import CallFailed
from podium.api.metrics.exposition import Family
from podium.api.types import Obj
from podium.api.types.errors import StatusError

if TYPE_CHECKING:
    import aiohttp

    from podium.api.nodes import Endpoint

# Bytes of an answer that are read; upstream's own limit for what it decodes.
MOST = 3 * 1024 * 1024
REMEMBERED = 200
UNEXPLAINED = "an error on the server has prevented the request from succeeding"

Resolve = Callable[[str, str, str], "Endpoint"]


class WebhookClient:
    """`resolve` finds an endpoint of a Service's port (namespace, name, port); it raises a StatusError.
    `session` gives the HTTP client."""

    def __init__(self, resolve: Resolve, session: Callable[[], aiohttp.ClientSession]) -> None:
        self._resolve = resolve
        self._session = session
        self._requests: Counter[tuple[str, str, str]] = Counter()

    def families(self) -> Iterator[Family]:
        yield Family(
            "rest_client_requests_total", "counter", "What this server asked webhooks.",
            ("code", "host", "method"), sorted(self._requests.items()),
        )  # fmt: skip

    async def call(self, config: Obj, body: Obj, seconds: int) -> Any:
        """The decoded answer. Raises CallFailed."""
        try:
            return await self.post(config, body, seconds)
        except CallFailed as error:
            raise CallFailed(f"failed to call webhook: {error}") from None

    async def post(self, config: Obj, body: Obj, seconds: int, most: int = MOST) -> Any:
        """As `call`, with the bare reason of a failure. Of the answer, `most` bytes are read."""
        import aiohttp

        shown, code = shown_url(config, seconds), "<error>"
        try:
            url, options = self._target(config, seconds)
            async with (
                asyncio.timeout(seconds),
                self._session().post(
                    url, data=orjson.dumps(body), headers=HEADERS, allow_redirects=False, **options
                ) as response,
            ):
                code = str(response.status)
                return await _read(response, most)
        except TimeoutError:
            raise _failed(shown, "context deadline exceeded") from None
        except StatusError as error:
            why = error.message if error.code != 404 else f'service "{config["service"]["name"]}" not found'
            raise _failed(shown, why) from None
        except aiohttp.ClientConnectorCertificateError as error:
            raise _failed(shown, f"tls: failed to verify certificate: x509: {_why(error)}") from None
        except aiohttp.ClientConnectorError as error:
            raise _failed(shown, _refusal(error)) from None
        except (aiohttp.ClientError, OSError, ssl.SSLError, UnicodeError, ValueError) as error:
            raise _failed(shown, str(error) or "EOF") from None
        finally:
            self._requests[code, shown.partition("://")[2].partition("/")[0].partition("?")[0], "POST"] += 1

    def _target(self, config: Obj, seconds: int) -> tuple[str, dict[str, Any]]:
        context = context_of(config.get("caBundle") or "")
        service = config.get("service")
        if not service:
            return shown_url(config, seconds), {"ssl": context}
        namespace, name = service["namespace"], service["name"]
        endpoint = self._resolve(namespace, name, str(service.get("port") or 443))
        host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
        url = f"https://{host}:{endpoint.port}{_path(service)}?timeout={seconds}s"
        return url, {"ssl": context, "server_hostname": f"{name}.{namespace}.svc"}


HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json",
    "User-Agent": "kube-apiserver-admission",
}


def shown_url(config: Obj, seconds: int) -> str:
    """What messages call the webhook's address."""
    if service := config.get("service"):
        port = service.get("port") or 443
        return (
            f"https://{service['name']}.{service['namespace']}.svc:{port}{_path(service)}?timeout={seconds}s"
        )
    url = str(config.get("url") or "")
    return f"{url}{'&' if urlsplit(url).query else '?'}timeout={seconds}s"


def _path(service: Obj) -> str:
    path = service.get("path") or ""
    return path if not path or path.startswith("/") else f"/{path}"


@lru_cache(maxsize=REMEMBERED)
def context_of(bundle: str) -> ssl.SSLContext:
    """TLS that trusts the bundle (base64 of PEM) or, without one, the machine's authorities. Raises
    ValueError."""
    try:
        pem = base64.b64decode(bundle, validate=True).decode() if bundle else None
        return ssl.create_default_context(cadata=pem)
    except (binascii.Error, UnicodeError, ssl.SSLError) as error:
        raise ValueError(f"unable to load root certificates: {error}") from None


async def _read(response: aiohttp.ClientResponse, most: int) -> Any:
    body = b""
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > most:
            raise CallFailed(f"the server's answer is larger than {most} bytes")
    if not 200 <= response.status < 300:
        text = body[:2048].decode(errors="replace").strip() or UNEXPLAINED
        raise CallFailed(text)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise CallFailed(f"couldn't get version/kind; json parse error: {error}") from None


def _failed(url: str, why: str) -> CallFailed:
    return CallFailed(f'Post "{url}": {why}')


def _refusal(error: aiohttp.ClientConnectorError) -> str:
    where = f"dial tcp {error.host}:{error.port}"
    if error.os_error.errno == errno.ECONNREFUSED:
        return f"{where}: connect: connection refused"
    return f"{where}: {error.os_error.strerror or error.os_error}"


def _why(error: Any) -> str:
    cause = error.certificate_error
    code = getattr(cause, "verify_code", 0)
    if code in (18, 19, 20, 21):
        return "certificate signed by unknown authority"
    if code == 10:
        return "certificate has expired or is not yet valid"
    return str(getattr(cause, "verify_message", "") or cause)
