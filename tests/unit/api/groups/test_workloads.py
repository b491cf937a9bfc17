"""Deployments, ReplicaSets, StatefulSets, DaemonSets, ReplicationControllers, Jobs and CronJobs."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from podium.api.types import Obj
from podium.api.types.resources import (
    CRON_JOBS,
    DAEMON_SETS,
    DEPLOYMENTS,
    JOBS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    STATEFUL_SETS,
    Resource,
)
from tests.unit.api.groups.build import (
    LABELS,
    changed,
    created,
    faults,
    meta,
    row,
    strategy,
    template,
    update_faults,
    workload,
)

SELECTED = (DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS, DAEMON_SETS)


def job(**spec: Any) -> Obj:
    inner = {"template": template(restartPolicy="Never"), **spec}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta("job"), "spec": inner}


def cron_job(schedule: str = "*/5 * * * *", **spec: Any) -> Obj:
    inner = {
        "schedule": schedule,
        "jobTemplate": {"spec": {"template": template(restartPolicy="Never")}},
        **spec,
    }
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": meta("cron"), "spec": inner}


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (
            DEPLOYMENTS,
            {
                "replicas": 1,
                "strategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"},
                },
                "revisionHistoryLimit": 10,
                "progressDeadlineSeconds": 600,
            },
        ),
        (REPLICA_SETS, {"replicas": 1}),
        (
            STATEFUL_SETS,
            {
                "replicas": 1,
                "podManagementPolicy": "OrderedReady",
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
                "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
                "revisionHistoryLimit": 10,
            },
        ),
        (
            DAEMON_SETS,
            {
                "updateStrategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0},
                },
                "revisionHistoryLimit": 10,
            },
        ),
    ],
)
def test_workloads_are_completed(resource: Resource, expected: Obj) -> None:
    spec = created(resource, workload(resource))["spec"]
    assert {key: spec[key] for key in spec if key not in ("selector", "template")} == expected


@pytest.mark.parametrize("resource", SELECTED)
def test_a_workload_in_order_passes(resource: Resource) -> None:
    assert faults(resource, workload(resource)) == []


@pytest.mark.parametrize("resource", SELECTED)
def test_the_selector_must_match_the_template(resource: Resource) -> None:
    obj = workload(resource, selector={"matchLabels": {"app": "other"}})
    assert faults(resource, obj) == [
        'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template '
        "`labels`"
    ]


@pytest.mark.parametrize("resource", SELECTED)
def test_there_must_be_a_selector(resource: Resource) -> None:
    obj = workload(resource)
    del obj["spec"]["selector"]
    assert faults(resource, obj) == [
        "spec.selector: Required value",
        'spec.template.metadata.labels: Invalid value: {"app":"web"}: '
        "`selector` does not match template `labels`",
    ]


@pytest.mark.parametrize(
    ("resource", "title"),
    [
        (DEPLOYMENTS, "deployment"),
        (REPLICA_SETS, "deployment"),
        (STATEFUL_SETS, "statefulset"),
        (DAEMON_SETS, "daemonset"),
    ],
)
def test_the_selector_must_select(resource: Resource, title: str) -> None:
    assert faults(resource, workload(resource, selector={})) == [
        f"spec.selector: Invalid value: {{}}: empty selector is invalid for {title}"
    ]


@pytest.mark.parametrize("resource", SELECTED)
def test_pods_of_a_workload_always_restart(resource: Resource) -> None:
    assert faults(resource, workload(resource, template=template(restartPolicy="Never"))) == [
        'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"'
    ]


@pytest.mark.parametrize("resource", [DEPLOYMENTS, REPLICA_SETS, DAEMON_SETS])
def test_the_selector_never_changes(resource: Resource) -> None:
    old = created(resource, workload(resource))
    labels = {"app": "other"}
    other = {**old["spec"]["template"], "metadata": {"labels": labels}}
    new = changed(old, selector={"matchLabels": labels}, template=other)
    assert update_faults(resource, old, new) == [
        'spec.selector: Invalid value: {"matchLabels":{"app":"other"}}: field is immutable'
    ]


def test_a_stateful_set_changes_in_few_fields_only() -> None:
    old = created(STATEFUL_SETS, workload(STATEFUL_SETS))
    assert update_faults(STATEFUL_SETS, old, changed(old, replicas=3)) == []
    [fault] = update_faults(STATEFUL_SETS, old, changed(old, serviceName="other"))
    assert fault.startswith("spec: Forbidden: updates to statefulset spec for fields other than 'replicas'")


def test_claims_of_a_stateful_set_are_volumes_of_its_pods() -> None:
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    mounts = [{"name": "main", "image": "i:1", "volumeMounts": [{"name": "data", "mountPath": "/d"}]}]
    obj = workload(STATEFUL_SETS, volumeClaimTemplates=[claim], template=template(containers=mounts))
    assert faults(STATEFUL_SETS, obj) == []


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"replicas": -1}, ["spec.replicas: Invalid value: -1: must be greater than or equal to 0"]),
        (
            {"strategy": {"type": "Recreate", "rollingUpdate": {}}},
            [
                "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is "
                "'Recreate'"
            ],
        ),
        (
            {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}},
            [
                "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: "
                "may not be 0 when `maxSurge` is 0"
            ],
        ),
        (
            {"strategy": {"rollingUpdate": {"maxUnavailable": "101%"}}},
            [
                'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "101%": '
                "must not be greater than 100%"
            ],
        ),
        (
            {"progressDeadlineSeconds": 5, "minReadySeconds": 5},
            ["spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds"],
        ),
    ],
)
def test_a_faulty_deployment_is_refused(spec: Any, expected: list[str]) -> None:
    assert faults(DEPLOYMENTS, workload(DEPLOYMENTS, **spec)) == expected


def test_the_generation_counts_what_is_wanted() -> None:
    old = created(DEPLOYMENTS, workload(DEPLOYMENTS))
    same = copy.deepcopy(old)
    same["status"] = {"replicas": 5}
    kind = strategy(DEPLOYMENTS)
    kind.prepare_update(same, old)
    assert same["metadata"]["generation"] == 1
    assert same["status"] == old["status"]
    more = changed(old, replicas=3)
    kind.prepare_update(more, old)
    assert more["metadata"]["generation"] == 2
    annotated = copy.deepcopy(old)
    annotated["metadata"]["annotations"] = {"a": "b"}
    kind.prepare_update(annotated, old)
    assert annotated["metadata"]["generation"] == 2


def test_a_status_counts_no_more_than_there_are() -> None:
    old = created(DEPLOYMENTS, workload(DEPLOYMENTS))
    new = copy.deepcopy(old)
    new["status"] = {"replicas": 1, "readyReplicas": 2}
    strategy(DEPLOYMENTS).prepare_status(new, old)
    assert [str(cause) for cause in strategy(DEPLOYMENTS).validate_status(new, old)] == [
        "status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas"
    ]


def test_a_changed_template_of_a_daemon_set_is_counted() -> None:
    old = created(DAEMON_SETS, workload(DAEMON_SETS))
    key = "deprecated.daemonset.template.generation"
    assert old["metadata"]["annotations"][key] == "1"
    new = changed(old, template=template(hostNetwork=True))
    assert update_faults(DAEMON_SETS, old, new) == []
    assert new["metadata"]["annotations"][key] == "2"


def test_scale_is_read_and_written() -> None:
    obj = created(DEPLOYMENTS, workload(DEPLOYMENTS, replicas=3))
    obj["status"] = {"replicas": 2}
    kind = strategy(DEPLOYMENTS)
    scale = kind.scale_of(obj)
    assert scale["kind"] == "Scale"
    assert scale["spec"] == {"replicas": 3}
    assert scale["status"] == {"replicas": 2, "selector": "app=web"}
    kind.set_scale(obj, {"spec": {"replicas": 7}})
    assert obj["spec"]["replicas"] == 7


def test_a_replication_controller_takes_its_selector_from_its_template() -> None:
    obj = {"metadata": meta(), "spec": {"template": template()}}
    new = created(REPLICATION_CONTROLLERS, obj)
    assert new["spec"]["selector"] == LABELS
    assert new["metadata"]["labels"] == LABELS
    assert faults(REPLICATION_CONTROLLERS, obj) == []
    assert strategy(REPLICATION_CONTROLLERS).scale_of(new)["status"]["selector"] == "app=web"


def test_a_job_is_completed_and_tied_to_its_pods() -> None:
    obj = created(JOBS, job())
    spec = obj["spec"]
    assert {key: spec[key] for key in spec if key not in ("selector", "template")} == {
        "completions": 1, "parallelism": 1, "backoffLimit": 6, "completionMode": "NonIndexed",
        "suspend": False, "podReplacementPolicy": "TerminatingOrFailed", "manualSelector": False,
    }  # fmt: skip
    assert spec["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": "u-1"}}
    assert spec["template"]["metadata"]["labels"] == {
        "app": "web", "job-name": "job", "batch.kubernetes.io/job-name": "job", "controller-uid": "u-1",
        "batch.kubernetes.io/controller-uid": "u-1",
    }  # fmt: skip
    assert faults(JOBS, job()) == []


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        (
            job(template=template()),
            ['spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'],
        ),
        (job(parallelism=-1), ["spec.parallelism: Invalid value: -1: must be greater than or equal to 0"]),
        (
            job(completionMode="Indexed", parallelism=2),
            ["spec.completions: Required value: when completion mode is Indexed"],
        ),
        (
            job(backoffLimitPerIndex=1),
            ["spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode"],
        ),
    ],
)
def test_a_faulty_job_is_refused(obj: Obj, expected: list[str]) -> None:
    assert faults(JOBS, obj) == expected


def test_the_template_of_a_job_never_changes() -> None:
    old = created(JOBS, job())
    other = copy.deepcopy(old["spec"]["template"])
    other["spec"]["containers"][0]["image"] = "other:1"
    [fault] = update_faults(JOBS, old, changed(old, template=other))
    assert fault.startswith("spec.template: Invalid value:")
    assert fault.endswith("field is immutable")
    assert update_faults(JOBS, old, changed(old, parallelism=5, suspend=True)) == []


@pytest.mark.parametrize(
    ("schedule", "fault"),
    [
        ("@daily", ""),
        ("0 0 1 jan mon-fri", ""),
        ("*/15,30 0-5 * * 0", ""),
        ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("@never", "unrecognized descriptor: @never"),
        ("a * * * *", 'failed to parse int from a: strconv.Atoi: parsing "a": invalid syntax'),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
    ],
)
def test_schedules(schedule: str, fault: str) -> None:
    expected = [f'spec.schedule: Invalid value: "{schedule}": {fault}'] if fault else []
    assert faults(CRON_JOBS, cron_job(schedule)) == expected


def test_a_cron_job_is_completed_but_its_jobs_are_when_they_are_made() -> None:
    spec = created(CRON_JOBS, cron_job())["spec"]
    assert spec["concurrencyPolicy"] == "Allow"
    assert (spec["suspend"], spec["successfulJobsHistoryLimit"], spec["failedJobsHistoryLimit"]) == (
        False,
        3,
        1,
    )
    assert "backoffLimit" not in spec["jobTemplate"]["spec"]


@pytest.mark.parametrize(
    ("resource", "obj", "status", "expected"),
    [
        (
            DEPLOYMENTS,
            workload(DEPLOYMENTS, replicas=3),
            {"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 2},
            ["web", "2/3", 3, 2, "60m", "main", "nginx:1.27", "app=web"],
        ),
        (
            REPLICA_SETS,
            workload(REPLICA_SETS, replicas=3),
            {"replicas": 2, "readyReplicas": 1},
            ["web", 3, 2, 1, "60m", "main", "nginx:1.27", "app=web"],
        ),
        (
            STATEFUL_SETS,
            workload(STATEFUL_SETS, replicas=2),
            {"readyReplicas": 1},
            ["web", "1/2", "60m", "main", "nginx:1.27"],
        ),
        (
            DAEMON_SETS,
            workload(DAEMON_SETS),
            {"desiredNumberScheduled": 3, "currentNumberScheduled": 2, "numberReady": 1},
            ["web", 3, 2, 1, 0, 0, "<none>", "60m", "main", "nginx:1.27", "app=web"],
        ),
        (
            JOBS,
            job(completions=3),
            {"succeeded": 1, "startTime": "2026-01-02T11:59:00Z"},
            [
                "job",
                "Running",
                "1/3",
                "60s",
                "60m",
                "main",
                "nginx:1.27",
                "batch.kubernetes.io/controller-uid=u-1",
            ],
        ),
        (
            CRON_JOBS,
            cron_job(),
            {"active": [{}], "lastScheduleTime": "2026-01-02T11:55:00Z"},
            ["cron", "*/5 * * * *", "<none>", "False", 1, "5m", "60m", "main", "nginx:1.27", "<none>"],
        ),
    ],
)
def test_rows(resource: Resource, obj: Obj, status: Obj, expected: list[Any]) -> None:
    new = created(resource, obj)
    new["status"] = status
    assert list(row(resource, new).values()) == expected


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([{"type": "Complete", "status": "True"}], "Complete"),
        ([{"type": "Failed", "status": "True"}], "Failed"),
        ([{"type": "Suspended", "status": "True"}], "Suspended"),
        ([{"type": "Complete", "status": "False"}], "Running"),
    ],
)
def test_the_state_of_a_job(conditions: list[Obj], expected: str) -> None:
    obj = created(JOBS, job())
    obj["status"] = {"conditions": conditions}
    assert row(JOBS, obj)["Status"] == expected
