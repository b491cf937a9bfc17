"""What to do next about a DaemonSet's pods. Pure: from nodes and pods to pods to make and to delete.

First every node gets its pod and loses what it has too many of; once nothing of that is left to do, pods of
an older template are replaced.

Source: kubernetes.io "Perform a Rolling Update on a DaemonSet"; apps/v1 RollingUpdateDaemonSet; KEP-1591
(maxSurge).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from podium.api.types import Obj
from podium.api.types.meta import deleting
from podium.control.daemons.placement import Placement, Verdict, placement, target
from podium.control.history.revisions import POD_LABEL
from podium.control.pods import available_in, is_finished, is_ready, phase

TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
GENERATION_LABEL = "pod-template-generation"


@dataclass
class Work:
    """Nodes to make a pod for, and pods to delete."""

    nodes: list[str] = field(default_factory=list)
    pods: list[Obj] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.nodes or self.pods)


@dataclass(frozen=True)
class Seen:
    """A DaemonSet, all nodes, and its own pods. `hash` is what its present template's pods are labelled
    with."""

    daemon_set: Obj
    nodes: Sequence[Obj]
    pods: Sequence[Obj]
    hash: str
    now: datetime

    @cached_property
    def placement(self) -> Placement:
        return placement(self.daemon_set)

    @cached_property
    def verdicts(self) -> dict[str, Verdict]:
        return {node["metadata"]["name"]: self.placement.judge(node) for node in self.nodes}

    @cached_property
    def by_node(self) -> dict[str, list[Obj]]:
        """Oldest first, those that are bound before those that are not yet."""
        found: dict[str, list[Obj]] = {}
        for pod in sorted(self.pods, key=_age):
            if (node := target(pod)) and not (is_finished(pod) and deleting(pod)):
                found.setdefault(node, []).append(pod)
        return found

    @cached_property
    def desired(self) -> int:
        return sum(verdict.runs for verdict in self.verdicts.values())

    def available(self, pod: Obj) -> bool:
        return available_in(pod, self.daemon_set["spec"].get("minReadySeconds", 0), self.now) == 0

    def is_updated(self, pod: Obj) -> bool:
        labels = pod["metadata"].get("labels") or {}
        generation = template_generation(self.daemon_set)
        same = bool(generation) and labels.get(GENERATION_LABEL) == generation
        return same or labels.get(POD_LABEL) == self.hash

    @cached_property
    def surge(self) -> int:
        return self._share("maxSurge")

    @cached_property
    def unavailable(self) -> int:
        """At least one where nothing may surge, or no rollout would ever move."""
        count = self._share("maxUnavailable")
        return count if count or self.surge else 1

    def _share(self, limit: str) -> int:
        value = _rolling(self.daemon_set).get(limit, 0)
        if isinstance(value, str):
            return math.ceil(int(value[:-1]) * self.desired / 100)
        return int(value)


def template_generation(daemon_set: Obj) -> str:
    annotations = daemon_set["metadata"].get("annotations") or {}
    return str(annotations.get(TEMPLATE_GENERATION, ""))


def _rolling(daemon_set: Obj) -> Obj:
    strategy = daemon_set["spec"].get("updateStrategy") or {}
    rolls = strategy.get("type", "RollingUpdate") == "RollingUpdate"
    return dict(strategy.get("rollingUpdate") or {}) if rolls else {}


def _surges(daemon_set: Obj) -> bool:
    return _rolling(daemon_set).get("maxSurge", 0) not in (0, "0%")


def _age(pod: Obj) -> tuple[bool, str, str]:
    meta = pod["metadata"]
    return not pod["spec"].get("nodeName"), meta.get("creationTimestamp", ""), meta["name"]


def place(seen: Seen, may_retry: Callable[[Obj, str], bool]) -> Work:
    """Every node gets its pod, and only one. `may_retry(pod, node)` says whether a failed pod is to be
    replaced already."""
    work = Work()
    for node, verdict in seen.verdicts.items():
        pods = seen.by_node.get(node)
        if pods is None:
            if verdict.runs:
                work.nodes.append(node)
        elif verdict.stays:
            _tidy(seen, work, node, pods, may_retry)
        else:
            work.pods += [pod for pod in pods if not deleting(pod)]
    work.pods += [
        pod
        for node, pods in seen.by_node.items()
        if node not in seen.verdicts
        for pod in pods
        if not pod["spec"].get("nodeName")
    ]
    return work


def _tidy(
    seen: Seen, work: Work, node: str, pods: Iterable[Obj], may_retry: Callable[[Obj, str], bool]
) -> None:
    running: list[Obj] = []
    for pod in pods:
        if deleting(pod):
            continue
        if phase(pod) == "Succeeded" or (phase(pod) == "Failed" and may_retry(pod, node)):
            work.pods.append(pod)
        elif phase(pod) != "Failed":
            running.append(pod)
    if not _surges(seen.daemon_set):
        work.pods += running[1:]
        return
    if not running and seen.verdicts[node].runs and not any(phase(pod) == "Failed" for pod in pods):
        work.nodes.append(node)
    elif len(running) > 1:
        work.pods += _superseded(seen, running)


def _superseded(seen: Seen, running: Sequence[Obj]) -> list[Obj]:
    """One pod of each template may be there while a surge lasts: the old one goes once the new one is
    available, or when it serves nobody itself."""
    labelled = [(pod["metadata"].get("labels") or {}).get(POD_LABEL) == seen.hash for pod in running]
    new = [pod for pod, is_new in zip(running, labelled, strict=True) if is_new]
    old = [pod for pod, is_new in zip(running, labelled, strict=True) if not is_new]
    gone = new[1:] + old[1:]
    if new and old and (not is_ready(old[0]) or seen.available(new[0])):
        gone.append(old[0])
    return gone


def roll(seen: Seen) -> Work:
    """Replaces pods of an older template, as many as may be missing or there twice."""
    if (seen.daemon_set["spec"].get("updateStrategy") or {}).get("type") == "OnDelete":
        return Work()
    nodes = [
        *seen.by_node,
        *(node for node, verdict in seen.verdicts.items() if verdict.runs and node not in seen.by_node),
    ]
    return _roll_surging(seen, nodes) if seen.surge else _roll_down(seen, nodes)


def _pair(seen: Seen, node: str) -> tuple[Obj | None, Obj | None] | None:
    """(new, old) of a node's pods; None where there are more than one of either."""
    alive = [pod for pod in seen.by_node.get(node, ()) if not deleting(pod)]
    new = [pod for pod in alive if seen.is_updated(pod)]
    old = [pod for pod in alive if not seen.is_updated(pod)]
    if len(new) > 1 or len(old) > 1:
        return None
    return (new[0] if new else None), (old[0] if old else None)


def _roll_down(seen: Seen, nodes: Iterable[str]) -> Work:
    """Old pods that serve nobody go at once; of the others as many as may be missing."""
    missing, broken, candidates = 0, [], []
    for node in nodes:
        pair = _pair(seen, node)
        new, old = pair or (None, None)
        if pair is None or (new is None) == (old is None):
            missing += 1
        elif new is not None:
            missing += not seen.available(new)
        elif old is not None and not seen.available(old):
            broken.append(old)
            missing += 1
        elif old is not None:
            candidates.append(old)
    return Work(pods=broken + candidates[: max(0, seen.unavailable - missing)])


def _roll_surging(seen: Seen, nodes: Iterable[str]) -> Work:
    """A new pod beside the old one, which goes once the new one is available."""
    work, surging, available = Work(), 0, 0
    candidates: list[str] = []
    unwanted: list[Obj] = []
    for node in nodes:
        pair = _pair(seen, node)
        if pair is None:
            surging += 1
            continue
        new, old = pair
        serving = old or new
        available += serving is not None and seen.available(serving)
        if old is None:
            continue
        if new is not None:
            if seen.available(new):
                work.pods.append(old)
            else:
                surging += 1
        elif not seen.verdicts.get(node, Verdict(runs=False, stays=False)).runs:
            (unwanted if seen.available(old) else work.pods).append(old)
        elif not seen.available(old):
            work.nodes.append(node)
        else:
            candidates.append(node)
    work.pods += unwanted[: max(0, available - seen.desired)]
    work.nodes += candidates[: max(0, seen.surge - surging)]
    return work
