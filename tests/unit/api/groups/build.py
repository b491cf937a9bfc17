"""Objects for the tests of the groups, and what a strategy says of them."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

from podium.api.strategy import Strategy, registry
from podium.api.types import Obj
from podium.api.types.resources import Resource

REGISTRY = registry()
NOW = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)
LABELS = {"app": "web"}


def strategy(resource: Resource) -> Strategy:
    return REGISTRY[resource.group, resource.version, resource.plural]


def meta(name: str = "web", **more: Any) -> Obj:
    return {
        "name": name,
        "namespace": "default",
        "uid": "u-1",
        "resourceVersion": "1",
        "creationTimestamp": "2026-01-02T11:00:00Z",
        **more,
    }


def container(**more: Any) -> Obj:
    return {"name": "main", "image": "nginx:1.27", **more}


def pod_spec(**more: Any) -> Obj:
    return {"containers": [container()], **more}


def pod(**spec: Any) -> Obj:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta(), "spec": pod_spec(**spec)}


def template(**spec: Any) -> Obj:
    return {"metadata": {"labels": dict(LABELS)}, "spec": pod_spec(**spec)}


def workload(resource: Resource, **spec: Any) -> Obj:
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": meta(),
        "spec": {"selector": {"matchLabels": dict(LABELS)}, "template": template(), **spec},
    }


def service(**spec: Any) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta(),
        "spec": {"ports": [{"port": 80}], **spec},
    }


def created(resource: Resource, obj: Obj) -> Obj:
    """The object as a create stores it, faults or not."""
    new = copy.deepcopy(obj)
    kind = strategy(resource)
    if not resource.namespaced:
        new["metadata"].pop("namespace", None)
    kind.default(new)
    kind.prepare_create(new)
    return new


def faults(resource: Resource, obj: Obj) -> list[str]:
    """What a create complains of."""
    return [str(cause) for cause in strategy(resource).validate_create(created(resource, obj))]


def update_faults(resource: Resource, old: Obj, new: Obj) -> list[str]:
    """What an update from `old` (as stored) to `new` complains of; `new` is defaulted and prepared in
    place."""
    kind = strategy(resource)
    kind.default(new)
    kind.prepare_update(new, old)
    return [str(cause) for cause in kind.validate_update(new, old)]


def changed(obj: Obj, **spec: Any) -> Obj:
    """A copy with other fields in its spec."""
    new = copy.deepcopy(obj)
    new["spec"].update(spec)
    return new


def row(resource: Resource, obj: Obj) -> dict[str, Any]:
    """The cells of an object by the names of their columns."""
    kind = strategy(resource)
    cells = kind.row(obj, NOW)
    assert len(cells) == len(kind.columns)
    return {column.name: cell for column, cell in zip(kind.columns, cells, strict=True)}
