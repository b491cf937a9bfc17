"""The API server's ASGI application: authenticate, authorise, route, answer.

Requests on resources take the short way: the path is split by hand and goes to `Rest`. The rest (versions,
health, metrics, discovery, OpenAPI) is a small Starlette application."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from podium.api.aggregation import Aggregator
from podium.api.aggregation.remote import action_of
from podium.api.audit import Audit
from podium.api.auth.actions import Action
from podium.api.auth.authentication import Authentication
from podium.api.auth.authorizer import Authorizer
from podium.api.auth.impersonation import START, impersonated
from podium.api.auth.users import User
from podium.api.exchange import Disconnected, Exchange, Header, Receive, Scope, Send
from podium.api.fairness import Fairness
from podium.api.kinds import Kinds
from podium.api.metrics import Metrics
from podium.api.paths import find, watched
from podium.api.proxy import Proxy
from podium.api.rest import CONNECTION, Rest, check_name
from podium.api.running import Running
from podium.api.types.errors import StatusError, internal, method_not_allowed, no_such_path, unauthorized
from podium.api.upgrade import Route
from podium.api.visits import Visit

log = logging.getLogger(__name__)

RUNS = frozenset({"exec", "attach", "portforward"})

Asgi = Callable[[Scope, Receive, Send], Any]


class App:
    """`stop` ends the requests that have no end of their own: watches, followed logs."""

    def __init__(
        self,
        kinds: Kinds,
        authentication: Authentication,
        authorizer: Authorizer,
        rest: Rest,
        proxy: Proxy,
        aggregator: Aggregator,
        others: Asgi,
        metrics: Metrics,
        running: Running,
        fairness: Fairness,
        audit: Audit | None = None,
    ) -> None:
        self._kinds = kinds
        self._authentication = authentication
        self._authorizer = authorizer
        self._rest = rest
        self._proxy = proxy
        self._aggregator = aggregator
        self._others = others
        self._metrics = metrics
        self._running = running
        self._fairness = fairness
        self._audit = audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send)
        if "/watch/" in exchange.path:
            _take_watch(exchange)
        if self._audit is not None:
            exchange.audit = self._audit.record(exchange)
        try:
            await self._answer(exchange)
        finally:
            if exchange.seat is not None:
                exchange.seat.leave()
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
        certified = _certified(exchange.scope)
        target = find(self._kinds, path) if path.startswith(("/api/", "/apis/")) else None
        exchange.target = target
        if exchange.audit is not None and any(name.startswith(START) for name, _ in headers):
            own = [header for header in headers if not header[0].startswith(START)]
            exchange.audit.impersonator = await self._user_of(certified, own, exchange)
        user = await self._user_of(certified, headers, exchange)
        if path.startswith(("/api/", "/apis/")):
            if target is not None:
                if b"timeout=" in exchange.scope["query_string"]:
                    self._running.shorten(exchange)
                await self._rest.serve(exchange, user, target)
                return
            if self._aggregator.serves(path):
                await self._line_up_others(exchange, user)
                await self._aggregator.serve(exchange, user)
                return
        await self._serve_other(exchange, user)

    async def _line_up_others(self, exchange: Exchange, user: User) -> None:
        """A request that another server answers; one that lasts takes no seat. Raises 429."""
        if b"timeout=" in exchange.scope["query_string"]:
            self._running.shorten(exchange)
        watch = bool(exchange.query and exchange.flag("watch"))
        action = action_of(exchange.method, exchange.path, watch=watch)
        exchange.enter("watch" if watch else exchange.method.lower(), user)
        if not watch and not self._fairness.enter(exchange, user, action):
            await self._fairness.wait(exchange)

    async def _serve_other(self, exchange: Exchange, user: User) -> None:
        verb = "get" if exchange.method in ("GET", "HEAD") else exchange.method.lower()
        exchange.enter(verb, user)
        if b"timeout=" in exchange.scope["query_string"]:
            self._running.shorten(exchange)
        action = Action(verb, path=exchange.path)
        if not self._fairness.enter(exchange, user, action):
            await self._fairness.wait(exchange)
        await self._authorizer.authorize(user, action)
        await self._others(exchange.scope, exchange.receive, exchange.pass_on)

    async def _user_of(self, certified: User | None, headers: list[Header], exchange: Exchange) -> User:
        """By certificate, or else by token; as whom that user wants to act. Raises 401 for a bad token and
        where nobody may come without one, 400 and 403 for acting as somebody else."""
        user, acts = certified, False
        for name, value in headers:
            if name == b"authorization" and certified is None:
                user = await self._authentication.header(value)
            elif name.startswith(START):
                acts = True
        if user is None:
            user = self._authentication.nobody(exchange.path)
        self._authentication.attempts["success"] += 1
        return await self._acting(user, headers, exchange) if acts else user

    async def _acting(self, user: User, headers: list[Header], exchange: Exchange) -> User:
        """Raises 400, 403."""
        acting = await impersonated(self._authorizer, user, headers, self._asked(exchange))
        if exchange.audit is not None:
            exchange.audit.constraint = acting.constraint
        return acting.user

    def _asked(self, exchange: Exchange) -> Action:
        """What a request is about, whether or not it can be done."""
        method, path = exchange.method, exchange.path
        if exchange.target is not None:
            with suppress(StatusError):
                return self._rest.asks(exchange, exchange.target)
        elif self._aggregator.serves(path):
            return action_of(method, path, watch=bool(exchange.query and exchange.flag("watch")))
        return Action("get" if method in ("GET", "HEAD") else method.lower(), path=path)

    def visit(self, scope: Scope) -> Visit:
        """A request that asks for an upgrade."""
        return Visit(scope, self._decide, self._running, self._metrics, self._audit)

    async def _decide(self, exchange: Exchange) -> Route:
        """Where an upgrade goes. Raises 400, 401, 403, 404, 503."""
        method, path = exchange.method, exchange.path
        found = find(self._kinds, path) if path.startswith(("/api/", "/apis/")) else None
        exchange.target = found
        user = await self._user_of(_certified(exchange.scope), exchange.scope["headers"], exchange)
        if found is None and (route := await self._upgraded_elsewhere(exchange, user)):
            return route
        if found is None or found.subresource not in ("exec", "attach", "portforward", "proxy", "log"):
            raise no_such_path()
        if found.subresource not in found.kind.resource.subresources:
            raise no_such_path()
        if found.subresource == "log" and method != "GET":
            raise method_not_allowed()
        verb = CONNECTION.get(method)
        if verb is None:
            raise method_not_allowed()
        exchange.enter(verb, user)
        resource = found.kind.resource
        wanted = Action(verb, resource.group, resource.plural, found.subresource, found.namespace, found.name)
        await self._authorizer.authorize(user, wanted)
        if found.subresource in RUNS:
            # WebSockets begin with a GET; who may only read is not to run anything by one.
            await self._authorizer.authorize(user, wanted._replace(verb="create"))
        check_name(found.name)
        await self._proxy.admit(found, exchange.pairs, user)
        return self._proxy.route(found, exchange.pairs)

    async def _upgraded_elsewhere(self, exchange: Exchange, user: User) -> Route | None:
        """Raises 403, 503."""
        if not self._aggregator.serves(exchange.path):
            return None
        watch = bool(exchange.query and exchange.flag("watch"))
        exchange.enter("watch" if watch else exchange.method.lower(), user)
        query = exchange.scope["query_string"].decode("latin-1")
        return await self._aggregator.route(exchange.method, exchange.path, query, user, watch=watch)


def _take_watch(exchange: Exchange) -> None:
    """Makes of the older form of a watch the one that is known everywhere."""
    found = watched(exchange.path) if exchange.method in ("GET", "HEAD") else None
    if found is not None:
        exchange.path, name = found
        exchange.query["watch"] = "true"
        if name:
            exchange.query["fieldSelector"] = f"metadata.name={name}"


def _certified(scope: Scope) -> User | None:
    """Whom the connection's certificate names. Raises 401 when it is not valid now."""
    state = scope["state"]
    user: User | None = state.get("user")
    valid = state.get("valid")
    if user is not None and valid is not None and not valid[0] <= time.time() < valid[1]:
        raise unauthorized()
    return user
