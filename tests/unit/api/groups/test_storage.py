"""Volumes, claims and what CSI drivers say: what is refused and in which words, what is told, what may
change."""

from __future__ import annotations

import copy
from datetime import datetime
from typing import Any

import pytest

from podium.api.types import Obj
from podium.api.types.resources import (
    CSI_DRIVERS,
    CSI_NODES,
    CSI_STORAGE_CAPACITIES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    STORAGE_CLASSES,
    VOLUME_ATTACHMENTS,
    VOLUME_ATTRIBUTES_CLASSES,
    Resource,
)

from .build import NOW, changed, created, faults, meta, strategy, update_faults


def of(**fields: Any) -> Obj:
    return {"metadata": meta(), **fields}


def claim(**spec: Any) -> Obj:
    return of(spec={"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec})


def bound(**status: Any) -> Obj:
    made = created(PERSISTENT_VOLUME_CLAIMS, claim(volumeName="pv", storageClassName="fast"))
    return {**made, "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}, **status}}


def sized(obj: Obj, size: str) -> Obj:
    return changed(obj, resources={"requests": {"storage": size}})


def volume(**spec: Any) -> Obj:
    return of(
        spec={
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "1Gi"},
            "hostPath": {"path": "/d"},
            **spec,
        }
    )


def csi(**fields: Any) -> Obj:
    return {"driver": "d.example.com", "volumeHandle": "v", **fields}


OLD_KINDS = "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
NOT_ROOT = "may not be 'recycle' for a hostPath mount of '/'"


@pytest.mark.parametrize(
    ("resource", "obj", "expected"),
    [
        (
            PERSISTENT_VOLUME_CLAIMS,
            claim(resources={"requests": {"storage": "0"}}),
            ['spec.resources[storage]: Invalid value: "0": must be greater than zero'],
        ),
        (
            PERSISTENT_VOLUME_CLAIMS,
            claim(accessModes=["ReadWriteOncePod", "ReadWriteMany"]),
            ["spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes"],
        ),
        (
            PERSISTENT_VOLUME_CLAIMS,
            claim(volumeMode="Raw"),
            ['spec.volumeMode: Unsupported value: "Raw": supported values: "Block", "Filesystem"'],
        ),
        (
            PERSISTENT_VOLUME_CLAIMS,
            claim(dataSourceRef={"kind": "Secret", "name": "s"}),
            [f'spec.{key}: Invalid value: "Secret": {OLD_KINDS}' for key in ("dataSource", "dataSourceRef")],
        ),
        (
            PERSISTENT_VOLUME_CLAIMS,
            claim(
                dataSource={"kind": "PersistentVolumeClaim", "name": "a"},
                dataSourceRef={"kind": "PersistentVolumeClaim", "name": "b"},
            ),
            ['spec: Invalid value: "spec.dataSource": must match dataSourceRef'],
        ),
        (
            PERSISTENT_VOLUMES,
            volume(capacity={"storage": "-1"}),
            ['spec.capacity[storage]: Invalid value: "-1": must be greater than zero'],
        ),
        (
            PERSISTENT_VOLUMES,
            volume(nodeAffinity={}),
            ["spec.nodeAffinity.required: Required value: must specify required node constraints"],
        ),
        (
            PERSISTENT_VOLUMES,
            volume(nfs={"server": "s", "path": "/"}),
            ["spec.nfs: Forbidden: may not specify more than 1 volume type"],
        ),
        (
            PERSISTENT_VOLUMES,
            volume(hostPath={"path": "/"}, persistentVolumeReclaimPolicy="Recycle"),
            [f"spec.persistentVolumeReclaimPolicy: Forbidden: {NOT_ROOT}"],
        ),
        (
            PERSISTENT_VOLUMES,
            volume(hostPath=None, csi=csi(driver="", volumeHandle="")),
            ["spec.csi.driver: Required value", "spec.csi.volumeHandle: Required value"],
        ),
        (
            PERSISTENT_VOLUMES,
            volume(hostPath=None, iscsi={"targetPortal": "p", "iqn": "wrong", "lun": 256}),
            [
                'spec.iscsi.iqn: Invalid value: "wrong": must be valid format',
                "spec.iscsi.lun: Invalid value: 256: must be between 0 and 255, inclusive",
            ],
        ),
        (
            PERSISTENT_VOLUMES,
            volume(volumeAttributesClassName="gold"),
            ["spec.csi: Required value: has to be specified when using volumeAttributesClassName"],
        ),
        (
            STORAGE_CLASSES,
            of(provisioner="", volumeBindingMode="Sometimes"),
            [
                "provisioner: Required value",
                'volumeBindingMode: Unsupported value: "Sometimes": supported values: "Immediate", '
                '"WaitForFirstConsumer"',
            ],
        ),
        (
            STORAGE_CLASSES,
            of(provisioner="p", allowedTopologies=[{"matchLabelExpressions": [{"key": "z", "values": []}]}]),
            ["allowedTopologies[0].matchLabelExpressions[0].values: Required value"],
        ),
        (
            VOLUME_ATTRIBUTES_CLASSES,
            of(driverName="d"),
            ["parameters: Required value: must contain at least one key/value pair"],
        ),
        (
            CSI_DRIVERS,
            of(spec={"tokenRequests": [{"audience": "a"}, {"audience": "a", "expirationSeconds": 1}]}),
            ['spec.tokenRequests[1].audience: Duplicate value: "a"'],
        ),
        (
            CSI_NODES,
            of(spec={"drivers": [{"name": "d", "nodeID": "n", "allocatable": {"count": -1}}]}),
            [
                "spec.drivers[0].allocatable.count: Invalid value: -1: must be greater than or equal to 0",
            ],
        ),
        (
            CSI_STORAGE_CAPACITIES,
            of(storageClassName="c", capacity="-1"),
            ['capacity: Invalid value: "-1": must be greater than or equal to 0'],
        ),
        (
            VOLUME_ATTACHMENTS,
            of(spec={"attacher": "a", "nodeName": "n", "source": {}}),
            [
                "spec.source: Required value: must specify exactly one of inlineVolumeSpec and "
                "persistentVolumeName"
            ],
        ),
    ],
)
def test_what_makes_no_sense_is_refused(resource: Resource, obj: Obj, expected: list[str]) -> None:
    assert faults(resource, obj) == expected


def test_an_inline_volume_has_nothing_that_binding_needs() -> None:
    inline = {"accessModes": ["ReadWriteOnce"], "csi": csi(), "capacity": {"storage": "1Gi"}}
    spec = {"attacher": "a", "nodeName": "n", "source": {"inlineVolumeSpec": inline}}
    assert faults(VOLUME_ATTACHMENTS, of(spec=spec)) == [
        "spec.source.inlineVolumeSpec.capacity: Forbidden: "
        "may not be specified in the context of inline volumes"
    ]


@pytest.mark.parametrize(
    ("size", "fault"),
    [("2Gi", False), ("1100Mi", False), ("1024Mi", True), ("1Mi", True)],
)
def test_a_request_that_failed_is_lowered_to_more_than_there_is(size: str, fault: bool) -> None:
    old = sized(bound(), "4Gi")
    told = update_faults(PERSISTENT_VOLUME_CLAIMS, old, sized(old, size))
    path = "spec.resources.requests.storage"
    assert told == ([f"{path}: Forbidden: field can not be less than status.capacity"] if fault else [])


def test_a_claim_gets_a_class_once() -> None:
    old = created(PERSISTENT_VOLUME_CLAIMS, claim())
    assert update_faults(PERSISTENT_VOLUME_CLAIMS, old, changed(old, storageClassName="fast")) == []
    had = changed(old, storageClassName="fast")
    [fault] = update_faults(PERSISTENT_VOLUME_CLAIMS, had, changed(had, storageClassName="slow"))
    assert fault.startswith("spec: Forbidden: spec is immutable after creation except resources.requests")


def test_the_same_size_in_other_words_is_no_change() -> None:
    old = created(PERSISTENT_VOLUME_CLAIMS, claim())
    assert update_faults(PERSISTENT_VOLUME_CLAIMS, old, sized(old, "1024Mi")) == []


def test_attributes_change_while_bound_and_are_not_taken_away() -> None:
    old = changed(bound(currentVolumeAttributesClassName="gold"), volumeAttributesClassName="gold")
    key = "volumeAttributesClassName"
    assert update_faults(PERSISTENT_VOLUME_CLAIMS, old, changed(old, **{key: "iron"})) == []
    new = copy.deepcopy(old)
    del new["spec"][key]
    assert update_faults(PERSISTENT_VOLUME_CLAIMS, old, new) == [
        f"spec.{key}: Forbidden: update to nil is forbidden when status.currentVolumeAttributesClassName is "
        "not nil"
    ]


def test_what_a_volume_is_never_changes() -> None:
    old = created(PERSISTENT_VOLUMES, volume(volumeMode="Block"))
    [fault] = update_faults(PERSISTENT_VOLUMES, old, changed(old, hostPath={"path": "/e"}))
    assert fault.startswith(
        "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable"
    )
    assert update_faults(PERSISTENT_VOLUMES, old, changed(old, volumeMode="Filesystem")) == [
        'volumeMode: Invalid value: "Filesystem": field is immutable'
    ]
    assert update_faults(PERSISTENT_VOLUMES, old, changed(old, persistentVolumeReclaimPolicy="Delete")) == []
    assert update_faults(PERSISTENT_VOLUMES, old, changed(old, capacity={"storage": "2Gi"})) == []


def test_old_ways_are_warned_of() -> None:
    old = volume(persistentVolumeReclaimPolicy="Recycle", hostPath=None, glusterfs={})
    assert strategy(PERSISTENT_VOLUMES).warnings(old) == [
        "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the "
        "recommended approach is to use dynamic provisioning.",
        "spec.glusterfs: deprecated in v1.25, non-functional in v1.26+",
    ]
    assert strategy(PERSISTENT_VOLUME_CLAIMS).warnings(
        claim(resources={"requests": {"storage": "1500m"}})
    ) == ['spec.resources.requests[storage]: fractional byte value "1500m" is invalid, must be an integer']


@pytest.mark.parametrize(
    ("status", "stamp"),
    [
        ({"phase": "Available"}, "2020-01-01T00:00:00Z"),
        ({"phase": "Bound"}, None),
        ({"phase": "Bound", "lastPhaseTransitionTime": "2020-01-01T00:00:00Z"}, None),
        ({"phase": "Bound", "lastPhaseTransitionTime": "2021-01-01T00:00:00Z"}, "2021-01-01T00:00:00Z"),
    ],
    ids=["same", "changed", "carried", "told"],
)
def test_a_volume_says_since_when_it_is_in_its_phase(status: Obj, stamp: str | None) -> None:
    old = {"status": {"phase": "Available", "lastPhaseTransitionTime": "2020-01-01T00:00:00Z"}}
    new = {"status": dict(status)}
    strategy(PERSISTENT_VOLUMES).stamp(new, old, NOW)
    told = datetime.fromisoformat(new["status"]["lastPhaseTransitionTime"])
    assert told == (datetime.fromisoformat(stamp) if stamp else NOW)


def test_only_known_states_of_growing_are_told() -> None:
    new = bound(allocatedResourceStatuses={"storage": "Dreaming", "cpu": "NodeResizePending"})
    assert [str(cause) for cause in strategy(PERSISTENT_VOLUME_CLAIMS).check_status(new, bound())] == [
        'status.allocatedResourceStatuses: Unsupported value: "storage": supported values: '
        '"ControllerResizeInProgress", "ControllerResizeInfeasible", "NodeResizeInProgress", '
        '"NodeResizeInfeasible", "NodeResizePending"',
        'status.allocatedResourceStatuses: Unsupported value: "cpu": supported values: "storage"',
    ]


def test_a_driver_on_a_node_changes_in_its_count_alone() -> None:
    def node(**fields: Any) -> Obj:
        return created(CSI_NODES, of(spec={"drivers": [{"name": "d", "nodeID": "n", **fields}]}))

    assert update_faults(CSI_NODES, node(), node(allocatable={"count": 5})) == []
    [fault] = update_faults(CSI_NODES, node(), node(nodeID="m"))
    assert fault.endswith("field is immutable")
