"""The built-in provisioner's share that no node can do: giving claims of Immediate classes a node, taking
claims away from nodes that are gone or silent, and finishing the deletion of volumes whose node is gone.

A node makes, grows and removes the volumes it holds; creating the PersistentVolume, whose name is the
claim's uid, is the one step that counts, so that whatever is decided here of two nodes only one can win.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import deleting, key_of, split_key
from podium.api.types.resources import (
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    STORAGE_CLASSES,
    Resource,
)
from podium.api.types.storage import (
    PROVISIONER,
    PROVISIONER_FINALIZER,
    SELECTED_NODE,
    STORAGE_PROVISIONER,
    annotation,
    class_of,
    is_doomed,
    local_node,
    volume_name,
)
from podium.control.controller import Context, Controller
from podium.control.volumes import places
from podium.control.volumes.claims import waits_for_consumer
from podium.control.volumes.protection import with_finalizers

_CLAIM, _VOLUME = "claim/", "volume/"
AWAITING, HOLDER = "awaiting provisioning", "holder"
QUARANTINE = 40.0  # seconds that a node must be gone before its volumes are: it may only have been made anew
REFUSED = 30.0  # seconds for which a node that had no room is not asked again
NOBODY = "no node is ready to hold the volume"


def awaiting(claim: Obj) -> Iterable[str]:
    """The indexer AWAITING: claims that the built-in provisioner was asked for."""
    asked = annotation(claim, STORAGE_PROVISIONER) == PROVISIONER
    return ("",) if asked and not claim["spec"].get("volumeName") and not deleting(claim) else ()


def holder(volume: Obj) -> Iterable[str]:
    """The indexer HOLDER: the node that holds a volume."""
    return (name,) if (name := local_node(volume)) else ()


class LocalVolumes(Controller):
    """Keys are `claim/NAMESPACE/NAME` and `volume/NAME`."""

    name = "local-volumes"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.recorder = context.recorder("persistentvolume-controller")
        self._refused: dict[str, dict[str, float]] = {}  # claim uid → node → when it had no room
        self.classes = self.watch(STORAGE_CLASSES)
        self.volumes = self.watch(PERSISTENT_VOLUMES, None, {HOLDER: holder})
        self.claims = self.watch(PERSISTENT_VOLUME_CLAIMS, self._claim_changed, {AWAITING: awaiting})
        self.nodes = self.watch(NODES, self._node_changed)
        self.volumes.add_handler(self._volume_changed)

    def _claim_changed(self, old: Obj | None, new: Obj | None) -> Iterator[str]:
        if old is not None and (new is None or new["spec"].get("volumeName")):
            self._refused.pop(old["metadata"]["uid"], None)
        if new is None or not awaiting(new):
            return
        before = annotation(old, SELECTED_NODE) if old is not None else None
        if before is not None and annotation(new, SELECTED_NODE) is None:
            self._refused.setdefault(new["metadata"]["uid"], {})[before] = self._time()
        yield _CLAIM + key_of(new)

    def _node_changed(self, old: Obj | None, new: Obj | None) -> Iterator[str]:
        if new is None and old is not None:
            for volume in self.volumes.by_index(HOLDER, old["metadata"]["name"]):
                self.queue.add_after(_VOLUME + volume["metadata"]["name"], QUARANTINE)
        usable = [bool(node is not None and places.candidates([node], {})) for node in (old, new)]
        if usable[0] != usable[1] or new is None:
            for claim in self.claims.by_index(AWAITING, ""):
                yield _CLAIM + key_of(claim)

    def _volume_changed(self, old: Obj | None, new: Obj | None) -> None:
        """A volume may come to be deleted when its node is gone already."""
        if new is not None and is_doomed(new) and (node := local_node(new)) and self.nodes.get(node) is None:
            self.queue.add_after(_VOLUME + new["metadata"]["name"], QUARANTINE)

    def _time(self) -> float:
        return self.context.now().timestamp()

    async def reconcile(self, key: str) -> None:
        if key.startswith(_VOLUME):
            volume = self.volumes.get(key.removeprefix(_VOLUME))
            if volume is not None and is_doomed(volume) and await self._gone(local_node(volume)):
                await self._finish(volume)
            return
        namespace, name = split_key(key.removeprefix(_CLAIM))
        claim = self.claims.get(name, namespace)
        if claim is None or not awaiting(claim):
            return
        selected = annotation(claim, SELECTED_NODE)
        if selected is None:
            await self._place(key, claim)
        elif self.volumes.get(volume_name(claim)) is None:
            await self._check(key, claim, selected)

    # --- claims

    async def _place(self, key: str, claim: Obj) -> None:
        """A claim that waits for its consumer is the scheduler's to place."""
        storage_class = self.classes.get(class_of(claim))
        if storage_class is None or waits_for_consumer(storage_class):
            return
        nodes = places.candidates(self.nodes.list(), storage_class)
        refused = self._refused.get(claim["metadata"]["uid"], {})
        now = self._time()
        recent = {node: since + REFUSED - now for node, since in refused.items() if since + REFUSED > now}
        held = Counter(local_node(volume) for volume in self.volumes.list())
        chosen = places.choose(nodes, held, recent)
        if chosen:
            await self._select(claim, chosen)
        elif nodes:
            self.queue.add_after(key, min(recent.values()))
        else:
            self.recorder.event(claim, "Warning", "ProvisioningFailed", NOBODY)

    async def _check(self, key: str, claim: Obj, selected: str) -> None:
        """Whether the chosen node can still be waited for."""
        node = self.nodes.get(selected)
        if node is None:
            if not await self._gone(selected):
                return
            why = f'node "{selected}" not found'
        else:
            wait = places.given_up_in(node, self.context.now())
            if wait is None:
                return
            if wait > 0:
                self.queue.add_after(key, wait)
                return
            why = f'node "{selected}" is not ready'
        if await self._exists(PERSISTENT_VOLUMES, volume_name(claim)):
            return
        await self._select(claim, None)
        self.recorder.event(claim, "Warning", "ProvisioningFailed", f"{why}, another node will be chosen")

    async def _select(self, claim: Obj, node: str | None) -> None:
        meta = claim["metadata"]
        others = {key: text for key, text in (meta.get("annotations") or {}).items() if key != SELECTED_NODE}
        annotations = others if node is None else {**others, SELECTED_NODE: node}
        changed = {**claim, "metadata": {**meta, "annotations": annotations}}
        await self.client.update(PERSISTENT_VOLUME_CLAIMS, changed)

    # --- volumes of nodes that are gone

    async def _gone(self, node: str) -> bool:
        return bool(node) and self.nodes.get(node) is None and not await self._exists(NODES, node)

    async def _exists(self, resource: Resource, name: str) -> bool:
        try:
            await self.client.get(resource, name)
        except StatusError as error:
            if error.code != 404:
                raise
            return False
        return True

    async def _finish(self, volume: Obj) -> None:
        """What the node would have done last."""
        name, uid = volume["metadata"]["name"], volume["metadata"]["uid"]
        try:
            if not deleting(volume):
                await self.client.delete(PERSISTENT_VOLUMES, name, uid=uid)
            volume = await self.client.get(PERSISTENT_VOLUMES, name)
        except StatusError as error:
            if error.code not in (404, 409):
                raise
            return
        finalizers = list(volume["metadata"].get("finalizers") or ())
        if volume["metadata"]["uid"] == uid and PROVISIONER_FINALIZER in finalizers:
            kept = [entry for entry in finalizers if entry != PROVISIONER_FINALIZER]
            await self.client.update(PERSISTENT_VOLUMES, with_finalizers(volume, kept))
