"""The probes of one running container: a task for each kind it has."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from podium.api.types import Obj
from podium.runtime.commands import Commands
from podium.runtime.probes.checks import ProbeError, Target, check
from podium.runtime.probes.tally import Tally

log = logging.getLogger(__name__)

Verdict = Callable[[str, bool], None]
"""Called with "startup", "readiness" or "liveness" and the verdict whenever one is reached."""
Unhealthy = Callable[[str, str], None]
"""Called with the reason and message of every single failure or warning."""
Counted = Callable[[str, str], None]
"""Called after every probe with its kind and successful, failed or unknown."""


class Prober:
    """Probes one container until `stop`. Readiness and liveness wait for the startup probe; a failed startup
    or liveness probe ends probing, since the container will be killed."""

    def __init__(
        self,
        container: Obj,
        target: Target,
        commands: Commands,
        *,
        started_at: datetime,
        now: Callable[[], datetime],
        verdict: Verdict,
        unhealthy: Unhealthy,
        counted: Counted = lambda kind, result: None,
    ) -> None:
        self._container = container
        self._target = target
        self._commands = commands
        self._started_at = started_at
        self._now = now
        self._verdict = verdict
        self._unhealthy = unhealthy
        self._counted = counted
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        name = f"probes of {self._target.container_id[:12]}"
        self._task = asyncio.create_task(self._run(), name=name)

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            if "startupProbe" in self._container and not await self._until_verdict("startup"):
                return
            async with asyncio.TaskGroup() as group:
                for kind in ("readiness", "liveness"):
                    if f"{kind}Probe" in self._container:
                        group.create_task(self._repeat(kind))
        except Exception:
            log.exception("probing container %s failed", self._target.container_id)
            raise

    async def _until_verdict(self, kind: str) -> bool:
        probe = self._container[f"{kind}Probe"]
        tally = Tally.of(probe)
        await self._delay(probe)
        while True:
            decided = await self._once(kind, probe, tally)
            if decided is not None:
                return decided
            await asyncio.sleep(float(probe.get("periodSeconds", 10)))

    async def _repeat(self, kind: str) -> None:
        probe = self._container[f"{kind}Probe"]
        tally = Tally.of(probe)
        await self._delay(probe)
        while True:
            decided = await self._once(kind, probe, tally)
            if kind == "liveness" and decided is False:
                return
            await asyncio.sleep(float(probe.get("periodSeconds", 10)))

    async def _delay(self, probe: Obj) -> None:
        """The container's age counts, so that a restarted daemon does not wait anew."""
        age = (self._now() - self._started_at).total_seconds()
        await asyncio.sleep(max(0.0, float(probe.get("initialDelaySeconds", 0)) - age))

    async def _once(self, kind: str, probe: Obj, tally: Tally) -> bool | None:
        title = kind.capitalize()
        try:
            outcome = await check(probe, self._target, self._commands)
        except ProbeError as error:
            self._counted(kind, "unknown")
            self._unhealthy("Unhealthy", f"{title} probe errored and resulted in unknown state: {error}")
            return None
        self._counted(kind, "successful" if outcome.ok else "failed")
        if not outcome.ok:
            self._unhealthy("Unhealthy", f"{title} probe failed: {outcome.message}")
        elif outcome.warned:
            self._unhealthy("ProbeWarning", f"{title} probe warning: {outcome.message}")
        decided = tally.count(outcome.ok)
        if decided is not None:
            self._verdict(kind, decided)
        return decided
