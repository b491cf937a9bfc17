"""Keeps the aggregated APIs: one task watches the APIServices, and one for each that names a service sees
whether that can be reached. Without such APIServices nothing runs but the watch."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from podium.api.aggregation import passing, registration
from podium.api.aggregation.availability import PASSED, Verdict, judge, unreached, with_condition
from podium.api.aggregation.backend import Backend, Unreached
from podium.api.aggregation.remote import action_of, remote_of, split
from podium.api.ask import Ask, copied
from podium.api.auth.authorizer import Authorizer
from podium.api.auth.users import User
from podium.api.core import Core
from podium.api.discovery import Extra
from podium.api.exchange import Exchange
from podium.api.pki import Pair
from podium.api.services import slices_of
from podium.api.store.base import WatchDropped
from podium.api.types import Obj
from podium.api.types.errors import StatusError, unavailable
from podium.api.types.meta import timestamp
from podium.api.types.resources import API_SERVICES, ENDPOINT_SLICES, SERVICES, Resource
from podium.api.upgrade import Route
from podium.api.verbs.subresources import rule_of
from podium.api.verbs.update import change

if TYPE_CHECKING:
    import aiohttp

log = logging.getLogger(__name__)

RESYNC = 30.0  # seconds after which an API that answered is asked again
RETRY, RETRY_MAX = 1.0, 30.0

GroupVersion = tuple[str, str]


class Local(Protocol):
    """An API that this server answers although its kinds are not kept here."""

    @property
    def extra(self) -> Extra: ...

    async def serve(self, exchange: Exchange, parts: list[str]) -> None:
        """Answers a request on what follows the version in its path."""
        ...


class Aggregator:
    """`local` are this server's own; an APIService that names a service takes their place. `changed` hears of
    every change of what discovery has to say about the others."""

    def __init__(
        self,
        core: Core,
        authorizer: Authorizer,
        client: Callable[[], aiohttp.ClientSession],
        pair: Pair,
        local: Mapping[GroupVersion, Local],
        changed: Callable[[list[Extra]], None],
    ) -> None:
        self._core, self._client, self._pair = core, client, pair
        self._authorizer = authorizer
        self._local = local
        self._changed = changed
        self._backends: dict[str, Backend] = {}
        self._by_version: dict[GroupVersion, Backend] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Registers what this server answers itself, and begins to watch."""
        versions = [*self._core.kinds.versions, *self._local]
        await registration.ensure(self._core, versions)
        self._tell()
        self._watching = asyncio.create_task(self._watch(), name="aggregation")

    async def close(self) -> None:
        tasks = [task for task in (self._watching, *self._tasks.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()

    # --- requests

    def serves(self, path: str) -> bool:
        """Whether a path that names no kind of this server's is an aggregated API's."""
        group, version, parts = split(path)
        if (group, version) in self._by_version:
            return True
        return bool(parts) and (group, version) in self._local

    async def serve(self, exchange: Exchange, user: User) -> None:
        """Answers a request that `serves` spoke of. Raises 403, 404, 405, 503."""
        group, version, parts = split(exchange.path)
        watch = bool(exchange.query and exchange.flag("watch"))
        await self._authorizer.authorize(user, action_of(exchange.method, exchange.path, watch=watch))
        backend = self._by_version.get((group, version))
        if backend is not None:
            await passing.serve(self._core, self._client(), exchange, user, backend)
        else:
            await self._local[group, version].serve(exchange, parts)

    async def route(
        self, method: str, path: str, query: str, user: User, *, watch: bool = False
    ) -> Route | None:
        """Where an upgraded connection goes; None for a path that is no other server's. Raises 403, 503."""
        group, version, _ = split(path)
        backend = self._by_version.get((group, version))
        if backend is None:
            return None
        await self._authorizer.authorize(user, action_of(method, path, watch=watch))
        return passing.route(self._core, backend, path, query, user)

    async def openapi(self, path: str, user: User) -> bytes | None:
        """The OpenAPI v3 document of `apis/GROUP/VERSION`; None where that is no other server's. Raises
        503."""
        group, version, _ = split(f"/{path}")
        backend = self._by_version.get((group, version))
        # Nothing else is asked for in the server's own name, whatever a path might mean over there.
        if backend is None or path != backend.remote.path[1:]:
            return None
        try:
            return await backend.get(self._core, self._client(), f"/openapi/v3/{path}", user)
        except Unreached as error:
            raise unavailable(str(error)) from None

    def schemas(self) -> dict[str, Obj]:
        """The other servers' parts of the OpenAPI v2 document, by the name of their API."""
        return {
            name: backend.schema for name, backend in self._backends.items() if backend.schema is not None
        }

    def schema_hashes(self) -> dict[str, str]:
        """Path of OpenAPI v3 (`apis/GROUP/VERSION`) → hash of its document, of the other servers'."""
        return {
            backend.remote.path[1:]: backend.schema_hash
            for backend in self._by_version.values()
            if backend.schema_hash
        }

    # --- which there are

    async def _watch(self) -> None:
        prefix = self._core.kinds.of(API_SERVICES).below("")
        while True:
            revision = self._core.store.revision
            present = {obj["metadata"]["name"]: obj for obj in self._core.every(API_SERVICES)}
            for name in [name for name in self._backends if name not in present]:
                self._drop(name)
            for obj in present.values():
                await self._put(obj)
            watch = self._core.store.watch(prefix, revision)
            try:
                async for events in watch:
                    for event in events:
                        await self._apply(event.type, event.entry.obj)
                return
            except (WatchDropped, StatusError):
                log.info("the watch of the APIServices is begun anew")
            finally:
                watch.close()

    async def _apply(self, kind: str, obj: Obj) -> None:
        if kind == "DELETED":
            self._drop(obj["metadata"]["name"])
        else:
            await self._put(obj)

    async def _put(self, obj: Obj) -> None:
        name = obj["metadata"]["name"]
        remote, known = remote_of(obj), self._backends.get(name)
        if known is not None and known.remote == remote:
            return
        self._drop(name)
        if remote is None:
            if not _has_condition(obj):
                await self._report(name, Verdict(True, "Local", "Local APIServices are always available"))
            return
        backend = Backend(remote, self._pair, int((obj["spec"].get("groupPriorityMinimum")) or 0))
        self._backends[name] = self._by_version[remote.group, remote.version] = backend
        self._tell()
        self._tasks[name] = asyncio.create_task(self._attend(backend), name=f"APIService {name}")

    def _drop(self, name: str) -> None:
        backend = self._backends.pop(name, None)
        if backend is None:
            return
        self._tasks.pop(name).cancel()
        del self._by_version[backend.remote.group, backend.remote.version]
        self._tell()

    def _tell(self) -> None:
        remote = [backend.extra() for backend in self._by_version.values()]
        local = [each.extra for version, each in self._local.items() if version not in self._by_version]
        self._changed(local + remote)

    # --- whether they answer

    async def _attend(self, backend: Backend) -> None:
        """Asks at every change of the service, and from time to time."""
        changed, pause = asyncio.Event(), RETRY
        remote = backend.remote
        async with asyncio.TaskGroup() as group:
            group.create_task(self._notice(SERVICES, remote.namespace, changed))
            group.create_task(self._notice(ENDPOINT_SLICES, remote.namespace, changed))
            while True:
                changed.clear()
                verdict = await self._verdict(backend)
                pause = RETRY if verdict.available else min(pause * 2, RETRY_MAX)
                await self._report(remote.name, verdict)
                if backend.settle(verdict.available):
                    self._tell()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(RESYNC if verdict.available else pause):
                        await changed.wait()

    async def _notice(self, resource: Resource, namespace: str, changed: asyncio.Event) -> None:
        prefix = self._core.kinds.of(resource).below(namespace)
        while True:
            watch = self._core.store.watch(prefix, self._core.store.revision)
            try:
                async for _ in watch:
                    changed.set()
                return
            except (WatchDropped, StatusError):
                changed.set()
            finally:
                watch.close()

    async def _verdict(self, backend: Backend) -> Verdict:
        remote = backend.remote
        service = self._core.lookup(SERVICES, remote.namespace, remote.service)
        against = judge(remote, service, slices_of(self._core, remote.namespace, remote.service))
        if against is not None:
            return against
        try:
            await backend.discover(self._core, self._client())
        except Unreached as error:
            return unreached(str(error))
        return PASSED

    async def _report(self, name: str, verdict: Verdict) -> None:
        kind = self._core.kinds.of(API_SERVICES)
        now = timestamp(self._core.clock())

        def judged(old: Obj) -> Obj:
            return {**copied(old), "status": with_condition(old.get("status") or {}, verdict, now)}

        entry = self._core.store.latest(kind.key("", name))
        if entry is None or (entry.obj.get("status") or {}) == judged(entry.obj)["status"]:
            return
        try:
            await change(self._core, Ask(kind, "", name, "status"), rule_of(kind, "status"), judged)
        except StatusError as error:
            # Deleted meanwhile, or written by somebody else all the time: the next look will tell.
            log.info("APIService %s: %s", name, error)


def _has_condition(obj: Obj) -> bool:
    return any(
        entry.get("type") == "Available" for entry in (obj.get("status") or {}).get("conditions") or ()
    )
