"""Jobs with real containers: what runs, what is counted, how it ends."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

import pytest

from tests.conformance.conftest import LocalCluster
from tests.conformance.coverage_report import covers
from tests.conformance.kubectl import Kubectl
from tests.conformance.objects import FOREVER, container, sh
from tests.conformance.waiting import eventually

Obj = dict[str, Any]
INDEX = "batch.kubernetes.io/job-completion-index"
TRACKING = "batch.kubernetes.io/job-tracking"


def job(
    name: str, script: str = "true", *, template: Obj | None = None, pod: Obj | None = None, **spec: Any
) -> Obj:
    made = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "containers": [sh(script)],
        **(pod or {}),
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {**spec, "template": {**(template or {}), "spec": made}},
    }


def indexed(name: str, script: str, completions: int = 4, **spec: Any) -> Obj:
    more = {"parallelism": completions, **spec}
    return job(name, script, completionMode="Indexed", completions=completions, **more)


def running(name: str, parallelism: int = 2, **spec: Any) -> Obj:
    return job(name, pod={"containers": [container(command=FOREVER)]}, parallelism=parallelism, **spec)


def ended(kubectl: Kubectl, name: str, kind: str = "complete") -> Obj:
    kubectl.wait(f"job/{name}", f"condition={kind}")
    found: Obj = kubectl.get("job", name)
    return found


def condition(obj: Obj, kind: str) -> Obj:
    found = [entry for entry in obj["status"].get("conditions", ()) if entry["type"] == kind]
    return found[0] if found else {}


def pods(kubectl: Kubectl, name: str) -> list[Obj]:
    found: list[Obj] = kubectl.get("pods", "-l", f"batch.kubernetes.io/job-name={name}")["items"]
    return found


def status(kubectl: Kubectl, name: str, path: str, value: object) -> Obj:
    kubectl.wait(f"job/{name}", f"jsonpath={{.status.{path}}}={value}")
    found: Obj = kubectl.get("job", name)["status"]
    return found


@covers(
    "[sig-apps] Job should create pods for an Indexed job with completion indexes and specified hostname [Conformance]"
)
def test_each_pod_of_an_indexed_job_knows_its_index(kubectl: Kubectl) -> None:
    kubectl.apply(indexed("work", 'echo "$JOB_COMPLETION_INDEX $(hostname)"', 4, parallelism=2))
    found = ended(kubectl, "work")
    assert found["status"]["completedIndexes"] == "0-3"
    assert (found["status"]["succeeded"], found["status"]["uncountedTerminatedPods"]) == (4, {})
    seen = {}
    for pod in pods(kubectl, "work"):
        meta = pod["metadata"]
        seen[meta["annotations"][INDEX]] = kubectl("logs", meta["name"]).split()
        assert meta["labels"][INDEX] == meta["annotations"][INDEX]
        assert TRACKING not in meta.get("finalizers", ())
        assert meta["name"].startswith(f"work-{meta['annotations'][INDEX]}-")
    assert seen == {str(index): [str(index), f"work-{index}"] for index in range(4)}


@covers(
    "[sig-apps] Job should run a job to completion when tasks sometimes fail and are locally restarted [Conformance]"
)
def test_containers_that_fail_are_restarted_where_they_are(kubectl: Kubectl) -> None:
    once = {
        "restartPolicy": "OnFailure",
        "volumes": [{"name": "mark", "emptyDir": {}}],
        "containers": [
            sh(
                "test -e /mark/seen || { touch /mark/seen; exit 1; }",
                volumeMounts=[{"name": "mark", "mountPath": "/mark"}],
            )
        ],
    }
    kubectl.apply(job("once", pod=once, completions=3, parallelism=3))
    found = ended(kubectl, "once")
    assert (found["status"]["succeeded"], found["status"].get("failed", 0)) == (3, 0)
    restarts = [pod["status"]["containerStatuses"][0]["restartCount"] for pod in pods(kubectl, "once")]
    assert restarts == [1, 1, 1]


def test_a_job_that_always_fails_ends_at_its_limit_and_says_so(kubectl: Kubectl) -> None:
    kubectl.apply(
        job("broken", "exit 1", backoffLimit=0),
        job("restarts", "exit 1", backoffLimit=1, pod={"restartPolicy": "OnFailure"}),
    )
    for name in ("broken", "restarts"):
        failed = condition(ended(kubectl, name, "failed"), "Failed")
        assert (failed["reason"], failed["message"]) == (
            "BackoffLimitExceeded",
            "Job has reached the specified backoff limit",
        )
    assert len(pods(kubectl, "broken")) == 1
    assert "BackoffLimitExceeded" in kubectl("describe", "job", "broken")
    assert kubectl("get", "job", "broken").split("\n")[1].split()[:3] == ["broken", "Failed", "0/1"]


@covers(
    "[sig-apps] Job should allow to use the pod failure policy on exit code to fail the job early [Conformance]"
)
def test_an_exit_code_fails_the_job_early(kubectl: Kubectl) -> None:
    rule = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}
    kubectl.apply(job("early", "exit 42", podFailurePolicy={"rules": [rule]}, backoffLimit=6))
    found = ended(kubectl, "early", "failed")
    assert (
        condition(found, "Failed")["reason"]
        == condition(found, "FailureTarget")["reason"]
        == "PodFailurePolicy"
    )
    assert "exit code 42 matching FailJob rule at index 0" in condition(found, "Failed")["message"]
    assert found["status"]["failed"] == 1


@covers(
    "[sig-apps] Job should allow to use a pod failure policy to ignore failure matching on DisruptionTarget condition [Conformance]"
)
def test_evicted_pods_do_not_count_as_failures(kubectl: Kubectl, tmp_path: Any) -> None:
    mark = "/mark/$JOB_COMPLETION_INDEX"
    pod = {
        "volumes": [{"name": "mark", "hostPath": {"path": str(tmp_path), "type": "DirectoryOrCreate"}}],
        "containers": [
            sh(
                f"if [ -e {mark} ]; then exit 0; fi; touch {mark}; sleep 1000",
                volumeMounts=[{"name": "mark", "mountPath": "/mark"}],
            )
        ],
    }
    rule = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}
    kubectl.apply(indexed("evicted", "", 1, pod=pod, backoffLimit=0, podFailurePolicy={"rules": [rule]}))
    status(kubectl, "evicted", "ready", 1)
    for entry in pods(kubectl, "evicted"):
        name = entry["metadata"]["name"]
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
        path = f"/api/v1/namespaces/{kubectl.namespace}/pods/{name}/eviction"
        kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
    found = ended(kubectl, "evicted")
    assert (found["status"]["succeeded"], found["status"].get("failed", 0)) == (1, 0)


@covers(
    "[sig-apps] Job should execute all indexes despite some failing when using backoffLimitPerIndex [Conformance]",
    "[sig-apps] Job should mark indexes as failed when the FailIndex action is matched in podFailurePolicy [Conformance]",
    "[sig-apps] Job should terminate job execution when the number of failed indexes exceeds maxFailedIndexes [Conformance]",
)
def test_indexes_fail_by_themselves(kubectl: Kubectl) -> None:
    odd_fail = 'test $(expr $JOB_COMPLETION_INDEX % 2) -eq 0 || exit 1; if [ "$LAST" ]; then sleep 1000; fi'
    rule = {"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [1]}}
    last_waits = odd_fail.replace("$LAST", "$(expr $JOB_COMPLETION_INDEX = 2 | grep 1)")
    kubectl.apply(
        indexed("per-index", odd_fail, backoffLimitPerIndex=0),
        indexed("by-rule", odd_fail, backoffLimitPerIndex=9, podFailurePolicy={"rules": [rule]}),
        indexed("too-many", last_waits, backoffLimitPerIndex=0, maxFailedIndexes=1),
    )
    for name in ("per-index", "by-rule"):
        found = ended(kubectl, name, "failed")
        assert condition(found, "Failed")["reason"] == "FailedIndexes"
        assert (found["status"]["completedIndexes"], found["status"]["failedIndexes"]) == ("0,2", "1,3")
        assert (found["status"]["succeeded"], found["status"]["failed"]) == (2, 2)
    found = ended(kubectl, "too-many", "failed")
    assert condition(found, "Failed")["reason"] == "MaxFailedIndexesExceeded"
    assert (found["status"].get("active", 0), found["status"]["terminating"]) == (0, 0)


@covers(
    "[sig-apps] Job with successPolicy should succeeded when all indexes succeeded [Conformance]",
    "[sig-apps] Job with successPolicy succeededCount rule should succeeded even when some indexes remain pending [Conformance]",
    "[sig-apps] Job with successPolicy succeededIndexes rule should succeeded even when some indexes remain pending [Conformance]",
)
def test_a_success_policy_ends_a_job_early(kubectl: Kubectl) -> None:
    first = "test $JOB_COMPLETION_INDEX = 0 || sleep 1000"

    def policy(**rule: Any) -> Obj:
        return {"rules": [rule]}

    kubectl.apply(
        indexed("everything", "true", 3, successPolicy=policy(succeededIndexes="0-2")),
        indexed("counted", first, 3, successPolicy=policy(succeededCount=1)),
        indexed("leader", first, 3, successPolicy=policy(succeededIndexes="0")),
    )
    for name, done in (("everything", "0-2"), ("counted", "0"), ("leader", "0")):
        found = ended(kubectl, name)
        assert condition(found, "SuccessCriteriaMet")["reason"] == "SuccessPolicy"
        assert condition(found, "Complete")["message"] == "Matched rules at index 0"
        assert found["status"]["completedIndexes"] == done
        assert not {"active", "failed"} & found["status"].keys()
    left = eventually(lambda: pods(kubectl, "leader"), lambda found: len(found) == 1)
    assert left[0]["metadata"]["annotations"][INDEX] == "0"


@covers("[sig-apps] Job should adopt matching orphans and release non-matching pods [Conformance]")
def test_a_pod_that_lost_its_job_is_found_again(kubectl: Kubectl) -> None:
    kubectl.apply(running("owner", 2))
    status(kubectl, "owner", "ready", 2)
    name = pods(kubectl, "owner")[0]["metadata"]["name"]
    kubectl("patch", "pod", name, "-p", '{"metadata":{"ownerReferences":null}}', "--type=merge")
    kubectl.wait(f"pod/{name}", "jsonpath={.metadata.ownerReferences[0].name}=owner")
    labels = kubectl.get("pod", name)["metadata"]["labels"]
    kubectl("label", "pod", name, *(f"{label}-" for label in labels))
    released = eventually(
        lambda: kubectl.get("pod", name)["metadata"], lambda meta: not meta.get("ownerReferences")
    )
    assert TRACKING not in released.get("finalizers", ())
    eventually(lambda: pods(kubectl, "owner"), lambda found: len(found) == 2)


@covers("[sig-apps] Job should delete a job [Conformance]")
@pytest.mark.parametrize("policy", ["background", "foreground", "orphan"])
def test_a_job_can_be_deleted_while_its_pods_run(kubectl: Kubectl, policy: str) -> None:
    kubectl.apply(running("doomed", 2))
    status(kubectl, "doomed", "ready", 2)
    kubectl("delete", "job", "doomed", f"--cascade={policy}")
    if policy == "orphan":
        left = eventually(
            lambda: pods(kubectl, "doomed"),
            lambda found: not any(pod["metadata"].get("finalizers") for pod in found),
        )
        assert [pod["status"]["phase"] for pod in left] == ["Running"] * 2
    else:
        eventually(lambda: pods(kubectl, "doomed"), lambda found: not found)


@covers("[sig-apps] Job should apply changes to a job status [Conformance]")
def test_the_status_of_a_job_is_a_resource_of_its_own(kubectl: Kubectl) -> None:
    kubectl.apply(running("told", 1))
    status(kubectl, "told", "active", 1)
    path = f"/apis/batch/v1/namespaces/{kubectl.namespace}/jobs/told/status"

    def tell(reason: str) -> None:
        """Replaces the status, again when the controller was faster."""

        def attempt() -> int:
            found = json.loads(kubectl("get", "--raw", path))
            found["status"]["conditions"] = [{"type": "Custom", "status": "True", "reason": reason}]
            return kubectl.run("replace", "--raw", path, "-f", "-", stdin=json.dumps(found)).code

        eventually(attempt, lambda code: code == 0)

    tell("First")
    tell("Second")
    found = json.loads(kubectl("get", "--raw", path))
    assert condition(found, "Custom")["reason"] == "Second"
    assert found["metadata"]["uid"] == kubectl.get("job", "told")["metadata"]["uid"]
    found["status"] |= {"succeeded": 1, "failed": -1}
    refused = kubectl.refused("replace", "--raw", path, "-f", "-", stdin=json.dumps(found))
    assert "status.failed: Invalid value: -1: must be greater than or equal to 0" in refused


@covers("[sig-apps] Job should manage the lifecycle of a job [Conformance]")
def test_a_job_is_made_suspended_changed_and_deleted_with_others(kubectl: Kubectl) -> None:
    made = job("later", completions=4, parallelism=2, suspend=True)
    made["metadata"]["labels"] = {"set": "later"}
    kubectl.apply(made)
    kubectl.wait("job/later", "condition=suspended")
    assert pods(kubectl, "later") == []
    moved = {"spec": {"template": {"spec": {"nodeSelector": {"kubernetes.io/os": "linux"}}}}}
    kubectl("patch", "job", "later", "-p", json.dumps(moved))
    kubectl("label", "job", "later", "more=yes")
    kubectl("patch", "job", "later", "-p", '{"spec":{"suspend":false}}')
    found = ended(kubectl, "later")
    assert found["status"]["succeeded"] == 4
    assert condition(found, "Suspended")["status"] == "False"
    assert {pod["spec"]["nodeSelector"]["kubernetes.io/os"] for pod in pods(kubectl, "later")} == {"linux"}
    assert "field is immutable" in kubectl.refused(
        "patch", "job", "later", "-p", '{"spec":{"template":{"spec":{"nodeSelector":{"a":"b"}}}}}'
    )
    assert len(kubectl.get("jobs", "-l", "set=later")["items"]) == 1
    kubectl("delete", "jobs", "-l", "set=later")
    assert kubectl.get("jobs")["items"] == []


def test_a_running_job_is_suspended_and_resumed(kubectl: Kubectl) -> None:
    kubectl.apply(running("pausing", 2))
    status(kubectl, "pausing", "ready", 2)
    kubectl("patch", "job", "pausing", "-p", '{"spec":{"suspend":true}}')
    kubectl.wait("job/pausing", "condition=suspended")
    eventually(lambda: pods(kubectl, "pausing"), lambda found: not found)
    found = kubectl.get("job", "pausing")["status"]
    assert (found.get("failed", 0), found.get("startTime")) == (0, None)
    kubectl("patch", "job", "pausing", "-p", '{"spec":{"suspend":false}}')
    status(kubectl, "pausing", "ready", 2)
    events = kubectl("get", "events", "-o", "jsonpath={.items[*].reason}")
    assert {"Suspended", "Resumed", "SuccessfulDelete"} <= set(events.split())


def test_a_job_that_takes_too_long_is_stopped(kubectl: Kubectl) -> None:
    kubectl.apply(running("slow", 2, activeDeadlineSeconds=2))
    found = ended(kubectl, "slow", "failed")
    assert condition(found, "Failed")["reason"] == "DeadlineExceeded"
    assert found["status"]["failed"] == 2
    eventually(lambda: pods(kubectl, "slow"), lambda left: not left)


def test_a_finished_job_goes_by_itself_when_it_is_told_to(kubectl: Kubectl) -> None:
    kubectl.apply(job("brief", ttlSecondsAfterFinished=1))
    kubectl.wait("job/brief", "delete")
    eventually(lambda: pods(kubectl, "brief"), lambda left: not left)


def test_a_control_plane_that_dies_in_the_middle_counts_every_pod_once(
    cluster: LocalCluster, kubectl: Kubectl
) -> None:
    kubectl.apply(job("long", "sleep 0.5", completions=12, parallelism=4))
    eventually(lambda: kubectl.get("job", "long")["status"].get("succeeded", 0), bool)
    os.kill(cluster.pid("server"), signal.SIGKILL)
    done = cluster.up("--nodes", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    found = ended(kubectl, "long")
    ran = pods(kubectl, "long")
    assert [pod["status"]["phase"] for pod in ran] == ["Succeeded"] * 12
    assert (found["status"]["succeeded"], found["status"].get("failed", 0)) == (12, 0)
    assert not any(pod["metadata"].get("finalizers") for pod in ran)


def test_a_quota_stops_a_job_halfway_and_room_lets_it_go_on(kubectl: Kubectl) -> None:
    kubectl("create", "quota", "small", "--hard=pods=2")
    kubectl.wait("quota/small", "jsonpath={.status.hard.pods}=2")
    kubectl.apply(running("crowd", 4, completions=4))
    status(kubectl, "crowd", "active", 2)
    events = kubectl("get", "events", "-o", "jsonpath={.items[?(@.reason=='FailedCreate')].message}")
    assert "exceeded quota: small" in events
    kubectl("delete", "quota", "small")
    status(kubectl, "crowd", "active", 4)
