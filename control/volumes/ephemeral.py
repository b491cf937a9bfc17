"""Makes the claims of pods' ephemeral volumes. They go with their pod: it owns them.

Source: kubernetes.io "Ephemeral Volumes", section "Generic ephemeral volumes"; KEP-1698.
"""

from __future__ import annotations

from collections.abc import Iterator

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import controller_reference, deleting, key_of, split_key
from podium.api.types.resources import PERSISTENT_VOLUME_CLAIMS, PODS
from podium.control.controller import Context, Controller, namespace_ends
from podium.control.pods import is_finished
from podium.control.volumes.users import BY_CLAIM, by_claim, ephemeral_claim, is_of_pod


def ephemeral_volumes(pod: Obj) -> list[Obj]:
    return [volume for volume in pod["spec"].get("volumes") or () if volume.get("ephemeral") is not None]


def claim_for(pod: Obj, volume: Obj) -> Obj:
    template = volume["ephemeral"].get("volumeClaimTemplate") or {}
    meta = template.get("metadata") or {}
    made: Obj = {
        "name": ephemeral_claim(pod, volume),
        "namespace": pod["metadata"]["namespace"],
        "ownerReferences": [controller_reference(pod)],
    }
    made |= {part: meta[part] for part in ("labels", "annotations") if meta.get(part)}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": made,
        "spec": template.get("spec") or {},
    }


def foreign(claim: Obj, pod: Obj) -> str:
    """Why a claim of the right name is not the pod's."""
    names = [f"{part['metadata']['namespace']}/{part['metadata']['name']}" for part in (claim, pod)]
    return f"PVC {names[0]} was not created for pod {names[1]} (pod is not owner)"


class EphemeralClaims(Controller):
    """Keys are pods."""

    name = "ephemeral-volume-controller"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.recorder = context.recorder("ephemeral_volume")
        self.pods = self.watch(PODS, self._pod_changed, {BY_CLAIM: by_claim})
        self.claims = self.watch(PERSISTENT_VOLUME_CLAIMS, self._claim_changed)

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> Iterator[str]:
        if new is not None and old is None and ephemeral_volumes(new):
            yield key_of(new)

    def _claim_changed(self, old: Obj | None, new: Obj | None) -> Iterator[str]:
        """A claim that has gone may have stood in a pod's way, or is missing now."""
        if new is None and old is not None:
            for pod in self.pods.by_index(BY_CLAIM, key_of(old)):
                if ephemeral_volumes(pod):
                    yield key_of(pod)

    async def reconcile(self, key: str) -> None:
        namespace, name = split_key(key)
        pod = self.pods.get(name, namespace)
        if pod is None or deleting(pod) or is_finished(pod):
            return
        for volume in ephemeral_volumes(pod):
            await self._provide(pod, volume)

    async def _provide(self, pod: Obj, volume: Obj) -> None:
        meta = pod["metadata"]
        name = ephemeral_claim(pod, volume)
        claim = self.claims.get(name, meta["namespace"])
        if claim is not None:
            if not is_of_pod(claim, pod):
                self._tell(pod, volume, foreign(claim, pod))
            return
        try:
            await self.client.create(PERSISTENT_VOLUME_CLAIMS, claim_for(pod, volume))
        except StatusError as error:
            if not namespace_ends(error) and error.reason != "AlreadyExists":
                self._tell(pod, volume, f"create PVC {name}: {error.message}")
            raise

    def _tell(self, pod: Obj, volume: Obj, why: str) -> None:
        self.recorder.event(pod, "Warning", "FailedBinding", f"ephemeral volume {volume['name']}: {why}")
