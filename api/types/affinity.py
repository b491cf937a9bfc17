"""Node selectors, compiled once per pod: `nodeSelector`, and node affinity required and preferred.

Source: API reference, NodeSelectorTerm: terms are alternatives, the expressions of one term must all hold,
and a term without expressions matches nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from podium.api.types import Obj
from podium.api.types.selectors import Requirement, Selector

Labels = Mapping[str, str]


class Term(NamedTuple):
    """One node selector term. `fields` is about metadata.name, the one field there is."""

    labels: Selector
    fields: Selector
    empty: bool

    def matches(self, name: str, labels: Labels) -> bool:
        if self.empty:
            return False
        return self.labels.matches(labels) and (
            not self.fields.requirements or self.fields.matches({"metadata.name": name})
        )


class Required(NamedTuple):
    """What must hold for a node. `terms` None: no affinity is given."""

    selector: tuple[tuple[str, str], ...] = ()
    terms: tuple[Term, ...] | None = None

    def matches(self, name: str, labels: Labels) -> bool:
        for key, value in self.selector:
            if labels.get(key) != value:
                return False
        return self.terms is None or any(term.matches(name, labels) for term in self.terms)

    def names(self) -> frozenset[str] | None:
        """The only nodes that can match, where every term names its nodes; None when any node may. Empty when
        every term contradicts itself."""
        if not self.terms:
            return None
        found: frozenset[str] = frozenset()
        for term in self.terms:
            named = [entry.values for entry in term.fields.requirements if entry.operator == "In"]
            if not named:
                return None
            found |= frozenset(named[0]).intersection(*named[1:])
        return found


class Preferred(NamedTuple):
    weight: int
    term: Term


def _selector(expressions: Sequence[Obj]) -> Selector:
    return Selector(
        tuple(
            Requirement(entry["key"], entry["operator"], tuple(entry.get("values") or ()))
            for entry in expressions
        )
    )


def _term(term: Obj) -> Term:
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    return Term(_selector(expressions), _selector(fields), not expressions and not fields)


def selector_terms(selector: Obj | None) -> tuple[Term, ...] | None:
    """A NodeSelector's terms, None where there is no selector."""
    return tuple(_term(term) for term in selector.get("nodeSelectorTerms") or ()) if selector else None


def required(spec: Obj) -> Required:
    selector = tuple((spec.get("nodeSelector") or {}).items())
    wanted = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    if wanted is None:
        return Required(selector)
    return Required(selector, tuple(_term(term) for term in wanted.get("nodeSelectorTerms") or ()))


def preferred(spec: Obj) -> tuple[Preferred, ...]:
    wanted = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "preferredDuringSchedulingIgnoredDuringExecution"
    )
    return tuple(Preferred(entry["weight"], _term(entry["preference"])) for entry in wanted or ())
