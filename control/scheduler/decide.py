"""The decision: from a pod's needs and the picture to a node, or to why there is none. Pure."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from podium.control.scheduler import filters, scores
from podium.control.scheduler.filters import Failure
from podium.control.scheduler.needs import Needs
from podium.control.scheduler.picture import Picture

_NOT_HELPFUL = "Preemption is not helpful for scheduling"
_NO_VICTIMS = "No preemption victims found for incoming pod"


class Rejection(NamedTuple):
    """No node for now. `plugins` are the filters that said no somewhere: what must change before it is worth
    trying again."""

    message: str
    plugins: frozenset[str]


def decide(needs: Needs, picture: Picture) -> str | Rejection:
    """The name of the node to bind to, or a Rejection."""
    nodes = picture.present
    if not nodes:
        return Rejection("no nodes available to schedule pods", frozenset({"affinity"}))
    candidates = nodes
    if needs.only_nodes is not None:
        candidates = [node for node in nodes if node.name in needs.only_nodes]
    fitting = []
    failures: list[Failure] = []
    for node in candidates:
        failure = filters.check(needs, node)
        if failure is None:
            fitting.append(node)
        else:
            failures.append(failure)
    if fitting:
        return scores.best(needs, fitting).name
    elsewhere = Failure("affinity", ("node(s) didn't match Pod's node affinity/selector",))
    failures += [elsewhere] * (len(nodes) - len(candidates))
    return Rejection(_explain(needs, failures), frozenset(failure.plugin for failure in failures))


def _explain(needs: Needs, failures: list[Failure]) -> str:
    total = len(failures)
    reasons = Counter(reason for failure in failures for reason in failure.reasons)
    message = f"0/{total} nodes are available: {_histogram(reasons)}."
    if needs.never_preempts:
        return f"{message} preemption: not eligible due to preemptionPolicy=Never."
    preemption = Counter(_NO_VICTIMS if failure.resolvable else _NOT_HELPFUL for failure in failures)
    return f"{message} preemption: 0/{total} nodes are available: {_histogram(preemption)}."


def _histogram(reasons: Counter[str]) -> str:
    return ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
