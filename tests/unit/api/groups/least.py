"""The least object of every kind that is stored: nothing in it could be left out.

Source: API reference v1.36.
"""

from __future__ import annotations

import base64
import copy
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from podium.api.types import Obj
from podium.api.types.resources import BUILT_IN, Resource

LABELS = {"app": "web"}
POD: Obj = {"containers": [{"name": "main", "image": "nginx:1.27"}]}
TEMPLATE: Obj = {"metadata": {"labels": LABELS}, "spec": POD}
WORKLOAD: Obj = {"selector": {"matchLabels": LABELS}, "template": TEMPLATE}
JOB: Obj = {"template": {"spec": {**POD, "restartPolicy": "Never"}}}
CLAIM: Obj = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
HOOK: Obj = {
    "name": "a.example.com",
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
    "clientConfig": {"service": {"name": "hook", "namespace": "default"}},
}
MATCH: Obj = {
    "resourceRules": [
        {
            "apiGroups": ["example.com"],
            "apiVersions": ["v1"],
            "operations": ["CREATE"],
            "resources": ["things"],
        }
    ]
}
ROLE_REF: Obj = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
DEVICE: Obj = {"requests": [{"name": "gpu", "exactly": {"deviceClassName": "gpu.example.com"}}]}


@cache
def signing_request() -> str:
    """A request for a certificate, in PEM and base64."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "someone")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode()


def _fields() -> dict[str, Obj]:
    """By kind; those that need nothing are not there."""
    return {
        "APIService": {
            "spec": {
                "group": "other.example.com", "version": "v1",
                "groupPriorityMinimum": 1, "versionPriority": 1, "insecureSkipTLSVerify": True,
                "service": {"name": "s", "namespace": "default"},
            }
        },
        "CSIDriver": {"spec": {}},
        "CSINode": {"spec": {"drivers": []}},
        "CSIStorageCapacity": {"storageClassName": "standard"},
        "CertificateSigningRequest": {
            "spec": {
                "request": signing_request(), "signerName": "example.com/signer", "usages": ["client auth"],
            }
        },
        "ClusterRoleBinding": {"roleRef": ROLE_REF},
        "ControllerRevision": {"revision": 1, "data": {}},
        "CronJob": {"spec": {"schedule": "@daily", "jobTemplate": {"spec": JOB}}},
        "CustomResourceDefinition": {
            "spec": {
                "group": "example.com", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"},
                "versions": [
                    {
                        "name": "v1", "served": True, "storage": True,
                        "schema": {"openAPIV3Schema": {"type": "object"}},
                    }
                ],
            }
        },
        "DaemonSet": {"spec": WORKLOAD},
        "Deployment": {"spec": WORKLOAD},
        "DeviceClass": {"spec": {}},
        "EndpointSlice": {"addressType": "IPv4", "endpoints": []},
        "Event": {
            "involvedObject": {"namespace": "default"}, "eventTime": "2026-01-02T11:00:00.000000Z",
            "reportingComponent": "example.com/watcher", "reportingInstance": "one", "action": "Look",
            "reason": "Seen", "type": "Normal",
        },
        "FlowSchema": {"spec": {"priorityLevelConfiguration": {"name": "workload-low"}}},
        "HorizontalPodAutoscaler": {
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                "maxReplicas": 2,
            }
        },
        "IPAddress": {"spec": {"parentRef": {"resource": "services", "name": "web", "namespace": "default"}}},
        "Ingress": {
            "spec": {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}},
        },
        "IngressClass": {"spec": {"controller": "example.com/ingress"}},
        "Job": {"spec": JOB},
        "LimitRange": {"spec": {"limits": []}},
        "MutatingAdmissionPolicy": {
            "spec": {
                "matchConstraints": MATCH, "reinvocationPolicy": "Never",
                "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": "[]"}}],
            }
        },
        "MutatingAdmissionPolicyBinding": {"spec": {"policyName": "least"}},
        "NetworkPolicy": {"spec": {"podSelector": {}}},
        "PersistentVolume": {
            "spec": {
                "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"},
                "hostPath": {"path": "/tmp/least"},
            }
        },
        "PersistentVolumeClaim": {"spec": CLAIM},
        "Pod": {"spec": POD},
        "PodTemplate": {"template": TEMPLATE},
        "PriorityClass": {"value": 1},
        "PriorityLevelConfiguration": {
            "spec": {"type": "Limited", "limited": {"limitResponse": {"type": "Reject"}}}
        },
        "ReplicaSet": {"spec": WORKLOAD},
        "ReplicationController": {"spec": {"template": TEMPLATE}},
        "ResourceClaim": {"spec": {"devices": DEVICE}},
        "ResourceClaimTemplate": {"spec": {"spec": {"devices": DEVICE}}},
        "ResourceSlice": {
            "spec": {
                "driver": "gpu.example.com", "nodeName": "one",
                "pool": {"name": "one", "generation": 1, "resourceSliceCount": 1},
            }
        },
        "RoleBinding": {"roleRef": ROLE_REF},
        "RuntimeClass": {"handler": "runc"},
        "Service": {"spec": {"ports": [{"port": 80}]}},
        "ServiceCIDR": {"spec": {"cidrs": ["10.99.0.0/24"]}},
        "StatefulSet": {"spec": WORKLOAD},
        "StorageClass": {"provisioner": "example.com/disks"},
        "ValidatingAdmissionPolicy": {
            "spec": {"matchConstraints": MATCH, "validations": [{"expression": "true"}]}
        },
        "ValidatingAdmissionPolicyBinding": {"spec": {"policyName": "least", "validationActions": ["Deny"]}},
        "VolumeAttachment": {
            "spec": {
                "attacher": "csi.example.com", "nodeName": "one",
                "source": {"persistentVolumeName": "disk"},
            }
        },
        "VolumeAttributesClass": {"driverName": "csi.example.com", "parameters": {"speed": "fast"}},
        "MutatingWebhookConfiguration": {"webhooks": [HOOK]},
        "ValidatingWebhookConfiguration": {"webhooks": [HOOK]},
    }  # fmt: skip


_NAMES = {
    "APIService": "v1.other.example.com",
    "CustomResourceDefinition": "things.example.com",
    "IPAddress": "10.43.7.7",
}
STORED = [entry for entry in BUILT_IN if {"create", "get"} <= set(entry.verbs)]


def name_of(resource: Resource) -> str:
    return _NAMES.get(resource.kind, "least")


def least(resource: Resource, **meta: Any) -> Obj:
    """A new object, as a client sends it."""
    obj: Obj = {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": name_of(resource), **meta},
        **copy.deepcopy(_fields().get(resource.kind, {})),
    }
    if resource.group == "events.k8s.io":
        obj["regarding"] = obj.pop("involvedObject")
        obj["reportingController"] = obj.pop("reportingComponent")
    return obj


def bent(resource: Resource, changes: dict[str, Any]) -> Obj:
    """The least object with other values at paths like `spec/ports/0/port`; None takes a field away."""
    return bend(least(resource), changes)


def bend(given: Obj, changes: dict[str, Any]) -> Obj:
    """A copy with other values at these paths."""
    obj = copy.deepcopy(given)
    for path, value in changes.items():
        *parents, last = path.split("/")
        place: Any = obj
        for part in parents:
            place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
    return obj
