"""What of each kind never changes, and how an attempt is refused; which changes count its generation up.

Source: API reference v1.36; the messages are those of upstream's API server.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest

from podium.api.types import Obj
from podium.api.types import resources as of
from podium.api.types.resources import Resource
from tests.unit.api.groups.build import created, meta, strategy, update_faults
from tests.unit.api.groups.least import STORED, bend, bent, name_of


def stored(resource: Resource, changes: dict[str, Any] | None = None) -> Obj:
    obj = bent(resource, changes or {})
    obj["metadata"] = {**meta(name_of(resource)), **obj["metadata"]}
    return created(resource, obj)


FIXED: list[tuple[Resource, dict[str, Any], dict[str, Any], list[str]]] = [
    (of.SECRETS, {"type": "a"}, {"type": "b"}, ['type: Invalid value: "b": field is immutable']),
    (of.SECRETS, {"immutable": True}, {"immutable": False},
     ["immutable: Forbidden: field is immutable when `immutable` is set"]),
    (of.CONFIG_MAPS, {"immutable": True, "data": {"a": "1"}}, {"data": {"a": "2"}},
     ["data: Forbidden: field is immutable when `immutable` is set"]),
    (of.CONFIG_MAPS, {"immutable": True}, {"binaryData": {"a": "MQ=="}},
     ["binaryData: Forbidden: field is immutable when `immutable` is set"]),
    (of.NODES, {"spec/podCIDR": "10.0.0.0/24"}, {"spec/podCIDR": "10.1.0.0/24", "spec/podCIDRs": None},
     ['spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid']),
    (of.NODES, {"spec/providerID": "a"}, {"spec/providerID": "b"},
     ['spec.providerID: Forbidden: node updates may not change providerID except from "" to valid']),
    (of.RESOURCE_QUOTAS, {"spec/scopes": ["BestEffort"]}, {"spec/scopes": ["Terminating"]},
     ['spec.scopes: Invalid value: ["Terminating"]: field is immutable']),
    (of.SERVICES, {"spec/clusterIP": "10.0.0.1"}, {"spec/clusterIP": "10.0.0.2",
        "spec/clusterIPs": ["10.0.0.2"]},
     ['spec.clusterIPs[0]: Invalid value: ["10.0.0.2"]: may not change once set']),
    (of.SERVICES, {}, {"spec/ipFamilies": ["IPv6"]}, None),
    (of.SERVICES, {"spec/type": "LoadBalancer", "spec/loadBalancerClass": "a.io/b"},
     {"spec/loadBalancerClass": "a.io/c"},
     ['spec.loadBalancerClass: Invalid value: "a.io/c": may not change once set']),
    (of.PERSISTENT_VOLUMES, {}, {"spec/volumeMode": "Block"},
     ['volumeMode: Invalid value: "Block": field is immutable']),
    (of.PERSISTENT_VOLUMES, {}, {"spec/hostPath/path": "/other"}, None),
    (of.PERSISTENT_VOLUME_CLAIMS, {}, {"spec/accessModes": ["ReadWriteMany"]}, None),
    *((kind, {}, {"spec/selector/matchLabels": {"app": "web", "tier": "a"},
                  "spec/template/metadata/labels": {"app": "web", "tier": "a"}},
       ['spec.selector: Invalid value: {"matchLabels":{"app":"web","tier":"a"}}: field is immutable'])
      for kind in (of.DEPLOYMENTS, of.REPLICA_SETS, of.DAEMON_SETS)),
    (of.STATEFUL_SETS, {}, {"spec/serviceName": "other"},
     ["spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', "
       "'template', "
      "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and "
        "'minReadySeconds' "
      "are forbidden"]),
    (of.CONTROLLER_REVISIONS, {}, {"data": {"a": 1}}, ['data: Invalid value: {"a":1}: field is immutable']),
    (of.JOBS, {}, {"spec/completionMode": "Indexed"}, None),
    (of.JOBS, {}, {"spec/completions": 2}, ["spec.completions: Invalid value: 2: field is immutable"]),
    (of.INGRESS_CLASSES, {}, {"spec/controller": "example.com/other"},
     ['spec.controller: Invalid value: "example.com/other": field is immutable']),
    (of.SERVICE_CIDRS, {}, {"spec/cidrs": ["10.98.0.0/24"]},
     ['spec.cidrs[0]: Invalid value: "10.98.0.0/24": field is immutable']),
    (of.SERVICE_CIDRS, {}, {"spec/cidrs": ["10.99.0.0/24", "fd00::/112"]}, []),
    (of.IP_ADDRESSES, {}, {"spec/parentRef/name": "other"},
     ['spec.parentRef: Invalid value: {"resource":"services","name":"other","namespace":"default"}: field is '
      "immutable"]),
    (of.ENDPOINT_SLICES, {}, {"addressType": "IPv6"},
     ['addressType: Invalid value: "IPv6": field is immutable']),
    (of.STORAGE_CLASSES, {}, {"reclaimPolicy": "Retain"},
     ['reclaimPolicy: Invalid value: "Retain": field is immutable']),
    (of.CSI_DRIVERS, {}, {"spec/attachRequired": False},
     ["spec.attachedRequired: Invalid value: false: field is immutable"]),
    (of.CSI_NODES, {"spec/drivers": [{"name": "d", "nodeID": "n"}]},
     {"spec/drivers": [{"name": "d", "nodeID": "m"}]},
     ['spec.drivers: Invalid value: {"name":"d","nodeID":"m"}: field is immutable']),
    (of.CSI_STORAGE_CAPACITIES, {}, {"storageClassName": "other"},
     ['storageClassName: Invalid value: "other": field is immutable']),
    (of.VOLUME_ATTACHMENTS, {}, {"spec/nodeName": "two"}, None),
    (of.VOLUME_ATTRIBUTES_CLASSES, {}, {"driverName": "other.example.com"},
     ["driverName: Forbidden: updates to driverName are forbidden."]),
    (of.PRIORITY_CLASSES, {}, {"value": 2}, ["value: Forbidden: may not be changed in an update."]),
    (of.PRIORITY_CLASSES, {}, {"preemptionPolicy": "Never"},
     ['preemptionPolicy: Invalid value: "Never": field is immutable']),
    (of.RUNTIME_CLASSES, {}, {"handler": "other"}, ['handler: Invalid value: "other": field is immutable']),
    (of.ROLE_BINDINGS, {}, {"roleRef/name": "edit"},
     ['roleRef: Invalid value: {"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"edit"}: '
      "cannot change roleRef"]),
    (of.RESOURCE_CLAIMS, {}, {"spec/devices/requests": []}, None),
    (of.RESOURCE_CLAIM_TEMPLATES, {}, {"spec/metadata": {"labels": {"a": "b"}}}, None),
    (of.RESOURCE_SLICES, {}, {"spec/driver": "other.example.com"},
     ['spec.driver: Invalid value: "other.example.com": field is immutable']),
    (of.EVENTS_V1, {}, {"reason": "Other"}, ['reason: Invalid value: "Other": field is immutable']),
]  # fmt: skip


@pytest.mark.parametrize(
    ("resource", "given", "changes", "expected"),
    FIXED,
    ids=[f"{case[0].plural}-{index}" for index, case in enumerate(FIXED)],
)
def test_what_is_fixed_is_refused_to_change(
    resource: Resource, given: dict[str, Any], changes: dict[str, Any], expected: list[str] | None
) -> None:
    old = stored(resource, given)
    found = update_faults(resource, old, bend(old, changes))
    if expected is None:
        assert found, "some words of it show the whole object"
    else:
        assert found == expected


COUNTED = [entry for entry in STORED if strategy(entry).has_generation]


@pytest.mark.parametrize("resource", COUNTED, ids=lambda entry: entry.plural)
def test_labels_and_the_status_do_not_count_a_generation_up(resource: Resource) -> None:
    old = stored(resource)
    new = bend(old, {"metadata/labels": {"a": "b"}})
    if strategy(resource).has_status:
        new["status"] = {**(new.get("status") or {}), "conditions": []}
    strategy(resource).prepare_update(new, old)
    assert new["metadata"]["generation"] == old["metadata"]["generation"] == 1


CHANGES: list[tuple[Resource, dict[str, Any]]] = [
    (of.DEPLOYMENTS, {"spec/replicas": 3}),
    (of.DEPLOYMENTS, {"metadata/annotations": {"a": "b"}}),
    (of.REPLICA_SETS, {"spec/replicas": 3}),
    (of.STATEFUL_SETS, {"spec/replicas": 3}),
    (of.DAEMON_SETS, {"spec/minReadySeconds": 3}),
    (of.JOBS, {"spec/suspend": True}),
    (of.CRON_JOBS, {"spec/suspend": True}),
    (of.REPLICATION_CONTROLLERS, {"spec/replicas": 3}),
    (of.PODS, {"spec/activeDeadlineSeconds": 3}),
    (of.POD_TEMPLATES, {"template/spec/nodeName": "one"}),
    (of.INGRESSES, {"spec/ingressClassName": "a"}),
    (of.INGRESS_CLASSES, {"spec/parameters": {"kind": "k", "name": "n"}}),
    (of.NETWORK_POLICIES, {"spec/podSelector": {"matchLabels": {"a": "b"}}}),
    (of.POD_DISRUPTION_BUDGETS, {"spec/minAvailable": 1}),
    (of.ENDPOINT_SLICES, {"ports": [{"port": 80}]}),
    (of.PRIORITY_CLASSES, {"description": "a"}),
    (of.CSI_DRIVERS, {"spec/requiresRepublish": True}),
    (of.FLOW_SCHEMAS, {"spec/matchingPrecedence": 7}),
    (of.PRIORITY_LEVEL_CONFIGURATIONS, {"spec/limited/nominalConcurrencyShares": 7}),
    (of.VALIDATING_WEBHOOK_CONFIGURATIONS, {"webhooks": []}),
    (of.MUTATING_ADMISSION_POLICY_BINDINGS, {"spec/policyName": "other"}),
    (of.DEVICE_CLASSES, {"spec/extendedResourceName": "example.com/gpu"}),
    (of.RESOURCE_SLICES, {"spec/devices": [{"name": "a"}]}),
]  # fmt: skip


@pytest.mark.parametrize(("resource", "changes"), CHANGES, ids=lambda part: getattr(part, "plural", ""))
def test_what_is_wanted_counts_a_generation_up(resource: Resource, changes: dict[str, Any]) -> None:
    old = stored(resource)
    new = bend(old, changes)
    strategy(resource).prepare_update(new, old)
    assert new["metadata"]["generation"] == 2


@pytest.mark.parametrize("resource", STORED, ids=lambda entry: f"{entry.plural}.{entry.group}")
def test_only_the_status_of_a_status_is_taken(resource: Resource) -> None:
    """Whatever else is sent to it is as it was."""
    kind, old = strategy(resource), stored(resource)
    if not kind.has_status:
        return
    new = copy.deepcopy(old)
    for key in new.keys() - {"status", "metadata", "apiVersion", "kind"}:
        new[key] = {"changed": True}
    new["status"] = {"told": True}
    kind.prepare_status(new, old)
    assert new["status"]["told"] is True
    assert {key: new[key] for key in new.keys() - {"status", "metadata"}} == {
        key: old[key] for key in old.keys() - {"status", "metadata"}
    }
