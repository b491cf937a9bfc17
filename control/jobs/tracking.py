"""Counting pods that have ended, each exactly once, whatever is interrupted where.

A pod carries a finalizer until it is counted. Its uid first enters `status.uncountedTerminatedPods` (a
completion index enters `completedIndexes` instead), only then the finalizer goes, and only when it has gone
is the uid replaced by a count. So whoever looks next can tell from what is stored how far the last one came.
Source: KEP-2307.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from podium.api.types import Obj
from podium.api.types.meta import deleting, timestamp
from podium.control import conditions
from podium.control.jobs import facts
from podium.control.jobs.policies import judge
from podium.control.jobs.verdict import Verdict
from podium.control.jobs.view import View
from podium.control.pods import phase

AT_ONCE = 500
"""Pods counted in one go: the uids take 20 KB of the status."""


class Counted(NamedTuple):
    """`status` is to be written before the finalizers of `release` go. With `more`, further pods wait for
    the next time."""

    status: Obj
    release: list[Obj]
    more: bool


def count(view: View, status: Obj, verdict: Verdict | None, limit: int = AT_ONCE) -> Counted:
    """Enters the pods that have ended into `status`, and with a verdict of failure all others as failed."""
    status = settle(status, {pod["metadata"]["uid"] for pod in view.pods if view.uncounted(pod)})
    uncounted = status["uncountedTerminatedPods"]
    succeeded, failed = list(uncounted.get("succeeded") or ()), list(uncounted.get("failed") or ())
    indexes: set[int] = set()
    release: list[Obj] = []
    more = False
    for pod in _in_order(view):
        if not view.uncounted(pod) or not _may_go(view, pod, verdict):
            continue
        uid = pod["metadata"]["uid"]
        listed = uid in view.uncounted_succeeded or uid in view.uncounted_failed
        if not listed and len(indexes) + len(succeeded) + len(failed) >= limit:
            more = True
            continue
        release.append(pod)
        if listed:
            continue
        if phase(pod) == "Succeeded":
            index = facts.index_of(pod)
            if not view.indexed:
                succeeded.append(uid)
            elif index is not None and view.valid(pod) and index not in view.before:
                indexes.add(index)
        elif _fails(view, pod, verdict):
            failed.append(uid)
    return Counted(_with(view, status, succeeded, failed), release, more)


def _in_order(view: View) -> list[Obj]:
    if not view.indexed:
        return list(view.pods)
    return sorted(view.pods, key=lambda pod: -1 if (index := facts.index_of(pod)) is None else index)


def _may_go(view: View, pod: Obj, verdict: Verdict | None) -> bool:
    """Whether the pod needs its finalizer no longer, once counted."""
    if verdict is not None or deleting(view.job) or phase(pod) == "Succeeded":
        return True
    if not facts.failed(pod, view.spec):
        return False
    waiting = view.delayed.get(index) if (index := facts.index_of(pod)) is not None else None
    return waiting is None or waiting["metadata"]["uid"] != pod["metadata"]["uid"]


def _fails(view: View, pod: Obj, verdict: Verdict | None) -> bool:
    over = verdict is not None and not verdict.success
    if not over and not facts.failed(pod, view.spec):
        return False
    return view.valid(pod) and judge(view.policy, pod).counts


def _with(view: View, status: Obj, succeeded: list[str], failed: list[str]) -> Obj:
    uncounted = {"succeeded": succeeded, "failed": failed}
    lists = {name: uids for name, uids in uncounted.items() if uids}
    status = {**status, "uncountedTerminatedPods": lists}
    if view.indexed:
        status |= {"completedIndexes": str(view.completed), "succeeded": len(view.completed)}
        if view.lost is not None:
            status["failedIndexes"] = str(view.lost)
    return _tidy(status)


def settle(status: Obj, held: Collection[str]) -> Obj:
    """Turns the uncounted uids whose pods' finalizer has gone (they are not in `held`) into counts."""
    uncounted = status.get("uncountedTerminatedPods") or {}
    status, left = dict(status), {}
    for name in ("succeeded", "failed"):
        uids = uncounted.get(name) or []
        if remaining := [uid for uid in uids if uid in held]:
            left[name] = remaining
        status[name] = status.get(name, 0) + len(uids) - len(remaining)
    return _tidy({**status, "uncountedTerminatedPods": left})


def _tidy(status: Obj) -> Obj:
    """Without the fields that say nothing when they are zero or empty."""
    silent = ("active", "succeeded", "failed", "completedIndexes")
    return {name: value for name, value in status.items() if value or name not in silent}


def announce(status: Obj, verdict: Verdict, now: datetime) -> Obj:
    """With the condition that says how the job will end, unless it is there."""
    entries = status.get("conditions") or []
    if conditions.find(entries, verdict.interim) is not None:
        return status
    return {**status, "conditions": [*entries, verdict.condition(verdict.interim, now)]}


def close(status: Obj, verdict: Verdict, now: datetime) -> Obj | None:
    """With the final condition; None while pods are uncounted or still end."""
    if status.get("terminating") or status.get("uncountedTerminatedPods"):
        return None
    entries = conditions.without(status.get("conditions") or (), verdict.final)
    closed = {**status, "conditions": [*entries, verdict.condition(verdict.final, now)]}
    # A clock that was set back since the start must not make the end come first: that would be refused.
    moments = (timestamp(now), status.get("startTime", ""))
    return {**closed, "completionTime": max(moments)} if verdict.success else closed
