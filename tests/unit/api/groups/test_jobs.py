"""What is refused about Jobs: policies that make no sense, changes that come too late, statuses that go
back."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from podium.api.types import Obj
from podium.api.types.resources import CRON_JOBS, JOBS

from .build import created, faults, strategy, update_faults
from .test_workloads import cron_job, job

RULES = "spec.podFailurePolicy.rules"
ONE = f"{RULES}[0]"


def failing(*rules: Obj, **spec: Any) -> Obj:
    return job(podFailurePolicy={"rules": list(rules)}, **spec)


def exits(**codes: Any) -> Obj:
    return {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [1], **codes}}


def indexed(completions: int = 4, **spec: Any) -> Obj:
    return job(completionMode="Indexed", completions=completions, parallelism=completions, **spec)


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        (failing(exits()), []),
        (failing({"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}), []),
        (
            failing({"action": "Ignore"}),
            [f"{ONE}: Invalid value: specifying one of OnExitCodes and OnPodConditions is required"],
        ),
        (
            failing({**exits(), "onPodConditions": [{"type": "A"}]}),
            [f"{ONE}: Invalid value: specifying both OnExitCodes and OnPodConditions is not supported"],
        ),
        (
            failing({**exits(), "action": "Panic"}),
            [
                f'{ONE}.action: Unsupported value: "Panic": supported values: "Count", "FailIndex", '
                '"FailJob", "Ignore"'
            ],
        ),
        (
            failing({**exits(), "action": "FailIndex"}),
            [f'{ONE}.action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set'],
        ),
        (
            failing(exits(values=[])),
            [f"{ONE}.onExitCodes.values: Invalid value: []: at least one value is required"],
        ),
        (
            failing(exits(values=[0])),
            [f"{ONE}.onExitCodes.values[0]: Invalid value: 0: must not be 0 for the In operator"],
        ),
        (
            failing(exits(values=[2, 1, 2])),
            [
                f"{ONE}.onExitCodes.values[2]: Duplicate value: 2",
                f"{ONE}.onExitCodes.values: Invalid value: [2,1,2]: must be ordered",
            ],
        ),
        (
            failing(exits(containerName="nobody")),
            [
                f'{ONE}.onExitCodes.containerName: Invalid value: "nobody": must be one of the container or '
                "initContainer names in the pod template"
            ],
        ),
        (
            failing(*[exits()] * 21),
            [f"{RULES}: Too many: 21: must have at most 20 items"],
        ),
        (
            failing(exits(), podReplacementPolicy="TerminatingOrFailed"),
            [
                'spec.podReplacementPolicy: Unsupported value: "TerminatingOrFailed": supported values: '
                '"Failed"'
            ],
        ),
        (
            job(managedBy="queue"),
            [
                'spec.managedBy: Invalid value: "queue": must be a domain-prefixed path (such as '
                '"acme.io/foo")'
            ],
        ),
        (job(managedBy="acme.io/foo"), []),
        (
            job(successPolicy={"rules": [{"succeededCount": 1}]}),
            [
                'spec.successPolicy: Invalid value: {"rules":[{"succeededCount":1}]}: requires indexed '
                "completion mode"
            ],
        ),
        (indexed(successPolicy={"rules": [{"succeededIndexes": "0,2-3", "succeededCount": 3}]}), []),
        (
            indexed(successPolicy={"rules": []}),
            [
                "spec.successPolicy.rules: Required value: at least one rules must be specified when the "
                "successPolicy is specified"
            ],
        ),
        (
            indexed(successPolicy={"rules": [{}]}),
            [
                "spec.successPolicy.rules[0]: Required value: at least one of succeededCount or "
                "succeededIndexes must be specified"
            ],
        ),
        (
            indexed(successPolicy={"rules": [{"succeededIndexes": "3-5"}]}),
            [
                'spec.successPolicy.rules[0].succeededIndexes: Invalid value: "3-5": error parsing '
                'succeededIndexes: too large index: "5"'
            ],
        ),
        (
            indexed(successPolicy={"rules": [{"succeededIndexes": "2,1"}]}),
            [
                'spec.successPolicy.rules[0].succeededIndexes: Invalid value: "2,1": error parsing '
                "succeededIndexes: non-increasing order, previous: 2, current: 1"
            ],
        ),
        (
            indexed(successPolicy={"rules": [{"succeededIndexes": "0-1", "succeededCount": 3}]}),
            [
                "spec.successPolicy.rules[0].succeededCount: Invalid value: 3: must be less than or equal to "
                "2 (the number of indexes in the specified succeededIndexes field)"
            ],
        ),
        (
            indexed(100_001, backoffLimitPerIndex=1),
            [
                "spec.parallelism: Invalid value: 100001: must be less than or equal to 100000 when "
                "completion mode is Indexed",
                "spec.maxFailedIndexes: Required value: must be specified when completions is above 100000",
                "spec.parallelism: Invalid value: 100001: must be less than or equal to 10000 when "
                "completions are above 100000 and used with backoff limit per index",
            ],
        ),
    ],
)
def test_a_faulty_policy_is_refused(obj: Obj, expected: list[str]) -> None:
    for container in obj["spec"]["template"]["spec"]["containers"]:
        container["name"] = "main"
    assert faults(JOBS, obj) == expected


def test_an_indexed_job_needs_a_name_that_its_pods_can_have_as_hostname() -> None:
    obj = indexed()
    obj["metadata"]["name"] = "with.dot"
    [fault] = faults(JOBS, obj)
    assert fault == (
        'metadata.name: Invalid value: "with.dot": will not able to create pod with invalid DNS label: '
        "with.dot-3"
    )


def change(old: Obj, **pod: Any) -> Obj:
    new = copy.deepcopy(old)
    new["spec"]["template"]["spec"] |= pod
    return new


NODE_AFFINITY = {
    "requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]
    }
}


def test_a_suspended_job_can_still_be_told_where_to_run() -> None:
    old = created(JOBS, job(suspend=True))
    new = change(
        old,
        nodeSelector={"disk": "fast"},
        tolerations=[{"operator": "Exists"}],
        affinity={"nodeAffinity": NODE_AFFINITY},
        schedulingGates=[{"name": "acme.io/gate"}],
    )
    new["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1"}}
    new["spec"]["template"]["metadata"]["annotations"] = {"a": "b"}
    assert update_faults(JOBS, old, new) == []
    assert len(update_faults(JOBS, old, change(old, serviceAccountName="other"))) == 1


@pytest.mark.parametrize(
    ("status", "allowed"),
    [
        ({"startTime": "2026-03-01T12:00:00Z"}, False),
        (
            {
                "startTime": "2026-03-01T12:00:00Z",
                "conditions": [{"type": "Suspended", "status": "True"}],
            },
            True,
        ),
        ({"conditions": [{"type": "Suspended", "status": "True"}], "active": 1}, False),
    ],
)
def test_where_a_job_runs_is_fixed_while_pods_of_it_are_left(status: Obj, allowed: bool) -> None:
    old = created(JOBS, job(suspend=True))
    old["status"] = status
    assert (update_faults(JOBS, old, change(old, nodeSelector={"a": "b"})) == []) == allowed


def test_a_job_that_runs_cannot_be_moved() -> None:
    old = created(JOBS, job())
    [fault] = update_faults(JOBS, old, change(old, nodeSelector={"a": "b"}))
    assert fault.endswith("field is immutable")


def true(*kinds: str) -> list[Obj]:
    return [{"type": kind, "status": "True"} for kind in kinds]


START, END = "2026-03-01T12:00:00Z", "2026-03-01T13:00:00Z"
COMPLETE = {"startTime": START, "completionTime": END, "conditions": true("SuccessCriteriaMet", "Complete")}
FAILED = {"startTime": START, "conditions": true("FailureTarget", "Failed")}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, COMPLETE, []),
        ({}, FAILED, []),
        ({"startTime": START, "conditions": true("Suspended")}, {"conditions": []}, ["startTime"]),
        ({}, {**COMPLETE, "active": 1}, ["active"]),
        ({}, {**COMPLETE, "terminating": 1}, ["terminating"]),
        ({}, {**COMPLETE, "uncountedTerminatedPods": {"failed": ["a"]}}, ["uncountedTerminatedPods"]),
        ({}, {**COMPLETE, "completionTime": "2026-03-01T11:00:00Z"}, ["completionTime"]),
        ({}, {**COMPLETE, "conditions": true("Complete")}, ["conditions"]),
        ({}, {**FAILED, "conditions": true("Failed")}, ["conditions"]),
        ({}, {**FAILED, "startTime": None}, ["startTime"]),
        ({}, {**COMPLETE, "completionTime": None}, ["completionTime"]),
        ({}, {"completionTime": END}, ["completionTime"]),
        (COMPLETE, {**COMPLETE, "completionTime": "2026-03-01T14:00:00Z"}, ["completionTime"]),
        (COMPLETE, {"startTime": START}, ["conditions", "conditions"]),
        (FAILED, {"startTime": START}, ["conditions", "conditions"]),
        ({"startTime": START}, {"startTime": END}, ["startTime"]),
        ({"failed": 2}, {"failed": 1}, ["failed"]),
        ({"succeeded": 2}, {"succeeded": 1}, ["succeeded"]),
        ({}, {"active": 1, "ready": 2}, ["ready"]),
        (
            {},
            {"uncountedTerminatedPods": {"failed": ["a"], "succeeded": ["a"]}},
            ["uncountedTerminatedPods.failed[0]"],
        ),
        ({}, {"completedIndexes": "0"}, ["completedIndexes"]),
        ({}, {"failedIndexes": "0"}, ["failedIndexes"]),
        ({}, {"active": -1}, ["active", "ready"]),
    ],
)
def test_a_status_only_goes_forward(before: Obj, after: Obj, expected: list[str]) -> None:
    old = created(JOBS, job())
    old["status"] = before
    new = {**copy.deepcopy(old), "status": {key: value for key, value in after.items() if value is not None}}
    found = strategy(JOBS).validate_status(new, old)
    assert [cause.field.removeprefix("status.") for cause in found] == expected


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ({"completedIndexes": "0-2", "failedIndexes": "3"}, []),
        ({"completedIndexes": "0-4"}, ['error parsing completedIndexes: too large index: "4"']),
        (
            {"completedIndexes": "x"},
            ['error parsing completedIndexes: cannot convert string to integer for index: "x"'],
        ),
        (
            {"completedIndexes": "0-2", "failedIndexes": "2"},
            ["failedIndexes and completedIndexes overlap at index: 2"],
        ),
    ],
)
def test_indexes_are_done_or_lost(after: Obj, expected: list[str]) -> None:
    old = created(JOBS, indexed(backoffLimitPerIndex=1))
    new = {**copy.deepcopy(old), "status": after}
    found = strategy(JOBS).validate_status(new, old)
    assert [cause.message.partition('": ')[2] for cause in found] == expected


@pytest.mark.parametrize(
    ("schedule", "zone", "expected"),
    [
        ("0 0 * * *", "Europe/Berlin", []),
        ("0 0 * * *", "Etc/GMT+3", []),
        ("0 0 * * *", "", ["timeZone must be nil or non-empty string"]),
        ("0 0 * * *", "Mars/Olympus", ["unknown time zone Mars/Olympus"]),
        ("0 0 * * *", "../passwd", ["unknown time zone ../passwd"]),
        (
            "0 0 * * *",
            "Local",
            ["timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"],
        ),
        ("TZ=UTC 0 0 * * *", None, ["cannot use TZ or CRON_TZ in schedule, use timeZone field instead"]),
        ("CRON_TZ=UTC 0 0 * * *", None, ["cannot use TZ or CRON_TZ in schedule, use timeZone field instead"]),
    ],
)
def test_a_time_zone_is_named_in_its_own_field(schedule: str, zone: str | None, expected: list[str]) -> None:
    found = faults(CRON_JOBS, cron_job(schedule, **({} if zone is None else {"timeZone": zone})))
    assert [fault.partition('": ')[2] for fault in found] == expected
