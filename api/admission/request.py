"""What a plugin gets to see of a request, and how it refuses one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from podium.api.types import Obj
from podium.api.types.errors import StatusError, forbidden
from podium.api.types.resources import Resource
from podium.api.types.usage import Usage, usage

Lookup = Callable[[Resource, str, str], Obj | None]


def utc_now() -> datetime:
    return datetime.now(UTC)


class User(Protocol):
    """Who asks."""

    def info(self) -> Obj:
        """authentication/v1 UserInfo."""
        ...


Every = Callable[..., Sequence[Obj]]
Used = Callable[[Resource, str, Obj], Usage]
Now = Callable[[], datetime]
Appears = Callable[[Resource, str, str], Awaitable[Obj | None]]


@dataclass(slots=True)
class AdmissionRequest:
    """One write on its way in. `operation` is CREATE, UPDATE, DELETE or CONNECT; `obj` is None for a DELETE
    and may be changed in place by `mutate`, `old` is None for a CREATE and is read-only. `user` is the user
    who asks; `options` is what the request's CreateOptions and so on say, to `warnings` goes what the client
    shall be told, and to `annotations` what the audit log notes."""

    operation: str
    resource: Resource
    subresource: str
    namespace: str
    name: str
    obj: Obj | None
    old: Obj | None
    user: User | None = None
    dry_run: bool = False
    options: Obj = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    annotations: dict[str, str] = field(default_factory=dict)
    # Webhooks and policies that changed the object; `reinvocable` are those to ask again in the second round.
    changed: bool = False
    reinvoking: bool = False
    invoked: set[str] = field(default_factory=set)
    reinvocable: set[str] = field(default_factory=set)

    def refuse(self, why: str) -> StatusError:
        """The 403 to raise. An object that is still without a name is called by what its name will be made
        from."""
        meta = (self.obj or {}).get("metadata") or {}
        name = self.name or meta.get("name") or meta.get("generateName") or "Unknown"
        return forbidden(self.resource.plural, name, why, self.resource.group)

    @property
    def stand_in(self) -> Obj | None:
        """The object, when it is not one of the resource but stands for one: a Scale, a Binding, the options
        of a connection."""
        if self.obj is None or not (self.subresource or self.operation == "CONNECT"):
            return None
        kind = self.obj.get("kind")
        return self.obj if kind and "apiVersion" in self.obj and kind != self.resource.kind else None

    def creates(self, resource: Resource) -> Obj | None:
        """The object, when this request creates one of `resource`."""
        return self.obj if self.operation == "CREATE" and self.concerns(resource) else None

    def concerns(self, resource: Resource) -> bool:
        """Whether it is about an object of `resource` itself, not about a subresource."""
        return self.resource is resource and not self.subresource


@dataclass(slots=True, frozen=True)
class Cluster:
    """What plugins know of the rest of the cluster: the store's memory, read-only; `every` shows what was
    accepted and is not durable yet, too. `appears` waits a short while for an object that is about to be made
    and gives None when it is not; without it nobody waits. `tally` knows without counting what the objects of
    a kind in a namespace use of a quota (its spec); without it they are counted."""

    lookup: Lookup
    every: Every
    appears: Appears | None = None
    tally: Used | None = None
    now: Now = utc_now

    def used(self, resource: Resource, namespace: str, spec: Obj) -> Usage:
        if self.tally is not None:
            return self.tally(resource, namespace, spec)
        return usage(self.every(resource, namespace), resource, spec, self.now())

    async def expect(self, resource: Resource, namespace: str, name: str) -> Obj | None:
        found = self.lookup(resource, namespace, name)
        if found is None and self.appears is not None:
            return await self.appears(resource, namespace, name)
        return found
