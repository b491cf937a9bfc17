"""All pods of a node: a worker for each, told of what the API server wants and of what containerd sees."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from podium.api.types import Obj, meta
from podium.api.types.errors import StatusError
from podium.client.informer import Informer
from podium.runtime import confining
from podium.runtime.cgroups import Cgroups
from podium.runtime.containerd import ContainerdError
from podium.runtime.containerd.tasks import Exit, TaskState
from podium.runtime.eviction import reclaim
from podium.runtime.eviction.manager import EvictionManager
from podium.runtime.eviction.ranking import EVICTED
from podium.runtime.interfaces import PodView
from podium.runtime.pods import admission, records, recovery, rules
from podium.runtime.pods.model import Attempt, Observed
from podium.runtime.pods.node import PodNode
from podium.runtime.pods.resizing import Resizes
from podium.runtime.pods.tiers import Tiers
from podium.runtime.pods.worker import PodWorker
from podium.runtime.shutdown.plan import REFUSED
from podium.runtime.staticpods.folder import ManifestFolder
from podium.runtime.staticpods.manifest import MIRROR
from podium.runtime.staticpods.mirrors import Key, Mirrors, is_mirror, key_of
from podium.runtime.staticpods.worker import StaticWorker

log = logging.getLogger(__name__)


class PodManager:
    """Runs the pods that `pods` (an informer of this node's pods) holds, and the static pods of `manifests`.
    `run` goes on until it is cancelled, which leaves containers running. Until `open` is called, only those
    static pods are run that need no network of their own."""

    def __init__(
        self,
        node: PodNode,
        pods: Informer,
        eviction: EvictionManager,
        manifests: ManifestFolder,
        mirrored_by: Callable[[], Obj | None],
    ) -> None:
        self._node = node
        self._pods = pods
        self._eviction = eviction
        self._abilities = admission.Abilities(node.config.unsafe_sysctls, confining.has_apparmor())
        self._workers: dict[str, PodWorker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._tiers = Tiers(node.containers.cgroups, self._workers.values)
        self._resizes = Resizes(node, self._workers.values, self._tiers.changed)
        self._found: dict[str, recovery.Found] = {}
        self._leaving: Callable[[], bool] = lambda: False
        self._manifests = manifests
        self._mirrors = Mirrors(node.client, self._statics, mirrored_by)
        self._open = asyncio.Event()

    async def run(self) -> None:
        try:
            await self._recover()
            self._manifests.read()
            self._keep_statics()
            files = self._manifests.follow(self._keep_statics)
            self._tasks["manifests"] = asyncio.create_task(files, name="manifests")
            following = self._tasks["pods"] = asyncio.create_task(self._follow(), name="the node's pods")
            eviction = asyncio.create_task(self._eviction.run(self._workers.values), name="eviction")
            self._tasks["eviction"] = eviction
            self._tasks["tiers"] = asyncio.create_task(self._tiers.run(), name="classes of pods")
            self._tasks["resizes"] = asyncio.create_task(self._resizes.keep_trying(), name="resizes")
            exits = self._tasks["exits"] = asyncio.create_task(self._watch_exits(), name="exits")
            await asyncio.gather(following, exits)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def open(self) -> None:
        """The node is known to the API server, and its pods can have a network."""
        self._open.set()
        self._keep_statics()

    def look_at_mirrors(self) -> None:
        """What they refer to may have come."""
        self._mirrors.look()

    @property
    def cgroups(self) -> Cgroups:
        """The groups that the pods are in."""
        return self._node.containers.cgroups

    async def balanced(self) -> None:
        """Returns when the classes of pods have the shares of the cpu that are theirs now."""
        await self._tiers.settled()

    def images_in_use(self) -> set[str]:
        """The full names of the images that pods have or want."""
        return reclaim.in_use(self._workers.values())

    async def remove_dead(self) -> None:
        """Removes the containers that nobody needs any more."""
        await reclaim.remove_dead(self._workers.values())

    def workers(self) -> list[PodWorker]:
        return list(self._workers.values())

    def refuse_while(self, leaving: Callable[[], bool]) -> None:
        """No pod is taken as long as that holds: the machine goes down."""
        self._leaving = leaving

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

    async def _follow(self) -> None:
        """What the API server says, from when it can be heard on."""
        node = self._node
        await self._open.wait()
        left = set(self._found) | await node.volumes.known()
        left |= await asyncio.to_thread(node.sandboxes.known)
        await self._pods.synced()
        self._pods.add_handler(self._changed)
        for uid in left - self._workers.keys():
            self._end_orphan(uid)
        self._found.clear()
        await self._catch_up()
        await self._mirrors.run()

    async def _catch_up(self) -> None:
        """What ended since the machine was looked at, and before anybody was there to be told."""
        try:
            await self._look_at_all()
        except ContainerdError as error:
            # The stream of ends has broken off too, and all is looked at when it is back.
            log.warning("cannot look at the containers: %s", error)

    # The files' side

    def _statics(self) -> dict[Key, Obj]:
        """By name; of an old and a new one, the one that is here."""
        named = {key_of(pod): pod for pod in self._manifests.pods.values()}
        return named | {
            key_of(worker.pod): worker.pod
            for worker in self._workers.values()
            if isinstance(worker, StaticWorker)
        }

    def _keep_statics(self) -> None:
        """Ends those whose file is gone; takes those that are new, as soon as no other has their name."""
        wanted = self._manifests.pods
        for worker in list(self._workers.values()):
            if isinstance(worker, StaticWorker) and worker.uid not in wanted and not worker.observed.gone:
                worker.end()
        names = {key_of(pod): uid for uid, pod in wanted.items()}
        for uid, found in list(self._found.items()):
            if found.records and uid not in self._workers:
                orphan = records.orphan(found.records)
                if names.get(key_of(orphan), uid) != uid:
                    self._end_orphan(uid)
        busy = {key_of(worker.pod) for worker in self._workers.values()}
        for uid, pod in wanted.items():
            alone = self._open.is_set() or pod["spec"].get("hostNetwork")
            if alone and uid not in self._workers and key_of(pod) not in busy:
                self._take(pod, self._found.get(uid))
        self._mirrors.look()

    def _mirrored(self, old: Obj | None, new: Obj | None) -> None:
        """A mirror pod has come, changed or gone."""
        self._mirrors.heard(old, new)
        shown = (new or old or {})["metadata"]["annotations"][MIRROR]
        worker = self._workers.get(shown)
        if isinstance(worker, StaticWorker):
            worker.reflect(new)

    def _changed(self, old: Obj | None, new: Obj | None) -> None:
        """The informer's handler."""
        either = new or old
        if either is not None and is_mirror(either):
            self._mirrored(old, new)
            return
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
        worker: PodWorker
        if pod["metadata"]["uid"] in self._manifests.pods:
            worker = StaticWorker(self._node, pod, seed)
            mirror = self._mirrors.known.get(key_of(pod))
            if mirror is not None and mirror["metadata"]["annotations"][MIRROR] == worker.uid:
                worker.reflect(mirror)
        else:
            worker = PodWorker(self._node, pod, seed, resizes=self._resizes)
        worker.adopt(pod)
        uid = worker.uid
        known = found is not None or meta.deleting(pod) or (pod.get("status") or {}).get("startTime")
        self._workers[uid] = worker
        if not known:
            self._node.meters.seen(uid)
        if known or self._unfit(worker, self._node.known()) is None:
            worker.admit()
        self._tiers.changed()
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
        else:
            worker.admit()

    def _unfit(self, worker: PodWorker, node: Obj | None) -> tuple[str, str] | None:
        if node is None:
            return "InvalidNodeInfo", f"{admission.REJECTED}Kubelet cannot get node info."
        if self._leaving():
            reason, message = REFUSED
            return reason, f"{admission.REJECTED}{message}"
        if pressed := self._eviction.refusal(worker.pod):
            return EVICTED, f"{admission.REJECTED}{pressed}"
        if refused := admission.forbidden(worker.pod, self._abilities):
            return refused
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
        self._node.meters.forget(worker.uid)
        self._resizes.retry()
        self._tiers.changed()
        self._keep_statics()

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
