"""Jobs and their pods for tests of what is decided about them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from podium.api.types import Obj
from podium.api.types.meta import timestamp
from podium.control.jobs import facts
from podium.control.jobs.backoff import Failures
from podium.control.jobs.view import View

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def ago(seconds: float) -> str:
    return timestamp(NOW - timedelta(seconds=seconds))


def job(status: Obj | None = None, **spec: Any) -> Obj:
    """A Job as the API server keeps it; `status` is what was written last."""
    defaults: Obj = {
        "parallelism": 1,
        "backoffLimit": 6,
        "completionMode": "NonIndexed",
        "suspend": False,
        "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "i"}]}},
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "work", "namespace": "test", "uid": "job"},
        "spec": {**defaults, **spec},
        "status": {"startTime": ago(60), "uncountedTerminatedPods": {}, **(status or {})},
    }


def indexed(completions: int, status: Obj | None = None, **spec: Any) -> Obj:
    more = {"parallelism": completions, "completionMode": "Indexed", "completions": completions, **spec}
    return job(status, **more)


def pod(
    uid: str,
    phase: str = "Running",
    *,
    index: int | None = None,
    code: int | None = None,
    deleted: bool = False,
    tracked: bool = True,
    ended: float = 0,
    annotations: dict[str, str] | None = None,
    conditions: Sequence[Obj] = (),
    restarts: int = 0,
    ready: bool = False,
    node: str = "node-a",
) -> Obj:
    """A pod of the job. `code` is its container's exit code, `ended` how many seconds ago it ended."""
    meta: Obj = {
        "name": uid,
        "namespace": "test",
        "uid": uid,
        "creationTimestamp": ago(ended + 30),
        "annotations": {**(annotations or {}), **({} if index is None else {facts.INDEX: str(index)})},
        "finalizers": [facts.TRACKING] if tracked else [],
    }
    if deleted:
        meta |= {"deletionTimestamp": ago(ended), "deletionGracePeriodSeconds": 0}
    container: Obj = {"name": "main", "restartCount": restarts, "state": {"running": {}}}
    if phase in ("Succeeded", "Failed"):
        exit_code = code if code is not None else int(phase == "Failed")
        container["state"] = {"terminated": {"exitCode": exit_code, "finishedAt": ago(ended)}}
    entries = [*conditions, {"type": "Ready", "status": str(ready), "lastTransitionTime": ago(ended)}]
    status = {"phase": phase, "containerStatuses": [container], "conditions": entries}
    return {"metadata": meta, "spec": {"nodeName": node, "containers": [{"name": "main"}]}, "status": status}


def look(of: Obj, *pods: Obj, released: Sequence[str] = (), failures: Failures | None = None) -> View:
    return View(of, pods, frozenset(released), failures or Failures())
