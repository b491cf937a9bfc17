"""The decision: from a pod's needs and the picture to a node, or to why there is none. No I/O, no clock.

What was found out about a node for one pod holds for others of the same `Footprint` until the node
changes, so it is remembered: placing a pod of a Deployment looks closely at the one node that took the last.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import chain
from typing import NamedTuple, TypeVar

from podium.control.scheduler import filters, scores
from podium.control.scheduler.claims import NO_STORAGE, PodClaims, Storage, VolumePlan, pod_claims
from podium.control.scheduler.failure import Failure
from podium.control.scheduler.needs import Footprint, Needs, Shape
from podium.control.scheduler.neighbours import Neighbours
from podium.control.scheduler.owners import NoOwners, Owners
from podium.control.scheduler.picture import NodePicture, Picture
from podium.control.scheduler.profiles import Profile
from podium.control.scheduler.spreading import Spreading

K = TypeVar("K")
V = TypeVar("V")

MEMOS = 64  # footprints, and shapes, that are remembered
ALWAYS_ALL = 100  # up to so many nodes all are looked at, and never fewer are found
LEAST_PERCENTAGE = 5

_CONFLICT = Failure("NodeAffinity", ("pod affinity terms conflict",))
_ELSEWHERE = Failure("NodeAffinity", ("node(s) didn't satisfy plugin(s) [NodeAffinity]",))


class Decision(NamedTuple):
    """Where the pod goes, and what has to become of its claims first."""

    node: str
    volumes: VolumePlan | None = None


class Rejection(NamedTuple):
    """No node for now. `plugins` are the filters that said no somewhere: what must change before it is worth
    trying again; none when anything may help. `failures` are by node; `others` more nodes failed in a way
    that nothing on them can help."""

    message: str
    plugins: frozenset[str] = frozenset()
    failures: tuple[tuple[NodePicture, Failure], ...] = ()
    others: int = 0


class _Verdict(NamedTuple):
    """About one node at one `version`."""

    version: int
    failure: Failure | None
    score: int = 0
    soft_taints: int = 0
    preference: int = 0


class _Seen:
    """What was found out about nodes for one footprint."""

    def __init__(self) -> None:
        self.verdicts: dict[str, _Verdict] = {}
        self.epoch = -1


class _Relations:
    """How one shape relates to the pods there are."""

    def __init__(self) -> None:
        self.stamp: tuple[int, ...] = ()
        self.neighbours: Neighbours | None = None
        self.spreading: Spreading | None = None


class Job:
    """One pod against the picture of this moment."""

    def __init__(
        self,
        needs: Needs,
        picture: Picture,
        profile: Profile,
        seen: _Seen,
        relations: _Relations,
        claims: PodClaims | None,
    ) -> None:
        self.needs, self.picture, self.profile = needs, picture, profile
        self.claims = claims
        self._pod: Footprint = needs.shape.footprint
        self._filters = filters.local_filters(profile)
        self._verdicts = seen.verdicts
        self.relations = relations
        spreading, neighbours = relations.spreading, relations.neighbours
        self._spreading = spreading if spreading is not None and spreading.filters else None
        self._neighbours = neighbours if neighbours is not None and neighbours.filters else None
        self._more = claims is not None or self._spreading is not None or self._neighbours is not None
        self.refresh()

    def refresh(self) -> None:
        """After a pod came or went."""
        if self._spreading is not None:
            self._spreading.refresh()

    def check(self, node: NodePicture) -> Failure | None:
        """Whether the pod can run there, with and without those that are nominated for the node and at
        least as important."""
        waiting = self.picture.nominations.get(node.name) if self.picture.nominations else None
        if waiting:
            ahead = [
                pod
                for pod in waiting.values()
                if pod.priority >= self.needs.priority
                and pod.uid != self.needs.uid
                and self.picture.node_of(pod.uid) is None
            ]
            if ahead:
                with self.picture.supposing(node, ahead):
                    self.refresh()
                    failure = self._check(node)
                self.refresh()
                if failure is not None:
                    return failure
        return self._check(node)

    def _check(self, node: NodePicture) -> Failure | None:
        verdict = self._verdicts.get(node.name)
        if verdict is None or verdict.version != node.version:
            verdict = self.look(node)
        failure = verdict.failure
        if failure is None and self._more:
            if self.claims is not None:
                failure = self.claims.check(node)
            if failure is None and self._spreading is not None:
                failure = self._spreading.check(node)
            if failure is None and self._neighbours is not None:
                failure = self._neighbours.check(node)
        return failure

    def look(self, node: NodePicture) -> _Verdict:
        pod, profile = self._pod, self.profile
        failure = filters.check(self._filters, pod, node, profile)
        if failure is not None:
            verdict = _Verdict(node.version, failure)
        else:
            verdict = _Verdict(
                node.version,
                None,
                scores.local_score(pod, node, self.picture, profile),
                scores.soft_taints(pod, node) if node.soft_taints else 0,
                scores.preference(pod, node, profile),
            )
        self._verdicts[node.name] = verdict
        return verdict

    def verdict(self, node: NodePicture) -> _Verdict:
        found = self._verdicts.get(node.name)
        return found if found is not None and found.version == node.version else self.look(node)


class Decider:
    """Decides by one profile. `picture` changes between decisions, never during one."""

    def __init__(
        self,
        picture: Picture,
        profile: Profile | None = None,
        storage: Storage = NO_STORAGE,
        owners: Owners | None = None,
    ) -> None:
        self._picture = picture
        self.profile = profile or Profile()
        self._storage = storage
        self._owners: Owners = owners or NoOwners()
        self._seen: OrderedDict[Footprint, _Seen] = OrderedDict()
        self._relations: OrderedDict[Shape, _Relations] = OrderedDict()
        self._start = 0

    def decide(self, needs: Needs, only: Collection[str] | None = None) -> Decision | Rejection:
        """A node for the pod (one of `only`, if given)."""
        nodes: Sequence[NodePicture] = self._picture.present
        if not nodes:
            return Rejection("no nodes available to schedule pods")
        total = len(nodes)
        job = self.job(needs)
        if isinstance(job, Failure):
            return _everywhere(job, nodes)
        nominated = self._picture.nominated(needs.uid)
        node = self._picture.nodes.get(nominated) if only is None else None
        if node is not None and node.present and job.check(node) is None:
            return _decision(job, node)
        names = needs.shape.footprint.required.names()
        if names is not None:
            nodes = [node for node in nodes if node.name in names]
        if only is not None:
            nodes = [node for node in nodes if node.name in only]
        fitting, failures = self._search(job, nodes, total)
        if fitting:
            return _decision(job, self._best(job, fitting))
        return _rejection(failures, total - len(nodes))

    def job(self, needs: Needs) -> Job | Failure:
        """The pod made ready to be checked against nodes, or why no node is worth a look."""
        if needs.shape.footprint.required.names() == frozenset():
            return _CONFLICT
        claims: PodClaims | None = None
        if needs.volumes:
            found = pod_claims(needs, self._storage, self._picture, self.profile)
            if isinstance(found, Failure):
                return found
            claims = found
        shape = needs.shape
        seen, relations = self._known(shape.footprint), self._related(shape)
        return Job(needs, self._picture, self.profile, seen, relations, claims)

    def _known(self, footprint: Footprint) -> _Seen:
        seen = _recall(self._seen, footprint, _Seen)
        if seen.epoch != self._picture.epoch:
            # Another node with the same images changes every node's score for them.
            seen.verdicts.clear()
            seen.epoch = self._picture.epoch
        return seen

    def _related(self, shape: Shape) -> _Relations:
        relations = _recall(self._relations, shape, _Relations)
        if relations.stamp != self._stamp():
            self._relate(relations, shape)
            # Views that were just made may have pushed others out.
            relations.stamp = self._stamp()
        return relations

    def _stamp(self) -> tuple[int, ...]:
        """Changes whenever relations have to be looked up anew."""
        census = self._picture.census
        return self._picture.epoch, census.generation, census.forgotten, self._owners.generation

    def _relate(self, memo: _Relations, shape: Shape) -> None:
        profile, picture = self.profile, self._picture
        memo.spreading = memo.neighbours = None
        if "InterPodAffinity" in profile.filters or "InterPodAffinity" in profile.scores:
            memo.neighbours = Neighbours(shape, picture, profile)
            memo.neighbours.filters &= "InterPodAffinity" in profile.filters
            memo.neighbours.scores &= "InterPodAffinity" in profile.scores
        if "PodTopologySpread" in profile.filters or "PodTopologySpread" in profile.scores:
            selector = None if shape.own_spread else self._owners.selector(shape)
            memo.spreading = Spreading(shape, picture, profile, selector)
            memo.spreading.filters &= "PodTopologySpread" in profile.filters
            memo.spreading.scores &= "PodTopologySpread" in profile.scores

    def _search(
        self, job: Job, nodes: Sequence[NodePicture], total: int
    ) -> tuple[list[NodePicture], list[tuple[NodePicture, Failure]]]:
        """Enough nodes on which the pod can run, and the failures met on the way. The next search starts
        where this one stopped, so that all nodes get their turn."""
        wanted = enough(len(nodes), self.profile)
        start = self._start % len(nodes) if nodes else 0
        fitting: list[NodePicture] = []
        failures: list[tuple[NodePicture, Failure]] = []
        check = job.check
        for node in chain(nodes[start:], nodes[:start]):
            failure = check(node)
            if failure is not None:
                failures.append((node, failure))
                continue
            fitting.append(node)
            if len(fitting) == wanted:
                break
        self._start = (self._start + len(fitting) + len(failures)) % total
        return fitting, failures

    def _best(self, job: Job, nodes: Sequence[NodePicture]) -> NodePicture:
        """The node with the highest score; of equals the one with the fewest pods. `nodes` is not empty."""
        if len(nodes) == 1:
            return nodes[0]
        verdicts = [job.verdict(node) for node in nodes]
        totals = [verdict.score for verdict in verdicts]
        for weight, part in self._relative(job, nodes, verdicts):
            totals = [total + weight * score for total, score in zip(totals, part, strict=True)]
        best, key = nodes[0], (-1, 0)
        for node, total in zip(nodes, totals, strict=True):
            if total >= key[0] and (found := (total, -len(node.pods))) > key:
                best, key = node, found
        return best

    def _relative(
        self, job: Job, nodes: Sequence[NodePicture], verdicts: Sequence[_Verdict]
    ) -> Iterable[tuple[int, list[int]]]:
        """(weight, score of each node) of the scores that compare the nodes with each other."""
        weights = self.profile.scores
        pod, relations = job.needs.shape.footprint, job.relations
        if self._picture.soft_taints and (weight := weights.get("TaintToleration")):
            yield weight, scores.lowest_best([verdict.soft_taints for verdict in verdicts])
        if (pod.preferred or self.profile.added_preferences) and (weight := weights.get("NodeAffinity")):
            yield weight, scores.highest_best([verdict.preference for verdict in verdicts])
        if relations.spreading is not None and relations.spreading.scores:
            yield weights["PodTopologySpread"], relations.spreading.scored(nodes)
        if relations.neighbours is not None and relations.neighbours.scores:
            yield weights["InterPodAffinity"], relations.neighbours.scored(nodes)


def _recall(memos: OrderedDict[K, V], key: K, make: Callable[[], V]) -> V:
    """The memo of `key`, one of the last that were asked for."""
    memo = memos.get(key)
    if memo is None:
        memo = memos[key] = make()
        if len(memos) > MEMOS:
            memos.popitem(last=False)
    else:
        memos.move_to_end(key)
    return memo


def enough(nodes: int, profile: Profile) -> int:
    """How many fitting nodes are enough to choose from."""
    if not profile.scores:
        return 1
    if nodes < ALWAYS_ALL:
        return nodes
    percentage = profile.percentage or max(50 - nodes // 125, LEAST_PERCENTAGE)
    return max(nodes * percentage // 100, ALWAYS_ALL)


def _decision(job: Job, node: NodePicture) -> Decision:
    return Decision(node.name, job.claims.plan(node) if job.claims is not None else None)


def _everywhere(failure: Failure, nodes: Sequence[NodePicture]) -> Rejection:
    """Refused before any node was looked at."""
    message = f"0/{len(nodes)} nodes are available: {', '.join(failure.reasons)}."
    failures = tuple((node, failure) for node in nodes) if failure.resolvable else ()
    return Rejection(message, frozenset({failure.plugin}), failures, 0 if failures else len(nodes))


def _rejection(failures: list[tuple[NodePicture, Failure]], others: int) -> Rejection:
    reasons = Counter(reason for _, failure in failures for reason in failure.reasons)
    plugins = {failure.plugin for _, failure in failures}
    if others:
        reasons[_ELSEWHERE.reasons[0]] += others
        plugins.add(_ELSEWHERE.plugin)
    total = len(failures) + others
    message = f"0/{total} nodes are available: {histogram(reasons)}."
    return Rejection(message, frozenset(plugins), tuple(failures), others)


def histogram(reasons: Counter[str]) -> str:
    return ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
