"""What to do next about a StatefulSet's pods. Pure: from what is seen to steps.

Ordered sets make one step at a time and wait for its effect; parallel ones make all of them. Scaling goes
before updating.

Source: kubernetes.io "StatefulSets", sections "Deployment and Scaling Guarantees" and "Update strategies";
KEP-961 (maxUnavailable), KEP-3335 (ordinals).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, TypeAlias

from podium.api.types import Obj
from podium.api.types.meta import deleting
from podium.control.pods import available_in, is_finished, is_ready, phase
from podium.control.statefulsets import retention
from podium.control.statefulsets.identity import (
    build,
    claim_names,
    identity_matches,
    ordinal_of,
    ordinals,
    revision_of,
    start_of,
    storage_matches,
    wanted,
)

Claims: TypeAlias = Callable[[str], Obj | None]


class Create(NamedTuple):
    """Make this pod and, before it, its claims."""

    pod: Obj


class Delete(NamedTuple):
    pod: Obj


class Provide(NamedTuple):
    """Make the claims that this pending pod waits for."""

    pod: Obj


class Repair(NamedTuple):
    """Set right the labels of this pod and the owners of its claims."""

    pod: Obj


class Release(NamedTuple):
    """Set right the owners of the claims of this pod, which is about to go for good."""

    pod: Obj


Step: TypeAlias = Create | Delete | Provide | Repair | Release


class Template(NamedTuple):
    """A pod template and the name of the revision that keeps it."""

    name: str
    template: Obj


@dataclass(frozen=True)
class Seen:
    """A StatefulSet, its pods and its claims (by name). `current` is what it is being updated from, `update`
    what to."""

    stateful_set: Obj
    pods: Sequence[Obj]
    claims: Claims
    current: Template
    update: Template
    now: datetime

    def available(self, pod: Obj) -> bool:
        return available_in(pod, self.stateful_set["spec"].get("minReadySeconds", 0), self.now) == 0

    def usable(self, pod: Obj | None) -> bool:
        return pod is not None and self.available(pod) and not deleting(pod)


@dataclass
class Plan:
    """Steps in phases: a phase begins when all steps of the one before succeeded, and the steps of one phase
    are independent where the set is parallel. `outdated` is how many pods of the current revision go for the
    update's sake."""

    phases: list[list[Step]] = field(default_factory=list)
    outdated: int = 0


class _Wait(Exception):
    """Nothing after this is to be done before something changes."""


def is_ordered(stateful_set: Obj) -> bool:
    return bool(stateful_set["spec"].get("podManagementPolicy", "OrderedReady") != "Parallel")


def is_running(pod: Obj) -> bool:
    return phase(pod) == "Running" and is_ready(pod)


def plan(seen: Seen) -> Plan:
    made = Plan()
    if deleting(seen.stateful_set):
        return made
    replicas = {ordinal_of(pod): pod for pod in seen.pods if ordinal_of(pod) in ordinals(seen.stateful_set)}
    condemned = sorted(
        (pod for pod in seen.pods if ordinal_of(pod) not in ordinals(seen.stateful_set)),
        key=ordinal_of,
        reverse=True,
    )
    try:
        _collect(made, _replicas(seen, replicas))
        _collect(made, (Release(pod) for pod in condemned if not _owners_right(seen, pod)))
        _collect(made, _scale_down(seen, replicas, condemned))
    except _Wait:
        return made
    made.phases.append(list(_outdated(seen, replicas)))
    made.outdated = sum(revision_of(step.pod) == seen.current.name for step in made.phases[-1])
    return made


def _collect(made: Plan, steps: Iterable[Step]) -> None:
    """Appends a phase; what is found before a wait is part of the plan."""
    made.phases.append([])
    for step in steps:
        made.phases[-1].append(step)


def new_pod(seen: Seen, ordinal: int) -> Obj:
    """The pod of an ordinal that is missing: of the old template while the update has not come to it, or
    stops before it."""
    template = seen.current if _keeps_old(seen.stateful_set, ordinal) else seen.update
    return build(seen.stateful_set, template.template, template.name, ordinal)


def _keeps_old(stateful_set: Obj, ordinal: int) -> bool:
    strategy = stateful_set["spec"].get("updateStrategy") or {}
    place = ordinal - start_of(stateful_set)
    rolling = strategy.get("rollingUpdate")
    if rolling is not None:
        return bool(place < rolling.get("partition", 0))
    if strategy.get("type", "RollingUpdate") != "RollingUpdate":
        return False
    return bool(place < (stateful_set.get("status") or {}).get("currentReplicas", 0))


def _replicas(seen: Seen, replicas: dict[int, Obj]) -> Iterator[Step]:
    ordered = is_ordered(seen.stateful_set)
    for ordinal in ordinals(seen.stateful_set):
        pod = replicas.get(ordinal)
        waits = yield from _create(seen, ordinal) if pod is None else _keep(seen, pod)
        if waits and ordered:
            raise _Wait


def _create(seen: Seen, ordinal: int) -> Generator[Step, None, bool]:
    pod = new_pod(seen, ordinal)
    if retention.deletes_on(seen.stateful_set, "whenScaled"):
        claims = map(seen.claims, claim_names(seen.stateful_set, ordinal).values())
        if any(claim is not None and retention.is_stale(claim, pod) for claim in claims):
            return True
    yield Create(pod)
    return True


def _keep(seen: Seen, pod: Obj) -> Generator[Step, None, bool]:
    """The steps for a pod that is there; returns whether its successors have to wait."""
    if is_finished(pod):
        if not deleting(pod):
            yield Delete(pod)
        return True
    if phase(pod) == "Pending" and not _has_claims(seen, pod):
        yield Provide(pod)
    if is_ordered(seen.stateful_set) and (deleting(pod) or not is_running(pod) or not seen.available(pod)):
        return True
    right = identity_matches(pod) and storage_matches(seen.stateful_set, pod) and _owners_right(seen, pod)
    if not right and not deleting(pod):
        yield Repair(pod)
    return False


def _has_claims(seen: Seen, pod: Obj) -> bool:
    """Whether all of the pod's claims are there to stay."""
    claims = map(seen.claims, claim_names(seen.stateful_set, ordinal_of(pod)).values())
    return all(claim is not None and not deleting(claim) for claim in claims)


def _owners_right(seen: Seen, pod: Obj) -> bool:
    claims = map(seen.claims, claim_names(seen.stateful_set, ordinal_of(pod)).values())
    return all(claim is None or retention.is_right(claim, seen.stateful_set, pod) for claim in claims)


def _scale_down(seen: Seen, replicas: dict[int, Obj], condemned: Sequence[Obj]) -> Iterator[Step]:
    """Highest ordinals first. An ordered set deletes one at a time, and while any pod but the first unhealthy
    one would be taken from under it, none."""
    if not is_ordered(seen.stateful_set):
        for pod in condemned:
            if not deleting(pod):
                yield Delete(pod)
        return
    first = _first_unusable(seen, replicas, condemned)
    for pod in condemned:
        healthy = is_running(pod) and seen.available(pod)
        if not deleting(pod) and (healthy or pod is first):
            yield Delete(pod)
        raise _Wait


def _first_unusable(seen: Seen, replicas: dict[int, Obj], condemned: Sequence[Obj]) -> Obj | None:
    in_order = [replicas[ordinal] for ordinal in sorted(replicas)] + list(reversed(condemned))
    return next((pod for pod in in_order if not seen.usable(pod)), None)


def _outdated(seen: Seen, replicas: dict[int, Obj]) -> Iterator[Delete]:
    """The pods to replace now, highest ordinals first."""
    strategy = seen.stateful_set["spec"].get("updateStrategy") or {}
    if strategy.get("type", "RollingUpdate") == "OnDelete":
        return
    rolling = strategy.get("rollingUpdate") or {}
    every = list(reversed(ordinals(seen.stateful_set)))
    place = rolling.get("partition", 0)
    targets = every[: max(0, len(every) - place)]
    if rolling.get("maxUnavailable") is None:
        yield from _one_by_one(seen, [replicas.get(ordinal) for ordinal in targets])
        return
    missing = sum(not seen.usable(replicas.get(ordinal)) for ordinal in every)
    room = max_unavailable(rolling["maxUnavailable"], wanted(seen.stateful_set)) - missing
    old = [
        pod
        for ordinal in targets
        if (pod := replicas.get(ordinal)) is not None and not deleting(pod) and _is_old(seen, pod)
    ]
    yield from map(Delete, old[: max(0, room)])


def _one_by_one(seen: Seen, targets: Iterable[Obj | None]) -> Iterator[Delete]:
    for pod in targets:
        if pod is not None and _is_old(seen, pod) and not deleting(pod):
            yield Delete(pod)
            return
        if not seen.usable(pod):
            return


def _is_old(seen: Seen, pod: Obj) -> bool:
    return revision_of(pod) != seen.update.name


def max_unavailable(value: int | str, replicas: int) -> int:
    """In pods, at least one. A percentage is rounded down."""
    share = math.floor(int(value[:-1]) * replicas / 100) if isinstance(value, str) else value
    return max(1, share)
