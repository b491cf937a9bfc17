"""Starts the growing of volumes whose claims ask for more, and follows claims that ask for less again after
it failed. The growing itself is done where the volume is.

The claim's status is shared: here `allocatedResources` is set and the growing is said to be in progress; the
node says how it ends (grown, or infeasible for now). What failed for good is the user's to recover from, by
asking for less, though for more than there is.

Source: KEP-1790 (recovery from failed expansion); kubernetes.io "Persistent Volumes", section "Expanding
Persistent Volumes Claims".
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from podium.api.types import Obj, quantity
from podium.api.types.meta import deleting, key_of, split_key, timestamp
from podium.api.types.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from podium.api.types.storage import (
    PROVISIONER,
    STORAGE_RESIZER,
    annotation,
    local_node,
    requested,
)
from podium.control import conditions
from podium.control.controller import Context, Controller

IN_PROGRESS = "ControllerResizeInProgress"
INFEASIBLE = ("ControllerResizeInfeasible", "NodeResizeInfeasible")
EXTERNAL = "waiting for an external controller to expand this PVC"
STARTED = "External resizer is resizing volume {}"


def wants_more(claim: Obj) -> bool:
    """Whether a bound claim asks for more than it has."""
    status = claim.get("status") or {}
    has = (status.get("capacity") or {}).get("storage")
    if status.get("phase") != "Bound" or has is None or deleting(claim):
        return False
    return quantity.parse(requested(claim)) > quantity.parse(has)


def resizing(claim: Obj, now: datetime) -> Obj | None:
    """The claim's status once growing to what it asks for is under way; None where it is already, or where
    another target has not failed yet."""
    status = claim.get("status") or {}
    wanted = requested(claim)
    target = (status.get("allocatedResources") or {}).get("storage")
    state = (status.get("allocatedResourceStatuses") or {}).get("storage")
    if target is not None and state is not None:
        if quantity.parse(target) == quantity.parse(wanted):
            return None
        if quantity.parse(wanted) < quantity.parse(target) and state not in INFEASIBLE:
            return None
    condition = {"type": "Resizing", "status": "True", "lastTransitionTime": timestamp(now)}
    former = conditions.without(status.get("conditions") or (), "ControllerResizeError")
    return {
        **status,
        "conditions": conditions.put(former, condition),
        "allocatedResources": {**(status.get("allocatedResources") or {}), "storage": wanted},
        "allocatedResourceStatuses": {
            **(status.get("allocatedResourceStatuses") or {}),
            "storage": IN_PROGRESS,
        },
    }


class VolumeExpander(Controller):
    """Keys are claims."""

    name = "persistentvolume-expander"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.recorder = context.recorder("volume_expand")
        self.volumes = self.watch(PERSISTENT_VOLUMES)
        self.claims = self.watch(PERSISTENT_VOLUME_CLAIMS, self._changed)

    def _changed(self, old: Obj | None, new: Obj | None) -> Iterator[str]:
        if new is not None and wants_more(new):
            yield key_of(new)

    async def reconcile(self, key: str) -> None:
        namespace, name = split_key(key)
        claim = self.claims.get(name, namespace)
        if claim is None or not wants_more(claim):
            return
        volume = self.volumes.get(claim["spec"].get("volumeName", ""))
        reference = (volume["spec"].get("claimRef") or {}) if volume else {}
        if volume is None or reference.get("uid") != claim["metadata"]["uid"]:
            return
        if not local_node(volume):
            if annotation(claim, STORAGE_RESIZER) is None:
                self.recorder.event(claim, "Normal", "ExternalExpanding", EXTERNAL)
            return
        await self._start(claim, volume)

    async def _start(self, claim: Obj, volume: Obj) -> None:
        wanted = resizing(claim, self.context.now())
        if wanted is None:
            return
        if annotation(claim, STORAGE_RESIZER) != PROVISIONER:
            meta = claim["metadata"]
            annotations = {**(meta.get("annotations") or {}), STORAGE_RESIZER: PROVISIONER}
            changed = {**claim, "metadata": {**meta, "annotations": annotations}}
            claim = await self.client.update(PERSISTENT_VOLUME_CLAIMS, changed)
        claim = await self.client.update(
            PERSISTENT_VOLUME_CLAIMS, {**claim, "status": wanted}, subresource="status"
        )
        message = STARTED.format(volume["metadata"]["name"])
        self.recorder.event(claim, "Normal", "Resizing", message)
