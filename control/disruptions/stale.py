"""Takes back the announcement that a pod is about to be disrupted when it still was not two minutes later."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from podium.api.types import Obj
from podium.api.types.meta import condition, deleting, key_of, parse_time, split_key
from podium.api.types.resources import PODS
from podium.control import conditions
from podium.control.controller import Context, Controller
from podium.control.pods import is_finished

TIMEOUT = timedelta(minutes=2)
TARGET = "DisruptionTarget"


def announced(pod: Obj) -> datetime | None:
    """Since when the pod is said to be disrupted; None for one that is not, or already goes."""
    found = condition(pod, TARGET)
    if found is None or found.get("status") != "True" or found.get("reason") == "TerminationByKubelet":
        return None
    if deleting(pod) or is_finished(pod) or not found.get("lastTransitionTime"):
        return None
    return parse_time(found["lastTransitionTime"])


class StaleDisruptions(Controller):
    """Keys are pods."""

    name = "stale-disruption-controller"
    workers = 1

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.pods = self.watch(PODS, self._pod_changed)

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> Iterable[str]:
        return (key_of(new),) if new is not None and announced(new) is not None else ()

    async def reconcile(self, key: str) -> None:
        namespace, name = split_key(key)
        pod = self.pods.get(name, namespace)
        since = announced(pod) if pod is not None else None
        if pod is None or since is None:
            return
        now = self.context.now()
        if (left := (since + TIMEOUT - now).total_seconds()) > 0:
            self.queue.add_after(key, left)
            return
        withdrawn = conditions.make(TARGET, "False", "", "", now)
        entries = conditions.put(pod["status"]["conditions"], withdrawn)
        await self.write_status(PODS, pod, {**pod["status"], "conditions": entries})
