"""Kinds that are data alone go through every verb, by the dynamic part of the official Python client, which finds
them by discovery."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from kubernetes import client
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import ConflictError, NotFoundError

from podium.api.types.meta import suffix
from tests.conformance.coverage_report import covers
from tests.conformance.objects import Obj, container
from tests.conformance.waiting import eventually

MERGE = "application/merge-patch+json"
RULE = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"]}
DEVICES = {"devices": {"requests": [{"name": "one", "exactly": {"deviceClassName": "example.com"}}]}}


class Kind(NamedTuple):
    version: str
    name: str
    body: Obj
    covered: str
    change: Obj | None = None
    status: Obj | None = None


def kind(version: str, name: str, body: Obj, covered: str, **more: Any) -> Any:
    """`body` is the object without its metadata, `change` a merge patch of it."""
    marks = covers(covered) if covered else ()
    return pytest.param(Kind(version, name, body, covered, **more), id=name, marks=marks)


KINDS = [
    kind("coordination.k8s.io/v1", "Lease",
         {"spec": {"holderIdentity": "me", "leaseDurationSeconds": 30, "acquireTime": "2026-01-01T00:00:00.000000Z"}},
         "[sig-node] Lease lease API should be available [Conformance]",
         change={"spec": {"holderIdentity": "you", "leaseTransitions": 1}}),
    kind("v1", "PodTemplate", {"template": {"spec": {"containers": [container()]}}},
         "[sig-node] PodTemplates should run the lifecycle of PodTemplates [Conformance]"),
    kind("v1", "ServiceAccount", {"automountServiceAccountToken": False},
         "[sig-auth] ServiceAccounts should run through the lifecycle of a ServiceAccount [Conformance]",
         change={"automountServiceAccountToken": True}),
    kind("v1", "LimitRange",
         {"spec": {"limits": [{"type": "Container", "min": {"memory": "1Mi"}, "default": {"memory": "8Mi"}}]}},
         "[sig-scheduling] LimitRange should list, patch and delete a LimitRange by collection [Conformance]",
         change={"spec": {"limits": [{"type": "Container", "min": {"memory": "2Mi"}}]}}),
    kind("discovery.k8s.io/v1", "EndpointSlice",
         {"addressType": "IPv4", "endpoints": [{"addresses": ["10.42.0.250"]}], "ports": [{"name": "a", "port": 80}]},
         "[sig-network] EndpointSlice should support creating EndpointSlice API operations [Conformance]"),
    kind("networking.k8s.io/v1", "Ingress",
         {"spec": {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}}},
         "[sig-network] Ingress API should support creating Ingress API operations [Conformance]",
         status={"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}),
    kind("networking.k8s.io/v1", "IngressClass", {"spec": {"controller": "example.com/controller"}},
         "[sig-network] IngressClass API should support creating IngressClass API operations [Conformance]"),
    kind("node.k8s.io/v1", "RuntimeClass", {"handler": "other"},
         "[sig-node] RuntimeClass should support RuntimeClasses API operations [Conformance]"),
    kind("scheduling.k8s.io/v1", "PriorityClass", {"value": 7},
         "[sig-scheduling] SchedulerPreemption [Serial] PriorityClass endpoints verify PriorityClass endpoints can be operated with different HTTP methods [Conformance]",
         change={"description": "changed"}),
    kind("storage.k8s.io/v1", "StorageClass", {"provisioner": "example.com/disk"},
         "[sig-storage] StorageClasses CSI Conformance should run through the lifecycle of a StorageClass [Conformance]"),
    kind("storage.k8s.io/v1", "CSIDriver", {"spec": {"attachRequired": False}},
         "[sig-storage] CSIInlineVolumes should run through the lifecycle of a CSIDriver [Conformance]"),
    kind("storage.k8s.io/v1", "CSINode", {"spec": {"drivers": [{"name": "example.com", "nodeID": "n"}]}},
         "[sig-storage] CSINodes CSI Conformance should run through the lifecycle of a csinode [Conformance]"),
    kind("storage.k8s.io/v1", "CSIStorageCapacity", {"storageClassName": "fast", "capacity": "1Gi"},
         "[sig-storage] CSIStorageCapacity should support CSIStorageCapacities API operations [Conformance]",
         change={"capacity": "2Gi"}),
    kind("storage.k8s.io/v1", "VolumeAttachment",
         {"spec": {"attacher": "example.com", "nodeName": "none", "source": {"persistentVolumeName": "pv"}}},
         "[sig-storage] VolumeAttachment Conformance should run through the lifecycle of a VolumeAttachment [Conformance]",
         status={"attached": True}),
    kind("storage.k8s.io/v1", "VolumeAttributesClass", {"driverName": "example.com", "parameters": {"iops": "10"}},
         "[sig-storage] VolumeAttributesClass [FeatureGate:VolumeAttributesClass] should run through the lifecycle of a VolumeAttributesClass [Conformance]"),
    kind("flowcontrol.apiserver.k8s.io/v1", "FlowSchema",
         {"spec": {"matchingPrecedence": 10000, "priorityLevelConfiguration": {"name": "global-default"},
                   "distinguisherMethod": {"type": "ByUser"}}},
         "[sig-api-machinery] API priority and fairness should support FlowSchema API operations [Conformance]",
         change={"spec": {"matchingPrecedence": 9999}},
         status={"conditions": [{"type": "Dangling", "status": "False", "reason": "Test", "message": "none",
                                 "lastTransitionTime": "2026-01-01T00:00:00Z"}]}),
    kind("flowcontrol.apiserver.k8s.io/v1", "PriorityLevelConfiguration",
         {"spec": {"type": "Limited", "limited": {"nominalConcurrencyShares": 2, "limitResponse": {"type": "Reject"}}}},
         "[sig-api-machinery] API priority and fairness should support PriorityLevelConfiguration API operations [Conformance]",
         change={"spec": {"limited": {"nominalConcurrencyShares": 4}}}),
    kind("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy",
         {"spec": {"matchConstraints": {"resourceRules": [RULE]}, "validations": [{"expression": "true"}]}},
         "[sig-api-machinery] ValidatingAdmissionPolicy [Privileged:ClusterAdmin] should support ValidatingAdmissionPolicy API operations [Conformance]",
         change={"spec": {"validations": [{"expression": "1 == 1"}]}}),
    kind("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding",
         {"spec": {"policyName": "none", "validationActions": ["Audit"]}},
         "[sig-api-machinery] ValidatingAdmissionPolicy [Privileged:ClusterAdmin] should support ValidatingAdmissionPolicyBinding API operations [Conformance]",
         change={"spec": {"validationActions": ["Warn"]}}),
    kind("resource.k8s.io/v1", "DeviceClass", {"spec": {"selectors": [{"cel": {"expression": "true"}}]}},
         "[sig-node] [DRA] CRUD Tests resource.k8s.io/v1 DeviceClass [Conformance]"),
    kind("resource.k8s.io/v1", "ResourceClaim", {"spec": DEVICES},
         "[sig-node] [DRA] CRUD Tests resource.k8s.io/v1 ResourceClaim [Conformance]"),
    kind("resource.k8s.io/v1", "ResourceClaimTemplate", {"spec": {"spec": DEVICES}},
         "[sig-node] [DRA] CRUD Tests resource.k8s.io/v1 ResourceClaimTemplate [Conformance]"),
    kind("resource.k8s.io/v1", "ResourceSlice",
         {"spec": {"driver": "example.com", "nodeName": "none", "devices": [{"name": "one"}],
                   "pool": {"name": "pool", "generation": 1, "resourceSliceCount": 1}}},
         "[sig-node] [DRA] CRUD Tests resource.k8s.io/v1 ResourceSlice [Conformance]"),
    kind("v1", "ConfigMap", {"data": {"a": "1"}}, "", change={"data": {"a": "2"}}),
    kind("rbac.authorization.k8s.io/v1", "ClusterRole",
         {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}, ""),
    kind("networking.k8s.io/v1", "NetworkPolicy", {"spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}, ""),
    kind("batch/v1", "CronJob",
         {"spec": {"schedule": "0 0 1 1 *", "suspend": True, "jobTemplate": {"spec": {"template": {"spec": {
             "restartPolicy": "Never", "containers": [container()]}}}}}},
         "[sig-apps] CronJob should support CronJob API operations [Conformance]",
         change={"spec": {"schedule": "0 1 1 1 *"}}, status={"lastScheduleTime": "2026-01-01T00:00:00Z"}),
]  # fmt: skip


@pytest.fixture(scope="module")
def dynamic(python_client: client.ApiClient) -> DynamicClient:
    return DynamicClient(python_client)


@pytest.fixture
def namespace(python_client: client.ApiClient) -> Iterator[str]:
    core, name = client.CoreV1Api(python_client), f"test-{suffix()}"
    core.create_namespace({"metadata": {"name": name}})
    yield name
    core.delete_namespace(name)


def contains(whole: Any, part: Any) -> bool:
    """Whether everything of `part` is there; defaults may have come to it."""
    if isinstance(part, dict):
        return all(key in whole and contains(whole[key], value) for key, value in part.items())
    if isinstance(part, list):
        return len(whole) == len(part) and all(map(contains, whole, part))
    return bool(whole == part)


@pytest.mark.parametrize("kind", KINDS)
def test_every_verb_of_a_kind_works(dynamic: DynamicClient, namespace: str, kind: Kind) -> None:
    resource = dynamic.resources.get(api_version=kind.version, kind=kind.name)
    where = {"namespace": namespace} if resource.namespaced else {}
    labels, label = {"test": namespace}, f"test={namespace}"

    def create(name: str) -> Any:
        metadata = {"name": f"{name}-{namespace}", "labels": labels, "annotations": {"step": "created"}}
        return resource.create(
            {"apiVersion": kind.version, "kind": kind.name, "metadata": metadata, **kind.body}, **where
        )

    def found() -> list[str]:
        return [
            item.metadata.name.removesuffix(f"-{namespace}")
            for item in resource.get(label_selector=label).items
        ]

    made, name = create("a"), f"a-{namespace}"
    start = made.metadata.resourceVersion
    assert resource.get(name=name, **where).metadata.uid == made.metadata.uid
    create("b")
    create("c")
    assert found() == ["a", "b", "c"]
    body = {"metadata": {"annotations": {"step": "patched"}}, **(kind.change or {})}
    patched = resource.patch(body, name=name, content_type=MERGE, **where)
    assert patched.metadata.annotations.step == "patched"
    assert contains(patched.to_dict(), kind.change or {})
    replaced = _replace(resource, {"metadata": {"annotations": {"step": "replaced"}}}, name, where)
    assert replaced.metadata.annotations.step == "replaced"
    if kind.status:
        shown = resource.status.patch({"status": kind.status}, name=name, content_type=MERGE, **where)
        assert contains(shown.to_dict()["status"], kind.status)
        _replace(resource.status, {"status": kind.status}, name, where)
    # Some are held by a finalizer of their controller's until it has looked.
    resource.delete(name=name, **where)
    eventually(found, lambda names: names == ["b", "c"])
    with pytest.raises(NotFoundError):
        resource.get(name=name, **where)
    resource.delete(label_selector=label, **where)
    eventually(found, lambda names: names == [])
    events = []
    for event in resource.watch(resource_version=start, label_selector=label, timeout=10, **where):
        events.append(event)
        if sum(each["type"] == "DELETED" for each in events) == 3:
            break
    of_a = [event["type"] for event in events if event["object"].metadata.name == name]
    assert of_a == ["MODIFIED"] * (len(of_a) - 1) + ["DELETED"]
    assert len(of_a) >= 3


def _replace(resource: Any, change: Obj, name: str, where: Obj) -> Any:
    """Puts what is there, changed: again when a controller of the server was faster."""
    for _ in range(10):
        current = resource.get(name=name, **where).to_dict()
        for part, fields in change.items():
            current[part] = merged(current.get(part) or {}, fields)
        try:
            return resource.replace(current, **where)
        except ConflictError:
            continue
    raise AssertionError(f"{name} was never the same for long enough to be replaced")


def merged(old: Obj, new: Obj) -> Obj:
    return old | {
        name: merged(old[name], value)
        if isinstance(value, dict) and isinstance(old.get(name), dict)
        else value
        for name, value in new.items()
    }
