"""Whatever fits a kind's schema is accepted or refused, but never makes a strategy fail."""

from __future__ import annotations

import copy
import random
from functools import lru_cache
from typing import Any

import orjson
import pytest

from podium.api.schema import definitions
from podium.api.types import Obj
from podium.api.types.resources import BUILT_IN, SELF_SUBJECT_REVIEWS, Resource
from tests.unit.api.groups.build import NOW, meta, strategy

ROUNDS = 20
DEPTH = 9
TEXTS = (
    "",
    "a",
    "web",
    "Always",
    "Exists",
    "In",
    "TCP",
    "Bad Name",
    "1.2.3.4",
    "10%",
    "x/y",
    "None",
    "RollingUpdate",
)
FORMS: dict[str, Any] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": ("1", "100m", "-1", "2Gi"),
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": (0, 1, -1, 80, "http", "25%"),
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": ("2026-01-02T11:00:00Z",),
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": ("2026-01-02T11:00:00.000000Z",),
}


@lru_cache(maxsize=1)
def all_definitions() -> dict[str, Any]:
    defs: dict[str, Any] = orjson.loads(definitions.read())["$defs"]
    return defs


@lru_cache(maxsize=1)
def by_kind() -> dict[tuple[str, str, str], Any]:
    return {
        (entry["group"], entry["version"], entry["kind"]): definition
        for definition in all_definitions().values()
        for entry in definition.get("x-kubernetes-group-version-kind") or ()
    }


class Maker:
    """Random values that fit a definition; every field is there or not, required or not."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)

    def value(self, schema: Any, depth: int) -> Any:
        if reference := schema.get("$ref"):
            name = reference.removeprefix("#/$defs/")
            if name in FORMS:
                return self.random.choice(FORMS[name])
            return self.value(all_definitions()[name], depth)
        kind = schema.get("type", "object")
        kind = kind[0] if isinstance(kind, list) else kind
        match kind:
            case "string":
                return "eA==" if schema.get("format") == "byte" else self.random.choice(TEXTS)
            case "boolean":
                return self.random.random() < 0.5
            case "integer":
                return self.random.choice((0, 1, -1, 7, 80, 70000))
            case "number":
                return 0.5
            case "array":
                return [
                    self.value(schema["items"], depth - 1)
                    for _ in range(self.random.randrange(3) if depth else 0)
                ]
        return self.struct(schema, depth)

    def struct(self, schema: Any, depth: int) -> Obj:
        if depth <= 0:
            return {}
        if additional := schema.get("additionalProperties"):
            if not isinstance(additional, dict):
                return {}
            keys = self.random.sample(
                ("cpu", "memory", "a", "kubernetes.io/x", "Bad Key"), self.random.randrange(3)
            )
            return {key: self.value(additional, depth - 1) for key in keys}
        chance = self.random.choice((0.2, 0.6, 0.95))
        return {
            name: self.value(part, depth - 1)
            for name, part in (schema.get("properties") or {}).items()
            if self.random.random() < chance
        }


def make(resource: Resource, seed: str) -> Obj:
    schema = by_kind().get((resource.group, resource.version, resource.kind))
    if schema is None or resource.kind == "HorizontalPodAutoscaler":
        # Kept in version 2, in which strategies see them.
        schema = by_kind()[resource.group or "core", "v2", resource.kind]
    obj = Maker(seed).struct(schema, DEPTH)
    labels = obj.get("metadata", {}).get("labels") or {}
    return {
        **obj,
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": meta("any", labels=labels),
    }


STRATEGIC = [
    resource for resource in BUILT_IN if resource.group not in ("authorization.k8s.io", "events.k8s.io")
]


@pytest.mark.parametrize(
    "resource", STRATEGIC, ids=lambda entry: f"{entry.plural}.{entry.group}.{entry.version}"
)
def test_any_object_of_a_kind_is_judged(resource: Resource) -> None:
    if resource is SELF_SUBJECT_REVIEWS:
        return
    kind = strategy(resource)
    for seed in range(ROUNDS):
        obj = make(resource, f"{resource.plural}{seed}")
        kind.default(obj)
        before = copy.deepcopy(obj)
        kind.prepare_create(obj)
        for cause in kind.validate_create(obj):
            assert cause.reason
            assert cause.message
        kind.warnings(obj)
        other = make(resource, f"{resource.plural}-{seed}")
        kind.default(other)
        old = copy.deepcopy(before)
        kind.prepare_update(other, old)
        kind.validate_update(other, old)
        assert old == before, "the former object is never changed"
        status = make(resource, f"{resource.plural}/{seed}")
        kind.prepare_status(status, old)
        kind.validate_status(status, old)
        assert old == before, "the former object is never changed"
        assert len(kind.row(before, NOW)) == len(kind.columns)
        kind.row_conditions(before)
        kind.grace_period(before, None)
        for label in kind.field_labels:
            kind.field(before, label)
        if kind.has_scale:
            kind.scale_of(before)
            kind.set_scale(other, {})
