"""Who is where: pods counted by node and by domain of a topology key, kept current with every pod that comes
or goes, so that nobody walks all pods to judge affinity or spread.

Two kinds of pods are counted. A *group* is asked for by an incoming pod (those that its term or constraint
selects); it is counted once over all pods when first asked for. A *use* is a term that placed pods have
(their anti-affinity keeps others away); it is there as long as one placed pod has it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from podium.api.types.taints import Toleration, bears_all
from podium.control.scheduler.labels import Labels
from podium.control.scheduler.needs import Placed
from podium.control.scheduler.terms import Term

if TYPE_CHECKING:
    from podium.api.types.affinity import Required
    from podium.control.scheduler.picture import NodePicture

GROUPS = 512  # groups that are counted at once; the one not asked for longest is forgotten
USES = 64  # uses that are kept without a user


class Group(NamedTuple):
    """The pods that every one of `terms` accepts; with `living` none that is being deleted."""

    terms: tuple[Term, ...]
    living: bool = False


class Use(NamedTuple):
    """A term as placed pods have it."""

    kind: Literal["affinity", "anti-affinity", "preferred"]
    term: Term
    weight: int = 0


class Domain(NamedTuple):
    """How nodes make up domains: by the value of `topology`, counting only nodes that have all of `keys`,
    match `required` and whose taints `tolerations` bear (None: whatever they are)."""

    topology: str
    keys: tuple[str, ...] = ()
    required: Required | None = None
    tolerations: tuple[Toleration, ...] | None = None

    def value(self, node: NodePicture) -> str | None:
        """The node's domain; None where it counts for none."""
        labels = node.labels
        found = labels.get(self.topology)
        if found is None or not node.present:
            return None
        if any(key not in labels for key in self.keys):
            return None
        if self.required is not None and not self.required.matches(node.name, labels):
            return None
        if self.tolerations is not None and not bears_all(self.tolerations, node.hard_taints):
            return None
        return found


class View:
    """Pods of one tally by domain. Every domain that has a node is in `counts`, if only with 0."""

    __slots__ = ("_values", "counts", "domain", "epoch", "total")

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self.counts: dict[str, int] = {}
        self.total = 0
        self.epoch = -1
        self._values: dict[str, str] = {}

    def rebuild(self, nodes: Iterable[NodePicture], pods: dict[str, int], epoch: int) -> None:
        values, counts = self._values, self.counts
        values.clear()
        counts.clear()
        self.total, self.epoch = 0, epoch
        for node in nodes:
            value = self.domain.value(node)
            if value is not None:
                values[node.name] = value
                number = pods.get(node.name, 0)
                counts[value] = counts.get(value, 0) + number
                self.total += number

    def change(self, node: str, by: int) -> None:
        value = self._values.get(node)
        if value is not None:
            self.counts[value] += by
            self.total += by


class Tally:
    """The pods of one group or use: how many on each node, and the views on them."""

    __slots__ = ("_views", "nodes")

    def __init__(self) -> None:
        self.nodes: dict[str, int] = {}
        self._views: dict[Domain, View] = {}

    def change(self, node: str, by: int) -> None:
        left = self.nodes.get(node, 0) + by
        if left:
            self.nodes[node] = left
        else:
            del self.nodes[node]
        for view in self._views.values():
            view.change(node, by)

    def view(self, domain: Domain, nodes: Callable[[], Iterable[NodePicture]], epoch: int) -> View:
        view = self._views.get(domain)
        if view is None:
            view = self._views[domain] = View(domain)
        if view.epoch != epoch:
            view.rebuild(nodes(), self.nodes, epoch)
        return view


_Kind: TypeAlias = tuple[str, Labels, bool]
"""(namespace, labels, terminating): pods that are equal here belong to the same groups."""


class Census:
    """All tallies. `generation` changes whenever a use appears or disappears; `forgotten` whenever views
    handed out earlier may no longer be kept current."""

    def __init__(self) -> None:
        self.namespaces: dict[str, Labels] = {}
        self.uses: dict[Use, Tally] = {}
        self.generation = 0
        self.forgotten = 0
        self._groups: OrderedDict[Group, Tally] = OrderedDict()
        self._kinds: dict[_Kind, dict[str, int]] = {}
        self._members: dict[_Kind, tuple[Tally, ...]] = {}
        self._prune_at = USES

    def change(self, pod: Placed, node: str, by: int) -> None:
        """`pod` came to (1) or left (-1) `node`."""
        kind = (pod.namespace, pod.labels, pod.terminating)
        nodes = self._kinds.setdefault(kind, {})
        nodes[node] = nodes.get(node, 0) + by
        if not nodes[node]:
            del nodes[node]
        if self._groups:
            for tally in self._tallies(kind):
                tally.change(node, by)
        if not nodes:
            del self._kinds[kind]
            self._members.pop(kind, None)
        for use in uses_of(pod):
            self._change_use(use, node, by)

    def _change_use(self, use: Use, node: str, by: int) -> None:
        tally = self.uses.get(use)
        if tally is None:
            tally = self.uses[use] = Tally()
            self.generation += 1
        tally.change(node, by)

    def prune(self) -> None:
        """Lets go of uses that nobody has any more; they are kept for a while, since views on them may be
        held."""
        if len(self.uses) < self._prune_at:
            return
        self.uses = {use: tally for use, tally in self.uses.items() if tally.nodes}
        self._prune_at = 2 * len(self.uses) + USES
        self.generation += 1

    def _tallies(self, kind: _Kind) -> tuple[Tally, ...]:
        found = self._members.get(kind)
        if found is None:
            found = tuple(tally for group, tally in self._groups.items() if self._belongs(kind, group))
            self._members[kind] = found
        return found

    def _belongs(self, kind: _Kind, group: Group) -> bool:
        namespace, labels, terminating = kind
        if group.living and terminating:
            return False
        return all(term.accepts(namespace, labels, self.namespaces) for term in group.terms)

    def tally(self, group: Group) -> Tally:
        """The tally of `group`; one asked for the first time is counted over the kinds of pods there are."""
        tally = self._groups.get(group)
        if tally is not None:
            self._groups.move_to_end(group)
            return tally
        tally = self._groups[group] = Tally()
        for kind, nodes in self._kinds.items():
            if self._belongs(kind, group):
                for node, number in nodes.items():
                    tally.change(node, number)
                if kind in self._members:
                    self._members[kind] += (tally,)
        if len(self._groups) > GROUPS:
            self._groups.popitem(last=False)
            self._members.clear()
            self.forgotten += 1
        return tally

    def set_namespace(self, name: str, labels: Labels | None) -> bool:
        """A namespace's labels (None: it is gone). Returns whether that changes who belongs to a group."""
        old = self.namespaces.get(name)
        if old == labels:
            return False
        if labels is None:
            del self.namespaces[name]
        else:
            self.namespaces[name] = labels
        self._groups.clear()
        self._members.clear()
        self.generation += 1
        self.forgotten += 1
        return bool(old or labels)


def uses_of(pod: Placed) -> Iterator[Use]:
    terms = pod.terms
    for term in terms.affinity:
        yield Use("affinity", term)
    for term in terms.anti_affinity:
        yield Use("anti-affinity", term)
    for entry in terms.preferred:
        yield Use("preferred", entry.term, entry.weight)
