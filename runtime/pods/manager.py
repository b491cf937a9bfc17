"""All pods of a node: a worker for each, told of what the API server wants and of what containerd sees."""

from __future__ import annotations

import asyncio
import logging

from podium.api.types import Obj, meta
from podium.api.types.errors import StatusError
from podium.client.informer import Informer
from podium.runtime.containerd import ContainerdError
from podium.runtime.containerd.tasks import Exit, TaskState
from podium.runtime.interfaces import PodView
from podium.runtime.pods import admission, evicting, records, recovery, rules
from podium.runtime.pods.model import Attempt, Observed
from podium.runtime.pods.node import PodNode
from podium.runtime.pods.worker import PodWorker

log = logging.getLogger(__name__)


class PodManager:
    """Runs the pods that `pods` (an informer of this node's pods) holds. `run` goes on until it is cancelled,
    which leaves containers running."""

    def __init__(self, node: PodNode, pods: Informer) -> None:
        self._node = node
        self._pods = pods
        self._workers: dict[str, PodWorker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._found: dict[str, recovery.Found] = {}

    async def run(self) -> None:
        try:
            await self._recover()
            limits = asyncio.create_task(evicting.watch(self._workers.values), name="disk limits")
            self._tasks["disk limits"] = limits
            await self._watch_exits()
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    # Node API

    def views(self) -> list[PodView]:
        return [worker.view() for worker in self._workers.values()]

    def view(self, namespace: str, name: str, uid: str = "") -> PodView | None:
        """The pod of that name; of an old and a new one, the new one."""
        for worker in reversed(self._workers.values()):
            known = worker.pod["metadata"]
            if (known.get("namespace", ""), known["name"]) == (namespace, name) and uid in ("", known["uid"]):
                return worker.view()
        return None

    def retry_volumes(self, uid: str) -> None:
        """What a pod's volumes waited for may have come."""
        if worker := self._workers.get(uid):
            worker.retry_volumes()

    # The API server's side

    async def _recover(self) -> None:
        node = self._node
        addresses = await node.network.known()
        self._found = await recovery.find(node.containers, addresses, now=node.now)
        left = set(self._found) | await node.volumes.known()
        left |= await asyncio.to_thread(node.sandboxes.known)
        await self._pods.synced()
        self._pods.add_handler(self._changed)
        for uid in left - self._workers.keys():
            self._end_orphan(uid)
        self._found.clear()

    def _changed(self, old: Obj | None, new: Obj | None) -> None:
        """The informer's handler."""
        if old is not None and (new is None or new["metadata"]["uid"] != old["metadata"]["uid"]):
            self._forget(old)
        if new is None:
            return
        if worker := self._workers.get(new["metadata"]["uid"]):
            worker.adopt(new)
        else:
            self._take(new, self._found.get(new["metadata"]["uid"]))

    def _forget(self, last: Obj) -> None:
        if worker := self._workers.get(last["metadata"]["uid"]):
            worker.gone(last)

    def _end_orphan(self, uid: str) -> None:
        """A pod that was deleted while no daemon ran."""
        found = self._found.get(uid) or recovery.Found()
        nameless: Obj = {"metadata": {"uid": uid, "name": uid, "namespace": ""}, "spec": {}, "status": {}}
        pod = records.orphan(found.records) if found.records else nameless
        log.info("ending pod %s, which the API server does not know", rules.full_name(pod))
        worker = self._take(pod, found)
        worker.gone(pod)

    def _take(self, pod: Obj, found: recovery.Found | None) -> PodWorker:
        seed = found.seed(pod, self._node.sandboxes) if found else Observed()
        worker = PodWorker(self._node, pod, seed)
        worker.adopt(pod)
        uid = worker.uid
        known = found is not None or meta.deleting(pod) or (pod.get("status") or {}).get("startTime")
        worker.admitted = bool(known) or self._unfit(worker, self._node.known()) is None
        self._workers[uid] = worker
        task = asyncio.create_task(self._run(worker, found), name=f"pod {rules.full_name(pod)}")
        self._tasks[uid] = task
        return worker

    async def _admit(self, worker: PodWorker) -> None:
        """The last word about a pod that does not fit the node as it was last heard of."""
        node: Obj | None
        try:
            node = await self._node.fresh()
        except (ConnectionError, TimeoutError, StatusError) as error:
            log.warning("cannot look at the node again: %s", error)
            node = self._node.known()
        if refused := self._unfit(worker, node):
            worker.fail(*refused)
        worker.admitted = True

    def _unfit(self, worker: PodWorker, node: Obj | None) -> tuple[str, str] | None:
        if node is None:
            return "InvalidNodeInfo", f"{admission.REJECTED}Kubelet cannot get node info."
        holders = [other.pod for other in self._workers.values() if other.holds]
        return admission.unfit(worker.pod, node, holders)

    async def _run(self, worker: PodWorker, found: recovery.Found | None) -> None:
        """A worker's whole life. One that fails is begun anew with what it knew."""
        if found is not None:
            await self._resume(worker, found)
        if not worker.admitted:
            await self._admit(worker)
        while True:
            try:
                await worker.run()
                break
            except Exception:
                log.exception("the task of pod %s failed", rules.full_name(worker.pod))
                await asyncio.sleep(5)
        self._workers.pop(worker.uid, None)
        self._tasks.pop(worker.uid, None)

    async def _resume(self, worker: PodWorker, found: recovery.Found) -> None:
        """Goes on with containers that run: their output, their probes; and notes ends that nobody has
        noted."""
        for attempt in worker.observed.alive():
            container = rules.container_named(worker.pod, attempt.name) or {"name": attempt.name}
            try:
                await self._node.containers.collect(worker.pod, container, attempt)
            except OSError as error:
                log.warning("cannot collect the output of container %s: %s", attempt.id, error)
            if end := found.ends.get(attempt.id):
                worker.exited(attempt.id, end)
            elif not worker.observed.gone:
                ready, started = recovery.known_well(worker.pod, attempt)
                worker.attendance.attend(container, attempt, ready=ready, started=started)

    # containerd's side

    async def _watch_exits(self) -> None:
        """Tells workers of their containers' ends; after every break of the stream, looks at all tasks
        once."""
        containerd = self._node.containers.containerd
        while True:
            try:
                async for exited in containerd.events.exits():
                    if exited is None:
                        await self._look_at_all()
                    else:
                        self._exited(*exited)
            except ContainerdError as error:
                log.warning("containerd's events broke off: %s", error)
            await containerd.channel.ready()

    def _exited(self, container_id: str, end: Exit) -> None:
        for worker in self._workers.values():
            if worker.observed.find(container_id) is not None:
                worker.exited(container_id, end)
                return

    async def _look_at_all(self) -> None:
        tasks = await self._node.containers.containerd.tasks.list()
        for worker in list(self._workers.values()):
            for attempt in worker.observed.alive():
                self._compare(worker, attempt, tasks.get(attempt.id))

    def _compare(self, worker: PodWorker, attempt: Attempt, task: TaskState | None) -> None:
        end = task.exit if task else None
        if end is not None:
            worker.exited(attempt.id, end)
        elif task is None and attempt.state == "running" and f"look/{attempt.id}" not in worker.observed.busy:
            worker.go(f"look/{attempt.id}", self._look_closer(worker, attempt))

    async def _look_closer(self, worker: PodWorker, attempt: Attempt) -> None:
        """containerd leaves out of its list what does not answer at once, which is not to say that it is
        gone."""
        tasks = self._node.containers.containerd.tasks
        while attempt.id in {each.id for each in worker.observed.alive()}:
            try:
                task = await tasks.get(attempt.id)
            except ContainerdError as error:
                log.warning("cannot tell how container %s is: %s", attempt.id, error)
                await asyncio.sleep(1.0)
                continue
            if task is None:
                worker.exited(attempt.id, Exit(recovery.LOST, self._node.now()))
            elif task.exit is not None:
                worker.exited(attempt.id, task.exit)
            return
