"""The client for what lives in the server's own process: the same verbs, without HTTP, encoding or copies.

It keeps `podium.client.base.Client`'s contract (and does not import it: the server knows none of its
clients). Objects handed out are the store's own, shared by everybody: read-only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal, TypeAlias

from podium.api.ask import Ask, Outcome, copied
from podium.api.asking import Asgi, ask
from podium.api.auth.authentication import Authentication
from podium.api.auth.authorizer import Authorizer
from podium.api.auth.reviews import reviews
from podium.api.auth.users import SYSTEM, User
from podium.api.core import Core, shown
from podium.api.schema import Definitions, Schema
from podium.api.store.base import Entry, WatchDropped
from podium.api.store.codec import UnreadableEntry
from podium.api.types import Obj
from podium.api.types.errors import no_such_path
from podium.api.types.resources import BINDINGS, PODS, Resource
from podium.api.types.results import ObjList, WatchEvent
from podium.api.verbs import binding, eviction, scale, subresources, token
from podium.api.verbs import patch as patching
from podium.api.verbs.create import create
from podium.api.verbs.delete import DeleteOptions, delete
from podium.api.verbs.get import get
from podium.api.verbs.list import ListOptions, list_page
from podium.api.verbs.update import update
from podium.api.verbs.watch import Bookmark, WatchOptions, open_stream
from podium.api.watching import BOOKMARK_EVERY, bookmark, subject

PatchType = Literal["json", "merge", "strategic", "apply"]
# Not written where it is used: the class has a method of that name.
JsonPatch: TypeAlias = list[Obj]
# A stream in this process has no connection that could go stale.
FOREVER = 10 * 365 * 86400.0


class LocalClient:
    """Acts as `user`, who may do everything."""

    def __init__(
        self,
        core: Core,
        definitions: Definitions,
        authentication: Authentication,
        authorizer: Authorizer,
        app: Asgi,
        user: User = SYSTEM,
    ) -> None:
        self._core = core
        self._definitions = definitions
        self._tokens = authentication.tokens
        self._app = app
        self._user = user
        self._reviews = reviews(authentication, authorizer)

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Obj:
        return (await get(self._core, self._ask(resource, namespace, name))).obj

    async def read(self, path: str) -> Obj:
        """What a GET of any path answers, in JSON."""
        return await ask(self._app, path, self._user)

    async def list(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> ObjList:
        ask = self._ask(resource, namespace)
        # One that nobody can read is the business of who asked for all, and stops nobody else.
        entries = self._core.store.list(ask.kind.below(ask.namespace))
        unreadable = [entry.why for entry in entries if isinstance(entry, UnreadableEntry)]
        page = await list_page(self._core, ask, ListOptions(labels, fields, readable=bool(unreadable)))
        items = page.items
        holders = [item for item in items if isinstance(item, Entry)]
        return ObjList(
            [item.obj for item in items],
            str(page.revision),
            holders if len(holders) == len(items) else (),
            unreadable,
        )

    async def create(
        self, resource: Resource, obj: Obj, namespace: str = "", *, name: str = "", subresource: str = ""
    ) -> Obj:
        obj = copied(obj)
        namespace = namespace or (obj.get("metadata") or {}).get("namespace") or ""
        ask = self._ask(resource, namespace, name, subresource)
        if review := self._reviews.get(resource):
            ask.kind.schema.decode(obj)
            return (await review(ask, obj)).obj
        if resource == BINDINGS:
            pod = self._ask(PODS, namespace, (obj.get("metadata") or {}).get("name") or "", "binding")
            return (await self._create_subresource(pod, obj)).obj
        if not subresource:
            return (await create(self._core, ask, obj)).obj
        return (await self._create_subresource(ask, obj)).obj

    async def _create_subresource(self, ask: Ask, obj: Obj) -> Outcome:
        match ask.subresource:
            case "binding" if ask.kind.resource == PODS:
                self._schema("", "v1", "Binding").decode(obj)
                return await binding.bind(self._core, ask, obj)
            case "eviction" if ask.kind.resource == PODS:
                self._schema("policy", "v1", "Eviction").decode(obj)
                return await eviction.evict(self._core, ask, obj)
            case "token":
                self._schema("authentication.k8s.io", "v1", "TokenRequest").decode(obj)
                return await token.request(self._core, ask, self._tokens, obj)
        raise no_such_path()

    async def update(self, resource: Resource, obj: Obj, *, subresource: str = "") -> Obj:
        meta, obj = obj["metadata"], copied(obj)
        ask = self._ask(resource, meta.get("namespace", ""), meta["name"], subresource)
        if subresource == "scale":
            return (await scale.update(self._core, ask, self._scale_schema(), lambda _: obj)).obj
        result = await update(self._core, ask, subresources.rule_of(ask.kind, subresource), obj)
        return result.outcome.obj

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Obj | JsonPatch,
        namespace: str = "",
        *,
        kind: PatchType = "merge",
        subresource: str = "",
    ) -> Obj:
        ask = self._ask(resource, namespace, name, subresource)
        media_type = patching.MEDIA_TYPES.get(kind, "")
        if subresource == "scale":
            schema = self._scale_schema()
            apply = patching.applier(schema, media_type, patch)
            return (await scale.update(self._core, ask, schema, lambda old: copied(apply(old)))).obj
        apply = patching.applier(ask.kind.schema, media_type, patch)
        return (await patching.patch(self._core, ask, subresources.rule_of(ask.kind, subresource), apply)).obj

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        grace_seconds: int | None = None,
        uid: str = "",
        resource_version: str = "",
        propagation: str = "",
    ) -> None:
        options = DeleteOptions(grace_seconds, propagation, uid, resource_version)
        await delete(self._core, self._ask(resource, namespace, name), options)

    async def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str,
        labels: str = "",
        fields: str = "",
        bookmarks: bool = True,
    ) -> AsyncIterator[WatchEvent]:
        """Ends when the server closes, or when the reader was too slow."""
        ask = self._ask(resource, namespace)
        selection = ListOptions(labels, fields, resource_version=resource_version)
        options = WatchOptions(selection, FOREVER, BOOKMARK_EVERY if bookmarks else 0)
        stream = open_stream(self._core, ask, options)
        try:
            async for step in stream.steps():
                if isinstance(step, Bookmark):
                    yield WatchEvent("BOOKMARK", bookmark(resource.kind, resource.api_version, step))
                    continue
                for change in step:
                    if not change.event.entry.readable:
                        continue
                    outcome = shown(ask.kind, subject(change))
                    yield WatchEvent(
                        change.type, outcome.obj, outcome if isinstance(outcome, Entry) else None
                    )
        except WatchDropped:
            return
        finally:
            stream.close()

    async def close(self) -> None:
        """There is no connection; the server outlives its clients."""

    def _ask(self, resource: Resource, namespace: str = "", name: str = "", subresource: str = "") -> Ask:
        """Raises 404 for what is not served."""
        kind = self._core.kinds.find(resource.group, resource.version, resource.plural)
        if kind is None:
            raise no_such_path()
        return Ask(kind, namespace if resource.namespaced else "", name, subresource, user=self._user)

    def _schema(self, group: str, version: str, kind: str) -> Schema:
        return self._definitions.schema(group, version, kind)

    def _scale_schema(self) -> Schema:
        return self._schema("autoscaling", "v1", "Scale")
