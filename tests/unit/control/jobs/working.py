"""Programs for the test cluster's pods: they end as a test says."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import deleting, timestamp
from podium.api.types.resources import JOBS, PODS
from podium.control.jobs import facts

from ..cluster import TestCluster

Ends = Callable[[Obj], int | None]


class Programs:
    """`ends` gives the exit code of a pod's program, None while it goes on."""

    def __init__(self, cluster: TestCluster, ends: Ends) -> None:
        self.cluster, self.ends = cluster, ends
        self.ended: dict[str, int] = {}
        cluster.kubelet.pods.add_handler(self._changed)

    def _changed(self, old: Obj | None, new: Obj | None) -> None:
        status = (new or {}).get("status") or {}
        if new is None or not status.get("podIP") or status.get("phase") != "Running" or deleting(new):
            return
        uid, code = new["metadata"]["uid"], self.ends(new)
        if code is not None and uid not in self.ended:
            self.ended[uid] = code
            self.cluster.kubelet._start(self.end(new, code))

    async def end(self, pod: Obj, code: int) -> None:
        """Says that the pod's program has ended."""
        phase = "Failed" if code else "Succeeded"
        terminated = {"exitCode": code, "finishedAt": timestamp(), "startedAt": timestamp()}
        container = {
            "name": "main", "image": "i", "imageID": "", "ready": False, "restartCount": 0,
            "state": {"terminated": terminated},
        }  # fmt: skip
        condition = {"type": "Ready", "status": "False", "lastTransitionTime": timestamp()}
        patch = {
            "status": {"phase": phase, "containerStatuses": [container], "conditions": [condition]},
        }
        meta = pod["metadata"]
        with contextlib.suppress(StatusError):
            await self.cluster.client.patch(
                PODS, meta["name"], patch, meta["namespace"], subresource="status"
            )

    def again(self) -> None:
        """Asks anew about every pod that runs."""
        for pod in self.cluster.kubelet.pods.list():
            self._changed(None, pod)


def runs(code: int | None = 0) -> Ends:
    return lambda pod: code


def by_index(codes: dict[int, int | None]) -> Ends:
    return lambda pod: codes.get(facts.index_of(pod) or 0)


def a_job(name: str = "work", **spec: Any) -> Obj:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "i"}]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": "test"},
        "spec": {"template": template, **spec},
    }


async def ended(cluster: TestCluster, kind: str = "Complete", name: str = "work") -> Obj:
    """Waits until the job has ended, which must be so; returns it."""
    found = await cluster.one(JOBS, name, lambda obj: bool(facts.finished(obj)))
    assert facts.finished(found) == kind
    return found


async def pods_of(cluster: TestCluster) -> list[Obj]:
    return list((await cluster.client.list(PODS, "test")).items)


async def until_running(cluster: TestCluster, count: int) -> list[Obj]:
    def running(pods: list[Obj]) -> list[Obj]:
        return [
            pod for pod in pods if (pod.get("status") or {}).get("phase") == "Running" and not deleting(pod)
        ]

    return running(await cluster.until(PODS, lambda pods: len(running(pods)) == count))
