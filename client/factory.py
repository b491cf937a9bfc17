"""Informers shared by everybody in a process: one watch and one copy of the objects per resource."""

from __future__ import annotations

import asyncio
import logging
from typing import NamedTuple

from podium.api.types.resources import Resource
from podium.client.base import Client
from podium.client.informer import Indexer, Informer

log = logging.getLogger(__name__)


class Selection(NamedTuple):
    """What one informer holds."""

    resource: Resource
    labels: str = ""
    fields: str = ""


class InformerFactory:
    """Makes each informer once. Those asked for before `start` run from then on, later ones from their first
    `informer`."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._informers: dict[Selection, Informer] = {}
        self._tasks: dict[Selection, asyncio.Task[None]] = {}
        self._started = False

    def informer(
        self,
        resource: Resource,
        indexers: dict[str, Indexer] | None = None,
        *,
        labels: str = "",
        fields: str = "",
    ) -> Informer:
        """The informer of all objects of `resource`, or of those selected, with these indexes beside those it
        has."""
        selection = Selection(resource, labels, fields)
        found = self._informers.get(selection)
        if found is None:
            found = Informer(self.client, resource, labels=labels, fields=fields)
            self._informers[selection] = found
            if self._started:
                self._run(selection, found)
        for name, function in (indexers or {}).items():
            found.add_indexer(name, function)
        return found

    def start(self) -> None:
        self._started = True
        for selection, informer in self._informers.items():
            if selection not in self._tasks:
                self._run(selection, informer)

    def _run(self, selection: Selection, informer: Informer) -> None:
        task = asyncio.create_task(informer.run(), name=f"informer {selection.resource.plural}")
        task.add_done_callback(_report)
        self._tasks[selection] = task

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
