"""Scales every HorizontalPodAutoscaler's target, every sync period."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from podium.api.types import Obj
from podium.api.types import quantity as quantities
from podium.api.types.errors import StatusError
from podium.api.types.meta import deleting, key_of, namespace_of, split_key
from podium.api.types.resources import HORIZONTAL_POD_AUTOSCALERS, PODS
from podium.api.types.selectors import Selector, parse_labels
from podium.control import targets
from podium.control.autoscaling.behavior import DOWN_WINDOW, Bounds, Past, decide
from podium.control.autoscaling.evaluation import Evaluator, Failed, Subject
from podium.control.autoscaling.replicas import Periods, Tolerances, Workload
from podium.control.autoscaling.status import ABLE, ACTIVE, LIMITED, Draft
from podium.control.controller import Context, Controller
from podium.control.targets import Target

# A status entry for a metric that could not be read.
NOTHING: Obj = {"type": ""}


@dataclass(frozen=True)
class AutoscalingConfig:
    """Times in seconds; `tolerance` is a share of the target. The period is short enough that load is
    answered within 15 s, wherever between two looks it begins."""

    sync_period: float = 5.0
    tolerance: float = 0.1
    down_window: float = DOWN_WINDOW
    periods: Periods = field(default_factory=Periods)


class Unable(Exception):
    """Nothing can be decided; conditions and events have said why."""


class Wanted(NamedTuple):
    """A size, and what the event says led to it."""

    replicas: int
    reason: str
    metrics: Sequence[Obj] = ()


class HorizontalAutoscaler(Controller):
    name = "horizontal-pod-autoscaler"

    def __init__(self, context: Context, config: AutoscalingConfig | None = None) -> None:
        super().__init__(context)
        self.config = config or AutoscalingConfig()
        self.recorder = context.recorder("horizontal-pod-autoscaler")
        self.autoscalers = self.watch(HORIZONTAL_POD_AUTOSCALERS, _respecified)
        self.pods = self.watch(PODS)
        self._evaluator = Evaluator(context.client)
        self._past: dict[str, Past] = {}
        self._selectors: dict[str, Selector] = {}

    async def reconcile(self, key: str) -> None:
        namespace, name = split_key(key)
        found = self.autoscalers.get(name, namespace)
        if found is None or deleting(found):
            self._past.pop(key, None)
            self._selectors.pop(key, None)
            return
        draft = Draft(found.get("status") or {}, self.context.now())
        try:
            await self._scale(key, found, draft)
        except Unable:
            # Said already; the next period may find it otherwise.
            pass
        finally:
            self.queue.add_after(key, self.config.sync_period)
        await self._write(found, draft)

    async def _scale(self, key: str, found: Obj, draft: Draft) -> None:
        """Raises Unable."""
        target = await self._target(found, draft)
        past = self._past.setdefault(key, Past())
        past.begin(target.wanted, self._time())
        wanted = await self._wanted(found, target, past, draft)
        scaled = wanted.replicas != target.wanted
        if scaled:
            await self._resize(found, target, wanted, past, draft)
        draft.sizes(target.wanted, wanted.replicas, wanted.metrics, scaled=scaled)

    async def _target(self, found: Obj, draft: Draft) -> Target:
        """Raises Unable."""
        reference = found["spec"]["scaleTargetRef"]
        try:
            target = await targets.find(self.client, reference, namespace_of(found))
        except (StatusError, ConnectionError) as error:
            self._warn(found, "FailedGetScale", str(error))
            text = f"the HPA controller was unable to get the target's current scale: {error}"
            draft.condition(ABLE, False, "FailedGetScale", text)
            raise Unable from None
        text = "the HPA controller was able to get the target's current scale"
        draft.condition(ABLE, True, "SucceededGetScale", text)
        return target

    async def _wanted(self, found: Obj, target: Target, past: Past, draft: Draft) -> Wanted:
        """Raises Unable."""
        spec, current = found["spec"], target.wanted
        bounds = Bounds(current, spec.get("minReplicas", 1), spec["maxReplicas"])
        if current == 0:
            text = "scaling is disabled since the replica count of the target is zero"
            draft.condition(ACTIVE, False, "ScalingDisabled", text)
            return Wanted(0, "")
        if current > bounds.most:
            return Wanted(bounds.most, "Current number of replicas above Spec.MaxReplicas")
        if current < bounds.least:
            return Wanted(bounds.least, "Current number of replicas below Spec.MinReplicas")
        proposed = await self._proposed(found, target, draft)
        decision = decide(
            spec.get("behavior"), past, bounds, proposed.replicas, self._time(), self.config.down_window
        )
        draft.condition(ABLE, True, *decision.able)
        draft.condition(LIMITED, decision.limited, *decision.limit)
        return proposed._replace(replicas=decision.replicas)

    async def _proposed(self, found: Obj, target: Target, draft: Draft) -> Wanted:
        """What the metrics ask for: the most that any of them does. Raises Unable."""
        subject = self._subject(found, target, draft)
        specs = found["spec"].get("metrics") or ()
        statuses: list[Obj] = []
        replicas, name = 0, ""
        failures: list[Failed] = []
        for spec in specs:
            try:
                proposal = await self._evaluator.evaluate(spec, subject)
            except Failed as error:
                self._warn(found, error.reason, error.why)
                failures.append(error)
                statuses.append(NOTHING)
                continue
            statuses.append(proposal.status)
            if not name or proposal.replicas > replicas:
                replicas, name = proposal.replicas, proposal.name
        # Of metrics that cannot be read none may be the one that forbids scaling down.
        if failures and (len(failures) == len(specs) or replicas < target.wanted):
            self._give_up(found, failures, len(specs), draft)
            draft.sizes(target.wanted, None, statuses, scaled=False)
            raise Unable
        text = f"the HPA was able to successfully calculate a replica count from {name}"
        draft.condition(ACTIVE, True, "ValidMetricFound", text)
        reason = f"{name} above target" if replicas > target.wanted else "All metrics below target"
        return Wanted(replicas, reason, statuses)

    def _give_up(self, found: Obj, failures: Sequence[Failed], count: int, draft: Draft) -> None:
        first = failures[0]
        text = f"the HPA was unable to compute the replica count: {first.why}"
        draft.condition(ACTIVE, False, first.reason, text)
        text = f"invalid metrics ({len(failures)} invalid out of {count}), first error is: {first}"
        self._warn(found, "FailedComputeMetricsReplicas", text)

    def _subject(self, found: Obj, target: Target, draft: Draft) -> Subject:
        """Raises Unable for a workload whose pods nobody can tell, or that others scale too."""
        namespace, key, text = namespace_of(found), key_of(found), target.selector
        if not text:
            why = "the HPA target's scale is missing a selector"
            raise self._unselected(found, draft, "SelectorRequired", "selector is required", why, target)
        try:
            selector = self._selectors[key] = parse_labels(text)
        except ValueError as error:
            why = f"couldn't convert selector into a corresponding internal selector object: {error}"
            raise self._unselected(found, draft, "InvalidSelector", why, why, target) from None
        pods = self.pods.selected(selector, namespace)
        if len(rivals := self._scalers(namespace, pods)) > 1:
            why = f"pods by selector {text} are controlled by multiple HPAs: [{' '.join(rivals)}]"
            raise self._unselected(found, draft, "AmbiguousSelector", why, why, target)
        workload = Workload(
            target.wanted, target.present, pods, self._tolerances(found), self.config.periods,
            self.context.now(),
        )  # fmt: skip
        return Subject(namespace, text, workload)

    def _unselected(
        self, found: Obj, draft: Draft, event: str, message: str, why: str, target: Target
    ) -> Unable:
        self._warn(found, event, message)
        reason = "AmbiguousSelector" if event == "AmbiguousSelector" else "InvalidSelector"
        draft.condition(ACTIVE, False, reason, why)
        self._warn(found, "FailedComputeMetricsReplicas", message)
        draft.sizes(target.wanted, None, (), scaled=False)
        return Unable()

    def _scalers(self, namespace: str, pods: Iterable[Obj]) -> list[str]:
        """The autoscalers whose selectors find one of the pods."""
        here = {key: each for key, each in self._selectors.items() if split_key(key)[0] == namespace}
        return sorted(
            {
                key
                for pod in pods
                for key, selector in here.items()
                if selector.matches(pod["metadata"].get("labels"))
            }
        )

    def _tolerances(self, found: Obj) -> Tolerances:
        behavior: Mapping[str, Any] = found["spec"].get("behavior") or {}

        def of(direction: str) -> float:
            given = (behavior.get(direction) or {}).get("tolerance")
            return self.config.tolerance if given is None else float(quantities.parse(given))

        return Tolerances(of("scaleDown"), of("scaleUp"))

    async def _resize(self, found: Obj, target: Target, wanted: Wanted, past: Past, draft: Draft) -> None:
        """Raises Unable."""
        what = f"New size: {wanted.replicas}; reason: {wanted.reason}"
        try:
            await targets.resize(self.client, target, namespace_of(found), wanted.replicas)
        except (StatusError, ConnectionError) as error:
            self._warn(found, "FailedRescale", f"{what}; error: {error}")
            text = f"the HPA controller was unable to update the target scale: {error}"
            draft.condition(ABLE, False, "FailedUpdateScale", text)
            draft.sizes(target.wanted, None, wanted.metrics, scaled=False)
            raise Unable from None
        text = f"the HPA controller was able to update the target scale to {wanted.replicas}"
        draft.condition(ABLE, True, "SucceededRescale", text)
        self.recorder.event(found, "Normal", "SuccessfulRescale", what)
        past.scaled(target.wanted, wanted.replicas, self._time())

    async def _write(self, found: Obj, draft: Draft) -> None:
        status = draft.status
        if status == (found.get("status") or {}):
            return
        name, namespace = found["metadata"]["name"], namespace_of(found)
        patch = [{"op": "add", "path": "/status", "value": status}]
        try:
            await self.client.patch(
                HORIZONTAL_POD_AUTOSCALERS, name, patch, namespace, kind="json", subresource="status"
            )
        except StatusError as error:
            if error.code != 404:
                self._warn(found, "FailedUpdateStatus", str(error))
                raise

    def _warn(self, found: Obj, reason: str, message: str) -> None:
        self.recorder.event(found, "Warning", reason, message)

    def _time(self) -> float:
        return (self.context.clock or asyncio.get_running_loop()).time()


def _respecified(old: Obj | None, new: Obj | None) -> Iterable[str]:
    """Its own status is written all the time."""
    if old is not None and new is not None and old["spec"] == new["spec"]:
        return ()
    obj = new or old
    return (key_of(obj),) if obj is not None else ()
