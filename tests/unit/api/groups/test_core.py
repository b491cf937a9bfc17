"""The other kinds of the core group."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from podium.api.types import Obj
from podium.api.types.resources import (
    CONFIG_MAPS,
    ENDPOINTS,
    EVENTS,
    EVENTS_V1,
    LIMIT_RANGES,
    NAMESPACES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    RESOURCE_QUOTAS,
    SECRETS,
)
from tests.unit.api.groups.build import changed, created, faults, meta, row, strategy, update_faults


def of(**fields: Any) -> Obj:
    return {"metadata": meta(), **fields}


# --- ConfigMaps and Secrets


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        (of(data={"a.b_c-D": "x"}, binaryData={"e": "eA=="}), []),
        (
            of(data={"a/b": "x"}),
            [
                'data[a/b]: Invalid value: "a/b": a valid config key must consist of alphanumeric '
                "characters, '-', '_' "
                "or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is "
                "'[-._a-zA-Z0-9]+')"
            ],
        ),
        (of(data={"..": "x"}), ["data[..]: Invalid value: \"..\": must not be '..'"]),
        (
            of(data={"a": "x"}, binaryData={"a": "eA=="}),
            ['data[a]: Invalid value: "a": duplicate of key present in binaryData'],
        ),
        (of(data={"a": "x" * (1024 * 1024 + 1)}), [": Too long: may not be more than 1048576 bytes"]),
    ],
)
def test_config_maps(obj: Obj, expected: list[str]) -> None:
    assert faults(CONFIG_MAPS, obj) == expected


@pytest.mark.parametrize("resource", [CONFIG_MAPS, SECRETS])
def test_what_is_immutable_stays_as_it_is(resource: Any) -> None:
    old = created(resource, of(immutable=True, data={"a": "eA=="}))
    new = {**copy.deepcopy(old), "immutable": False, "data": {"a": "eQ=="}}
    rule = "field is immutable when `immutable` is set"
    assert update_faults(resource, old, new) == [f"immutable: Forbidden: {rule}", f"data: Forbidden: {rule}"]


def test_a_secret_folds_its_plain_strings() -> None:
    obj = created(SECRETS, of(data={"a": "eA=="}, stringData={"b": "y"}))
    assert obj["data"] == {"a": "eA==", "b": "eQ=="}
    assert "stringData" not in obj
    assert obj["type"] == "Opaque"


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        (of(type="kubernetes.io/tls"), ["data[tls.crt]: Required value", "data[tls.key]: Required value"]),
        (of(type="kubernetes.io/dockerconfigjson"), ["data[.dockerconfigjson]: Required value"]),
        (of(type="example.com/any"), []),
        (
            of(type="kubernetes.io/service-account-token"),
            ["metadata.annotations[kubernetes.io/service-account.name]: Required value"],
        ),
    ],
)
def test_secrets_of_known_types(obj: Obj, expected: list[str]) -> None:
    assert faults(SECRETS, obj) == expected


def test_the_type_of_a_secret_never_changes() -> None:
    old = created(SECRETS, of())
    new = {**copy.deepcopy(old), "type": "other"}
    assert update_faults(SECRETS, old, new) == ['type: Invalid value: "other": field is immutable']


def test_rows_of_config_maps_and_secrets() -> None:
    assert list(row(CONFIG_MAPS, of(data={"a": "x"}, binaryData={"b": "eA=="})).values()) == ["web", 2, "60m"]
    assert list(row(SECRETS, of(type="Opaque", data={"a": "x"})).values()) == ["web", "Opaque", 1, "60m"]


# --- Namespaces and Nodes


def test_a_namespace_is_active_labelled_and_kept_by_its_finalizer() -> None:
    obj = created(NAMESPACES, of())
    assert obj["spec"] == {"finalizers": ["kubernetes"]}
    assert obj["status"] == {"phase": "Active"}
    assert obj["metadata"]["labels"] == {"kubernetes.io/metadata.name": "web"}


def test_an_update_of_a_namespace_leaves_its_finalizers() -> None:
    old = created(NAMESPACES, of())
    new = changed(old, finalizers=[])
    assert update_faults(NAMESPACES, old, new) == []
    assert new["spec"] == {"finalizers": ["kubernetes"]}


def test_a_namespace_is_terminating_only_when_it_is_deleted() -> None:
    old = created(NAMESPACES, of())
    new = {**copy.deepcopy(old), "status": {"phase": "Terminating"}}
    assert [str(cause) for cause in strategy(NAMESPACES).validate_status(new, old)] == [
        'status.Phase: Invalid value: "Terminating": '
        "may only be 'Terminating' if `deletionTimestamp` is not empty"
    ]


def test_a_node_registers_with_its_status() -> None:
    obj = created(NODES, of(spec={"podCIDR": "10.42.0.0/24"}, status={"capacity": {"cpu": "2"}}))
    assert obj["status"] == {"capacity": {"cpu": "2"}, "allocatable": {"cpu": "2"}}
    assert obj["spec"]["podCIDRs"] == ["10.42.0.0/24"]


def test_the_pod_range_of_a_node_is_given_once() -> None:
    old = created(NODES, of(spec={"podCIDR": "10.42.0.0/24", "podCIDRs": ["10.42.0.0/24"]}))
    new = changed(old, podCIDR="10.42.1.0/24", podCIDRs=["10.42.1.0/24"])
    assert update_faults(NODES, old, new) == [
        'spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid'
    ]


@pytest.mark.parametrize(
    ("spec", "conditions", "status"),
    [
        ({}, [], "Unknown"),
        ({}, [{"type": "Ready", "status": "True"}], "Ready"),
        ({}, [{"type": "Ready", "status": "Unknown"}], "NotReady"),
        ({"unschedulable": True}, [{"type": "Ready", "status": "True"}], "Ready,SchedulingDisabled"),
    ],
)
def test_the_status_of_a_node(spec: Obj, conditions: list[Obj], status: str) -> None:
    assert row(NODES, of(spec=spec, status={"conditions": conditions}))["Status"] == status


def test_the_wide_row_of_a_node() -> None:
    info = {
        "kubeletVersion": "v1.36.0", "osImage": "Debian", "kernelVersion": "6.1", "architecture": "amd64",
        "containerRuntimeVersion": "containerd://1.7",
    }  # fmt: skip
    status = {"nodeInfo": info, "addresses": [{"type": "InternalIP", "address": "10.89.0.1"}]}
    labels = {"node-role.kubernetes.io/control-plane": "", "kubernetes.io/role": "x"}
    cells = row(NODES, {"metadata": meta(labels=labels), "status": status})
    assert list(cells.values()) == [
        "web", "Unknown", "control-plane,x", "60m", "v1.36.0", "10.89.0.1", "<none>", "Debian", "6.1 (amd64)",
        "containerd://1.7",
    ]  # fmt: skip


# --- Endpoints and Events


@pytest.mark.parametrize(
    ("subsets", "expected"),
    [
        ([], "<none>"),
        ([{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}], "10.0.0.1:80"),
        (
            [{"addresses": [{"ip": f"10.0.0.{last}"} for last in range(1, 6)], "ports": [{"port": 80}]}],
            "10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 2 more...",
        ),
        ([{"addresses": [{"ip": "10.0.0.1"}]}], "10.0.0.1"),
    ],
)
def test_endpoints_in_a_table(subsets: list[Obj], expected: str) -> None:
    assert row(ENDPOINTS, of(subsets=subsets))["Endpoints"] == expected


def test_faulty_endpoints_are_refused() -> None:
    assert faults(ENDPOINTS, of(subsets=[{}])) == [
        "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`"
    ]
    [fault] = faults(ENDPOINTS, of(subsets=[{"addresses": [{"ip": "169.254.0.1"}]}]))
    assert fault.startswith(
        'subsets[0].addresses[0].ip: Invalid value: "169.254.0.1": may not be in the link-local'
    )


EVENT = {
    "apiVersion": "v1",
    "metadata": meta("web.1"),
    "involvedObject": {
        "kind": "Pod",
        "name": "web",
        "namespace": "default",
        "fieldPath": "spec.containers{a}",
    },
    "type": "Normal",
    "reason": "Pulled",
    "message": " done\n",
    "source": {"component": "kubelet", "host": "n1"},
    "firstTimestamp": "2026-01-02T11:50:00Z",
    "lastTimestamp": "2026-01-02T11:59:00Z",
    "count": 3,
}


def test_an_event_in_a_table() -> None:
    assert list(row(EVENTS, EVENT).values()) == [
        "60s", "Normal", "Pulled", "pod/web", "spec.containers{a}", "kubelet, n1", "done", "10m", 3, "web.1",
    ]  # fmt: skip


def test_an_event_looks_the_same_in_both_groups() -> None:
    new = {
        "apiVersion": "events.k8s.io/v1",
        "metadata": EVENT["metadata"],
        "regarding": EVENT["involvedObject"],
        "type": "Normal",
        "reason": "Pulled",
        "note": "done",
        "deprecatedSource": EVENT["source"],
        "deprecatedFirstTimestamp": EVENT["firstTimestamp"],
        "deprecatedLastTimestamp": EVENT["lastTimestamp"],
        "deprecatedCount": 3,
    }
    assert row(EVENTS_V1, new) == row(EVENTS, EVENT)
    assert strategy(EVENTS_V1).field(new, "regarding.name") == "web"
    assert strategy(EVENTS).field(EVENT, "involvedObject.name") == "web"


def test_an_event_lies_where_its_object_does() -> None:
    about = {"kind": "Pod", "name": "web", "namespace": "other"}
    assert faults(EVENTS, {**EVENT, "involvedObject": about}) == [
        'involvedObject.namespace: Invalid value: "other": does not match event.namespace'
    ]


# --- Volumes


def claim(**spec: Any) -> Obj:
    fields = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}
    return of(spec=fields)


def volume(**spec: Any) -> Obj:
    fields = {
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "1Gi"},
        "hostPath": {"path": "/d"},
        **spec,
    }
    return of(spec=fields)


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        (claim(), []),
        (claim(accessModes=[]), ["spec.accessModes: Required value: at least 1 access mode is required"]),
        (claim(resources={}), ["spec.resources[storage]: Required value"]),
        (
            claim(accessModes=["Any"]),
            [
                'spec.accessModes: Unsupported value: "Any": supported values: "ReadOnlyMany", '
                '"ReadWriteMany", '
                '"ReadWriteOnce", "ReadWriteOncePod"'
            ],
        ),
    ],
)
def test_claims(obj: Obj, expected: list[str]) -> None:
    assert faults(PERSISTENT_VOLUME_CLAIMS, obj) == expected


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        (volume(), []),
        (volume(hostPath=None), ["spec: Required value: must specify a volume type"]),
        (
            volume(capacity={}),
            [
                "spec.capacity: Required value",
                'spec.capacity: Unsupported value: {}: supported values: "storage"',
            ],
        ),
        (
            volume(hostPath=None, local={"path": "/d"}),
            ["spec.nodeAffinity: Required value: Local volume requires node affinity"],
        ),
    ],
)
def test_volumes(obj: Obj, expected: list[str]) -> None:
    assert faults(PERSISTENT_VOLUMES, obj) == expected


def test_a_claim_is_bound_once_and_then_only_grows() -> None:
    old = created(PERSISTENT_VOLUME_CLAIMS, claim())
    bound = changed(old, volumeName="pv")
    assert update_faults(PERSISTENT_VOLUME_CLAIMS, old, bound) == []
    bound["status"] = {"phase": "Bound", "capacity": {"storage": "1Gi"}}
    assert (
        update_faults(
            PERSISTENT_VOLUME_CLAIMS, bound, changed(bound, resources={"requests": {"storage": "2Gi"}})
        )
        == []
    )
    [fault] = update_faults(PERSISTENT_VOLUME_CLAIMS, bound, changed(bound, volumeName="other"))
    assert fault.startswith("spec: Forbidden: spec is immutable after creation except resources.requests")
    smaller = changed(bound, resources={"requests": {"storage": "1Mi"}})
    assert update_faults(PERSISTENT_VOLUME_CLAIMS, bound, smaller) == [
        "spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"
    ]


def test_rows_of_volumes() -> None:
    bound = claim(volumeName="pv", storageClassName="fast", volumeMode="Filesystem")
    bound["status"] = {"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}
    assert list(row(PERSISTENT_VOLUME_CLAIMS, bound).values()) == [
        "web", "Bound", "pv", "1Gi", "RWO", "fast", "<unset>", "60m", "Filesystem",
    ]  # fmt: skip
    obj = created(PERSISTENT_VOLUMES, volume(claimRef={"namespace": "default", "name": "web"}))
    assert list(row(PERSISTENT_VOLUMES, obj).values()) == [
        "web", "1Gi", "RWO", "Retain", "Pending", "default/web", "", "<unset>", "", "60m", "Filesystem",
    ]  # fmt: skip


# --- Quotas and limits


def test_quotas_name_known_resources_and_whole_numbers() -> None:
    assert faults(RESOURCE_QUOTAS, of(spec={"hard": {"pods": "1.5"}})) == [
        'spec.hard[pods]: Invalid value: "1.5": must be an integer'
    ]
    assert faults(RESOURCE_QUOTAS, of(spec={"hard": {"bananas": "1"}})) == [
        'spec.hard[bananas]: Invalid value: "bananas": must be a standard resource type or fully qualified',
        'spec.hard[bananas]: Invalid value: "bananas": must be a standard resource for quota',
    ]


def test_a_quota_in_a_table() -> None:
    status = {"hard": {"pods": "10", "limits.cpu": "4"}, "used": {"pods": "2"}}
    assert list(row(RESOURCE_QUOTAS, of(status=status)).values()) == [
        "web",
        "pods: 2/10",
        "limits.cpu: 0/4",
        "60m",
    ]


def test_a_limit_range_completes_its_defaults_and_refuses_contradictions() -> None:
    obj = created(LIMIT_RANGES, of(spec={"limits": [{"type": "Container", "max": {"cpu": "2"}}]}))
    [item] = obj["spec"]["limits"]
    assert (item["default"], item["defaultRequest"]) == ({"cpu": "2"}, {"cpu": "2"})
    wrong = of(spec={"limits": [{"type": "Pod", "min": {"cpu": "2"}, "max": {"cpu": "1"}}]})
    assert faults(LIMIT_RANGES, wrong) == [
        'spec.limits[0].min[cpu]: Invalid value: "2": min value 2 is greater than max value 1'
    ]
