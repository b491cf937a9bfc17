"""The table of network policies, and what turns one state of it into another. Pure.

Both directions are looked at where packets are forwarded, after Services were translated and before anything
is masqueraded: so addresses are those of the pods. What the node itself sends to its pods (probes) and gets
from them does not come by there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from podium.netd.services.plan import Element
from podium.netd.services.text import Transaction

INGRESS, EGRESS = "ingress", "egress"
DIRECTIONS = (INGRESS, EGRESS)
# Pods to themselves, which nobody forbids.
SELVES = "selves"
ADDRESS, PORT = "type ipv4_addr", "type ipv4_addr . inet_proto . inet_service"

_SETS = {
    SELVES: ("set", "type ipv4_addr . ipv4_addr"),
    **{f"pods-{direction}": ("map", "type ipv4_addr : verdict") for direction in DIRECTIONS},
}


@dataclass
class Ruleset:
    """`guarded` maps a direction to the chain of each isolated pod's address. `sets` maps a name to (type,
    elements), `chains` a name to rules."""

    guarded: dict[str, dict[str, str]] = field(
        default_factory=lambda: {direction: {} for direction in DIRECTIONS}
    )
    sets: dict[str, tuple[str, frozenset[str]]] = field(default_factory=dict)
    chains: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def elements(self) -> dict[Element, str]:
        found: dict[Element, str] = {}
        for direction, pods in self.guarded.items():
            for ip, chain in pods.items():
                found[Element(f"pods-{direction}", ip)] = f"goto {chain}"
                found[Element(SELVES, f"{ip} . {ip}")] = ""
        for name, (_, members) in self.sets.items():
            found |= {Element(name, member): "" for member in members}
        return found


def _base(direction: str) -> tuple[str, tuple[str, ...]]:
    """An `accept` ends one direction's look only."""
    priority, side = (5, "daddr") if direction == INGRESS else (4, "saddr")
    return (
        f"type filter hook forward priority {priority}",
        (
            "ct state established,related accept",
            f"ip saddr . ip daddr @{SELVES} accept",
            f"ip {side} vmap @pods-{direction}",
        ),
    )


def changes(table: str, old: Ruleset, new: Ruleset) -> str:
    """The transaction from what the table holds to what `new` says, "" if there is nothing to do."""
    text = Transaction(f"ip {table}")
    for name, (kind, _) in sorted(new.sets.items()):
        if name not in old.sets:
            text.set(name, kind)
    for name, rules in sorted(new.chains.items()):
        if old.chains.get(name) != rules:
            text.chain(name, rules, fresh=name not in old.chains)
    removed = sorted(old.sets.keys() - new.sets.keys())
    was, wanted = old.elements(), new.elements()
    for element in sorted(was.keys() | wanted.keys()):
        if element.set not in removed:
            text.element(element, was.get(element), wanted.get(element))
    return text.join(sorted(old.chains.keys() - new.chains.keys()), removed)


def everything(table: str, new: Ruleset, chains: Iterable[str], sets: Iterable[str]) -> str:
    """The transaction that makes the table what `new` says, whatever it holds now; `chains` and `sets` are
    the names of what is there."""
    text = Transaction(f"ip {table}")
    text.head(_SETS, {direction: _base(direction) for direction in DIRECTIONS})
    for name, (kind, _) in sorted(new.sets.items()):
        text.set(name, kind, fresh=False)
    for name, rules in sorted(new.chains.items()):
        text.chain(name, rules, fresh=False)
    for element, value in sorted(new.elements().items()):
        text.element(element, None, value)
    gone = set(chains) - new.chains.keys() - set(DIRECTIONS)
    return text.join(sorted(gone), sorted(set(sets) - new.sets.keys() - _SETS.keys()))


def removal(table: str) -> str:
    return f"add table ip {table}\ndelete table ip {table}\n"
