"""CronJobs on the real clock: whole minutes pass here, so the tests share one."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.conformance.coverage_report import covers
from tests.conformance.kubectl import Kubectl
from tests.conformance.objects import FOREVER, container, sh
from tests.conformance.waiting import eventually

Obj = dict[str, Any]


def cron(name: str, *, forever: bool = False, script: str = "date", **spec: Any) -> Obj:
    inner = container(command=FOREVER) if forever else sh(script)
    pod = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [inner]}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name, "labels": {"set": "cron"}},
        "spec": {
            "schedule": "* * * * *",
            **spec,
            "jobTemplate": {"spec": {"template": {"spec": pod}, "backoffLimit": 0}},
        },
    }


def raw(kubectl: Kubectl, name: str) -> str:
    return f"/apis/batch/v1/namespaces/{kubectl.namespace}/cronjobs/{name}/status"


def due(kubectl: Kubectl, *crons: Obj) -> None:
    """Makes CronJobs whose last start was two minutes ago, so that one is due now."""
    last = (datetime.now(UTC) - timedelta(seconds=120)).strftime("%Y-%m-%dT%H:%M:%SZ")
    for made in crons:
        name = made["metadata"]["name"]
        suspend = made["spec"].get("suspend", False)
        kubectl.apply({**made, "spec": {**made["spec"], "suspend": True}})

        def replace(name: str = name) -> int:
            path = raw(kubectl, name)
            found = json.loads(kubectl("get", "--raw", path))
            found["status"] = {**found.get("status", {}), "lastScheduleTime": last}
            return kubectl.run("replace", "--raw", path, "-f", "-", stdin=json.dumps(found)).code

        eventually(replace, lambda code: code == 0)
        if not suspend:
            kubectl("patch", "cronjob", name, "-p", '{"spec":{"suspend":false}}')


def jobs(kubectl: Kubectl, name: str) -> list[str]:
    """The Jobs that belong to the CronJob, in order of their time."""
    return sorted(
        job["metadata"]["name"]
        for job in kubectl.get("jobs")["items"]
        if any(owner["name"] == name for owner in job["metadata"].get("ownerReferences", ()))
    )


def active(kubectl: Kubectl, name: str) -> list[str]:
    found = kubectl.get("cronjob", name)["status"].get("active", ())
    return sorted(entry["name"] for entry in found)


def until(kubectl: Kubectl, name: str, holds: Callable[[list[str]], bool], timeout: float = 90) -> list[str]:
    return eventually(lambda: jobs(kubectl, name), holds, timeout=timeout, pause=0.5)


@covers(
    "[sig-apps] CronJob should schedule multiple jobs concurrently [Conformance]",
    "[sig-apps] CronJob should replace jobs when ReplaceConcurrent [Conformance]",
    "[sig-apps] CronJob should not schedule new jobs when ForbidConcurrent [Slow] [Conformance]",
    "[sig-apps] CronJob should not schedule jobs when suspended [Slow] [Conformance]",
)
def test_when_the_minute_comes_the_policy_says_what_becomes_of_the_job_before(kubectl: Kubectl) -> None:
    due(
        kubectl,
        cron("allow", forever=True, concurrencyPolicy="Allow"),
        cron("forbid", forever=True, concurrencyPolicy="Forbid"),
        cron("replace", forever=True, concurrencyPolicy="Replace"),
        cron("suspended", suspend=True),
    )
    first = {name: until(kubectl, name, bool)[0] for name in ("allow", "forbid", "replace")}
    both = until(kubectl, "allow", lambda found: len(found) > 1)
    assert both[0] == first["allow"]
    assert active(kubectl, "allow") == both
    later = until(kubectl, "replace", lambda found: bool(found) and first["replace"] not in found)
    assert len(later) == 1
    assert jobs(kubectl, "forbid") == active(kubectl, "forbid") == [first["forbid"]]
    assert jobs(kubectl, "suspended") == []
    eventually(
        lambda: kubectl("get", "events", "-o", "jsonpath={.items[*].reason}"),
        lambda reasons: {"JobAlreadyActive", "SuccessfulCreate", "SuccessfulDelete"} <= set(reasons.split()),
    )


def test_a_job_that_ended_is_recorded_and_kept_only_so_long(kubectl: Kubectl) -> None:
    due(
        kubectl,
        cron("kept", timeZone="Asia/Kathmandu"),
        cron("dropped", successfulJobsHistoryLimit=0),
        cron("broken", script="exit 1", failedJobsHistoryLimit=0),
    )
    found = eventually(
        lambda: kubectl.get("cronjob", "kept")["status"], lambda status: "lastSuccessfulTime" in status
    )
    assert "active" not in found
    (name,) = jobs(kubectl, "kept")[-1:]
    stamp = kubectl.get("job", name)["metadata"]["annotations"][
        "batch.kubernetes.io/cronjob-scheduled-timestamp"
    ]
    assert stamp.endswith("+05:45")
    assert int(name.rpartition("-")[2]) == int(datetime.fromisoformat(stamp).timestamp()) // 60
    for gone in ("dropped", "broken"):
        eventually(
            lambda gone=gone: kubectl(
                "get", "events", "-o", f"jsonpath={{.items[?(@.involvedObject.name=='{gone}')].reason}}"
            ),
            lambda reasons: "SuccessfulDelete" in reasons.split(),
        )
        until(kubectl, gone, lambda found: not found)


def test_a_job_can_be_made_from_a_cron_job_by_hand(kubectl: Kubectl) -> None:
    kubectl.apply(cron("nightly", script="echo from the template", suspend=True))
    kubectl("create", "job", "tonight", "--from=cronjob/nightly")
    kubectl.wait("job/tonight", "condition=complete")
    assert kubectl("logs", "job/tonight") == "from the template\n"
    assert jobs(kubectl, "nightly") == ["tonight"]


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        ({"schedule": "* * * *"}, "expected exactly 5 fields, found 4"),
        ({"schedule": "61 * * * *"}, "end of range (61) above maximum (59): 61"),
        (
            {"schedule": "TZ=UTC 0 0 * * *"},
            "cannot use TZ or CRON_TZ in schedule, use timeZone field instead",
        ),
        ({"timeZone": "Mars/Olympus"}, "unknown time zone Mars/Olympus"),
        ({"concurrencyPolicy": "Maybe"}, 'supported values: "Allow", "Forbid", "Replace"'),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(kubectl: Kubectl, spec: Obj, fault: str) -> None:
    refused = kubectl.refused("apply", "-f", "-", stdin=json.dumps(cron("bad", **spec)))
    assert fault in refused


@covers("[sig-apps] CronJob should support CronJob API operations [Conformance]")
def test_every_operation_works_on_cron_jobs(kubectl: Kubectl) -> None:
    kubectl.apply(cron("one", schedule="0 0 1 1 ?"), cron("two", schedule="@yearly"))
    listed = kubectl.get("cronjobs", "-l", "set=cron", "--all-namespaces")["items"]
    assert {entry["metadata"]["name"] for entry in listed} >= {"one", "two"}
    kubectl("annotate", "cronjob", "one", "patched=true")
    found = kubectl.get("cronjob", "one")
    assert found["metadata"]["annotations"]["patched"] == "true"
    found["metadata"]["annotations"]["updated"] = "true"
    kubectl("replace", "-f", "-", stdin=json.dumps(found))
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    path = raw(kubectl, "one")
    found = json.loads(kubectl("get", "--raw", path))
    found["status"] = {"lastScheduleTime": now}
    changed = json.loads(kubectl("replace", "--raw", path, "-f", "-", stdin=json.dumps(found)))
    assert changed["status"]["lastScheduleTime"] == now
    assert changed["metadata"]["annotations"].keys() >= {"patched", "updated"}
    kubectl("delete", "cronjob", "one")
    assert "not found" in kubectl.refused("get", "cronjob", "one")
    kubectl("delete", "cronjobs", "-l", "set=cron")
    assert kubectl.get("cronjobs")["items"] == []
