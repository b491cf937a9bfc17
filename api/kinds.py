"""Every resource that is served, and where its objects are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple, Protocol

from podium.api.schema import Definitions, Schema
from podium.api.schema.walk import Type
from podium.api.store.base import Entry
from podium.api.strategy import Strategy
from podium.api.types import Obj
from podium.api.types.errors import StatusError, method_not_allowed
from podium.api.types.resources import Resource

REGISTRY = "/registry/"


class Conversion(NamedTuple):
    """How a kind that is served in another version or group than it is kept in is turned there and back.
    Both make new objects."""

    storage: Resource
    to_storage: Callable[[Obj], Obj]
    from_storage: Callable[[Obj], Obj]


class Translation(Protocol):
    """Conversion that may have to be waited for. Where there is one, the verbs work on objects in the version
    of the request, and ask here on the way from the store and to it. All raise 500."""

    async def read(self, objs: Sequence[Obj]) -> list[Obj]:
        """Stored objects in the kind's version; the caller's own."""
        ...

    async def write(self, obj: Obj) -> Obj:
        """An object as it is to be stored."""
        ...

    async def into(self, obj: Obj, version: str) -> Obj:
        """An object of any of the kind's versions in any other."""
        ...

    async def as_(self, obj: Obj, to: Resource) -> Obj:
        """An object of the kind's version in another one."""
        ...

    async def view(self, entries: Sequence[Entry]) -> list[Entry]:
        """The store's entries in the kind's version, shared and read-only."""
        ...


class Kind:
    """One served resource: its strategy, its schema, its keys in the store."""

    translation: Translation | None = None
    # Whether each object in a list says what it is; those of built-in kinds leave that to the list.
    says_kind = False
    # What every answer about the kind warns of.
    warnings: Sequence[str] = ()
    # All versions that there are, also those that are not served; none where that does not matter.
    versions: Mapping[str, Type] = MappingProxyType({})

    def __init__(
        self, strategy: Strategy, definitions: Definitions, conversion: Conversion | None = None
    ) -> None:
        self.strategy = strategy
        self.resource: Resource = strategy.resource
        self.conversion = conversion
        self._definitions = definitions
        self.stored = conversion.storage if conversion else self.resource
        self.prefix = f"{REGISTRY}{self.stored.group or 'core'}/{self.stored.plural}/"

    @cached_property
    def schema(self) -> Schema:
        """Compiled at the first use."""
        return self._definitions.schema(self.resource.group, self.resource.version, self.resource.kind)

    @cached_property
    def verbs(self) -> frozenset[str]:
        return frozenset(self.resource.verbs)

    def refused(self, verb: str) -> StatusError:
        """The answer to a verb that the kind does not have."""
        return method_not_allowed()

    def knows(self, group: str, version: str, name: str) -> bool:
        """Whether there is a kind of that name at all, this one or another."""
        return self._definitions.has(group, version, name)

    def key(self, namespace: str, name: str) -> str:
        return f"{self.prefix}{namespace}/{name}" if self.resource.namespaced else self.prefix + name

    def below(self, namespace: str) -> str:
        """The prefix of all objects of a namespace, or of all there are."""
        return f"{self.prefix}{namespace}/" if namespace else self.prefix

    def __repr__(self) -> str:
        return f"Kind({self.resource.plural}.{self.resource.api_version})"


class Kinds:
    """All of them, by the parts of a request's path and by resource."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._by_version: dict[tuple[str, str], dict[str, Kind]] = {}
        for kind in kinds:
            resource = kind.resource
            self._by_version.setdefault((resource.group, resource.version), {})[resource.plural] = kind

    def serve(self, group: str, kinds: Iterable[Kind], former: Iterable[Kind] = ()) -> None:
        """Serves `kinds`, all of one group, from now on, and those of `former` no more."""
        for kind in former:
            resource = kind.resource
            plurals = self._by_version.get((group, resource.version), {})
            if plurals.get(resource.plural) is kind:
                del plurals[resource.plural]
                if not plurals:
                    del self._by_version[group, resource.version]
        for kind in kinds:
            self._by_version.setdefault((group, kind.resource.version), {})[kind.resource.plural] = kind

    def find(self, group: str, version: str, plural: str) -> Kind | None:
        return self._by_version.get((group, version), {}).get(plural)

    def of(self, resource: Resource) -> Kind:
        """Raises KeyError for a resource that is not served."""
        return self._by_version[resource.group, resource.version][resource.plural]

    @property
    def versions(self) -> Mapping[tuple[str, str], Mapping[str, Kind]]:
        """Of each (group, version), its kinds by plural."""
        return self._by_version

    def all(self) -> Iterator[Kind]:
        for kinds in self._by_version.values():
            yield from kinds.values()
