"""Preemption: which less important pods would have to go, and from which node, so that a pod can run. No I/O.

Source: "Pod Priority and Preemption" in the Kubernetes documentation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from podium.api.types import Obj
from podium.api.types.selectors import Selector, from_label_selector
from podium.control.scheduler.decide import Decider, Job, Rejection, histogram
from podium.control.scheduler.failure import Failure
from podium.control.scheduler.needs import Needs, Placed
from podium.control.scheduler.picture import NodePicture, Picture, Trial

NOT_HELPFUL = "Preemption is not helpful for scheduling"
NO_VICTIMS = Failure("DefaultPreemption", ("No preemption victims found for incoming pod",))
NOT_ELIGIBLE = "not eligible due to"
NEVER = f"{NOT_ELIGIBLE} preemptionPolicy=Never."
TERMINATING = f"{NOT_ELIGIBLE} a terminating pod on the nominated node."
_SHIFT = 2**31  # makes every priority positive, so that fewer pods have the smaller sum


class Budget(NamedTuple):
    """A PodDisruptionBudget: how many of its pods may be disrupted still, and those that are already."""

    namespace: str
    selector: Selector
    allowed: int
    disrupted: Mapping[str, object]

    def covers(self, pod: Placed) -> bool:
        return (
            pod.namespace == self.namespace
            and bool(pod.labels)
            and not self.selector.everything
            and self.selector.matches(pod.labels)
            and pod.name not in self.disrupted
        )


class Candidate(NamedTuple):
    """`victims`, the most important first, would have to leave `node`; `violations` of them against a
    budget."""

    node: str
    victims: tuple[Placed, ...]
    violations: int


def budget_of(pdb: Obj) -> Budget:
    status = pdb.get("status") or {}
    return Budget(
        pdb["metadata"]["namespace"],
        from_label_selector(pdb["spec"].get("selector")),
        status.get("disruptionsAllowed") or 0,
        status.get("disruptedPods") or {},
    )


def preempt(
    needs: Needs,
    rejection: Rejection,
    decider: Decider,
    picture: Picture,
    budgets: Callable[[], Sequence[Budget]],
) -> Candidate | str:
    """The best node to make room on, or why there is none (which goes after "preemption: ")."""
    if needs.never_preempts:
        return NEVER
    if _is_under_way(needs, rejection, picture):
        return TERMINATING
    job = decider.job(needs)
    found: list[Candidate] = []
    refused: list[Failure] = []
    total = len(rejection.failures) + rejection.others
    hopeful = [node for node, failure in rejection.failures if failure.resolvable]
    if min(picture.priorities, default=needs.priority) >= needs.priority:
        refused = [NO_VICTIMS] * len(hopeful)
    elif isinstance(job, Job):
        found, refused = _candidates(job, hopeful, picture, budgets())
    if found:
        return min(found, key=_badness)
    reasons = Counter(reason for failure in refused for reason in failure.reasons)
    if total > len(refused):
        reasons[NOT_HELPFUL] += total - len(refused)
    return f"0/{total} nodes are available: {histogram(reasons)}."


def _is_under_way(needs: Needs, rejection: Rejection, picture: Picture) -> bool:
    """Whether victims of an earlier round are still leaving the node that the pod is nominated for."""
    node = picture.nodes.get(picture.nominated(needs.uid))
    if node is None:
        return False
    for other, failure in rejection.failures:
        if other is node and not failure.resolvable:
            return False
    return any(
        (pod.preempted or pod.uid in picture.leaving) and pod.priority < needs.priority
        for pod in node.pods.values()
    )


def _candidates(
    job: Job, nodes: Sequence[NodePicture], picture: Picture, budgets: Sequence[Budget]
) -> tuple[list[Candidate], list[Failure]]:
    """Enough candidates to choose from, and the failures of the nodes that are none."""
    profile = job.profile
    wanted = max(len(nodes) * profile.candidates_percentage // 100, profile.candidates_least)
    found: list[Candidate] = []
    refused: list[Failure] = []
    harmless = False
    for node in nodes:
        with picture.trying(node) as trial:
            candidate = _victims(job, node, trial, budgets)
        job.refresh()
        if isinstance(candidate, Failure):
            refused.append(candidate)
            continue
        found.append(candidate)
        harmless = harmless or not candidate.violations
        if harmless and len(found) >= wanted:
            break
    return found, refused


def _victims(job: Job, node: NodePicture, trial: Trial, budgets: Sequence[Budget]) -> Candidate | Failure:
    """The fewest and least important pods whose leaving makes room: all that may go are taken away, then
    put back as long as the pod still fits, those whose budget is exhausted first, and the most important
    first."""
    lesser = [pod for pod in node.pods.values() if pod.priority < job.needs.priority]
    if not lesser:
        return NO_VICTIMS
    for pod in lesser:
        trial.take(pod)
    job.refresh()
    if (failure := job.check(node)) is not None:
        return failure
    violating, harmless = _by_budget(sorted(lesser, key=_importance), budgets)
    victims: list[Placed] = []
    violations = 0
    for pod in (*violating, *harmless):
        trial.put_back(pod)
        job.refresh()
        if job.check(node) is not None:
            trial.take(pod)
            victims.append(pod)
            violations += pod in violating
    if not victims:
        return NO_VICTIMS
    return Candidate(node.name, tuple(sorted(victims, key=_importance)), violations)


def _by_budget(pods: Iterable[Placed], budgets: Sequence[Budget]) -> tuple[list[Placed], list[Placed]]:
    """(those whose eviction a budget forbids, the others), each in the order given."""
    left = [budget.allowed for budget in budgets]
    violating: list[Placed] = []
    harmless: list[Placed] = []
    for pod in pods:
        exceeds = False
        for index, budget in enumerate(budgets):
            if budget.covers(pod):
                left[index] -= 1
                exceeds = exceeds or left[index] < 0
        (violating if exceeds else harmless).append(pod)
    return violating, harmless


def _importance(pod: Placed) -> tuple[int, bool, str]:
    """Sorts the most important first: by priority, then by age."""
    return -pod.priority, not pod.started, pod.started


def _badness(candidate: Candidate) -> tuple[int, int, int, int, list[int]]:
    """Of the candidates the least is the best: budgets violated, the highest priority among the victims,
    the sum of priorities, how many there are, and last how long the most important have been running."""
    victims = candidate.victims
    highest = victims[0].priority
    earliest = min(pod.started or "9" for pod in victims if pod.priority == highest)
    return (
        candidate.violations,
        highest,
        sum(pod.priority + _SHIFT for pod in victims),
        len(victims),
        [-ord(character) for character in earliest],
    )
