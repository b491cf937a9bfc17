"""Carrying a preemption out: victims are marked and deleted, and lesser pods lose their nomination."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

from podium.api.types import Obj, meta
from podium.api.types.errors import StatusError
from podium.api.types.resources import PODS
from podium.client.base import Client
from podium.client.events import EventRecorder
from podium.client.informer import Informer
from podium.control.scheduler.needs import Needs, Placed
from podium.control.scheduler.preempt import Candidate


class Evictor:
    def __init__(self, client: Client, pods: Informer, recorder: EventRecorder) -> None:
        self._client, self._pods, self._recorder = client, pods, recorder

    async def preempt(
        self, needs: Needs, preemptor: Obj, candidate: Candidate, demoted: Sequence[Placed]
    ) -> None:
        """`demoted` are the pods whose nomination for the node is taken back. Raises StatusError or
        ConnectionError."""
        await asyncio.gather(*(self._demote(pod) for pod in demoted))
        await asyncio.gather(
            *(self._evict(needs, preemptor, victim, candidate.node) for victim in candidate.victims)
        )

    async def _demote(self, pod: Placed) -> None:
        patch = {"metadata": {"uid": pod.uid}, "status": {"nominatedNodeName": None}}
        await self._tolerating_absence(
            self._client.patch(PODS, pod.name, patch, pod.namespace, subresource="status")
        )

    async def _evict(self, needs: Needs, preemptor: Obj, victim: Placed, node: str) -> None:
        pod = self._pods.get(victim.name, victim.namespace)
        if pod is None or pod["metadata"]["uid"] != victim.uid or meta.deleting(pod):
            return
        patch = {"metadata": {"uid": victim.uid}, "status": {"conditions": [_disrupted(needs, pod)]}}
        there = await self._tolerating_absence(
            self._client.patch(
                PODS, victim.name, patch, victim.namespace, kind="strategic", subresource="status"
            )
        )
        if not there or not await self._tolerating_absence(
            self._client.delete(PODS, victim.name, victim.namespace, uid=victim.uid)
        ):
            return
        message = f"Preempted by pod {needs.uid} on node {node}"
        self._recorder.event(pod, "Normal", "Preempted", message, action="Preempting", related=preemptor)

    @staticmethod
    async def _tolerating_absence(request: Awaitable[object]) -> bool:
        try:
            await request
        except StatusError as error:
            if error.code not in (404, 409):
                raise
            return False
        return True


def _disrupted(needs: Needs, pod: Obj) -> Obj:
    message = f"{needs.scheduler}: preempting to accommodate a higher priority pod"
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "PreemptionByScheduler",
        "message": message,
        "lastProbeTime": None,
        "lastTransitionTime": meta.timestamp(),
    }
    if generation := pod["metadata"].get("generation"):
        condition["observedGeneration"] = generation
    return condition
