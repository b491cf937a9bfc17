"""Requests on resources: from a method and a path to a verb, and its answer in the form the client asked
for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Any

from podium.api.ask import LARGE, OWN, Ask, Outcome
from podium.api.auth import selecting
from podium.api.auth.actions import Action
from podium.api.auth.authorizer import Authorizer
from podium.api.auth.tokens import Tokens
from podium.api.auth.users import ANONYMOUS, User
from podium.api.core import Core
from podium.api.exchange import Exchange
from podium.api.fairness import Fairness
from podium.api.negotiation import negotiate
from podium.api.paths import Target
from podium.api.presenting import present, present_page
from podium.api.proxy import Proxy
from podium.api.schema import Definitions, Schema, decode_body, protobuf
from podium.api.schema.body import decode_json, json_duplicates
from podium.api.types import Obj
from podium.api.types.errors import (
    Cause,
    StatusError,
    bad_request,
    invalid,
    method_not_allowed,
    no_such_path,
    unsupported_media_type,
)
from podium.api.types.resources import BINDINGS, PODS, Resource
from podium.api.verbs import apply as applying
from podium.api.verbs import binding, eviction, patch, scale, subresources, token
from podium.api.verbs.create import create
from podium.api.verbs.delete import DeleteOptions, answer, delete
from podium.api.verbs.deletecollection import delete_collection
from podium.api.verbs.get import get
from podium.api.verbs.list import ListOptions, list_page
from podium.api.verbs.update import update
from podium.api.watching import watch

Review = Callable[[Ask, Obj], Awaitable[Outcome]]
Handler = Callable[[Exchange, Ask], Awaitable[None]]

BODY_TYPES = (
    "",
    "application/json",
    "application/yaml",
    "text/yaml",
    "application/x-yaml",
    protobuf.MEDIA_TYPE,
)
MANAGER_LIMIT = 128  # characters
PROGRAMS = 256  # that are remembered by name, and as many media types
# Names that no object can have: they would mean another place in a path.
DOTS = frozenset({".", ".."})
# Longer ones are decoded beside the loop.
LONG_BODY, LONG_YAML = 128 << 10, 4 << 10
CONNECTS = frozenset({"log", "exec", "attach", "portforward", "proxy"})
_COLLECTION = {"GET": "list", "HEAD": "list", "POST": "create", "DELETE": "deletecollection"}
_OBJECT = {"GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
CONNECTION = {**_OBJECT, "POST": "create", "OPTIONS": "get"}


class Rest:
    """Serves requests on resources. `reviews` are the kinds that answer instead of being kept."""

    def __init__(
        self,
        core: Core,
        definitions: Definitions,
        tokens: Tokens,
        authorizer: Authorizer,
        proxy: Proxy,
        reviews: dict[Resource, Review],
        fairness: Fairness,
    ) -> None:
        self._core = core
        self._definitions = definitions
        self._tokens = tokens
        self._authorizer = authorizer
        self._proxy = proxy
        self._reviews = reviews
        self._fairness = fairness
        self._verbs: dict[str, Handler] = {
            "get": self._get,
            "list": self._list,
            "watch": self._watch,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }
        self._subresources: dict[tuple[str, str], Handler] = {
            ("scale", "get"): self._get_scale, ("scale", "update"): self._update_scale,
            ("scale", "patch"): self._patch_scale, ("binding", "create"): self._bind,
            ("eviction", "create"): self._evict, ("token", "create"): self._request_token,
        }  # fmt: skip

    async def serve(self, exchange: Exchange, user: User, target: Target) -> str:
        """Answers the request and says which verb it was. Raises StatusError before an answer has begun."""
        try:
            verb = self._verb(exchange, target)
        except StatusError:
            if user is ANONYMOUS:
                # Whoever does not say who he is learns nothing of what there is.
                await self._authorizer.authorize(user, Action(exchange.method.lower(), path=exchange.path))
            raise
        kind, subresource = target.kind, target.subresource
        resource = kind.resource
        exchange.enter(verb, user)
        action = _action(exchange, target, verb)
        if subresource not in CONNECTS and not self._fairness.enter(exchange, user, action):
            await self._fairness.wait(exchange)
        await self._authorizer.authorize(user, action)
        check_name(target.name)
        if subresource in CONNECTS and subresource in resource.subresources:
            await self._proxy.admit(target, exchange.pairs, user)
            await self._proxy.serve(exchange, target)
            return verb
        ask = Ask(kind, target.namespace, target.name, subresource, user=user, validation="Warn")
        if exchange.audit is not None:
            exchange.audit.annotations = ask.annotations
        if verb in ("create", "update", "patch"):
            ask.manager = _manager(exchange)
        if exchange.query:
            ask.named = exchange.query.get("fieldManager", OWN) not in ("", OWN)
            self._read_options(exchange, ask)
        await self._handler(verb, ask)(exchange, ask)
        return verb

    def asks(self, exchange: Exchange, target: Target) -> Action:
        """What a request is about. Raises 400, 404, 405."""
        return _action(exchange, target, self._verb(exchange, target))

    def _verb(self, exchange: Exchange, target: Target) -> str:
        """Raises 404, 405."""
        resource, method = target.kind.resource, exchange.method
        if target.subresource:
            if target.subresource not in resource.subresources:
                raise no_such_path()
            verb = CONNECTION.get(method)
            if verb is None:
                raise method_not_allowed()
            return verb
        verb = (_OBJECT if target.name else _COLLECTION).get(method)
        if verb == "list" and exchange.query and exchange.flag("watch"):
            verb = "watch"
        if verb is None:
            raise method_not_allowed()
        if verb not in target.kind.verbs:
            raise target.kind.refused(verb)
        if resource.namespaced and not target.namespace and verb not in ("list", "watch"):
            raise method_not_allowed()
        return verb

    def _handler(self, verb: str, ask: Ask) -> Handler:
        """Raises 404, 405."""
        if not ask.subresource:
            return self._verbs[verb]
        if handler := self._subresources.get((ask.subresource, verb)):
            return handler
        if subresources.is_part(ask.kind, ask.subresource) and verb in ("get", "update", "patch"):
            return self._verbs[verb]
        raise method_not_allowed()

    def _read_options(self, exchange: Exchange, ask: Ask) -> None:
        """Raises 422."""
        values = [value for name, value in exchange.pairs if name == "dryRun" and value]
        if any(value != "All" for value in values):
            raise _option("dryRun", f'Unsupported value: "{values[0]}": supported values: "All"')
        ask.dry_run = bool(values)
        validation = exchange.query.get("fieldValidation") or "Warn"
        if validation not in ("Ignore", "Warn", "Strict"):
            supported = '"", "Ignore", "Strict", "Warn"'
            raise _option(
                "fieldValidation", f'Unsupported value: "{validation}": supported values: {supported}'
            )
        ask.validation = validation  # type: ignore[assignment]
        ask.options = {
            key: exchange.query[key] for key in ("fieldManager", "fieldValidation") if exchange.query.get(key)
        }

    # --- reading

    async def _get(self, exchange: Exchange, ask: Ask) -> None:
        version = exchange.query.get("resourceVersion", "") if exchange.query else ""
        outcome = await get(self._core, ask, version)
        accept = exchange.header(b"accept")
        await present(self._core, exchange, ask, negotiate(accept.decode("latin-1")), outcome)

    async def _list(self, exchange: Exchange, ask: Ask) -> None:
        accepted = negotiate(exchange.header(b"accept").decode("latin-1"))
        page = await list_page(self._core, ask, _list_options(exchange))
        await present_page(self._core, exchange, ask, accepted, page)

    async def _watch(self, exchange: Exchange, ask: Ask) -> None:
        accepted = negotiate(exchange.header(b"accept").decode("latin-1"))
        await watch(self._core, exchange, ask, accepted, _list_options(exchange))

    async def _get_scale(self, exchange: Exchange, ask: Ask) -> None:
        await self._show(exchange, ask, await scale.get(self._core, ask))

    # --- writing

    async def _create(self, exchange: Exchange, ask: Ask) -> None:
        obj, duplicates = await self._object(exchange, ask)
        resource = ask.kind.resource
        if review := self._reviews.get(resource):
            ask.warnings += ask.kind.schema.decode(obj, ask.validation, duplicates)
            await self._show(exchange, ask, await review(ask, obj), 201)
        elif resource == BINDINGS:
            ask.warnings += ask.kind.schema.decode(obj, ask.validation, duplicates)
            await self._bind_named(exchange, ask, obj)
        else:
            await self._show(exchange, ask, await create(self._core, ask, obj, duplicates), 201)

    async def _update(self, exchange: Exchange, ask: Ask) -> None:
        obj, duplicates = await self._object(exchange, ask)
        creates = ask.kind.strategy.allow_create_on_update and await self._may_create(ask)
        rule = subresources.rule_of(ask.kind, ask.subresource)
        result = await update(self._core, ask, rule, obj, duplicates, creates=creates)
        await self._show(exchange, ask, result.outcome, 201 if result.created else 200)

    async def _patch(self, exchange: Exchange, ask: Ask) -> None:
        media_type, change, duplicates = await self._patch_body(exchange, ask)
        if media_type == applying.MEDIA_TYPE:
            await self._apply(exchange, ask, change, duplicates)
            return
        if exchange.query and exchange.query.get("force"):
            cause = Cause(
                "FieldValueForbidden", "Forbidden: may not be specified for non-apply patch", "force"
            )
            raise invalid("PatchOptions", "", [cause], "meta.k8s.io")
        rule = subresources.rule_of(ask.kind, ask.subresource)
        apply = patch.applier(ask.kind.schema, media_type, change)
        await self._show(exchange, ask, await patch.patch(self._core, ask, rule, apply, duplicates))

    async def _apply(self, exchange: Exchange, ask: Ask, config: Obj, duplicates: Sequence[str]) -> None:
        _check_applier(exchange)
        creates = await self._may_create(ask)
        rule = subresources.rule_of(ask.kind, ask.subresource)
        force = bool(exchange.flag("force"))
        result = await applying.apply(self._core, ask, rule, config, duplicates, force=force, creates=creates)
        await self._show(exchange, ask, result.outcome, 201 if result.created else 200)

    async def _delete(self, exchange: Exchange, ask: Ask) -> None:
        deleted = await delete(self._core, ask, await self._delete_options(exchange))
        await self._show(exchange, ask, answer(ask, deleted))

    async def _delete_collection(self, exchange: Exchange, ask: Ask) -> None:
        options = await self._delete_options(exchange)
        page = await delete_collection(self._core, ask, _list_options(exchange), options)
        accepted = negotiate(exchange.header(b"accept").decode("latin-1"))
        await present_page(self._core, exchange, ask, accepted, page)

    async def _update_scale(self, exchange: Exchange, ask: Ask) -> None:
        wanted, _ = await self._object(exchange, ask)
        outcome = await scale.update(
            self._core, ask, self._schema("autoscaling", "v1", "Scale"), lambda _: wanted
        )
        await self._show(exchange, ask, outcome)

    async def _patch_scale(self, exchange: Exchange, ask: Ask) -> None:
        media_type, change, _ = await self._patch_body(exchange, ask)
        if media_type == applying.MEDIA_TYPE:
            _check_applier(exchange)
            force = bool(exchange.flag("force"))
            outcome = await applying.apply_scale(self._core, ask, change, force=force)
            await self._show(exchange, ask, outcome)
            return
        schema = self._schema("autoscaling", "v1", "Scale")
        apply = patch.applier(schema, media_type, change)
        await self._show(exchange, ask, await scale.update(self._core, ask, schema, apply))

    async def _bind(self, exchange: Exchange, ask: Ask) -> None:
        obj, duplicates = await self._object(exchange, ask)
        ask.warnings += self._schema("", "v1", "Binding").decode(obj, ask.validation, duplicates)
        await self._show(exchange, ask, await binding.bind(self._core, ask, obj), 201)

    async def _bind_named(self, exchange: Exchange, ask: Ask, obj: Obj) -> None:
        name = (obj.get("metadata") or {}).get("name") or ""
        own = Ask(
            self._core.kinds.of(PODS), ask.namespace, name, "binding", user=ask.user, dry_run=ask.dry_run
        )
        await self._show(exchange, ask, await binding.bind(self._core, own, obj), 201)

    async def _evict(self, exchange: Exchange, ask: Ask) -> None:
        obj, duplicates = await self._object(exchange, ask)
        ask.warnings += self._schema("policy", "v1", "Eviction").decode(obj, ask.validation, duplicates)
        await self._show(exchange, ask, await eviction.evict(self._core, ask, obj), 201)

    async def _request_token(self, exchange: Exchange, ask: Ask) -> None:
        obj, duplicates = await self._object(exchange, ask)
        schema = self._schema("authentication.k8s.io", "v1", "TokenRequest")
        ask.warnings += schema.decode(obj, ask.validation, duplicates)
        await self._show(exchange, ask, await token.request(self._core, ask, self._tokens, obj), 201)

    # --- what they share

    async def _may_create(self, ask: Ask) -> bool:
        """What is not there yet is created by an update, which takes the right to. False for what is there:
        nobody has looked whether the user might create it, should it go meanwhile. Raises 403."""
        kind, resource = ask.kind, ask.kind.resource
        if ask.subresource or self._core.store.latest(kind.key(ask.namespace, ask.name)) is not None:
            return False
        action = Action("create", resource.group, resource.plural, "", ask.namespace, ask.name)
        await self._authorizer.authorize(ask.user, action)
        return True

    async def _show(self, exchange: Exchange, ask: Ask, outcome: Outcome, code: int = 200) -> None:
        accepted = negotiate(exchange.header(b"accept").decode("latin-1"))
        await present(self._core, exchange, ask, accepted, outcome, code)

    def _schema(self, group: str, version: str, kind: str) -> Schema:
        return self._definitions.schema(group, version, kind)

    async def _object(self, exchange: Exchange, ask: Ask) -> tuple[Obj, list[str]]:
        """The body's object and its duplicate fields. Raises 400, 413, 415."""
        body = await exchange.body()
        ask.large = len(body) > LARGE
        return await self._decoded(exchange, body, strict=ask.validation != "Ignore")

    async def _decoded(self, exchange: Exchange, body: bytes, *, strict: bool) -> tuple[Obj, list[str]]:
        """Raises 400, 415."""
        media_type = _media_type(exchange.header(b"content-type"))
        if media_type not in BODY_TYPES:
            raise _unknown_format(f"application/json, application/yaml, {protobuf.MEDIA_TYPE}")
        if _takes_long(body, media_type):
            return await asyncio.to_thread(decode_body, body, media_type, strict=strict)
        return decode_body(body, media_type, strict=strict)

    async def _decoded_applied(self, body: bytes) -> tuple[Obj, list[str]]:
        """Raises 400."""
        if _takes_long(body, "application/yaml"):
            return await asyncio.to_thread(decode_body, body, "application/yaml")
        return decode_body(body, "application/yaml")

    async def _delete_options(self, exchange: Exchange) -> DeleteOptions:
        """From the body, or from the query where there is none. Raises 400, 413, 415, 422."""
        body = await exchange.body()
        if not body:
            values: dict[str, Any] = dict(exchange.query)
            values["dryRun"] = [value for name, value in exchange.pairs if name == "dryRun" and value]
            return DeleteOptions.parse(values)
        given, _ = await self._decoded(exchange, body, strict=False)
        if given.get("kind") not in (None, "", "DeleteOptions"):
            raise bad_request("decoded object cannot be converted to DeleteOptions")
        given["kind"], given["apiVersion"] = "DeleteOptions", "v1"
        self._schema("", "v1", "DeleteOptions").decode(given)
        return DeleteOptions.parse(given)

    async def _patch_body(self, exchange: Exchange, ask: Ask) -> tuple[str, Any, Sequence[str]]:
        """The patch's media type, the patch, and its duplicate fields. Raises 400, 413, 415."""
        media_type = _media_type(exchange.header(b"content-type"))
        if media_type != applying.MEDIA_TYPE and media_type not in patch.media_types(ask.kind.resource):
            raise patch.unsupported(ask.kind.resource)
        body = await exchange.body()
        ask.large = len(body) > LARGE
        if media_type == applying.MEDIA_TYPE:
            return media_type, *(await self._decoded_applied(body))
        looked_for = ask.validation != "Ignore" and media_type != patch.JSON_PATCH

        def decoded() -> tuple[Any, Sequence[str]]:
            change = decode_json(body)
            return change, json_duplicates(body, change) if looked_for else ()

        return media_type, *(await asyncio.to_thread(decoded) if len(body) > LONG_BODY else decoded())


def _action(exchange: Exchange, target: Target, verb: str) -> Action:
    """A selector for one name is that name."""
    resource, name = target.kind.resource, target.name
    of_fields: selecting.Requirements = ()
    of_labels: selecting.Requirements = ()
    if not name and verb in selecting.SELECTING and exchange.query:
        if text := exchange.query.get("fieldSelector"):
            of_fields = selecting.of_fields(text)
            named = (term for term in of_fields if term[:2] == ("metadata.name", "In"))
            name = next((term.values[0] for term in named), "")
        if text := exchange.query.get("labelSelector"):
            of_labels = selecting.of_labels(text)
    return Action(
        verb, resource.group, resource.plural, target.subresource, target.namespace, name, "",
        resource.version, of_fields, of_labels,
    )  # fmt: skip


@lru_cache(PROGRAMS)
def _media_type(header: bytes) -> str:
    """Without its parameters."""
    return header.decode("latin-1").partition(";")[0].strip().lower()


def _takes_long(body: bytes, media_type: str) -> bool:
    """Longer than others should wait for. What is sent as YAML is JSON mostly, which is read a hundred times
    as fast."""
    real = "yaml" in media_type and body.lstrip()[:1] != b"{"
    return len(body) > (LONG_YAML if real else LONG_BODY)


def _check_applier(exchange: Exchange) -> None:
    """Raises 422 for an applier without a name."""
    if not (exchange.query and exchange.query.get("fieldManager")):
        cause = Cause("FieldValueRequired", "Required value: is required for apply patch", "fieldManager")
        raise invalid("PatchOptions", "", [cause], "meta.k8s.io")


def _manager(exchange: Exchange) -> str:
    """Who will own what the request sets: as it says, or its program's name."""
    named = exchange.query.get("fieldManager") if exchange.query else ""
    if named:
        return named
    return _program(exchange.header(b"user-agent"))


@lru_cache(PROGRAMS)
def _program(agent: bytes) -> str:
    name = agent.decode("latin-1").partition("/")[0]
    return "".join(filter(str.isprintable, name))[:MANAGER_LIMIT]


def check_name(name: str) -> None:
    """Raises 400 for what no object can be called."""
    if name in DOTS or "%" in name:
        why = "may not contain '%'" if "%" in name else f"may not be '{name}'"
        raise bad_request(f'Name parameter invalid: "{name}": {why}')


def _unknown_format(supported: str) -> StatusError:
    return unsupported_media_type(
        f"the body of the request was in an unknown format - accepted media types include: {supported}"
    )


def _option(field: str, message: str) -> StatusError:
    return invalid("Options", "", [Cause("FieldValueNotSupported", message, field)], "meta.k8s.io")


def _list_options(exchange: Exchange) -> ListOptions:
    """Raises 400."""
    query = exchange.query
    if not query:
        return ListOptions()
    limit = exchange.number("limit") or 0
    if limit < 0:
        raise bad_request(f"limit: {limit} is negative")
    return ListOptions(
        query.get("labelSelector", ""),
        query.get("fieldSelector", ""),
        limit,
        query.get("continue", ""),
        query.get("resourceVersion", ""),
        query.get("resourceVersionMatch", ""),
        exchange.flag("sendInitialEvents"),
    )
