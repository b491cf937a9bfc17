"""The API server's ASGI application: authenticate, authorise, route, answer.

Requests on resources take the short way: the path is split by hand and goes to `Rest`. The rest (versions,
health, metrics, discovery, OpenAPI) is a small Starlette application."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from podium.api.aggregation import Aggregator
from podium.api.audit import Audit
from podium.api.auth.actions import Action
from podium.api.auth.authorizer import Authorizer
from podium.api.auth.impersonation import START, impersonated
from podium.api.auth.tokens import Tokens, authenticate_header
from podium.api.auth.users import ANONYMOUS, User
from podium.api.exchange import Disconnected, Exchange, Header, Receive, Scope, Send
from podium.api.kinds import Kinds
from podium.api.metrics import Metrics
from podium.api.paths import find
from podium.api.proxy import Proxy
from podium.api.rest import Rest
from podium.api.running import Running
from podium.api.types.errors import StatusError, internal, method_not_allowed, no_such_path, unauthorized
from podium.api.upgrade import Route

log = logging.getLogger(__name__)

RUNS = frozenset({"exec", "attach", "portforward"})

Asgi = Callable[[Scope, Receive, Send], Any]


class App:
    """`stop` ends the requests that have no end of their own: watches, followed logs."""

    def __init__(
        self,
        kinds: Kinds,
        tokens: Tokens,
        authorizer: Authorizer,
        rest: Rest,
        proxy: Proxy,
        aggregator: Aggregator,
        others: Asgi,
        metrics: Metrics,
        running: Running,
        audit: Audit | None = None,
    ) -> None:
        self._kinds = kinds
        self._tokens = tokens
        self._authorizer = authorizer
        self._rest = rest
        self._proxy = proxy
        self._aggregator = aggregator
        self._others = others
        self._metrics = metrics
        self._running = running
        self._audit = audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send)
        if self._audit is not None:
            exchange.audit = self._audit.record(exchange)
        try:
            await self._answer(exchange)
        finally:
            self._running.end(exchange)
            self._metrics.served(exchange)
            if exchange.audit is not None:
                exchange.audit.close()

    async def _answer(self, exchange: Exchange) -> None:
        try:
            self._running.begin(exchange)
            await self._serve(exchange)
        except StatusError as error:
            if exchange.started:
                raise
            await exchange.fail(error)
        except (Disconnected, ConnectionError):
            # There is nobody to answer; the server closes the connection of an answer that has no end.
            if exchange.started:
                raise
        except asyncio.CancelledError:
            late = self._running.overdue(exchange)
            if late is None:
                raise
            if exchange.started:
                raise Disconnected from None
            await exchange.fail(late)
        except Exception:
            log.exception("%s %s failed", exchange.method, exchange.path)
            if exchange.started:
                raise
            await exchange.fail(internal("see the server's log"))

    async def _serve(self, exchange: Exchange) -> None:
        path, headers = exchange.path, exchange.scope["headers"]
        certified = exchange.scope["state"].get("user")
        user = self._user_of(certified, headers)
        if exchange.audit is not None and any(name.startswith(START) for name, _ in headers):
            own = [header for header in headers if not header[0].startswith(START)]
            exchange.audit.impersonator = self._user_of(certified, own)
        if path.startswith(("/api/", "/apis/")):
            target = find(self._kinds, path)
            if target is not None:
                exchange.target = target
                await self._rest.serve(exchange, user or ANONYMOUS, target)
                return
            if self._aggregator.serves(path):
                if user is None:
                    raise unauthorized()
                exchange.enter(exchange.method.lower(), user)
                await self._aggregator.serve(exchange, user)
                return
        await self._serve_other(exchange, user)

    async def _serve_other(self, exchange: Exchange, user: User | None) -> None:
        verb = "get" if exchange.method in ("GET", "HEAD") else exchange.method.lower()
        exchange.enter(verb, user or ANONYMOUS)
        action = Action(verb, path=exchange.path)
        self._authorizer.authorize(user or ANONYMOUS, action)
        await self._others(exchange.scope, exchange.receive, exchange.pass_on)

    def _user_of(self, certified: User | None, headers: list[Header]) -> User | None:
        """By certificate, or else by token; as whom that user wants to act. None for whoever shows neither.
        Raises 401 for a bad token, 400 and 403 for acting as somebody else."""
        user, acts = certified, False
        for name, value in headers:
            if name == b"authorization" and certified is None:
                user = authenticate_header(self._tokens, value)
            elif name.startswith(START):
                acts = True
        return impersonated(self._authorizer, user, headers) if user is not None and acts else user

    async def decide(self, method: str, target: str, headers: list[Header], certified: User | None) -> Route:
        """Where an upgrade goes. Raises 400, 401, 403, 404, 503."""
        user = self._user_of(certified, headers)
        if user is None:
            raise unauthorized()
        parts = urlsplit(target)
        path = unquote(parts.path)
        found = find(self._kinds, path) if path.startswith(("/api/", "/apis/")) else None
        if found is None and (route := self._aggregator.route(method, path, parts.query, user)):
            return route
        if found is None or found.subresource not in ("exec", "attach", "portforward", "proxy", "log"):
            raise no_such_path()
        if found.subresource not in found.kind.resource.subresources:
            raise no_such_path()
        if found.subresource == "log" and method != "GET":
            raise method_not_allowed()
        resource = found.kind.resource
        wanted = Action(
            "create" if method == "POST" else "get",
            resource.group, resource.plural, found.subresource, found.namespace, found.name,
        )  # fmt: skip
        self._authorizer.authorize(user, wanted)
        if found.subresource in RUNS:
            # WebSockets begin with a GET; who may only read is not to run anything by one.
            self._authorizer.authorize(user, wanted._replace(verb="create"))
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        await self._proxy.admit(found, pairs, user)
        return self._proxy.route(found, pairs)
