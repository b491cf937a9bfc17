"""Who may do what by Roles, ClusterRoles and their bindings.

The index follows the store at every look, so that a role counts from the moment its write is answered; while
nothing changes a look costs a comparison. For each user what is bound to him is gathered once, and what was
decided is remembered, until a role or a binding changes.

Source: docs, "Using RBAC Authorization"; API reference, rbac.authorization.k8s.io/v1."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from podium.api.auth.actions import Action, Verdict
from podium.api.auth.rules import Rule, compiled
from podium.api.auth.users import User
from podium.api.store.base import Entry, Store
from podium.api.types import Obj

GROUP = "rbac.authorization.k8s.io"
PREFIX = f"/registry/{GROUP}/"
ACCOUNT = "system:serviceaccount:"
USERS = 512  # as many users' rights are kept gathered
DECISIONS = 1024  # for each of them
# Characters that what a client sent may make a question long by and still be remembered.
LONGEST = 512

# Kind and name of a subject as a user shows it: accounts are users of that name.
Subject = tuple[str, str]


class Grant(NamedTuple):
    """A binding, as far as one of its subjects is concerned. `namespace` is "" where it counts everywhere."""

    binding: str
    namespace: str
    kind: str
    role: str
    subject: str

    def __str__(self) -> str:
        if self.namespace:
            return f'RoleBinding "{self.binding}/{self.namespace}" of {self._role()} to {self.subject}'
        return f'ClusterRoleBinding "{self.binding}" of {self._role()} to {self.subject}'

    def _role(self) -> str:
        return f'{self.kind} "{self.role}"'


@dataclass
class Rights:
    """What a user may do in a namespace. `named` when there are rules for single objects."""

    rules: list[tuple[Rule, Grant]]
    faults: list[str]
    named: bool
    decided: dict[Action, Verdict] = field(default_factory=dict)

    def decide(self, action: Action) -> Verdict:
        if action.fields or action.labels or action.version:
            action = action._replace(fields=(), labels=(), version="")
        key = action if self.named or not action.name else action._replace(name="")
        verdict = self.decided.get(key)
        if verdict is None:
            verdict = self._look(action)
            if sum(map(len, key[:7])) > LONGEST:
                return verdict
            if len(self.decided) >= DECISIONS:
                self.decided.clear()
            self.decided[key] = verdict
        return verdict

    def _look(self, action: Action) -> Verdict:
        for rule, grant in self.rules:
            if rule.allows(action):
                return Verdict(True, f"RBAC: allowed by {grant}")
        if not self.faults:
            return Verdict(False)
        faults = self.faults[0] if len(self.faults) == 1 else f"[{', '.join(self.faults)}]"
        return Verdict(False, f"RBAC: {faults}")


class Rbac:
    """`store` is only read."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._revision = -1
        # (namespace, name) → PolicyRules, namespace "" for ClusterRoles; and compiled, as far as they were
        # asked for.
        self._roles: dict[tuple[str, str], list[Obj]] = {}
        self._rules: dict[tuple[str, str], list[Rule]] = {}
        # Namespace → subject → key of the binding → grant.
        self._grants: dict[str, dict[Subject, dict[str, Grant]]] = {}
        self._rights: dict[tuple[str, tuple[str, ...], str], Rights] = {}

    def decide(self, user: User, action: Action) -> Verdict:
        return self.rights(user, action.namespace).decide(action)

    def rights(self, user: User, namespace: str) -> Rights:
        if self._store.revision != self._revision:
            self._follow()
        key = (user.name, user.groups, namespace)
        found = self._rights.get(key)
        if found is None:
            if len(self._rights) >= USERS:
                self._rights.clear()
            found = self._gather(user, namespace)
            if len(namespace) <= LONGEST:
                self._rights[key] = found
        return found

    def rules_for(self, user: User, namespace: str) -> list[Rule]:
        return [rule for rule, _ in self.rights(user, namespace).rules]

    def policy_rules(self, user: User, namespace: str) -> list[Obj]:
        """The user's rules as they are written, each role's once per binding."""
        granted = {grant: None for _, grant in self.rights(user, namespace).rules}
        return [rule for grant in granted for rule in self._roles.get(_role_key(grant), ())]

    def role(self, kind: str, name: str, namespace: str) -> list[Obj] | None:
        """The rules that a binding in `namespace` would give; None where there is no such role."""
        if self._store.revision != self._revision:
            self._follow()
        return self._roles.get((namespace if kind == "Role" else "", name))

    # --- gathering

    def _gather(self, user: User, namespace: str) -> Rights:
        rules: list[tuple[Rule, Grant]] = []
        faults: list[str] = []
        for grant in self._granted(user, namespace):
            own = self._compiled(_role_key(grant))
            if own is None:
                kind = f"{grant.kind.lower()}.{GROUP}"
                faults.append(f'{kind} "{grant.role}" not found')
            else:
                rules += [(rule, grant) for rule in own]
        return Rights(rules, list(dict.fromkeys(faults)), any(rule.names for rule, _ in rules))

    def _compiled(self, role: tuple[str, str]) -> list[Rule] | None:
        """None where there is no such role."""
        found = self._rules.get(role)
        if found is None and (rules := self._roles.get(role)) is not None:
            found = self._rules[role] = [compiled(rule) for rule in rules]
        return found

    def _granted(self, user: User, namespace: str) -> Iterator[Grant]:
        subjects: list[Subject] = [("User", user.name), *(("Group", group) for group in user.groups)]
        for where in dict.fromkeys(("", namespace)):
            bound = self._grants.get(where, {})
            for subject in subjects:
                yield from bound.get(subject, {}).values()

    # --- following the store

    def _follow(self) -> None:
        revision = self._store.revision
        changes = self._store.changes(PREFIX, self._revision) if self._revision >= 0 else None
        if changes is None:
            self._roles.clear()
            self._rules.clear()
            self._grants.clear()
            changes = [(None, entry) for entry in self._store.list(PREFIX) if entry.readable]
            self._rights.clear()
        for before, after in changes:
            self._change(before, after)
        if changes:
            self._rights.clear()
        self._revision = revision

    def _change(self, before: Entry | None, after: Entry | None) -> None:
        entry = after or before
        assert entry is not None
        if entry.key.split("/", 4)[3] in ("roles", "clusterroles"):
            self._put_role(entry.obj, gone=after is None)
            return
        for each in (before, after):
            if each is not None:
                self._bind(each, gone=each is before)

    def _put_role(self, obj: Obj, *, gone: bool) -> None:
        meta = obj["metadata"]
        key = (meta.get("namespace", ""), meta["name"])
        self._rules.pop(key, None)
        if gone:
            self._roles.pop(key, None)
        else:
            self._roles[key] = obj.get("rules") or []

    def _bind(self, entry: Entry, *, gone: bool) -> None:
        namespace = entry.obj["metadata"].get("namespace", "")
        where = self._grants.setdefault(namespace, {})
        for subject, grant in _grants(entry.obj):
            if not gone:
                where.setdefault(subject, {})[entry.key] = grant
            elif (bound := where.get(subject)) is not None:
                bound.pop(entry.key, None)
                if not bound:
                    del where[subject]
        if not where:
            del self._grants[namespace]


def _role_key(grant: Grant) -> tuple[str, str]:
    return (grant.namespace if grant.kind == "Role" else "", grant.role)


def _grants(binding: Obj) -> Iterable[tuple[Subject, Grant]]:
    meta, reference = binding["metadata"], binding["roleRef"]
    namespace = meta.get("namespace", "")
    for entry in binding.get("subjects") or ():
        kind, name = entry["kind"], entry["name"]
        subject: Subject = (kind, name)
        shown = f'{kind} "{name}"'
        if kind == "ServiceAccount":
            home = entry.get("namespace") or namespace
            subject, shown = ("User", f"{ACCOUNT}{home}:{name}"), f'{kind} "{name}/{home}"'
        yield subject, Grant(meta["name"], namespace, reference["kind"], reference["name"], shown)
