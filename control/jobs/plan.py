"""How many pods a Job should have now: what to delete, what to create, how long to wait first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from podium.api.types import Obj
from podium.api.types.meta import deleting, parse_time
from podium.control.jobs import facts
from podium.control.jobs.backoff import Failures, finished_at
from podium.control.jobs.indexes import Indexes
from podium.control.jobs.view import View
from podium.control.pods import is_finished, is_ready, phase, ready_since
from podium.control.replicas.ranking import PHASES, restarts

AT_ONCE = 500  # pods created or deleted in one go


class Plan(NamedTuple):
    """`create` has an entry per pod: its completion index, None in a job without indexes. `wait` is the
    number of seconds after which to look again, 0 for none. Of creating, deleting and waiting, one is asked
    for."""

    delete: Sequence[Obj] = ()
    create: Sequence[int | None] = ()
    wait: float = 0.0


def plan(view: View, now: datetime) -> Plan:
    """For a job that goes on."""
    active = len(view.active)
    if facts.suspended(view.job):
        return Plan(delete=_surplus(view, active))
    wanted = _wanted(view)
    if surplus := _surplus(view, max(0, active - wanted)):
        return Plan(delete=surplus[:AT_ONCE])
    room = view.terminating if facts.replaces_only_failed(view.spec) else 0
    missing = min(wanted - active - room, AT_ONCE)
    return _create(view, missing, now) if missing > 0 else Plan()


def _wanted(view: View) -> int:
    parallelism: int = view.spec.get("parallelism", 1)
    if view.completions is None:
        # Once a pod has succeeded, the others may end, and none is made any more.
        return len(view.active) if view.succeeded else parallelism
    remaining: int = view.completions - view.succeeded
    return max(0, min(remaining, parallelism))


def _create(view: View, missing: int, now: datetime) -> Plan:
    per_index = view.lost is not None
    if not per_index and (wait := view.failures.wait(now)):
        return Plan(wait=wait)
    if not view.indexed:
        return Plan(create=[None] * missing)
    indexes = _pending(view, missing)
    if not per_index:
        return Plan(create=indexes)
    waits = {index: _wait_of(view.delayed.get(index), now) for index in indexes}
    ready = [index for index in indexes if not waits[index]]
    return Plan(create=ready) if ready else Plan(wait=min(waits.values(), default=0.0))


def _wait_of(replaced: Obj | None, now: datetime) -> float:
    if replaced is None:
        return 0.0
    return Failures(facts.index_failures(replaced) + 1, finished_at(replaced)).wait(now)


def _pending(view: View, count: int) -> list[int]:
    """The first indexes that nothing works on and that are neither done nor lost."""
    taken = list(view.active)
    if facts.replaces_only_failed(view.spec):
        taken += [pod for pod in view.pods if deleting(pod) and not is_finished(pod)]
    busy = Indexes.of(index for pod in taken if (index := facts.index_of(pod)) is not None)
    busy = busy | view.completed | (view.lost or Indexes())
    missing = busy.missing(view.completions or 0)
    return [index for index, _ in zip(missing, range(count), strict=False)]


def _surplus(view: View, least: int) -> list[Obj]:
    """At least `least` active pods, those that have got least far first; and whatever is no use: in an
    indexed job a pod without a valid index, and all but one of those that share one."""
    if not view.indexed:
        return sorted(view.active, key=_progress)[:least]
    useless, left = _sort_out(view)
    return useless + sorted(left, key=_progress)[: max(0, least - len(useless))]


def _sort_out(view: View) -> tuple[list[Obj], list[Obj]]:
    shared: dict[int, list[Obj]] = defaultdict(list)
    useless: list[Obj] = []
    for pod in view.active:
        index = facts.index_of(pod)
        if index is None or not view.valid(pod):
            useless.append(pod)
        else:
            shared[index].append(pod)
    left: list[Obj] = []
    for pods in shared.values():
        *fewer, best = sorted(pods, key=_progress)
        useless += fewer
        left.append(best)
    return useless, left


def _progress(pod: Obj) -> tuple[Any, ...]:
    """Smaller has got less far."""
    return (
        bool(pod["spec"].get("nodeName")),
        PHASES.get(phase(pod), 0),
        is_ready(pod),
        _reversed(ready_since(pod)),
        tuple(-count for count in restarts(pod)),
        _reversed(parse_time(pod["metadata"]["creationTimestamp"])),
    )


def _reversed(moment: datetime | None) -> float:
    """Later sorts before earlier, and none before all."""
    return -moment.timestamp() if moment is not None else float("-inf")
