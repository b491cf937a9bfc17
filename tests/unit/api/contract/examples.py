"""One object of each of a good many kinds, with something of everything that documents can get wrong: maps,
quantities, times, int-or-string, base64, lists in lists."""

from __future__ import annotations

from typing import NamedTuple

from podium.api.types import Obj
from podium.api.types import resources as kinds
from podium.api.types.resources import Resource

LABELS = {"app": "web"}
POD_SPEC: Obj = {
    "terminationGracePeriodSeconds": 0,
    "containers": [
        {
            "name": "main",
            "image": "nginx",
            "ports": [{"containerPort": 80, "name": "http"}],
            "env": [
                {"name": "A", "value": "b"},
                {"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            ],
            "resources": {"requests": {"cpu": "100m", "memory": "16Mi"}, "limits": {"memory": "32Mi"}},
            "livenessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 5},
            "readinessProbe": {"tcpSocket": {"port": 80}},
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        }
    ],
    "volumes": [{"name": "data", "emptyDir": {"sizeLimit": "1Mi"}}],
    "tolerations": [{"key": "x", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}],
}
TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
TEMPLATE: Obj = {"metadata": {"labels": LABELS}, "spec": POD_SPEC}
JOB_TEMPLATE: Obj = {"metadata": {"labels": LABELS}, "spec": {**POD_SPEC, "restartPolicy": "Never"}}
RULE = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}


class Example(NamedTuple):
    resource: Resource
    obj: Obj
    """Without kind and metadata."""

    @property
    def path(self) -> str:
        return self.resource.path("default")

    def made(self, name: str) -> Obj:
        metadata = {"name": name, "labels": LABELS, "annotations": {"a": "b"}, "creationTimestamp": None}
        kind = {"apiVersion": self.resource.api_version, "kind": self.resource.kind}
        return {**kind, "metadata": metadata, **self.obj}


def _set(**spec: object) -> Obj:
    return {"spec": {"selector": {"matchLabels": LABELS}, "template": TEMPLATE, **spec}}


EXAMPLES = [
    Example(kinds.PODS, {"spec": POD_SPEC}),
    Example(kinds.CONFIG_MAPS, {"data": {"a": "b"}, "binaryData": {"c": "AAEC"}}),
    Example(kinds.SECRETS, {"stringData": {"a": "b"}, "data": {"c": "AAEC"}}),
    Example(kinds.SERVICES, {"spec": {"selector": LABELS, "ports": [{"port": 80, "targetPort": "http"}]}}),
    Example(kinds.SERVICE_ACCOUNTS, {"automountServiceAccountToken": False}),
    Example(kinds.ENDPOINTS, {"subsets": [{"addresses": [{"ip": "10.42.0.9"}], "ports": [{"port": 80}]}]}),
    Example(kinds.POD_TEMPLATES, {"template": TEMPLATE}),
    Example(kinds.RESOURCE_QUOTAS, {"spec": {"hard": {"pods": 100, "requests.cpu": "10"}}}),
    Example(kinds.LIMIT_RANGES, {"spec": {"limits": [{"type": "Pod", "max": {"memory": "1Gi"}}]}}),
    Example(
        kinds.REPLICATION_CONTROLLERS, {"spec": {"replicas": 0, "selector": LABELS, "template": TEMPLATE}}
    ),
    Example(kinds.NAMESPACES, {}),
    Example(kinds.NODES, {"spec": {"taints": [{"key": "x", "effect": "NoSchedule"}]}}),
    Example(
        kinds.PERSISTENT_VOLUME_CLAIMS,
        {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}},
    ),
    Example(
        kinds.DEPLOYMENTS,
        _set(replicas=2, strategy={"rollingUpdate": {"maxSurge": "50%", "maxUnavailable": 0}}),
    ),
    Example(kinds.REPLICA_SETS, _set(replicas=0)),
    Example(kinds.STATEFUL_SETS, _set(serviceName="web")),
    Example(kinds.DAEMON_SETS, _set()),
    Example(kinds.CONTROLLER_REVISIONS, {"revision": 1, "data": {"any": [1, "thing"]}}),
    Example(kinds.JOBS, {"spec": {"template": JOB_TEMPLATE}}),
    Example(
        kinds.CRON_JOBS,
        {"spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": JOB_TEMPLATE}}}},
    ),
    Example(
        kinds.HORIZONTAL_POD_AUTOSCALERS,
        {"spec": {"maxReplicas": 3, "scaleTargetRef": TARGET}},
    ),
    Example(
        kinds.POD_DISRUPTION_BUDGETS, {"spec": {"minAvailable": "50%", "selector": {"matchLabels": LABELS}}}
    ),
    Example(
        kinds.INGRESSES,
        {"spec": {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}}},
    ),
    Example(
        kinds.NETWORK_POLICIES,
        {"spec": {"podSelector": {}, "ingress": [{"ports": [{"port": 80}, {"port": "http"}]}]}},
    ),
    Example(
        kinds.ENDPOINT_SLICES,
        {
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.42.0.9"]}],
            "ports": [{"name": "", "port": 80}],
        },
    ),
    Example(kinds.LEASES, {"spec": {"holderIdentity": "me", "renewTime": "2026-01-01T00:00:00.000001Z"}}),
    Example(kinds.ROLES, {"rules": [RULE]}),
    Example(kinds.CLUSTER_ROLES, {"rules": [RULE]}),
    Example(kinds.STORAGE_CLASSES, {"provisioner": "example.com/disk", "parameters": {"a": "b"}}),
    Example(kinds.PRIORITY_CLASSES, {"value": 10}),
]
