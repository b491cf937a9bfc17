"""Keeps what is served up to date with the CustomResourceDefinitions: one task watches them, and one for each
that is deleted clears away its objects first."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from podium.api.ask import Ask, copied
from podium.api.core import Core
from podium.api.extensions.conversion import Call
from podium.api.extensions.kinds import CustomKind, kinds_of
from podium.api.extensions.naming import ESTABLISHED, NAMES_ACCEPTED, TERMINATING, put, settled
from podium.api.extensions.published import published
from podium.api.extensions.registering import Registration
from podium.api.schema import Definitions
from podium.api.schema.openapi.documents import Added
from podium.api.store.base import WatchDropped
from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import condition_is_true, timestamp
from podium.api.types.resources import CUSTOM_RESOURCE_DEFINITIONS
from podium.api.verbs.delete import DeleteOptions, delete
from podium.api.verbs.lifecycle import CLEANUP
from podium.api.verbs.update import Rule, change

log = logging.getLogger(__name__)

RETRY = 1.0  # seconds
# Whatever the server itself writes into a definition.
_OWN = Rule(lambda new, old: None, lambda new, old: [])


class Served(NamedTuple):
    """What is served of one definition. `form` differs where the objects themselves look otherwise."""

    version: str
    form: tuple[object, ...]
    kinds: list[CustomKind]
    added: Added


class Registrar:
    """`changed` hears, after a change of what is served, of the definitions for the documents. `call` reaches
    conversion webhooks."""

    def __init__(
        self, core: Core, definitions: Definitions, call: Call, changed: Callable[[Mapping[str, Added]], None]
    ) -> None:
        self._core, self._definitions, self._call, self._changed = core, definitions, call, changed
        self._served: dict[str, Served] = {}
        self._clearing: dict[str, asyncio.Task[None]] = {}
        self._watching: asyncio.Task[None] | None = None
        self._telling = False
        self._serving = asyncio.Lock()
        self._registration = Registration(core)

    async def start(self) -> None:
        """Serves what is established already, and begins to watch."""
        for obj in self._core.every(CUSTOM_RESOURCE_DEFINITIONS):
            if condition_is_true(obj, ESTABLISHED):
                await self._serve(obj)
        self._tell()
        self._registration.start()
        self._watching = asyncio.create_task(self._watch(), name="custom resource definitions")

    async def close(self) -> None:
        tasks = [task for task in (self._watching, *self._clearing.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._clearing.clear()
        await self._registration.close()

    async def _watch(self) -> None:
        store = self._core.store
        prefix = self._core.kinds.of(CUSTOM_RESOURCE_DEFINITIONS).below("")
        while True:
            revision = store.revision
            present = {obj["metadata"]["name"]: obj for obj in self._core.every(CUSTOM_RESOURCE_DEFINITIONS)}
            for name in self._served.keys() - present.keys():
                self._drop(name)
            for obj in present.values():
                await self._settle(obj)
            watch = store.watch(prefix, revision)
            try:
                async for events in watch:
                    for event in events:
                        await self._apply(event.type, event.entry.obj)
                return
            except WatchDropped:
                log.info("the watch of the CustomResourceDefinitions is begun anew")
            finally:
                watch.close()

    async def _apply(self, kind: str, obj: Obj) -> None:
        if kind != "DELETED":
            await self._settle(obj)
            return
        self._drop(obj["metadata"]["name"])
        # Names that it had are free for others of its group.
        for other in list(self._core.every(CUSTOM_RESOURCE_DEFINITIONS)):
            if other["spec"]["group"] == obj["spec"]["group"]:
                await self._settle(other)

    async def _settle(self, obj: Obj) -> None:
        name = obj["metadata"]["name"]
        try:
            if "deletionTimestamp" in obj["metadata"]:
                await self._end(obj)
                return
            fresh = {**obj, "status": self._status(obj)}
            if condition_is_true(fresh, ESTABLISHED):
                await self._serve(fresh)
            if fresh["status"] != obj.get("status"):
                await self._write(name, lambda old: {**copied(old), "status": self._status(old)})
        except StatusError as error:
            log.warning("CustomResourceDefinition %s: %s", name, error.message)
        except Exception:  # one definition's fault must not cost the others their service
            log.exception("CustomResourceDefinition %s cannot be served", name)

    def _status(self, obj: Obj) -> Obj:
        now = timestamp(self._core.clock())
        return settled(obj, self._core.accepted(CUSTOM_RESOURCE_DEFINITIONS), now)

    async def _write(self, name: str, make: Callable[[Obj], Obj]) -> None:
        kind = self._core.kinds.of(CUSTOM_RESOURCE_DEFINITIONS)
        try:
            await change(self._core, Ask(kind, "", name), _OWN, make)
        except StatusError as error:
            # It is gone; that is another event.
            if error.code != 404:
                raise

    # --- what is served

    async def _serve(self, obj: Obj) -> None:
        """Schemas may be large: they are compiled where they keep nobody waiting, one after the other."""
        async with self._serving:
            await self._serve_alone(obj)

    async def _serve_alone(self, obj: Obj) -> None:
        meta = obj["metadata"]
        version = f"{meta['uid']} {meta.get('generation')} {_told(obj)}"
        former = self._served.get(meta["name"])
        if former is not None and former.version == version:
            return
        try:
            kinds, added = await asyncio.to_thread(self._compiled, obj)
        except (ValueError, KeyError) as error:
            log.warning("CustomResourceDefinition %s cannot be served: %s", meta["name"], error)
            return
        now = self._core.lookup(CUSTOM_RESOURCE_DEFINITIONS, "", meta["name"])
        if now is None or now["metadata"]["uid"] != meta["uid"]:
            # It went meanwhile, and nobody would come to drop it again.
            return
        former = self._served.get(meta["name"])
        self._core.kinds.serve(obj["spec"]["group"], kinds, former.kinds if former else ())
        form = (meta["uid"], obj["spec"], obj["status"].get("acceptedNames"))
        self._served[meta["name"]] = Served(version, form, kinds, added)
        if former is not None and former.form != form:
            self._end_watches(former.kinds)
        self._tell_soon()

    def _compiled(self, obj: Obj) -> tuple[list[CustomKind], Added]:
        """Raises ValueError, KeyError."""
        kinds = kinds_of(obj, self._definitions, self._call)
        return kinds, published(obj, [kind.resource for kind in kinds])

    def _end_watches(self, kinds: Iterable[CustomKind]) -> None:
        """They come back, and find the objects as they are shown now, or nothing."""
        prefixes = {kind.prefix for kind in kinds}
        for stream in list(self._core.streams):
            if stream.kind.prefix in prefixes:
                stream.close()

    def _drop(self, name: str) -> None:
        former = self._served.pop(name, None)
        if former is not None and former.kinds:
            self._core.kinds.serve(former.kinds[0].resource.group, (), former.kinds)
            self._end_watches(former.kinds)
        self._tell_soon()

    def _tell_soon(self) -> None:
        """Once for all that happens in one step of the loop."""
        if not self._telling:
            self._telling = True
            asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        self._telling = False
        self._changed({name: served.added for name, served in self._served.items()})
        self._registration.want(
            (kind.resource.group, kind.resource.version)
            for served in self._served.values()
            for kind in served.kinds
        )

    # --- the end

    async def _end(self, obj: Obj) -> None:
        name = obj["metadata"]["name"]
        running = self._clearing.get(name)
        clearing = running is not None and not running.done()
        # What is being cleared away is closed already, whether its definition says so yet or not.
        if condition_is_true(obj, ESTABLISHED) and (condition_is_true(obj, TERMINATING) or not clearing):
            await self._serve(obj)
        if CLEANUP in (obj["metadata"].get("finalizers") or ()) and not clearing:
            task = asyncio.create_task(self._clear(name, obj), name=f"clearing {name}")
            self._clearing[name] = task
            task.add_done_callback(lambda done: self._cleared(name, done))

    def _cleared(self, name: str, task: asyncio.Task[None]) -> None:
        if self._clearing.get(name) is task:
            del self._clearing[name]

    async def _clear(self, name: str, obj: Obj) -> None:
        """Deletes all objects, waits until they are gone, and lets the definition go."""
        if not condition_is_true(obj, ESTABLISHED):
            await self._release(name, ("False", "NeverEstablished", "resource was never established"))
            return
        verdict = ("True", "InstanceDeletionInProgress", "CustomResource deletion is in progress")
        ending = self._ending(verdict)
        # Whoever hears of it makes no object any more: nobody would clear that away.
        await self._serve(ending(obj))
        await self._write(name, ending)
        served = self._served.get(name)
        if served is not None and served.kinds:
            kept = [kind for kind in served.kinds if kind.resource == kind.stored]
            await self._clear_objects(name, (kept or served.kinds)[0])
        await self._release(name, ("False", "InstanceDeletionCompleted", "removed all instances"))

    async def _clear_objects(self, name: str, kind: CustomKind) -> None:
        prefix, store = kind.below(""), self._core.store
        while True:
            watch = store.watch(prefix, store.revision)
            try:
                if failed := await self._delete_all(kind):
                    # Whoever stands in the way (a webhook, mostly) may come back.
                    text = f"could not issue all deletes: {failed}"
                    await self._write(name, self._ending(("True", "InstanceDeletionFailed", text)))
                    await asyncio.sleep(RETRY)
                    continue
                left = {entry.key for entry in store.latest_below(prefix)}
                while left:
                    for event in await anext(watch):
                        if event.type == "DELETED":
                            left.discard(event.key)
                return
            except (WatchDropped, StopAsyncIteration):
                await asyncio.sleep(RETRY)
            finally:
                watch.close()

    async def _delete_all(self, kind: CustomKind) -> str:
        """The last failure, "" where there was none."""
        failed = ""
        for entry in list(self._core.store.latest_below(kind.below(""))):
            meta = entry.obj["metadata"]
            try:
                await delete(self._core, Ask(kind, meta.get("namespace", ""), meta["name"]), DeleteOptions())
            except StatusError as error:
                if error.code != 404:
                    failed = error.message
        return failed

    async def _release(self, name: str, verdict: tuple[str, str, str]) -> None:
        ending = self._ending(verdict)

        def released(old: Obj) -> Obj:
            new = ending(old)
            new["metadata"]["finalizers"] = [
                each for each in new["metadata"].get("finalizers") or () if each != CLEANUP
            ]
            return new

        await self._write(name, released)

    def _ending(self, verdict: tuple[str, str, str]) -> Callable[[Obj], Obj]:
        def make(old: Obj) -> Obj:
            new = copied(old)
            now = timestamp(self._core.clock())
            status = new.setdefault("status", {})
            status["conditions"] = put(status.get("conditions") or (), TERMINATING, verdict, now)
            return new

        return make


def _told(obj: Obj) -> tuple[bool, ...]:
    """What of the status matters for what is served."""
    return tuple(condition_is_true(obj, kind) for kind in (ESTABLISHED, NAMES_ACCEPTED, TERMINATING))
