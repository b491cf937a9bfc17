"""Claims, volumes and classes as the scheduler looks them up, and which of them are promised to a pod that
is on its way to its node."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from podium.api.types import Obj


class Binding(NamedTuple):
    """`volume` is to be bound to the claim NAMESPACE/NAME."""

    volume: str
    claim: str


class VolumePlan(NamedTuple):
    """What becomes of a pod's unbound claims on `node`: bound to volumes there are, or provisioned."""

    node: str
    bindings: tuple[Binding, ...]
    provisions: tuple[str, ...]


class Storage(Protocol):
    """Read-only objects; None for what is not there."""

    def claim(self, namespace: str, name: str) -> Obj | None: ...
    def volume(self, name: str) -> Obj | None: ...
    def storage_class(self, name: str) -> Obj | None: ...
    def of_class(self, name: str) -> Iterable[Obj]:
        """The volumes of a class."""
        ...

    def csi_node(self, name: str) -> Obj | None: ...
    def csi_driver(self, name: str) -> Obj | None: ...
    def capacities(self, storage_class: str) -> Iterable[Obj]:
        """The CSIStorageCapacity objects of a class."""
        ...

    def promised(self, volume: str) -> str | None:
        """The claim that a volume is promised to."""
        ...

    def selected(self, claim: str) -> str | None:
        """The node that a claim is about to be provisioned for."""
        ...


Lookup = Callable[[str], Obj | None]


class KnownStorage:
    """Over lookups by name and by NAMESPACE/NAME, with the promises kept here until they are released."""

    def __init__(
        self,
        *,
        claim: Callable[[str, str], Obj | None] = lambda namespace, name: None,
        volume: Lookup = lambda name: None,
        storage_class: Lookup = lambda name: None,
        of_class: Callable[[str], Iterable[Obj]] = lambda name: (),
        csi_node: Lookup = lambda name: None,
        csi_driver: Lookup = lambda name: None,
        capacities: Callable[[str], Iterable[Obj]] = lambda name: (),
    ) -> None:
        self.claim, self.volume, self.storage_class = claim, volume, storage_class
        self.of_class, self.csi_node, self.csi_driver = of_class, csi_node, csi_driver
        self.capacities = capacities
        self._volumes: dict[str, str] = {}
        self._claims: dict[str, str] = {}

    def promised(self, volume: str) -> str | None:
        return self._volumes.get(volume)

    def selected(self, claim: str) -> str | None:
        return self._claims.get(claim)

    def promise(self, plan: VolumePlan) -> None:
        self._volumes.update(plan.bindings)
        self._claims.update(dict.fromkeys(plan.provisions, plan.node))

    def release(self, plan: VolumePlan) -> None:
        """The plan is carried out, and shows in the objects; or it will not be."""
        for binding in plan.bindings:
            self._volumes.pop(binding.volume, None)
        for claim in plan.provisions:
            self._claims.pop(claim, None)


NO_STORAGE: Storage = KnownStorage()
