"""Informers shared by everybody in a process: one watch and one copy of the objects per resource."""

from __future__ import annotations

import asyncio
import logging

from podium.api.types.resources import Resource
from podium.client.base import Client
from podium.client.informer import Indexer, Informer

log = logging.getLogger(__name__)


class InformerFactory:
    """Makes each informer once. Those asked for before `start` run from then on, later ones from their first
    `informer`."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._informers: dict[Resource, Informer] = {}
        self._tasks: dict[Resource, asyncio.Task[None]] = {}
        self._started = False

    def informer(self, resource: Resource, indexers: dict[str, Indexer] | None = None) -> Informer:
        """The informer of all objects of `resource`, with these indexes beside those it has."""
        found = self._informers.get(resource)
        if found is None:
            found = self._informers[resource] = Informer(self.client, resource)
            if self._started:
                self._run(resource, found)
        for name, function in (indexers or {}).items():
            found.add_indexer(name, function)
        return found

    def start(self) -> None:
        self._started = True
        for resource, informer in self._informers.items():
            if resource not in self._tasks:
                self._run(resource, informer)

    def _run(self, resource: Resource, informer: Informer) -> None:
        task = asyncio.create_task(informer.run(), name=f"informer {resource.plural}")
        task.add_done_callback(_report)
        self._tasks[resource] = task

    async def synced(self) -> None:
        """Waits until every informer made so far has its first list."""
        for informer in list(self._informers.values()):
            await informer.synced()

    async def stop(self) -> None:
        self._started = False
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("%s ended", task.get_name(), exc_info=error)
