"""What every kind's least object is completed with: exactly this, and nothing else.

Source: API reference v1.36.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from podium.api.types import resources as of
from podium.api.types.resources import Resource
from tests.unit.api.groups.build import created, meta
from tests.unit.api.groups.least import STORED, least, name_of

TEMPLATE = {
    "containers/0/imagePullPolicy": "IfNotPresent",
    "containers/0/terminationMessagePath": "/dev/termination-log",
    "containers/0/terminationMessagePolicy": "File",
    "containers/0/resources": {},
    "dnsPolicy": "ClusterFirst",
    "restartPolicy": "Always",
    "securityContext": {},
    "terminationGracePeriodSeconds": 30,
    "schedulerName": "default-scheduler",
}


def template(path: str, **others: Any) -> dict[str, Any]:
    """What a pod template at `path` gets, but for what is given already."""
    return {f"{path}/{key}": value for key, value in {**TEMPLATE, **others}.items() if value is not None}


MATCH = {
    "spec/matchConstraints/resourceRules/0/scope": "*",
    "spec/matchConstraints/matchPolicy": "Equivalent",
    "spec/matchConstraints/namespaceSelector": {},
    "spec/matchConstraints/objectSelector": {},
    "spec/failurePolicy": "Fail",
}
HOOK = {
    "webhooks/0/clientConfig/service/port": 443,
    "webhooks/0/failurePolicy": "Fail",
    "webhooks/0/timeoutSeconds": 10,
    "webhooks/0/matchPolicy": "Equivalent",
    "webhooks/0/namespaceSelector": {},
    "webhooks/0/objectSelector": {},
}
SCALER = {
    "spec/minReplicas": 1,
    "spec/metrics/0/type": "Resource",
    "spec/metrics/0/resource/name": "cpu",
    "spec/metrics/0/resource/target/type": "Utilization",
    "spec/metrics/0/resource/target/averageUtilization": 80,
}
CLAIM = {"exactly/allocationMode": "ExactCount", "exactly/count": 1}
DEFAULTS: dict[Resource, dict[str, Any]] = {
    of.NAMESPACES: {"spec/finalizers/0": "kubernetes"},
    of.NODES: {"spec": {}},
    of.PERSISTENT_VOLUME_CLAIMS: {"spec/volumeMode": "Filesystem"},
    of.PERSISTENT_VOLUMES: {
        "spec/hostPath/type": "",
        "spec/persistentVolumeReclaimPolicy": "Retain",
        "spec/volumeMode": "Filesystem",
    },
    of.PODS: {**template("spec"), "spec/enableServiceLinks": True},
    of.POD_TEMPLATES: template("template/spec"),
    of.REPLICATION_CONTROLLERS: {
        **template("spec/template/spec"),
        "spec/replicas": 1,
        "spec/selector/app": "web",
    },
    of.SECRETS: {"type": "Opaque"},
    of.SERVICES: {
        "spec/ports/0/protocol": "TCP",
        "spec/ports/0/targetPort": 80,
        "spec/type": "ClusterIP",
        "spec/sessionAffinity": "None",
        "spec/internalTrafficPolicy": "Cluster",
        "spec/ipFamilyPolicy": "SingleStack",
        "spec/ipFamilies/0": "IPv4",
    },
    of.DAEMON_SETS: {
        **template("spec/template/spec"),
        "spec/updateStrategy/type": "RollingUpdate",
        "spec/updateStrategy/rollingUpdate/maxUnavailable": 1,
        "spec/updateStrategy/rollingUpdate/maxSurge": 0,
        "spec/revisionHistoryLimit": 10,
    },
    of.DEPLOYMENTS: {
        **template("spec/template/spec"),
        "spec/replicas": 1,
        "spec/strategy/type": "RollingUpdate",
        "spec/strategy/rollingUpdate/maxUnavailable": "25%",
        "spec/strategy/rollingUpdate/maxSurge": "25%",
        "spec/revisionHistoryLimit": 10,
        "spec/progressDeadlineSeconds": 600,
    },
    of.REPLICA_SETS: {**template("spec/template/spec"), "spec/replicas": 1},
    of.STATEFUL_SETS: {
        **template("spec/template/spec"),
        "spec/podManagementPolicy": "OrderedReady",
        "spec/updateStrategy/type": "RollingUpdate",
        "spec/updateStrategy/rollingUpdate/partition": 0,
        "spec/persistentVolumeClaimRetentionPolicy/whenDeleted": "Retain",
        "spec/persistentVolumeClaimRetentionPolicy/whenScaled": "Retain",
        "spec/replicas": 1,
        "spec/revisionHistoryLimit": 10,
    },
    of.CRON_JOBS: {
        **template("spec/jobTemplate/spec/template/spec", restartPolicy=None),
        "spec/concurrencyPolicy": "Allow",
        "spec/suspend": False,
        "spec/successfulJobsHistoryLimit": 3,
        "spec/failedJobsHistoryLimit": 1,
    },
    of.JOBS: {
        **template("spec/template/spec", restartPolicy=None),
        "spec/template/metadata/labels/job-name": "least",
        "spec/template/metadata/labels/batch.kubernetes.io/job-name": "least",
        "spec/template/metadata/labels/controller-uid": "u-1",
        "spec/template/metadata/labels/batch.kubernetes.io/controller-uid": "u-1",
        "spec/completions": 1,
        "spec/parallelism": 1,
        "spec/backoffLimit": 6,
        "spec/completionMode": "NonIndexed",
        "spec/suspend": False,
        "spec/podReplacementPolicy": "TerminatingOrFailed",
        "spec/manualSelector": False,
        "spec/selector/matchLabels/batch.kubernetes.io/controller-uid": "u-1",
    },
    of.HORIZONTAL_POD_AUTOSCALERS: SCALER,
    of.HORIZONTAL_POD_AUTOSCALERS_V1: SCALER,
    of.NETWORK_POLICIES: {"spec/policyTypes/0": "Ingress"},
    of.CSI_DRIVERS: {
        "spec/attachRequired": True,
        "spec/podInfoOnMount": False,
        "spec/storageCapacity": False,
        "spec/requiresRepublish": False,
        "spec/seLinuxMount": False,
        "spec/fsGroupPolicy": "ReadWriteOnceWithFSType",
        "spec/volumeLifecycleModes/0": "Persistent",
    },
    of.STORAGE_CLASSES: {"reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"},
    of.PRIORITY_CLASSES: {"preemptionPolicy": "PreemptLowerPriority"},
    of.MUTATING_ADMISSION_POLICIES: MATCH,
    of.MUTATING_WEBHOOK_CONFIGURATIONS: {**HOOK, "webhooks/0/reinvocationPolicy": "Never"},
    of.VALIDATING_ADMISSION_POLICIES: MATCH,
    of.VALIDATING_WEBHOOK_CONFIGURATIONS: HOOK,
    of.CUSTOM_RESOURCE_DEFINITIONS: {
        "spec/names/singular": "thing",
        "spec/names/listKind": "ThingList",
        "spec/conversion/strategy": "None",
    },
    of.API_SERVICES: {"spec/service/port": 443},
    of.FLOW_SCHEMAS: {"spec/matchingPrecedence": 1000},
    of.PRIORITY_LEVEL_CONFIGURATIONS: {
        "spec/limited/nominalConcurrencyShares": 30,
        "spec/limited/lendablePercent": 0,
    },
    of.RESOURCE_CLAIMS: {f"spec/devices/requests/0/{key}": value for key, value in CLAIM.items()},
    of.RESOURCE_CLAIM_TEMPLATES: {
        f"spec/spec/devices/requests/0/{key}": value for key, value in CLAIM.items()
    },
}


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    parts: Any = ()
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list):
        parts = enumerate(value)
    if not parts:
        yield path, value
    for key, part in parts:
        yield from leaves(part, f"{path}/{key}" if path else str(key))


@pytest.mark.parametrize("resource", STORED, ids=lambda entry: f"{entry.plural}.{entry.group}")
def test_the_least_object_is_completed_with_what_the_reference_promises(resource: Resource) -> None:
    given = least(resource)
    given["metadata"] = {**meta(name_of(resource)), **given["metadata"]}
    before, after = (
        dict(leaves({key: part for key, part in obj.items() if key not in ("metadata", "status")}))
        for obj in (given, created(resource, given))
    )
    added = {path: value for path, value in after.items() if path not in before or before[path] != value}
    assert added == DEFAULTS.get(resource, {})


STATUSES: dict[Resource, dict[str, Any]] = {
    of.NAMESPACES: {"phase": "Active"},
    of.PERSISTENT_VOLUME_CLAIMS: {"phase": "Pending"},
    of.PODS: {"phase": "Pending", "qosClass": "BestEffort"},
    of.REPLICATION_CONTROLLERS: {"replicas": 0},
    of.SERVICES: {"loadBalancer": {}},
    of.DAEMON_SETS: {
        "currentNumberScheduled": 0,
        "numberMisscheduled": 0,
        "desiredNumberScheduled": 0,
        "numberReady": 0,
    },
    of.DEPLOYMENTS: {},
    of.REPLICA_SETS: {"replicas": 0},
    of.STATEFUL_SETS: {"replicas": 0, "availableReplicas": 0},
    of.JOBS: {},
    of.CRON_JOBS: {},
    of.HORIZONTAL_POD_AUTOSCALERS: {"desiredReplicas": 0},
    of.POD_DISRUPTION_BUDGETS: {
        "disruptionsAllowed": 0,
        "currentHealthy": 0,
        "desiredHealthy": 0,
        "expectedPods": 0,
    },
    of.INGRESSES: {"loadBalancer": {}},
    of.VOLUME_ATTACHMENTS: {"attached": False},
    of.RESOURCE_CLAIMS: {},
}


@pytest.mark.parametrize("resource", STATUSES, ids=lambda entry: entry.plural)
def test_a_new_object_has_the_first_status_whatever_its_sender_says(resource: Resource) -> None:
    given = {**least(resource), "status": {"conditions": [{"type": "Told"}]}}
    given["metadata"] = {**meta(name_of(resource)), **given["metadata"]}
    assert created(resource, given)["status"] == STATUSES[resource]
