"""Who may do what by Roles, ClusterRoles and their bindings.

The index follows the store at every look, so that a role counts from the moment its write is answered; while
nothing changes a look costs a comparison. For each user what is bound to him is gathered once, and what was
decided is remembered, until a role or a binding changes. Where that means to go through thousands of rules, a
thread does it, and whoever asked waits for it.

Source: docs, "Using RBAC Authorization"; API reference, rbac.authorization.k8s.io/v1."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, field

from podium.api.auth.actions import Action, Verdict
from podium.api.auth.rolebook import SMALL, Crowd, Grant, Role, Subject, grants
from podium.api.auth.rules import Rule
from podium.api.auth.users import User
from podium.api.store.base import Entry, Store
from podium.api.types import Obj

GROUP = "rbac.authorization.k8s.io"
PREFIX = f"/registry/{GROUP}/"
USERS = 512  # as many users' rights are kept gathered
DECISIONS = 1024  # for each of them
# Characters that what a client sent may make a question long by and still be remembered.
LONGEST = 512
# Bytes of roles that are told as they are written.
LENGTHY = 128 << 10
# Rules that are looked through on the event loop: half a millisecond.
QUICK = 2_000


@dataclass
class Rights:
    """What a user may do in a namespace: the roles, each with the first grant of it. `ready` once all of them
    are compiled, which `prepare` does, in any thread."""

    roles: list[tuple[Role, Grant]]
    faults: list[str]
    decided: dict[Action, Verdict] = field(default_factory=dict)
    ready: bool = False
    named: bool = False
    preparing: asyncio.Future[None] | None = None

    def prepare(self) -> None:
        named = {role.rules.named for role, _ in self.roles}
        self.named = True in named
        self.ready = True

    def decide(self, action: Action) -> Verdict | Awaitable[Verdict]:
        """Once it is ready."""
        if action.fields or action.labels or action.version:
            action = action._replace(fields=(), labels=(), version="")
        key = action if self.named or not action.name else action._replace(name="")
        verdict = self.decided.get(key)
        if verdict is not None:
            return verdict
        near = [(role.rules.candidates(action), grant) for role, grant in self.roles]
        if sum(len(bucket) for buckets, _ in near for bucket in buckets) > QUICK:
            return self._look_aside(key, action, near)
        return self._keep(key, self._look(action, near))

    async def _look_aside(self, key: Action, action: Action, near: _Near) -> Verdict:
        return self._keep(key, await asyncio.to_thread(self._look, action, near))

    def _keep(self, key: Action, verdict: Verdict) -> Verdict:
        if sum(map(len, key[:7])) <= LONGEST:
            if len(self.decided) >= DECISIONS:
                self.decided.clear()
            self.decided[key] = verdict
        return verdict

    def _look(self, action: Action, near: _Near) -> Verdict:
        for buckets, grant in near:
            if any(rule.allows(action) for bucket in buckets for rule in bucket):
                return Verdict(True, f"RBAC: allowed by {grant}")
        if not self.faults:
            return Verdict(False)
        faults = self.faults[0] if len(self.faults) == 1 else f"[{', '.join(self.faults)}]"
        return Verdict(False, f"RBAC: {faults}")


_Near = list[tuple[list[list[Rule]], Grant]]


class Rbac:
    """`store` is only read."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._revision = -1
        # (namespace, name), namespace "" for ClusterRoles.
        self._roles: dict[tuple[str, str], Role] = {}
        # Namespace → subject → key of the binding → grant; and namespace → key → those with many subjects.
        self._grants: dict[str, dict[Subject, dict[str, Grant]]] = {}
        self._crowds: dict[str, dict[str, Crowd]] = {}
        self._rights: dict[tuple[str, tuple[str, ...], str], Rights] = {}

    def decide(self, user: User, action: Action) -> Verdict | Awaitable[Verdict]:
        if self._store.revision == self._revision:
            known = self._rights.get((user.name, user.groups, action.namespace))
            if known is not None and known.ready:
                return known.decide(action)
        rights = self._at_once(user, action.namespace)
        return rights.decide(action) if rights is not None else self._decide_later(user, action)

    async def _decide_later(self, user: User, action: Action) -> Verdict:
        verdict = (await self.rights(user, action.namespace)).decide(action)
        return verdict if isinstance(verdict, Verdict) else await verdict

    async def rights(self, user: User, namespace: str) -> Rights:
        """All that is bound to the user there, compiled."""
        while (rights := self._at_once(user, namespace)) is None:
            if crowds := [crowd for crowd in self._crowded(namespace) if not crowd.ready]:
                await asyncio.to_thread(lambda crowds: [crowd.grants for crowd in crowds], crowds)
                continue
            rights = self._gathered(user, namespace)
            if rights.preparing is None:
                rights.preparing = asyncio.ensure_future(asyncio.to_thread(rights.prepare))
            await asyncio.shield(rights.preparing)
        return rights

    async def rules_for(self, user: User, namespace: str) -> list[Rule]:
        return [rule for role, _ in (await self.rights(user, namespace)).roles for rule in role.rules.all]

    async def policy_rules(self, user: User, namespace: str) -> list[Obj]:
        """The user's rules as they are written; when they are thousands, with those made one that say the
        same of different objects."""
        roles = [role for role, _ in (await self.rights(user, namespace)).roles]
        size = sum(role.size for role in roles)
        if size > LENGTHY:
            return await asyncio.to_thread(_summed, roles)
        return await asyncio.to_thread(_written, roles) if size > SMALL else _written(roles)

    def role(self, kind: str, name: str, namespace: str) -> Role | None:
        """What a binding in `namespace` would give; None where there is no such role."""
        self._follow()
        return self._roles.get((namespace if kind == "Role" else "", name))

    # --- gathering

    def _at_once(self, user: User, namespace: str) -> Rights | None:
        """None where it takes a thread."""
        self._follow()
        if self._crowds and not all(crowd.ready for crowd in self._crowded(namespace)):
            return None
        rights = self._gathered(user, namespace)
        if not rights.ready:
            small = sum(role.size for role, _ in rights.roles if not role.compiled) <= SMALL
            if not small:
                return None
            rights.prepare()
        return rights

    def _gathered(self, user: User, namespace: str) -> Rights:
        key = (user.name, user.groups, namespace)
        found = self._rights.get(key)
        if found is None:
            if len(self._rights) >= USERS:
                self._rights.clear()
            found = self._gather(user, namespace)
            if len(namespace) <= LONGEST:
                self._rights[key] = found
        return found

    def _gather(self, user: User, namespace: str) -> Rights:
        roles: dict[tuple[str, str], tuple[Role, Grant]] = {}
        faults: dict[str, None] = {}
        for grant in self._granted(user, namespace):
            role = self._roles.get(grant.role_key)
            if role is not None:
                roles.setdefault(grant.role_key, (role, grant))
            else:
                faults[f'{grant.kind.lower()}.{GROUP} "{grant.role}" not found'] = None
        return Rights(list(roles.values()), list(faults))

    def _granted(self, user: User, namespace: str) -> Iterator[Grant]:
        subjects: list[Subject] = [("User", user.name), *(("Group", group) for group in user.groups)]
        for where in dict.fromkeys(("", namespace)):
            bound = self._grants.get(where, {})
            for subject in subjects:
                yield from bound.get(subject, {}).values()
        for crowd in self._crowded(namespace):
            yield from (crowd.grants[subject] for subject in subjects if subject in crowd.grants)

    def _crowded(self, namespace: str) -> Iterator[Crowd]:
        for where in dict.fromkeys(("", namespace)):
            yield from self._crowds.get(where, {}).values()

    # --- following the store

    def _follow(self) -> None:
        revision = self._store.revision
        if revision == self._revision:
            return
        changes = self._store.changes(PREFIX, self._revision) if self._revision >= 0 else None
        if changes is None:
            self._roles.clear()
            self._grants.clear()
            self._crowds.clear()
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
        # /registry/GROUP/PLURAL/[NAMESPACE/]NAME
        _, _, _, plural, *place = entry.key.split("/")
        namespace = place[0] if len(place) > 1 else ""
        if plural in ("roles", "clusterroles"):
            if after is None:
                self._roles.pop((namespace, place[-1]), None)
            else:
                self._roles[namespace, place[-1]] = Role(after)
            return
        if before is not None:
            self._unbind(before, namespace)
        if after is not None:
            self._bind(after, namespace)

    def _bind(self, entry: Entry, namespace: str) -> None:
        if len(entry.value) > SMALL:
            self._crowds.setdefault(namespace, {})[entry.key] = Crowd(entry)
            return
        where = self._grants.setdefault(namespace, {})
        for subject, grant in grants(entry.obj):
            where.setdefault(subject, {})[entry.key] = grant

    def _unbind(self, entry: Entry, namespace: str) -> None:
        if len(entry.value) > SMALL:
            crowds = self._crowds.get(namespace, {})
            crowds.pop(entry.key, None)
            if not crowds:
                self._crowds.pop(namespace, None)
            return
        where = self._grants.get(namespace, {})
        for subject, _ in grants(entry.obj):
            if (bound := where.get(subject)) is not None:
                bound.pop(entry.key, None)
                if not bound:
                    del where[subject]
        if not where:
            self._grants.pop(namespace, None)


def _written(roles: list[Role]) -> list[Obj]:
    return [rule for role in roles for rule in role.written()]


def _summed(roles: list[Role]) -> list[Obj]:
    return [rule.written() for role in roles for rule in role.rules.all]
