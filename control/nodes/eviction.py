"""Deletes pods from nodes whose NoExecute taints they do not tolerate, or tolerate only for a while."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from podium.api.types import Obj, meta, taints
from podium.api.types.errors import StatusError
from podium.api.types.resources import NODES, PODS
from podium.control.controller import Context, Controller
from podium.control.nodes.lifecycle import BY_NODE, by_node


def deadline(pod: Obj, evicting: list[Obj], since: datetime) -> datetime | None:
    """When the pod has to go from a node with these NoExecute taints; None when it may stay. Pure.

    A taint that nothing tolerates ends it at once. Of the tolerations in use the shortest counts, from the
    moment that the last taint was added, or from `since` where a taint does not say.
    """
    start, shortest = since, None
    tolerations = list(
        zip(taints.tolerations(pod["spec"]), pod["spec"].get("tolerations") or (), strict=True)
    )
    for entry in evicting:
        used = [raw for toleration, raw in tolerations if toleration.bears(taints.taint(entry))]
        if not used:
            return since
        limits = [raw["tolerationSeconds"] for raw in used if raw.get("tolerationSeconds") is not None]
        if limits:
            shortest = min([*limits, *([] if shortest is None else [shortest])])
    added = [meta.parse_time(entry["timeAdded"]) for entry in evicting if entry.get("timeAdded")]
    if shortest is None:
        return None
    if len(added) == len(evicting):
        start = max(added)
    return start + timedelta(seconds=max(0, shortest))


def evicting_taints(node: Obj | None) -> list[Obj]:
    """The node's NoExecute taints."""
    entries = ((node or {}).get("spec") or {}).get("taints") or ()
    return [entry for entry in entries if entry["effect"] == "NoExecute"]


class TaintEviction(Controller):
    """One timer per pod that must go. Level-triggered: when it fires, the pod and its node are looked at
    again."""

    name = "taint-eviction-controller"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.recorder = context.recorder(self.name)
        # Since when each pod has been known to stand on a tainted node.
        self._since: dict[str, datetime] = {}
        self._due: set[str] = set()
        self.nodes = self.watch(NODES, self._node_changed)
        self.pods = self.watch(PODS, self._pod_changed, {BY_NODE: by_node})

    def _node_changed(self, old: Obj | None, new: Obj | None) -> Iterable[str]:
        if new is None or evicting_taints(new) == evicting_taints(old):
            return ()
        return [meta.key_of(pod) for pod in self.pods.by_index(BY_NODE, new["metadata"]["name"])]

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> Iterable[str]:
        if new is None:
            if old is not None:
                self._since.pop(old["metadata"]["uid"], None)
                self._due.discard(old["metadata"]["uid"])
            return ()
        name = new["spec"].get("nodeName")
        if not name or (old is not None and old["spec"] == new["spec"]):
            return ()
        return (meta.key_of(new),) if evicting_taints(self.nodes.get(name)) else ()

    async def reconcile(self, key: str) -> None:
        namespace, name = meta.split_key(key)
        pod = self.pods.get(name, namespace)
        if pod is None or meta.deleting(pod):
            return
        uid, now = pod["metadata"]["uid"], self.context.now()
        evicting = evicting_taints(self.nodes.get(pod["spec"].get("nodeName", "")))
        due = deadline(pod, evicting, self._since.setdefault(uid, now)) if evicting else None
        if due is None:
            if self._since.pop(uid, None) and uid in self._due:
                message = f"Cancelling deletion of Pod {key}"
                self.recorder.event(pod, "Normal", "TaintManagerEviction", message)
            self._due.discard(uid)
            return
        self._due.add(uid)
        if due > now:
            self.queue.add_after(key, (due - now).total_seconds())
            return
        await self._evict(pod, namespace, name)

    async def _evict(self, pod: Obj, namespace: str, name: str) -> None:
        uid = pod["metadata"]["uid"]
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint",
            "lastTransitionTime": meta.timestamp(),
        }
        patch = {"metadata": {"uid": uid}, "status": {"conditions": [condition]}}
        try:
            await self.client.patch(PODS, name, patch, namespace, kind="strategic", subresource="status")
            await self.client.delete(PODS, name, namespace, uid=uid)
        except StatusError as error:
            if error.code not in (404, 409):
                raise
            return
        message = f"Marking for deletion Pod {namespace}/{name}"
        self.recorder.event(pod, "Normal", "TaintManagerEviction", message)
