"""What holds for every built-in kind."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from podium.api.types import Obj
from podium.api.types.resources import (
    BUILT_IN,
    CONFIG_MAPS,
    EVENTS,
    LEASES,
    NAMESPACES,
    NODES,
    SECRETS,
    SELF_SUBJECT_REVIEWS,
    SERVICES,
    Resource,
)
from tests.unit.api.groups.build import NOW, REGISTRY, created, meta, strategy

# Fields without which the schema does not let an object through, so that strategies may rely on them.
REQUIRED: dict[str, Obj] = {
    "CSIDriver": {"spec": {}},
    "ClusterRoleBinding": {"roleRef": {"kind": "ClusterRole", "name": "r"}},
    "CronJob": {"spec": {"schedule": "@daily", "jobTemplate": {}}},
    "CustomResourceDefinition": {"spec": {"names": {}}},
    "DaemonSet": {"spec": {}},
    "Deployment": {"spec": {}},
    "HorizontalPodAutoscaler": {"spec": {}},
    "Job": {"spec": {"template": {}}},
    "PersistentVolume": {"spec": {}},
    "PersistentVolumeClaim": {"spec": {}},
    "Pod": {"spec": {"containers": []}},
    "ReplicaSet": {"spec": {}},
    "RoleBinding": {"roleRef": {"kind": "ClusterRole", "name": "r"}},
    "StatefulSet": {"spec": {}},
    "VolumeAttachment": {"spec": {}},
}


def least(resource: Resource) -> Obj:
    fields = copy.deepcopy(REQUIRED.get(resource.kind, {}))
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta("least"), **fields}


def test_every_resource_has_a_strategy() -> None:
    assert len(REGISTRY) == len(BUILT_IN)
    assert {entry.resource for entry in REGISTRY.values()} == set(BUILT_IN)


@pytest.mark.parametrize("resource", BUILT_IN, ids=lambda entry: f"{entry.plural}.{entry.group}")
def test_the_least_object_goes_through_everything(resource: Resource) -> None:
    kind = strategy(resource)
    obj = created(resource, least(resource))
    again = copy.deepcopy(obj)
    kind.default(again)
    assert again == obj, "defaults are idempotent"
    kind.validate_create(obj)
    new, old = copy.deepcopy(obj), copy.deepcopy(obj)
    kind.prepare_update(new, old)
    kind.validate_update(new, old)
    assert old == obj, "the former object is never changed"
    status = copy.deepcopy(obj)
    kind.prepare_status(status, old)
    kind.validate_status(status, old)
    assert old == obj, "the former object is never changed"
    assert len(kind.row(obj, NOW)) == len(kind.columns)
    assert kind.columns[0].wire().keys() == {"name", "type", "format", "description", "priority"}
    assert all(isinstance(kind.field(obj, label), str) for label in kind.field_labels)
    assert {"metadata.name", "metadata.namespace"} <= kind.field_labels


@pytest.mark.parametrize(
    ("resource", "allowed"),
    [(LEASES, True), (EVENTS, True), (SERVICES, True), (CONFIG_MAPS, False), (SECRETS, False)],
)
def test_few_kinds_are_created_by_an_update(resource: Resource, allowed: bool) -> None:
    assert strategy(resource).allow_create_on_update is allowed


def test_a_kind_without_columns_of_its_own_shows_its_name_and_when_it_was_made() -> None:
    kind = strategy(SELF_SUBJECT_REVIEWS)
    assert [column.name for column in kind.columns] == ["Name", "Created At"]
    assert kind.row(least(SELF_SUBJECT_REVIEWS), NOW) == ["least", "2026-01-02T11:00:00Z"]


def of(resource: Resource, **changes: Any) -> Obj:
    obj = created(resource, least(resource))
    obj["metadata"].update(changes)
    return obj


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        (
            {"resourceVersion": ""},
            ['metadata.resourceVersion: Invalid value: "": must be specified for an update'],
        ),
        ({"uid": "u-2"}, ['metadata.uid: Invalid value: "u-2": field is immutable']),
        ({"name": "other"}, ['metadata.name: Invalid value: "other": field is immutable']),
        (
            {"finalizers": ["orphan", "foregroundDeletion"]},
            [
                'metadata.finalizers: Invalid value: ["orphan","foregroundDeletion"]: '
                "finalizer orphan and foregroundDeletion cannot be both set"
            ],
        ),
        (
            {
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": kind, "name": "n", "uid": "u", "controller": True}
                    for kind in "AB"
                ]
            },
            None,
        ),
    ],
)  # fmt: skip
def test_metadata_that_an_update_may_not_have(changes: Any, expected: list[str] | None) -> None:
    found = [
        str(cause)
        for cause in strategy(CONFIG_MAPS).validate_update(of(CONFIG_MAPS, **changes), of(CONFIG_MAPS))
    ]
    if expected is None:
        assert "Only one reference can have Controller set to true" in found[0]
    else:
        assert found == expected


def test_no_finalizer_is_added_to_what_is_deleted() -> None:
    old = of(CONFIG_MAPS, deletionTimestamp="2026-01-01T00:00:00Z", finalizers=["a.io/b"])
    new = copy.deepcopy(old)
    new["metadata"]["finalizers"] = ["a.io/b", "c.io/d"]
    assert [str(cause) for cause in strategy(CONFIG_MAPS).validate_update(new, old)] == [
        "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, "
        'found new finalizers []string{"c.io/d"}'
    ]


def test_a_cluster_object_has_no_namespace() -> None:
    obj = of(NODES)
    obj["metadata"]["namespace"] = "default"
    assert [str(cause) for cause in strategy(NODES).validate_create(obj)] == [
        "metadata.namespace: Forbidden: not allowed on this type"
    ]


def test_a_generated_name_may_end_in_a_dash_before_it_is_made() -> None:
    obj = of(NAMESPACES, generateName="team-")
    assert strategy(NAMESPACES).validate_create(obj) == []
