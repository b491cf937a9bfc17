"""A static pod's task: as any other's, but that the file decides, and the mirror is only told."""

from __future__ import annotations

from datetime import datetime

from podium.api.types import Obj, meta
from podium.runtime.pods.model import Observed
from podium.runtime.pods.node import PodNode
from podium.runtime.pods.publish import Publisher
from podium.runtime.pods.worker import PodWorker


class StaticWorker(PodWorker):
    """Lives from the file's arrival until nothing of its pod is left here. What is known of the status is
    kept here too: the API server may be away."""

    def __init__(self, node: PodNode, pod: Obj, seed: Observed | None = None) -> None:
        super().__init__(node, pod, seed)
        self._mirror: Obj | None = None
        self._publisher = Publisher(node, lambda: self._mirror, self._answered)

    def reflect(self, mirror: Obj | None) -> None:
        """The mirror as it is now, None while there is none. The first tells what an earlier daemon knew."""
        if mirror is not None and self._mirror is None and (status := mirror.get("status")):
            started = self.pod["status"].get("startTime")
            if status.get("startTime") and (started is None or status["startTime"] < started):
                self.pod = {**self.pod, "status": status}
        self._mirror = mirror
        self.wake()

    def _answered(self, mirror: Obj) -> None:
        if self._mirror is not None and self._mirror["metadata"]["uid"] == mirror["metadata"]["uid"]:
            self._mirror = mirror

    def end(self) -> None:
        """The file is gone, or says something else."""
        grace = self.pod["spec"]["terminationGracePeriodSeconds"]
        metadata = {
            **self.pod["metadata"],
            "deletionTimestamp": meta.timestamp(self.node.now()),
            "deletionGracePeriodSeconds": grace,
        }
        self.gone({**self.pod, "metadata": metadata})

    def _composed(self, now: datetime) -> Obj:
        status = super()._composed(now)
        self.pod = {**self.pod, "status": status}
        return status
