"""Podium's nftables table as this process knows it: plans in, transactions out. No I/O.

Invariants: `_installed*` is what the kernel holds once every text that was handed out is applied, in order;
`_claims` is what the plans want. A text that fails must be followed by `everything`, which depends on
neither.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from podium.netd.config import NetConfig
from podium.netd.services import base
from podium.netd.services.plan import Element, Group, Plan
from podium.netd.services.slots import Slots
from podium.netd.services.text import Transaction

K = TypeVar("K")
V = TypeVar("V")


class Table:
    """Owners are strings; the first of several owners that claim an element has it, the next one gets it
    afterwards."""

    def __init__(self, config: NetConfig) -> None:
        self._config = config
        self._name = f"ip {config.table}"
        self._slots = Slots()
        self._plans: dict[str, Plan] = {}
        self._claims: dict[Element, dict[str, str]] = {}
        self._chains: dict[str, tuple[str, ...]] = {}
        self._sticky: dict[str, int] = {}
        self._installed: dict[Element, str] = {}
        self._installed_chains: dict[str, tuple[str, ...]] = {}
        self._installed_sticky: dict[str, int] = {}
        self._touched: set[Element] = set()
        self._touched_chains: set[str] = set()
        self._touched_sticky: set[str] = set()

    def set(self, owner: str, plan: Plan | None) -> None:
        """What `owner` wants from now on, None for nothing."""
        old, new = self._plans.pop(owner, None) or Plan(), plan or Plan()
        if plan is not None:
            self._plans[owner] = plan
        before = old.elements | self._slot_elements(old.groups)
        for name in old.groups.keys() - new.groups.keys():
            self._drop_group(name)
        self._touched_chains |= _replace(self._chains, old.chains, new.chains)
        for name, group in new.groups.items():
            self._set_group(name, group)
        after = new.elements | self._slot_elements(new.groups)
        self._claim(owner, before, after)
        self._touched_sticky |= _replace(self._sticky, old.sticky, new.sticky)

    def changes(self) -> str:
        """The transaction from what is installed to what is wanted, "" if there is nothing to do."""
        text = Transaction(self._name)
        removed_chains = self._write_chains(text)
        removed_sets = self._write_sticky(text)
        for element in sorted(self._touched):
            wanted = self._wanted(element)
            text.element(element, self._installed.get(element), wanted)
            _put(self._installed, element, wanted)
        self._touched.clear()
        return text.join(removed_chains, removed_sets)

    def everything(self, chains: Iterable[str] = (), sets: Iterable[str] = ()) -> str:
        """The transaction that makes the table what is wanted, whatever it holds now; `chains` and `sets` are
        the names of what is there. Sets of clients are kept, everything else is written anew."""
        text = Transaction(self._name)
        fixed = base.chains(self._config)
        text.head(base.SETS, fixed)
        for name in self._chains:
            text.chain(name, self._chains[name], fresh=False)
        for name, seconds in self._sticky.items():
            text.sticky(name, seconds)
        self._installed = {element: self._wanted(element) or "" for element in self._claims}
        for element, value in self._installed.items():
            text.element(element, None, value)
        self._installed_chains, self._installed_sticky = dict(self._chains), dict(self._sticky)
        for touched in (self._touched, self._touched_chains, self._touched_sticky):
            touched.clear()
        gone = [name for name in chains if name not in self._chains and name not in fixed]
        return text.join(gone, [name for name in sets if name not in self._sticky and name not in base.SETS])

    def _slot_elements(self, groups: dict[str, Group]) -> dict[Element, str]:
        found = {}
        for name, group in groups.items():
            start, kind = self._slots.start(name), base.ENDPOINTS[group.protocol]
            for index, (ip, port) in enumerate(self._slots.members(name)):
                found[Element(kind, str(start + index))] = f"{ip} . {port}"
        return found

    def _drop_group(self, name: str) -> None:
        self._slots.drop(name)
        del self._chains[name]
        self._touched_chains.add(name)

    def _set_group(self, name: str, group: Group) -> None:
        self._slots.assign(name, group.endpoints)
        turns = f"numgen inc mod {len(group.endpoints)} offset {self._slots.start(name)}"
        self._chains[name] = (
            f"meta l4proto {group.protocol} dnat ip to {turns} map @{base.ENDPOINTS[group.protocol]}",
        )
        self._touched_chains.add(name)

    def _claim(self, owner: str, before: dict[Element, str], after: dict[Element, str]) -> None:
        for element in before.keys() - after.keys():
            claims = self._claims[element]
            del claims[owner]
            if not claims:
                del self._claims[element]
            self._touched.add(element)
        for element, value in after.items():
            claims = self._claims.setdefault(element, {})
            if claims.get(owner) != value:
                claims[owner] = value
                self._touched.add(element)

    def _wanted(self, element: Element) -> str | None:
        claims = self._claims.get(element)
        return next(iter(claims.values())) if claims else None

    def _write_chains(self, text: Transaction) -> list[str]:
        removed = []
        for name in sorted(self._touched_chains):
            rules, installed = self._chains.get(name), self._installed_chains.get(name)
            if rules is None and installed is not None:
                removed.append(name)
            elif rules is not None and rules != installed:
                text.chain(name, rules, fresh=installed is None)
            _put(self._installed_chains, name, rules)
        self._touched_chains.clear()
        return removed

    def _write_sticky(self, text: Transaction) -> list[str]:
        removed = []
        for name in sorted(self._touched_sticky):
            seconds, installed = self._sticky.get(name), self._installed_sticky.get(name)
            if seconds is None and installed is not None:
                removed.append(name)
            elif seconds is not None and installed is None:
                text.sticky(name, seconds)
            _put(self._installed_sticky, name, seconds)
        self._touched_sticky.clear()
        return removed


def _put(where: dict[K, V], key: K, value: V | None) -> None:
    if value is None:
        where.pop(key, None)
    else:
        where[key] = value


def _replace(where: dict[K, V], old: dict[K, V], new: dict[K, V]) -> set[K]:
    """Puts `new` in the place of `old`; the names that this touches."""
    touched = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    for name in old.keys() - new.keys():
        where.pop(name, None)
    where.update(new)
    return touched
