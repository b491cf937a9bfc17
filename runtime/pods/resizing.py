"""The promises of a node to its pods, and the resizes that wait for room."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from podium.api.types import Obj
from podium.runtime.config import Layout
from podium.runtime.pods import admission, allocation

if TYPE_CHECKING:
    from podium.runtime.pods.node import PodNode
    from podium.runtime.pods.worker import PodWorker

log = logging.getLogger(__name__)

RETRY_PERIOD = 180.0
_FILE = "resources.json"


def recalled(layout: Layout, uid: str) -> Obj | None:
    """What an earlier daemon promised the pod; None when it is not known."""
    try:
        promise: Obj = orjson.loads(_path(layout, uid).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.warning("cannot read what pod %s was promised: %s", uid, error)
        return None
    return promise


def remember(layout: Layout, uid: str, promise: Obj) -> None:
    """Outlives the daemon. A pod without it is taken to have been promised all it asks for."""
    path = _path(layout, uid)
    draft = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        draft.write_bytes(orjson.dumps(promise))
        os.replace(draft, path)
    except OSError as error:
        log.warning("cannot note what pod %s was promised: %s", uid, error)


def _path(layout: Layout, uid: str) -> Path:
    return layout.pod(uid) / _FILE


class Resizes:
    """The resizes of one node. `workers` are its pods'; `promised` is told when one was promised something
    else. Everything happens on the event loop, at once."""

    def __init__(
        self,
        node: PodNode,
        workers: Callable[[], Iterable[PodWorker]],
        promised: Callable[[], None] = lambda: None,
    ) -> None:
        self._node = node
        self._workers = workers
        self._promised = promised
        self._waiting: set[str] = set()

    def ask(self, worker: PodWorker) -> None:
        """A pod asks for something else than it was promised."""
        self._waiting.add(worker.uid)
        self.retry()

    def withdraw(self, worker: PodWorker) -> None:
        """It does not ask for anything else any more."""
        self._waiting.discard(worker.uid)

    def retry(self) -> None:
        """There may be room now."""
        if not self._waiting:
            return
        workers = {worker.uid: worker for worker in self._workers()}
        waiting = [workers[uid] for uid in self._waiting & workers.keys()]
        self._waiting &= workers.keys()
        for worker in sorted(waiting, key=_rank):
            self._consider(worker, workers.values())

    async def keep_trying(self) -> None:
        """Room may come that nobody tells of: the node's own capacity. Until cancelled."""
        while True:
            await asyncio.sleep(RETRY_PERIOD)
            self.retry()

    def _consider(self, worker: PodWorker, workers: Iterable[PodWorker]) -> None:
        node = self._node.known()
        if node is None:
            return
        others = [other.pod for other in workers if other.holds and other is not worker]
        if lacking := admission.shortage({**worker.desired, "status": {}}, node, others):
            worker.defer_resize(lacking[0], lacking[1].removeprefix(admission.REJECTED))
            return
        self._waiting.discard(worker.uid)
        worker.begin_resize()
        self._promised()


def _rank(worker: PodWorker) -> tuple[bool, int, bool, bool, str]:
    pending = worker.observed.resizing.pending
    return allocation.rank(worker.desired, worker.pod, pending.at if pending else "")
