"""What is told about a pod that found no node: an Event each time, the condition and the nomination when they
changed."""

from __future__ import annotations

from podium.api.types import Obj, meta
from podium.api.types.resources import PODS
from podium.client.base import Client
from podium.client.events import EventRecorder
from podium.control.scheduler.needs import Needs

NOTE_LIMIT = 1024


def unscheduled(pod: Obj, reason: str, message: str, nominated: str | None, now: str) -> Obj | None:
    """The status patch that says why the pod waits (reason Unschedulable or SchedulerError), and which node
    it is nominated for ("" for none any more, None: as it was); None where all of that is said already."""
    status = pod.get("status") or {}
    patch: Obj = {}
    present = meta.condition(pod, "PodScheduled") or {}
    wanted = {"status": "False", "reason": reason, "message": message}
    if not wanted.items() <= present.items():
        changed = present.get("status") != "False"
        since = now if changed else present.get("lastTransitionTime") or now
        condition: Obj = {
            "type": "PodScheduled",
            "lastProbeTime": None,
            "lastTransitionTime": since,
            **wanted,
        }
        if generation := pod["metadata"].get("generation"):
            condition["observedGeneration"] = generation
        patch["conditions"] = [condition]
    if nominated is not None and nominated != (status.get("nominatedNodeName") or ""):
        patch["nominatedNodeName"] = nominated or None
    return patch or None


async def write_status(client: Client, needs: Needs, status: Obj) -> None:
    """Raises StatusError or ConnectionError."""
    patch = {"metadata": {"uid": needs.uid}, "status": status}
    await client.patch(PODS, needs.name, patch, needs.namespace, kind="strategic", subresource="status")


def failed(recorder: EventRecorder, pod: Obj, message: str) -> None:
    note = message if len(message) <= NOTE_LIMIT else message[: NOTE_LIMIT - 4] + " ..."
    recorder.event(pod, "Warning", "FailedScheduling", note, action="Scheduling")


def scheduled(recorder: EventRecorder, pod: Obj, needs: Needs, node: str) -> None:
    message = f"Successfully assigned {needs.namespace}/{needs.name} to {node}"
    recorder.event(pod, "Normal", "Scheduled", message, action="Binding")
