"""Transactions as nft reads them. Pure."""

from __future__ import annotations

from podium.netd.services.plan import Element


class Transaction:
    """The commands of a transaction, in the order in which nothing is used before it is there or removed
    before it is unused."""

    def __init__(self, table: str) -> None:
        self._table = table
        self._head: list[str] = []
        self._declared: list[str] = []
        self._rules: list[str] = []
        self._deleted: dict[str, list[str]] = {}
        self._added: dict[str, list[str]] = {}

    def head(self, sets: dict[str, tuple[str, str]], chains: dict[str, tuple[str, tuple[str, ...]]]) -> None:
        self._head.append(f"add table {self._table}")
        for name, (kind, definition) in sets.items():
            self._head += [
                f"add {kind} {self._table} {name} {{ {definition}; }}",
                f"flush {kind} {self._table} {name}",
            ]
        for name, (hook, _) in chains.items():
            definition = f" {{ {hook}; policy accept; }}" if hook else ""
            self._head += [f"add chain {self._table} {name}{definition}", f"flush chain {self._table} {name}"]
        for name, (_, rules) in chains.items():
            self._rules += [f"add rule {self._table} {name} {rule}" for rule in rules]

    def chain(self, name: str, rules: tuple[str, ...], *, fresh: bool) -> None:
        self._declared.append(f"add chain {self._table} {name}")
        if not fresh:
            self._declared.append(f"flush chain {self._table} {name}")
        self._rules += [f"add rule {self._table} {name} {rule}" for rule in rules]

    def set(self, name: str, definition: str, *, fresh: bool = True) -> None:
        self._declared.append(f"add set {self._table} {name} {{ {definition}; }}")
        if not fresh:
            self._declared.append(f"flush set {self._table} {name}")

    def sticky(self, name: str, seconds: int) -> None:
        what = f"type ipv4_addr; flags dynamic,timeout; timeout {seconds}s;"
        self._declared.append(f"add set {self._table} {name} {{ {what} }}")

    def element(self, element: Element, old: str | None, new: str | None) -> None:
        if old == new:
            return
        if old is not None:
            self._deleted.setdefault(element.set, []).append(element.key)
        if new is not None:
            self._added.setdefault(element.set, []).append(f"{element.key} : {new}" if new else element.key)

    def join(self, removed_chains: list[str], removed_sets: list[str]) -> str:
        lines = [*self._head, *self._declared, *self._rules]
        for verb, parts in (("delete", self._deleted), ("add", self._added)):
            lines += [
                f"{verb} element {self._table} {name} {{ {', '.join(keys)} }}" for name, keys in parts.items()
            ]
        lines += [f"flush chain {self._table} {name}" for name in removed_chains]
        lines += [f"delete chain {self._table} {name}" for name in removed_chains]
        lines += [f"delete set {self._table} {name}" for name in removed_sets]
        return "\n".join(lines) + "\n" if lines else ""
