"""Carrying a decision out: the pod's claims first, then the pod itself."""

from __future__ import annotations

import asyncio

from podium.api.types import Obj
from podium.api.types.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS
from podium.api.types.storage import BIND_COMPLETED, SELECTED_NODE
from podium.api.types.volume_matching import is_for
from podium.client.base import Client
from podium.client.clock import Clock
from podium.control.scheduler.needs import Needs
from podium.control.scheduler.observer import Caches
from podium.control.scheduler.storage import VolumePlan
from podium.control.volumes.releases import bound_volume


class NotBound(Exception):
    """The pod cannot be bound where it was meant to; the text says why."""


async def bind(client: Client, needs: Needs, node: str) -> None:
    """Raises StatusError or ConnectionError."""
    binding = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": needs.name, "namespace": needs.namespace, "uid": needs.uid},
        "target": {"kind": "Node", "name": node},
    }
    await client.create(PODS, binding, needs.namespace, name=needs.name, subresource="binding")


class VolumeBinder:
    """Asks for what a plan says and waits, by watching, until all of a pod's claims are bound."""

    def __init__(self, client: Client, known: Caches, clock: Clock | None = None) -> None:
        self._client, self._known, self._clock = client, known, clock
        self._waiting: set[asyncio.Event] = set()

    def changed(self) -> None:
        """A claim or a volume, or a pod that waits for one, changed."""
        for event in self._waiting:
            event.set()

    async def bind(self, needs: Needs, plan: VolumePlan, patience: float) -> None:
        """Returns when all claims are bound. Raises NotBound, StatusError or ConnectionError."""
        for binding in plan.bindings:
            await self._promise(binding.volume, self._claim(binding.claim))
        for key in plan.provisions:
            await self._select(self._claim(key), plan.node)
        await self._bound(needs, plan, patience)

    def _claim(self, key: str) -> Obj:
        namespace, _, name = key.partition("/")
        claim = self._known.claims.get(name, namespace)
        if claim is None:
            raise NotBound(f'persistentvolumeclaim "{name}" not found')
        return claim

    async def _promise(self, name: str, claim: Obj) -> None:
        """Writes the claim into the volume; the volume controller does the rest."""
        volume = self._known.volumes.get(name)
        if volume is None:
            raise NotBound(f'persistentvolume "{name}" not found')
        if volume["spec"].get("claimRef") and not is_for(volume, claim):
            raise NotBound(f'persistentvolume "{name}" is bound to another claim by now')
        bound = bound_volume(volume, claim)
        if bound is not None:
            await self._client.update(PERSISTENT_VOLUMES, bound)

    async def _select(self, claim: Obj, node: str) -> None:
        meta = claim["metadata"]
        patch = {
            "metadata": {
                "uid": meta["uid"],
                "resourceVersion": meta["resourceVersion"],
                "annotations": {SELECTED_NODE: node},
            }
        }
        if (meta.get("annotations") or {}).get(SELECTED_NODE) == node:
            return
        await self._client.patch(PERSISTENT_VOLUME_CLAIMS, meta["name"], patch, meta["namespace"])
        await self._until_selected(meta, node)

    async def _until_selected(self, meta: Obj, node: str) -> None:
        """Until the cache shows it: before that, a claim without the annotation looks given up."""
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            while True:
                claim = self._known.claims.get(meta["name"], meta["namespace"])
                if claim is None or claim["metadata"]["resourceVersion"] != meta["resourceVersion"]:
                    return
                await event.wait()
                event.clear()
        finally:
            self._waiting.discard(event)

    async def _bound(self, needs: Needs, plan: VolumePlan, patience: float) -> None:
        event = asyncio.Event()
        self._waiting.add(event)
        clock = self._clock or asyncio.get_running_loop()
        late = clock.call_later(patience, event.set)
        end = clock.time() + patience
        try:
            while not self._all_bound(needs, plan):
                if clock.time() >= end:
                    raise NotBound("binding volumes: context deadline exceeded")
                await event.wait()
                event.clear()
        finally:
            late.cancel()
            self._waiting.discard(event)

    def _all_bound(self, needs: Needs, plan: VolumePlan) -> bool:
        """Raises NotBound when that cannot become true any more."""
        pod = self._known.pods.get(needs.name, needs.namespace)
        if pod is None or pod["metadata"]["uid"] != needs.uid:
            raise NotBound("binding volumes: pod does not exist any more")
        done = True
        for binding in plan.bindings:
            volume = self._known.volumes.get(binding.volume)
            if volume is None:
                raise NotBound(f'binding volumes: failed to check binding: "{binding.volume}" not found')
            done = done and _is_bound(self._claim(binding.claim))
        for key in plan.provisions:
            claim = self._claim(key)
            selected = (claim["metadata"].get("annotations") or {}).get(SELECTED_NODE)
            if selected != plan.node:
                name = claim["metadata"]["name"]
                raise NotBound(f'binding volumes: provisioning failed for PVC "{name}"')
            done = done and _is_bound(claim)
        return done


def _is_bound(claim: Obj) -> bool:
    annotations = claim["metadata"].get("annotations") or {}
    return bool(claim["spec"].get("volumeName")) and BIND_COMPLETED in annotations
