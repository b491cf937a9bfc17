"""A pod's status on its way to the API server: one patch at a time, the newest status only, only what
differs.

A pod that starts or ends takes many steps, and each write costs the server and its watchers as much as the
step. So what only tells of steps on the way waits a moment for the end that soon makes it old.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

from podium.api.types import Obj, meta
from podium.api.types.errors import StatusError
from podium.api.types.resources import PODS
from podium.runtime.pods.node import PodNode
from podium.runtime.pods.resize import CONDITIONS as PASSING

log = logging.getLogger(__name__)

_FIRST_DELAY, _LAST_DELAY = 0.2, 10.0

# Seconds that a status waits for a better one: on a node with time to spare, and on one without.
HELD_BACK, HELD_BACK_LONGER = 0.5, 3.0

_ON_THE_WAY = ({"reason": "ContainerCreating"}, {"reason": "PodInitializing"})
_CONTAINERS = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")


def passing(old: Obj, new: Obj, *, leaving: bool) -> bool:
    """Whether a status tells of steps alone: of a pod that comes, that nothing has run yet or gone wrong; of
    one that is leaving, that nothing runs any more (what follows is that all is gone), or nothing at all."""
    states = [each["state"] for kind in _CONTAINERS for each in new.get(kind) or ()]
    if leaving:
        return not any("running" in each for each in states) or _undated(old) == _undated(new)
    if {old.get("phase") or "Pending", new["phase"]} != {"Pending"}:
        return False
    return all(each.get("waiting") in _ON_THE_WAY for each in states)


def _undated(status: Obj) -> object:
    """Without the generations of the pod that it is about."""
    conditions = [{**each, "observedGeneration": None} for each in status.get("conditions") or ()]
    return _said({**status, "observedGeneration": None, "conditions": conditions})


def difference(old: Obj, new: Obj) -> Obj:
    """A strategic merge patch from one status to another; {} when they say the same. Conditions merge by
    type, so that others' stay; fields that are gone are nulled."""
    made: Obj = {}
    for name in old.keys() | new.keys():
        before, after = old.get(name), new.get(name)
        if before == after or _said(before) == _said(after):
            continue
        made[name] = _patch_of(name, before, after)
    return made


def _patch_of(name: str, old: Any, new: Any) -> Any:
    """Lists that merge by a key keep what is not said to go."""
    if name == "conditions":
        return _conditions(old or [], new)
    if name in ("podIPs", "hostIPs") and old and new:
        return [{"$patch": "replace"}, *new]
    return new


def _said(value: object) -> object:
    """A value without what is null in it, which a server need not keep."""
    if isinstance(value, dict):
        return {name: _said(each) for name, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_said(each) for each in value]
    return value


def _conditions(old: list[Obj], new: list[Obj]) -> list[Obj]:
    before = {each["type"]: each for each in old}
    made = []
    for condition in new:
        gone = before.get(condition["type"], {}).keys() - condition.keys()
        if _said(before.get(condition["type"])) != _said(condition):
            made.append({**condition, **dict.fromkeys(gone)})
    over = before.keys() & set(PASSING) - {each["type"] for each in new}
    return made + [{"type": each, "$patch": "delete"} for each in sorted(over)]


class Publisher:
    """Sends one pod's status. `base` gives the newest version of the pod known, None while the server has
    none; `adopt` is told what the server answers."""

    def __init__(self, node: PodNode, base: Callable[[], Obj | None], adopt: Callable[[Obj], None]) -> None:
        self._node = node
        self._base = base
        self._adopt = adopt
        self._wanted: Obj | None = None
        self._answered: tuple[Obj, str | None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._pressed = asyncio.Event()
        self._flushing = 0

    def publish(self, status: Obj) -> None:
        """From now on this is to be the pod's status."""
        self._wanted = status
        if self._task is None:
            if self._changes():
                self._task = asyncio.create_task(self._send(), name="status")
        elif not self._passing():
            self._pressed.set()

    def _passing(self) -> bool:
        pod = self._base()
        if pod is None or self._wanted is None:
            return True
        return passing(pod.get("status") or {}, self._wanted, leaving=meta.deleting(pod))

    def _changes(self) -> Obj:
        """What to send. What the server has just been sent and answered is not sent again, even if it made
        something else of it."""
        pod = self._base()
        if pod is None:
            return {}
        if self._wanted is None or (self._wanted, pod["metadata"].get("resourceVersion")) == self._answered:
            return {}
        return difference(pod.get("status") or {}, self._wanted)

    async def flushed(self) -> None:
        """Returns when the server has the newest status, or does not know the pod."""
        if self._task is None:
            return
        self._flushing += 1
        self._pressed.set()
        try:
            await asyncio.shield(self._task)
        finally:
            self._flushing -= 1

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _send(self) -> None:
        delay = _FIRST_DELAY
        try:
            while self._changes():
                if not self._flushing and self._passing():
                    await self._hold_back()
                pod = self._base()
                if pod is None:
                    return
                name = pod["metadata"]["name"]
                try:
                    async with self._node.telling:
                        await self._patch()
                    delay = _FIRST_DELAY
                    continue
                except StatusError as error:
                    # 404, 409: the pod is gone, or another of its name has come; the watch tells in a moment.
                    level = logging.DEBUG if error.code in (404, 409) else logging.WARNING
                    log.log(level, "cannot write the status of pod %s: %s", name, error)
                    if error.code in (400, 404, 409, 422):
                        return
                except (ConnectionError, TimeoutError) as error:
                    log.warning("cannot write the status of pod %s: %s", name, error)
                await asyncio.sleep(delay)
                delay = min(delay * 2, _LAST_DELAY)
        finally:
            self._task = None

    async def _hold_back(self) -> None:
        """Until what is to be told is more than a step, or somebody waits for it; not for long."""
        self._pressed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HELD_BACK_LONGER if self._node.rush.crowded else HELD_BACK):
                await self._pressed.wait()

    async def _patch(self) -> None:
        """The uid keeps the status of a pod from a later one of the same name."""
        pod, sent, changes = self._base(), self._wanted, self._changes()
        if pod is None or not changes:
            return
        patch = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": changes}
        name, namespace = pod["metadata"]["name"], meta.namespace_of(pod)
        answer = await self._node.client.patch(
            PODS, name, patch, namespace, kind="strategic", subresource="status"
        )
        if sent is not None:
            self._answered = (sent, answer["metadata"].get("resourceVersion"))
        self._adopt(answer)
