"""What the informers tell, taken into the picture, the owners and the queue. No requests are made from
here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from podium.api.types import Obj
from podium.api.types import resources as r
from podium.api.types.storage import class_of
from podium.client.factory import InformerFactory
from podium.client.informer import Indexer, Informer
from podium.control.scheduler.hints import NamespaceChange, ObjectChange, PodChange
from podium.control.scheduler.labels import labels_of
from podium.control.scheduler.needs import Placed, finished, needs_of, placed_of, waits
from podium.control.scheduler.owners import KnownOwners
from podium.control.scheduler.picture import Picture
from podium.control.scheduler.profiles import SchedulerConfig
from podium.control.scheduler.queue import SchedulingQueue
from podium.control.scheduler.storage import KnownStorage

_Kind = Literal["claim", "volume", "class", "csi node", "csi driver", "capacity"]
_BY_CLASS = "scheduler/class"


class Caches(NamedTuple):
    """The informers that the scheduler reads."""

    pods: Informer
    nodes: Informer
    namespaces: Informer
    claims: Informer
    volumes: Informer
    classes: Informer
    csi_nodes: Informer
    csi_drivers: Informer
    capacities: Informer
    budgets: Informer
    services: Informer
    controllers: Informer
    replica_sets: Informer
    stateful_sets: Informer


def caches(informers: InformerFactory) -> Caches:
    by_class: dict[str, Indexer] = {_BY_CLASS: lambda obj: (class_of(obj),)}
    return Caches(
        informers.informer(r.PODS),
        informers.informer(r.NODES),
        informers.informer(r.NAMESPACES),
        informers.informer(r.PERSISTENT_VOLUME_CLAIMS),
        informers.informer(r.PERSISTENT_VOLUMES, by_class),
        informers.informer(r.STORAGE_CLASSES),
        informers.informer(r.CSI_NODES),
        informers.informer(r.CSI_DRIVERS),
        informers.informer(
            r.CSI_STORAGE_CAPACITIES, {_BY_CLASS: lambda obj: (obj.get("storageClassName", ""),)}
        ),
        informers.informer(r.POD_DISRUPTION_BUDGETS),
        informers.informer(r.SERVICES),
        informers.informer(r.REPLICATION_CONTROLLERS),
        informers.informer(r.REPLICA_SETS),
        informers.informer(r.STATEFUL_SETS),
    )


def storage_of(known: Caches) -> KnownStorage:
    def of_class(name: str) -> Iterable[Obj]:
        return known.volumes.by_index(_BY_CLASS, name)

    return KnownStorage(
        claim=lambda namespace, name: known.claims.get(name, namespace),
        volume=known.volumes.get,
        storage_class=known.classes.get,
        of_class=of_class,
        csi_node=known.csi_nodes.get,
        csi_driver=known.csi_drivers.get,
        capacities=lambda name: known.capacities.by_index(_BY_CLASS, name),
    )


class Observer:
    """Listens from `start` on, for good."""

    def __init__(
        self, known: Caches, config: SchedulerConfig, picture: Picture, queue: SchedulingQueue
    ) -> None:
        self._known, self._config = known, config
        self._picture, self._queue = picture, queue
        self.owners = KnownOwners()
        self._listening = False
        self.volumes_changed: list[Callable[[], None]] = []
        """Called after each change of a claim or a volume."""

    async def start(self) -> None:
        """Waits for the caches and takes in what they hold."""
        for informer in self._known:
            await informer.synced()
        if self._listening:
            return
        self._listening = True
        known = self._known
        known.namespaces.add_handler(self._namespace_changed)
        known.services.add_handler(self._service_changed)
        for informer in (known.controllers, known.replica_sets, known.stateful_sets):
            informer.add_handler(self._owner_handler(informer.resource.kind))
        kinds: tuple[tuple[Informer, _Kind], ...] = (
            (known.claims, "claim"),
            (known.volumes, "volume"),
            (known.classes, "class"),
            (known.csi_nodes, "csi node"),
            (known.csi_drivers, "csi driver"),
            (known.capacities, "capacity"),
        )
        for informer, kind in kinds:
            informer.add_handler(self._object_handler(kind))
        known.nodes.add_handler(self._node_changed)
        known.pods.add_handler(self._pod_changed)

    def _namespace_changed(self, old: Obj | None, new: Obj | None) -> None:
        name = ((new or old) or {})["metadata"]["name"]
        if self._picture.census.set_namespace(name, labels_of(new["metadata"]) if new else None):
            self._queue.moved(NamespaceChange(name))

    def _service_changed(self, old: Obj | None, new: Obj | None) -> None:
        meta = ((new or old) or {})["metadata"]
        self.owners.set_service(meta["namespace"], meta["name"], new)

    def _owner_handler(self, kind: str) -> Callable[[Obj | None, Obj | None], None]:
        def changed(old: Obj | None, new: Obj | None) -> None:
            meta = ((new or old) or {})["metadata"]
            self.owners.set_owner(kind, meta["namespace"], meta["name"], new)

        return changed

    def _object_handler(self, kind: _Kind) -> Callable[[Obj | None, Obj | None], None]:
        def changed(old: Obj | None, new: Obj | None) -> None:
            meta = ((new or old) or {})["metadata"]
            if new is not None:
                namespace = meta["namespace"] if kind == "claim" else ""
                self._queue.moved(ObjectChange(kind, namespace, meta["name"], old is None))
            for call in self.volumes_changed:
                call()

        return changed

    def _node_changed(self, old: Obj | None, new: Obj | None) -> None:
        if new is not None:
            change = self._picture.set_node(new)
        else:
            change = self._picture.remove_node(((old or {})["metadata"])["name"])
        if change is not None:
            self._queue.moved(change)

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        if new is None:
            if old is not None:
                self._gone(old["metadata"]["uid"])
        elif finished(new):
            self._gone(new["metadata"]["uid"])
        elif node := new["spec"].get("nodeName"):
            self._placed(old, new, node)
        elif waits(new) and (new["spec"].get("schedulerName") or "") in self._config.profiles:
            self._pending(old, new)
        else:
            self._queue.remove(new["metadata"]["uid"])
            self._nominated(old, new)

    def _placed(self, old: Obj | None, new: Obj, node: str) -> None:
        uid = new["metadata"]["uid"]
        self._queue.remove(uid)
        self._picture.forget_nomination(uid)
        if old is not None and self._picture.node_of(uid) == node and _same(old, new):
            return
        pod = placed_of(new)
        was_bound = old is not None and bool(old["spec"].get("nodeName"))
        before = self._picture.place(pod, node)
        if not was_bound or (before is not None and _seen_otherwise(before, pod)):
            self._queue.moved(PodChange(before, pod))

    def _pending(self, old: Obj | None, new: Obj) -> None:
        uid = new["metadata"]["uid"]
        self._nominated(old, new)
        if old is None or uid not in self._queue or _asks_otherwise(old, new):
            self._queue.add(needs_of(new))

    def _nominated(self, old: Obj | None, new: Obj) -> None:
        """A nomination that was just made is kept until the API has heard of it."""
        name = (new.get("status") or {}).get("nominatedNodeName") or ""
        before = ((old or {}).get("status") or {}).get("nominatedNodeName") or ""
        if name != before:
            self._picture.nominate(placed_of(new), name)

    def _gone(self, uid: str) -> None:
        self._queue.remove(uid)
        self._picture.forget_nomination(uid)
        if (pod := self._picture.remove(uid)) is not None:
            self._queue.moved(PodChange(pod, None))


def _seen_otherwise(old: Placed, new: Placed) -> bool:
    return (old.cost, old.labels, old.terminating) != (new.cost, new.labels, new.terminating)


def _same(old: Obj, new: Obj) -> bool:
    """Whether a bound pod takes the same from its node, and is seen the same by others."""
    before, after = old["metadata"], new["metadata"]
    if before.get("labels") != after.get("labels") or old["spec"] != new["spec"]:
        return False
    if before.get("deletionTimestamp") != after.get("deletionTimestamp"):
        return False
    return all(
        (old.get("status") or {}).get(part) == (new.get("status") or {}).get(part)
        for part in (
            "startTime",
            "resources",
            "allocatedResources",
            "containerStatuses",
            "initContainerStatuses",
        )
    )


def _asks_otherwise(old: Obj, new: Obj) -> bool:
    return bool(old["spec"] != new["spec"] or old["metadata"].get("labels") != new["metadata"].get("labels"))
