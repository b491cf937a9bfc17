"""The APIServices of the group versions that definitions serve: made with the first definition of one, gone
with the last.

Source: API reference, apiregistration/v1 APIService; `kubectl get apiservices` of an upstream cluster.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterable

from podium.api.ask import Ask
from podium.api.core import Core
from podium.api.store.base import WatchDropped
from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.resources import API_SERVICES
from podium.api.verbs.create import create
from podium.api.verbs.delete import DeleteOptions, delete

log = logging.getLogger(__name__)

LABEL = "kube-aggregator.kubernetes.io/automanaged"
MANAGED = "true"
PRIORITY, VERSION_PRIORITY = 1000, 100

GroupVersion = tuple[str, str]


def service_of(group: str, version: str) -> Obj:
    return {
        "metadata": {"name": f"{version}.{group}", "labels": {LABEL: MANAGED}},
        "spec": {
            "group": group,
            "version": version,
            "groupPriorityMinimum": PRIORITY,
            "versionPriority": VERSION_PRIORITY,
        },
    }


class Registration:
    """One task at a time brings the APIServices to what was wanted last, and makes those again that somebody
    deletes. What others made is left alone."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._wanted: set[GroupVersion] = set()
        self._running: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._again = False

    def start(self) -> None:
        self._watching = asyncio.create_task(self._watch(), name="deleted APIServices")

    def want(self, versions: Iterable[GroupVersion]) -> None:
        self._wanted = set(versions)
        if self._running is not None and not self._running.done():
            self._again = True
        else:
            self._running = asyncio.create_task(self._run(), name="APIServices of custom resources")

    async def close(self) -> None:
        tasks = [task for task in (self._watching, self._running) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self) -> None:
        store, prefix = self._core.store, self._core.kinds.of(API_SERVICES).below("")
        while True:
            watch = store.watch(prefix, store.revision)
            try:
                async for events in watch:
                    if any(event.type == "DELETED" for event in events):
                        self.want(self._wanted)
                return
            except WatchDropped:
                self.want(self._wanted)
            finally:
                watch.close()

    async def _run(self) -> None:
        self._again = True
        while self._again:
            self._again = False
            await self._settle(self._wanted)

    async def _settle(self, wanted: set[GroupVersion]) -> None:
        kind = self._core.kinds.of(API_SERVICES)
        present = {obj["metadata"]["name"]: obj for obj in self._core.accepted(API_SERVICES)}
        services = {f"{version}.{group}": service_of(group, version) for group, version in wanted}
        for name, service in services.items():
            if name not in present:
                await self._tried(name, create(self._core, Ask(kind), service))
        for name, obj in present.items():
            if name not in services and (obj["metadata"].get("labels") or {}).get(LABEL) == MANAGED:
                await self._tried(name, delete(self._core, Ask(kind, "", name), DeleteOptions()))

    async def _tried(self, name: str, work: Awaitable[object]) -> None:
        try:
            await work
        except StatusError as error:
            # Somebody else was faster: it is there, or gone.
            if error.code not in (404, 409):
                log.warning("APIService %s: %s", name, error.message)
