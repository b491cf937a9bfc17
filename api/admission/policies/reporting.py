"""Keeps the status of ValidatingAdmissionPolicies: one task that watches them."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from podium.api.admission.policies.checking import warnings
from podium.api.ask import Ask, copied
from podium.api.core import Core
from podium.api.store.base import WatchDropped
from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.resources import VALIDATING_ADMISSION_POLICIES
from podium.api.verbs.subresources import rule_of
from podium.api.verbs.update import change

log = logging.getLogger(__name__)


class Reporting:
    """Each generation of a policy is looked at once."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._watch(), name="admission policies")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _watch(self) -> None:
        prefix = self._core.kinds.of(VALIDATING_ADMISSION_POLICIES).below("")
        while True:
            revision = self._core.store.revision
            for policy in list(self._core.every(VALIDATING_ADMISSION_POLICIES)):
                await self._report(policy)
            watch = self._core.store.watch(prefix, revision)
            try:
                async for events in watch:
                    for event in events:
                        if event.type != "DELETED":
                            await self._report(event.entry.obj)
                return
            except (WatchDropped, StatusError):
                log.info("the watch of the admission policies is begun anew")
            finally:
                watch.close()

    async def _report(self, policy: Obj) -> None:
        meta = policy["metadata"]
        generation = meta.get("generation", 1)
        if (policy.get("status") or {}).get("observedGeneration") == generation:
            return
        checked: Obj = {}
        if found := await asyncio.to_thread(warnings, policy, self._core.kinds):
            checked["expressionWarnings"] = found

        def judged(old: Obj) -> Obj:
            status = {**(old.get("status") or {}), "observedGeneration": generation, "typeChecking": checked}
            return {**copied(old), "status": status}

        kind = self._core.kinds.of(VALIDATING_ADMISSION_POLICIES)
        try:
            await change(self._core, Ask(kind, "", meta["name"], "status"), rule_of(kind, "status"), judged)
        except StatusError as error:
            # Deleted meanwhile, or written by somebody else all the time: the next event will tell.
            log.info("ValidatingAdmissionPolicy %s: %s", meta["name"], error)
