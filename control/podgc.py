"""Removes pods that nobody else ever will: those of nodes that are gone, those that were deleted before any
node had them or while theirs is out of service, and the oldest finished ones when there are too many.

Source: kubernetes.io "Pod Lifecycle", section "Garbage collection of Pods"; "Node Shutdowns", section
"Non-graceful node shutdown handling".
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import condition_is_true, deleting, key_of, split_key
from podium.api.types.resources import NODES, PODS
from podium.control import conditions
from podium.control.controller import Context, Controller
from podium.control.pods import BY_NODE, by_node, is_finished

log = logging.getLogger(__name__)

QUARANTINE = 40.0  # seconds that a node must be gone before its pods are: it may only have been made anew
FINISHED_LIMIT = 12_500
FINISHED_CHECK = 20.0  # seconds that pods which finish are gathered
FINISHED = "finished"
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
_NODE, _POD = "node/", "pod/"


class PodCollector(Controller):
    """Keys are `node/NAME` for a node that may be gone, `pod/NAMESPACE/NAME` for a deleted pod that no node
    may be there to let go of, and FINISHED."""

    name = "pod-garbage-collector"
    workers = 1

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.nodes = self.watch(NODES)
        self.pods = self.watch(PODS, self._pod_changed, {BY_NODE: by_node, FINISHED: _by_end})
        self.nodes.add_handler(self._node_changed)

    def _node_changed(self, old: Obj | None, new: Obj | None) -> None:
        if new is None and old is not None:
            self.queue.add_after(_NODE + old["metadata"]["name"], QUARANTINE)
        elif new is not None and is_lost(new):
            for pod in self.pods.by_index(BY_NODE, new["metadata"]["name"]):
                if deleting(pod):
                    self.queue.add(_POD + key_of(pod))

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> Iterable[str]:
        if new is None:
            return
        node = new["spec"].get("nodeName")
        if node and old is None and self.nodes.get(node) is None:
            self.queue.add_after(_NODE + node, QUARANTINE)
        if is_finished(new):
            self.queue.add_after(FINISHED, FINISHED_CHECK)
        if deleting(new) and (not node or is_lost(self.nodes.get(node))):
            yield _POD + key_of(new)

    async def reconcile(self, key: str) -> None:
        if key == FINISHED:
            await self._collect_finished()
        elif key.startswith(_NODE):
            await self._collect_orphaned(key.removeprefix(_NODE))
        else:
            namespace, name = split_key(key.removeprefix(_POD))
            pod = self.pods.get(name, namespace)
            if pod is not None and deleting(pod):
                await self._collect_deleted(pod)

    async def _collect_deleted(self, pod: Obj) -> None:
        node = pod["spec"].get("nodeName")
        if not node or is_lost(self.nodes.get(node)):
            await self._fail(pod)
            await self._delete(pod)

    async def _collect_finished(self) -> None:
        finished = sorted(self.pods.by_index(FINISHED, FINISHED), key=_evicted_then_oldest)
        for pod in finished[: max(0, len(finished) - FINISHED_LIMIT)]:
            await self._delete(pod)

    async def _collect_orphaned(self, node: str) -> None:
        pods = self.pods.by_index(BY_NODE, node)
        if not pods or self.nodes.get(node) is not None or await self._exists(node):
            return
        log.info("node %s is gone, and its %d pods with it", node, len(pods))
        for pod in pods:
            await self._fail(pod, "PodGC: node no longer exists")
            await self._delete(pod)

    async def _exists(self, node: str) -> bool:
        try:
            await self.client.get(NODES, node)
        except StatusError as error:
            if error.code != 404:
                raise
            return False
        return True

    async def _fail(self, pod: Obj, why: str = "") -> None:
        """Ends the pod, for whoever counts it (a Job) to see before it has gone; with a condition where
        there is something to say."""
        if is_finished(pod):
            return
        status: Obj = {"phase": "Failed"}
        if why:
            target = conditions.make("DisruptionTarget", "True", "DeletionByPodGC", why, self.context.now())
            present = (pod.get("status") or {}).get("conditions") or ()
            status["conditions"] = conditions.put(present, target)
        patch = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": status}
        meta = pod["metadata"]
        try:
            await self.client.patch(PODS, meta["name"], patch, meta["namespace"], subresource="status")
        except StatusError as error:
            if error.code not in (404, 409):
                raise

    async def _delete(self, pod: Obj) -> None:
        meta = pod["metadata"]
        try:
            await self.client.delete(PODS, meta["name"], meta["namespace"], grace_seconds=0, uid=meta["uid"])
        except StatusError as error:
            if error.code not in (404, 409):
                raise


def is_lost(node: Obj | None) -> bool:
    """Whether somebody said that the node is out of service, and it is indeed not ready: nothing runs there
    any more."""
    if node is None or condition_is_true(node, "Ready"):
        return False
    return any(entry["key"] == OUT_OF_SERVICE for entry in (node.get("spec") or {}).get("taints") or ())


def _by_end(pod: Obj) -> Iterable[str]:
    """The finished ones, of the thousands that are not."""
    return (FINISHED,) if is_finished(pod) and not deleting(pod) else ()


def _evicted_then_oldest(pod: Obj) -> tuple[bool, str, str]:
    evicted = (pod.get("status") or {}).get("reason") == "Evicted"
    meta = pod["metadata"]
    return not evicted, meta.get("creationTimestamp", ""), meta["name"]
