"""Keeps a server's priority levels and flow schemas: makes those that every cluster has, tells `Fairness` of
every change, and says of each schema whether there is the level that it names.

Source: Kubernetes documentation, "API Priority and Fairness", maintenance of the mandatory and suggested
configuration objects."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

import orjson

from podium.api.ask import LARGE, Ask, copied
from podium.api.core import Core
from podium.api.fairness.fairness import Fairness
from podium.api.fairness.objects import (
    AUTOUPDATE,
    EXEMPT,
    LEVELS,
    MANDATORY,
    SCHEMAS,
    flow_schema,
    priority_level,
)
from podium.api.fairness.schemas import FlowSchema, compiled
from podium.api.store.base import WatchDropped
from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import timestamp
from podium.api.types.resources import FLOW_SCHEMAS, PRIORITY_LEVEL_CONFIGURATIONS, Resource
from podium.api.verbs.create import create
from podium.api.verbs.subresources import rule_of
from podium.api.verbs.update import change

log = logging.getLogger(__name__)

DANGLING = "Dangling"
# Seconds until it is tried again when something could not be written.
PAUSE = 1.0


class Keeping:
    """`start` returns when everything is in place, and goes on in a task of its own until `close`."""

    def __init__(self, core: Core, fairness: Fairness) -> None:
        self._core = core
        self._fairness = fairness
        self._changed = asyncio.Event()
        # By key: the revision that was looked at, the schema, and the object without its rules.
        self._schemas: dict[str, tuple[int, FlowSchema, Obj]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        revision = self._core.store.revision
        await self._settle()
        self._tasks = [
            asyncio.create_task(self._notice(FLOW_SCHEMAS, revision), name="flow schemas"),
            asyncio.create_task(
                self._notice(PRIORITY_LEVEL_CONFIGURATIONS, revision), name="priority levels"
            ),
            asyncio.create_task(self._follow(), name="priority and fairness"),
        ]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _notice(self, resource: Resource, revision: int) -> None:
        prefix = self._core.kinds.of(resource).below("")
        while True:
            try:
                watch = self._core.store.watch(prefix, revision)
                try:
                    async for _ in watch:
                        self._changed.set()
                finally:
                    watch.close()
                return
            except (WatchDropped, StatusError):
                revision = self._core.store.revision
                self._changed.set()

    async def _follow(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._settle()
            except StatusError as error:
                log.info("priority levels and flow schemas: %s", error)
                await asyncio.sleep(PAUSE)
                self._changed.set()

    async def _settle(self) -> None:
        """Raises StatusError."""
        await self._configure()
        levels = [self._ensure(PRIORITY_LEVEL_CONFIGURATIONS, priority_level(name)) for name in LEVELS]
        schemas = [self._ensure(FLOW_SCHEMAS, flow_schema(name)) for name in SCHEMAS]
        await asyncio.gather(*levels, *schemas)
        await self._configure()
        known = {obj["metadata"]["name"] for obj in self._core.every(PRIORITY_LEVEL_CONFIGURATIONS)}
        await asyncio.gather(*(self._judge(obj, known) for _, _, obj in self._schemas.values()))

    async def _configure(self) -> None:
        prefix = self._core.kinds.of(FLOW_SCHEMAS).below("")
        present = {entry.key: entry for entry in self._core.store.list(prefix) if entry.readable}
        for key in self._schemas.keys() - present.keys():
            del self._schemas[key]
        for key, entry in present.items():
            if key not in self._schemas or self._schemas[key][0] != entry.revision:
                looked_at = partial(_looked_at, entry.value)
                # Thousands of rules are compiled where they keep nobody waiting.
                large = len(entry.value) > LARGE
                found = await asyncio.to_thread(looked_at) if large else looked_at()
                self._schemas[key] = (entry.revision, *found)
        levels = self._core.every(PRIORITY_LEVEL_CONFIGURATIONS)
        self._fairness.configure(levels, (schema for _, schema, _ in self._schemas.values()))

    async def _ensure(self, resource: Resource, wanted: Obj) -> None:
        kind, name = self._core.kinds.of(resource), wanted["metadata"]["name"]
        entry = self._core.store.latest(kind.key("", name))
        ask = Ask(kind, "", name)
        try:
            if entry is None:
                await create(self._core, Ask(kind), copied(wanted))
            elif restored(entry.obj, wanted) != entry.obj:
                await change(self._core, ask, rule_of(kind, ""), lambda old: copied(restored(old, wanted)))
        except StatusError as error:
            # Another server of the same cluster was faster.
            if error.code not in (404, 409):
                raise

    async def _judge(self, schema: Obj, levels: set[str]) -> None:
        kind, name = self._core.kinds.of(FLOW_SCHEMAS), schema["metadata"]["name"]
        now = timestamp(self._core.clock())
        if judged(schema, levels, now) == schema:
            return
        try:
            await change(
                self._core, Ask(kind, "", name, "status"), rule_of(kind, "status"),
                lambda old: copied(judged(old, levels, now)),
            )  # fmt: skip
        except StatusError as error:
            # Deleted meanwhile, or written by somebody else all the time: the next event will tell.
            log.info("FlowSchema %s: %s", name, error)


def _looked_at(value: bytes) -> tuple[FlowSchema, Obj]:
    """Of an encoded FlowSchema; from any thread."""
    obj = orjson.loads(value)
    return compiled(obj), {**obj, "spec": {**obj["spec"], "rules": []}}


def restored(old: Obj, wanted: Obj) -> Obj:
    """`old` as it has to be: one that everybody needs, or that nobody took into his own hands. Pure."""
    meta = old["metadata"]
    annotations = meta.get("annotations") or {}
    mandatory = meta["name"] in MANDATORY
    automatic = annotations.get(AUTOUPDATE)
    if not mandatory and not (automatic == "true" or (automatic is None and meta.get("generation", 1) == 1)):
        return old
    spec = dict(wanted["spec"])
    if meta["name"] == EXEMPT and automatic == "false" and "exempt" in old["spec"]:
        spec["exempt"] = old["spec"]["exempt"]
    if automatic is not None:
        return {**old, "spec": spec}
    return {**old, "metadata": {**meta, "annotations": {**annotations, AUTOUPDATE: "true"}}, "spec": spec}


def judged(schema: Obj, levels: set[str], now: str) -> Obj:
    """The schema with the condition that says whether its level is there. Pure."""
    level = schema["spec"]["priorityLevelConfiguration"]["name"]
    text = f'This FlowSchema references the PriorityLevelConfiguration object named "{level}" '
    verdict = {"status": "False", "reason": "Found", "message": f"{text}and it exists"}
    if level not in levels:
        verdict = {"status": "True", "reason": "NotFound", "message": f"{text}but there is no such object"}
    status = schema.get("status") or {}
    conditions = status.get("conditions") or []
    old = next((each for each in conditions if each.get("type") == DANGLING), None)
    if old is not None and verdict.items() <= old.items():
        return schema
    since = now if old is None or old.get("status") != verdict["status"] else old["lastTransitionTime"]
    condition = {"type": DANGLING, **verdict, "lastTransitionTime": since}
    others = [each for each in conditions if each.get("type") != DANGLING]
    return {**schema, "status": {**status, "conditions": [*others, condition]}}
