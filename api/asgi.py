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
from podium.api.auth.authorizer import Action, authorize, informs, public
from podium.api.auth.impersonation import START, impersonated
from podium.api.auth.tokens import Tokens, authenticate_header
from podium.api.auth.users import ANONYMOUS, User
from podium.api.exchange import Disconnected, Exchange, Header, Receive, Scope, Send
from podium.api.kinds import Kinds
from podium.api.metrics import Metrics
from podium.api.paths import Target, find
from podium.api.proxy import Proxy
from podium.api.rest import Rest
from podium.api.types.errors import StatusError, internal, method_not_allowed, no_such_path, unauthorized
from podium.api.upgrade import Route

log = logging.getLogger(__name__)

Asgi = Callable[[Scope, Receive, Send], Any]


class App:
    """`stop` ends the requests that have no end of their own: watches, followed logs."""

    def __init__(
        self,
        kinds: Kinds,
        tokens: Tokens,
        rest: Rest,
        proxy: Proxy,
        aggregator: Aggregator,
        others: Asgi,
        metrics: Metrics,
    ) -> None:
        self._kinds = kinds
        self._tokens = tokens
        self._rest = rest
        self._proxy = proxy
        self._aggregator = aggregator
        self._others = others
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send)
        try:
            await self._serve(exchange)
        except StatusError as error:
            if exchange.started:
                raise
            self._metrics.failed(error.code)
            await exchange.fail(error)
        except (Disconnected, ConnectionError):
            # There is nobody to answer; the server closes the connection of an answer that has no end.
            if exchange.started:
                raise
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("%s %s failed", exchange.method, exchange.path)
            if exchange.started:
                raise
            self._metrics.failed(500)
            await exchange.fail(internal("see the server's log"))

    async def _serve(self, exchange: Exchange) -> None:
        path = exchange.path
        user = self._user_of(exchange.scope["state"].get("user"), exchange.scope["headers"])
        if path.startswith(("/api/", "/apis/")):
            target = find(self._kinds, path)
            if target is not None:
                if user is None and not informs(_reading(target)):
                    raise unauthorized()
                verb = await self._rest.serve(exchange, user or ANONYMOUS, target)
                self._metrics.served(verb, target.kind.resource.plural)
                return
            if self._aggregator.serves(path):
                if user is None:
                    raise unauthorized()
                await self._aggregator.serve(exchange, user)
                return
        await self._serve_other(exchange, user)

    async def _serve_other(self, exchange: Exchange, user: User | None) -> None:
        verb = "get" if exchange.method in ("GET", "HEAD") else exchange.method.lower()
        action = Action(verb, path=exchange.path)
        if user is None and not public(action):
            raise unauthorized()
        authorize(user or ANONYMOUS, action)
        await self._others(exchange.scope, exchange.receive, exchange.send)

    def _user_of(self, certified: User | None, headers: list[Header]) -> User | None:
        """By certificate, or else by token; as whom that user wants to act. None for whoever shows neither.
        Raises 401 for a bad token, 400 and 403 for acting as somebody else."""
        user, acts = certified, False
        for name, value in headers:
            if name == b"authorization" and certified is None:
                user = authenticate_header(self._tokens, value)
            elif name.startswith(START):
                acts = True
        return impersonated(user, headers) if user is not None and acts else user

    def decide(self, method: str, target: str, headers: list[Header], certified: User | None) -> Route:
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
        verb = "create" if method == "POST" else "get"
        authorize(
            user,
            Action(verb, resource.group, resource.plural, found.subresource, found.namespace, found.name),
        )
        return self._proxy.route(found, parse_qsl(parts.query, keep_blank_values=True))


def _reading(target: Target) -> Action:
    resource = target.kind.resource
    return Action("get", resource.group, resource.plural, target.subresource, target.namespace, target.name)
