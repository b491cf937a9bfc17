"""Requests that somebody else answers: pods/log, and the proxies to nodes, pods and services.

Only plain HTTP is here; what upgrades its connection is in `podium.api.upgrade`, which asks `Proxy.route`."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from podium.api.ask import Ask
from podium.api.auth.users import User
from podium.api.connecting import connect_options
from podium.api.core import Core
from podium.api.exchange import Exchange
from podium.api.forwarding import forwarded
from podium.api.nodes import Endpoint, choose_container, endpoint_of, node_of, pod_of
from podium.api.passing import pass_back, pass_site
from podium.api.paths import Target
from podium.api.services import service_endpoint
from podium.api.types import Obj
from podium.api.types.errors import StatusError, bad_request, method_not_allowed, unavailable
from podium.api.upgrade import Route

if TYPE_CHECKING:
    import aiohttp
    from yarl import URL

PIECE = 1 << 18
_LOG_OPTIONS = (
    "follow", "previous", "sinceSeconds", "sinceTime", "timestamps", "tailLines", "limitBytes", "stream",
)  # fmt: skip
_STREAM_OPTIONS = {"stdin": "input", "stdout": "output", "stderr": "error", "tty": "tty"}
_NODE_PATHS = {"exec": "exec", "attach": "attach", "portforward": "portForward"}

_PATH = "/~!$&'()*+,;=:@"  # what a path may hold as it is; RFC 3986

Pairs = list[tuple[str, str]]


class Proxy:
    """`context` is the TLS to nodes. Its HTTP client is made at the first use and closed by `close`."""

    def __init__(self, core: Core, context: ssl.SSLContext | None) -> None:
        self._core = core
        self._context = context
        self._session: aiohttp.ClientSession | None = None
        self._closing = False

    async def close(self) -> None:
        """Ends what is streamed, too."""
        self._closing = True
        if self._session is not None:
            await self._session.close()

    async def admit(self, target: Target, pairs: Pairs, user: User) -> None:
        """Asks admission about a connection; reading a log is none. Raises 403, 500."""
        if target.subresource == "log":
            return
        options = connect_options(target.kind.resource, target.subresource, target.rest, pairs)
        ask = Ask(target.kind, target.namespace, target.name, target.subresource, user=user)
        await self._core.mutate(ask, "CONNECT", options, None)
        await self._core.validate(ask, "CONNECT", options, None)

    def route(self, target: Target, pairs: Pairs) -> Route:
        """Where a request goes. Raises 400, 404, 503."""
        match target.subresource:
            case "log":
                return self._log(target, pairs)
            case "exec" | "attach" | "portforward":
                return self._stream(target, pairs)
        name, port, scheme = _split_name(target.name)
        match target.kind.resource.plural:
            case "nodes":
                host, default = endpoint_of(self._core, name)
                endpoint, context = Endpoint(host, _port(target, port or str(default))), self._context
            case "services":
                endpoint = service_endpoint(self._core, target.namespace, name, port)
                context = self._unverified if scheme == "https" else None
            case _:
                endpoint = self._pod(target, name, port)
                context = self._unverified if scheme == "https" else None
        return Route(endpoint, _with_query(quote(target.rest or "/", safe=_PATH), pairs), context)

    @cached_property
    def _unverified(self) -> ssl.SSLContext:
        """TLS to pods. Nobody vouches for their certificates, so they prove nothing."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    def _log(self, target: Target, pairs: Pairs) -> Route:
        pod = pod_of(self._core, target.namespace, target.name)
        query = dict(pairs)
        container = choose_container(pod, query.get("container", ""))
        options = [(name, query[name]) for name in _LOG_OPTIONS if query.get(name)]
        _check_log(query)
        path = f"/containerLogs/{quote(target.namespace)}/{quote(target.name)}/{quote(container)}"
        return Route(endpoint_of(self._core, node_of(pod)), _with_query(path, options), self._context)

    def _stream(self, target: Target, pairs: Pairs) -> Route:
        pod = pod_of(self._core, target.namespace, target.name)
        path = f"/{_NODE_PATHS[target.subresource]}/{quote(target.namespace)}/{quote(target.name)}"
        if target.subresource == "portforward":
            return Route(
                endpoint_of(self._core, node_of(pod)), _with_query(path, pairs), self._context, again=True
            )
        container = choose_container(pod, dict(pairs).get("container", ""))
        options = [
            (_STREAM_OPTIONS[name], "1")
            for name, value in pairs
            if name in _STREAM_OPTIONS and value.lower() in ("1", "true")
        ]
        options += [(name, value) for name, value in pairs if name == "command"]
        if not any(name in ("input", "output", "error") for name, _ in options):
            raise bad_request("you must specify at least 1 of stdin, stdout, stderr")
        if target.subresource == "exec" and not any(name == "command" for name, _ in options):
            raise bad_request("you must specify at least one command for the container")
        return Route(
            endpoint_of(self._core, node_of(pod)),
            _with_query(f"{path}/{quote(container)}", options),
            self._context,
            again=True,
        )

    def _pod(self, target: Target, name: str, port: str) -> Endpoint:
        pod = pod_of(self._core, target.namespace, name)
        address = (pod.get("status") or {}).get("podIP")
        if not address or not is_a_pods(address):
            raise bad_request("address not allowed")
        if port and not port.isdigit():
            port = next((str(number) for known, number in _pod_ports(pod) if known == port), "")
        if not port:
            port = next((str(number) for _, number in _pod_ports(pod)), "80")
        return Endpoint(address, _port(target, port))

    async def serve(self, exchange: Exchange, target: Target) -> None:
        """Passes the request on, and the answer back as it comes. Raises 400, 404, 405, 503 before an
        answer began."""
        import aiohttp

        if target.subresource in _NODE_PATHS:
            raise bad_request("Upgrade request required")
        if target.subresource == "log" and exchange.method not in ("GET", "HEAD"):
            raise method_not_allowed()
        route = self.route(target, exchange.pairs)
        if target.subresource == "proxy" and not target.rest and exchange.method in ("GET", "HEAD"):
            # Relative links of what is shown there need a path that ends with a slash.
            location = _with_query(f"{_prefix(exchange, target)}/", exchange.pairs)
            await exchange.answer(301, b"", [(b"location", location.encode())])
            return
        body = await exchange.body() if exchange.method not in ("GET", "HEAD", "OPTIONS") else None
        try:
            async with self._request(exchange, route, body) as response:
                await exchange.while_connected(self._answer(exchange, target, route, response))
        except (aiohttp.ClientError, TimeoutError) as error:
            if exchange.started and self._closing:
                await exchange.end()
                return
            if exchange.started:
                raise ConnectionError(str(error)) from error
            raise unavailable(f"error trying to reach service: {error or 'timed out'}") from None

    def _answer(
        self, exchange: Exchange, target: Target, route: Route, response: aiohttp.ClientResponse
    ) -> Coroutine[Any, Any, None]:
        if target.subresource == "log":
            return _pass_log(exchange, response)
        return pass_site(exchange, response, _prefix(exchange, target), _origin(route))

    def _request(
        self, exchange: Exchange, route: Route, body: bytes | None
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        headers = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in forwarded(exchange.scope["headers"])
        ]
        return self.client().request(
            exchange.method,
            _url(route),
            data=body,
            headers=headers,
            ssl=route.context or False,
            allow_redirects=False,
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept-Encoding"),
        )

    def client(self) -> aiohttp.ClientSession:
        """What requests go out through; made at the first use."""
        if self._session is None:
            import aiohttp

            timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
            self._session = aiohttp.ClientSession(timeout=timeout, read_bufsize=PIECE)
        return self._session


async def _pass_log(exchange: Exchange, response: aiohttp.ClientResponse) -> None:
    if response.status >= 400:
        raise _log_failure(response.status, await response.text())
    await pass_back(exchange, response)


def _log_failure(code: int, text: str) -> StatusError:
    reasons = {400: "BadRequest", 404: "NotFound", 503: "ServiceUnavailable"}
    return StatusError(
        code, reasons.get(code, "InternalError"), text.strip() or f"the node answered with {code}"
    )


def _check_log(query: dict[str, str]) -> None:
    """Raises 400 for options that mean nothing."""
    for name in ("sinceSeconds", "tailLines", "limitBytes"):
        text = query.get(name)
        if text and not text.isdigit():
            raise bad_request(f"{name}: Invalid value: {text!r}: must be a number greater than or equal to 0")
    if query.get("sinceSeconds") and query.get("sinceTime"):
        raise bad_request("at most one of `sinceTime` or `sinceSeconds` may be specified")


def _split_name(name: str) -> tuple[str, str, str]:
    """(name, port, scheme) of `name`, `name:port` or `scheme:name:port`."""
    parts = name.split(":")
    if len(parts) == 3:
        return parts[1], parts[2], parts[0]
    return parts[0], parts[1] if len(parts) == 2 else "", ""


def _port(target: Target, text: str) -> int:
    """Raises 400 for what is none."""
    if not (text.isascii() and text.isdigit() and 0 < int(text[:6]) < 1 << 16):
        kind = target.kind.resource.kind.lower()
        raise bad_request(f'invalid {kind} request "{target.name}"')
    return int(text)


def is_a_pods(address: str) -> bool:
    """Not this machine's own or its link's: whoever writes a pod's status would reach through us what listens
    for nobody else."""
    try:
        given = ipaddress.ip_address(address)
    except ValueError:
        return False
    given = getattr(given, "ipv4_mapped", None) or given
    own = given.is_loopback or given.is_link_local or given.is_unspecified or given.is_multicast
    return not own and str(given) != "255.255.255.255"


def _pod_ports(pod: Obj) -> Pairs:
    return [
        (port.get("name") or "", port["containerPort"])
        for container in pod["spec"].get("containers") or ()
        for port in container.get("ports") or ()
    ]


def _with_query(path: str, pairs: Pairs) -> str:
    return f"{path}?{urlencode(pairs)}" if pairs else path


def _prefix(exchange: Exchange, target: Target) -> str:
    """The path at which a proxied server's own paths start, as it stands in links."""
    return quote(exchange.path.removesuffix(target.rest), safe=_PATH)


def _origin(route: Route) -> str:
    host, port = route.endpoint
    named = f"[{host}]" if ":" in host else host
    return f"{'https' if route.context else 'http'}://{named}:{port}"


def _url(route: Route) -> URL:
    from yarl import URL

    return URL(f"{_origin(route)}{route.target}", encoded=True)
