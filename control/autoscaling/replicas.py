"""How many replicas a metric asks for. Pure.

Values are in thousandths (millicores, thousandths of bytes). A pod whose metric is missing, or does not tell
yet, never makes the answer bolder: when scaling up it counts as idle, when scaling down as busy.

Source: kubernetes.io, "Horizontal Pod Autoscaling", "Algorithm details".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from podium.api.types import Obj
from podium.api.types.meta import condition, deleting, parse_time
from podium.control.autoscaling.amounts import milli
from podium.control.pods import is_ready, phase

MOST = 2**31 - 1


class Unknown(Exception):
    """How many replicas there should be cannot be told; the text says why."""


class PodMetric(NamedTuple):
    """`value` is the average over `window` up to the moment `at`."""

    value: int
    at: datetime
    window: timedelta


Metrics = Mapping[str, PodMetric]
"""By pod name."""


class Tolerances(NamedTuple):
    """How far usage may be from its target, as a share of it, before anything is done."""

    down: float = 0.1
    up: float = 0.1

    def include(self, ratio: float) -> bool:
        return 1.0 - self.down <= ratio <= 1.0 + self.up


class Periods(NamedTuple):
    """`initialization`: how long after a pod's start its CPU metrics count only while it is ready.
    `readiness`: a pod that became unready so soon after its start was never ready."""

    initialization: timedelta = timedelta(minutes=5)
    readiness: timedelta = timedelta(seconds=30)


class Workload(NamedTuple):
    """What is scaled: how many replicas are wanted and how many there are, and the pods that its selector
    finds."""

    wanted: int
    present: int
    pods: Sequence[Obj]
    tolerances: Tolerances
    periods: Periods
    now: datetime


class Answer(NamedTuple):
    """`value` is what is used now: per pod, or in all where the target is for all. `utilization` is that in
    per cent of what was requested."""

    replicas: int
    value: int
    utilization: int | None = None


class Groups(NamedTuple):
    """The pods by what their metric is worth."""

    ready: int
    unready: frozenset[str]
    missing: frozenset[str]
    ignored: frozenset[str]


def by_utilization(
    workload: Workload, metrics: Metrics, target: int, resource: str, container: str
) -> Answer:
    """For a target in per cent of what is requested. Raises Unknown."""
    groups, counted = _counted(workload, metrics, resource)
    wanted = requests(workload.pods, resource, container)

    def ratio(values: Mapping[str, int]) -> tuple[float, int, int]:
        known = [name for name in values if name in wanted]
        total, asked = sum(values[name] for name in known), sum(wanted[name] for name in known)
        if asked == 0:
            raise Unknown("no metrics returned matched known pods")
        share = _quotient(total * 100, asked)
        return share / target, share, _quotient(total, len(known))

    def busy(name: str) -> int:
        return wanted.get(name, 0) * max(100, target) // 100

    _, share, average = ratio(counted)
    return Answer(_settled(workload, groups, counted, lambda values: ratio(values)[0], busy), average, share)


def by_average(workload: Workload, metrics: Metrics, target: int, resource: str = "") -> Answer:
    """For a target per pod. `resource` is "" for what is no resource. Raises Unknown."""
    groups, counted = _counted(workload, metrics, resource)

    def average(values: Mapping[str, int]) -> int:
        return _quotient(sum(values.values()), len(values))

    replicas = _settled(
        workload, groups, counted, lambda values: average(values) / target, lambda name: target
    )
    return Answer(replicas, average(counted))


def by_total(workload: Workload, total: int, target: int) -> Answer:
    """For a target that all pods share. Raises Unknown."""
    ratio = total / target
    if workload.wanted == 0:
        return Answer(min(math.ceil(ratio), MOST), total)
    if workload.tolerances.include(ratio):
        return Answer(workload.wanted, total)
    if not workload.pods:
        raise Unknown(
            "unable to calculate ready pods: no pods returned by selector while calculating replica count"
        )
    ready = sum(phase(pod) == "Running" and is_ready(pod) for pod in workload.pods)
    return Answer(min(math.ceil(ratio * ready), MOST), total)


def by_total_per_pod(workload: Workload, total: int, target: int) -> Answer:
    """For a target per pod of a total that nobody knows by pod."""
    replicas, present = workload.present, max(workload.present, 1)
    if workload.present == 0 or not workload.tolerances.include(total / (target * present)):
        replicas = min(math.ceil(total / target), MOST)
    return Answer(replicas, math.ceil(total / present))


def _counted(workload: Workload, metrics: Metrics, resource: str) -> tuple[Groups, dict[str, int]]:
    """The pods' groups, and the values that count. Raises Unknown."""
    if not workload.pods:
        raise Unknown("no pods returned by selector while calculating replica count")
    groups = grouped(workload, metrics, resource)
    left_out = groups.ignored | groups.unready
    counted = {name: metric.value for name, metric in metrics.items() if name not in left_out}
    if not counted:
        raise Unknown("did not receive metrics for targeted pods (pods might be unready)")
    return groups, counted


def _settled(
    workload: Workload,
    groups: Groups,
    counted: Mapping[str, int],
    ratio_of: Callable[[Mapping[str, int]], float],
    busy: Callable[[str], int],
) -> int:
    """`ratio_of` tells usage as a share of the target, `busy` what a pod counts for that may be busy."""
    ratio, tolerances = ratio_of(counted), workload.tolerances
    fills_unready = bool(groups.unready) and ratio > 1.0
    if not fills_unready and not groups.missing:
        return workload.wanted if tolerances.include(ratio) else math.ceil(ratio * groups.ready)
    values = dict(counted)
    if ratio < 1.0:
        values |= {name: busy(name) for name in groups.missing}
    elif ratio > 1.0:
        values |= dict.fromkeys(groups.missing, 0)
    if fills_unready:
        values |= dict.fromkeys(groups.unready, 0)
    careful = ratio_of(values)
    turned = (ratio < 1.0 < careful) or (careful < 1.0 < ratio)
    if tolerances.include(careful) or turned:
        return workload.wanted
    replicas = math.ceil(careful * len(values))
    if (careful < 1.0 and replicas > workload.wanted) or (careful > 1.0 and replicas < workload.wanted):
        return workload.wanted
    return replicas


def grouped(workload: Workload, metrics: Metrics, resource: str) -> Groups:
    ready = 0
    unready, missing, ignored = set(), set(), set()
    for pod in workload.pods:
        name = pod["metadata"]["name"]
        if deleting(pod) or phase(pod) == "Failed":
            ignored.add(name)
        elif phase(pod) == "Pending":
            unready.add(name)
        elif name not in metrics:
            missing.add(name)
        elif resource == "cpu" and _starting(pod, metrics[name], workload):
            unready.add(name)
        else:
            ready += 1
    return Groups(ready, frozenset(unready), frozenset(missing), frozenset(ignored))


def _starting(pod: Obj, metric: PodMetric, workload: Workload) -> bool:
    """Whether the pod's use of processors is still that of its start."""
    found, began = condition(pod, "Ready"), (pod.get("status") or {}).get("startTime")
    if found is None or not began or not found.get("lastTransitionTime"):
        return True
    started, changed = parse_time(began), parse_time(found["lastTransitionTime"])
    ready = found.get("status") != "False"
    if started + workload.periods.initialization > workload.now:
        return not ready or metric.at < changed + metric.window
    return not ready and started + workload.periods.readiness > changed


def requests(pods: Sequence[Obj], resource: str, container: str) -> dict[str, int]:
    """What each pod requests, or its container of that name. Raises Unknown where one requests nothing."""
    return {pod["metadata"]["name"]: _request(pod, resource, container) for pod in pods}


def _request(pod: Obj, resource: str, container: str) -> int:
    spec, name = pod["spec"], pod["metadata"]["name"]
    whole = (spec.get("resources") or {}).get("requests") or {}
    if whole and not container:
        if resource not in whole:
            raise Unknown(f"missing pod-level request for {resource} in Pod {name}")
        return milli(whole[resource])
    sidecars = [each for each in spec.get("initContainers") or () if each.get("restartPolicy") == "Always"]
    found = [each for each in [*spec["containers"], *sidecars] if container in ("", each["name"])]
    if not found:
        raise Unknown(f"container {container} not found in Pod {name}")
    total = 0
    for each in found:
        asked = ((each.get("resources") or {}).get("requests") or {}).get(resource)
        if asked is None:
            raise Unknown(f"missing request for {resource} in container {each['name']} of Pod {name}")
        total += milli(asked)
    return total


def _quotient(total: int, count: int) -> int:
    """As integers divide elsewhere: towards zero."""
    return int(total / count) if total < 0 else total // count
