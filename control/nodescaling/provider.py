"""Where nodes come from: the contract that every provider keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from podium.api.types import Obj


class ProviderError(Exception):
    """The provider could not do it; the text says why. Whether it was done in part, the next `groups`
    tells."""


class Group(NamedTuple):
    """Nodes of one kind, of which there shall be `least` to `most`. `nodes` are the names of those that there
    are or will be without anybody asking again, registered or not; those of `fixed` are never removed."""

    name: str
    least: int
    most: int
    nodes: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()


class Template(NamedTuple):
    """What a new node of a group would be like, as a Node says it: labels, taints, status.allocatable."""

    labels: Mapping[str, str]
    taints: Sequence[Obj]
    allocatable: Mapping[str, str]


class Provider(Protocol):
    """Everything may take minutes and is cancelled when the controllers stop; the same question asked again
    after a restart must find what was done. Every method raises ProviderError."""

    async def groups(self) -> Sequence[Group]:
        """All groups, as they are now."""
        ...

    async def template(self, group: str) -> Template | None:
        """None: a new node is like those that there are."""
        ...

    async def add(self, group: str, count: int) -> Sequence[str]:
        """Makes more nodes. Returns their names where they are known by then; they register later."""
        ...

    async def remove(self, group: str, node: str) -> None:
        """Takes a node away, whose pods have been moved. Idempotent: one that is not there is no error."""
        ...


def template_node(name: str, group: str, template: Template) -> Obj:
    """The Node that a simulation is to place pods on."""
    labels = {**template.labels, "kubernetes.io/hostname": name}
    allocatable = dict(template.allocatable)
    allocatable.setdefault("pods", "110")
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "uid": f"template-{group}-{name}", "labels": labels},
        "spec": {"taints": list(template.taints)},
        "status": {
            "allocatable": allocatable,
            "capacity": allocatable,
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }
