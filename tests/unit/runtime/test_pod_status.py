"""What the API server is told about a pod."""

from __future__ import annotations

from typing import Any

import pytest

from podium.api.types import Obj, meta
from podium.runtime.oci.users import User
from podium.runtime.pods.model import Observed, Trouble
from podium.runtime.pods.publish import difference
from podium.runtime.pods.status import compose
from tests.unit.runtime.making import NOW, attempt, container, ended, later, observed, pod, running


def told(of: Obj, known: Observed, *, after: float = 0) -> Obj:
    return compose(of, known, later(after), host_ip="192.0.2.1")


def conditions(status: Obj) -> dict[str, str]:
    return {each["type"]: each["status"] for each in status["conditions"]}


def the_container(status: Obj) -> Obj:
    return dict(status["containerStatuses"][0])


def test_a_new_pod_is_pending_and_its_containers_are_being_created() -> None:
    status = told(pod(), Observed())
    assert status["phase"] == "Pending"
    assert the_container(status) == {
        "name": "c",
        "state": {"waiting": {"reason": "ContainerCreating"}},
        "lastState": {},
        "restartCount": 0,
        "image": "busybox",
        "imageID": "",
        "started": False,
        "ready": False,
    }
    assert conditions(status) == {
        "PodReadyToStartContainers": "False",
        "Initialized": "True",
        "Ready": "False",
        "ContainersReady": "False",
        "PodScheduled": "True",
    }
    assert status["hostIPs"] == [{"ip": "192.0.2.1"}]
    assert status["qosClass"] == "BestEffort"
    assert status["observedGeneration"] == 1


def test_an_ephemeral_container_has_a_status_of_its_own_and_decides_nothing() -> None:
    added = container("added")
    of = pod(ephemeralContainers=[added])
    known = observed(running(of["spec"]["containers"][0]), started={"c-0"}, ready={"c-0"})
    [waiting] = told(of, known)["ephemeralContainerStatuses"]
    assert waiting["state"] == {"waiting": {"reason": "ContainerCreating"}}
    known.put(ended(added, 1))
    status = told(of, known)
    [shown] = status["ephemeralContainerStatuses"]
    assert shown["state"]["terminated"]["exitCode"] == 1
    assert shown["ready"] is False
    assert "started" not in shown
    assert status["phase"] == "Running"
    assert conditions(status)["Ready"] == "True"


def test_containers_behind_init_containers_say_so() -> None:
    status = told(pod(initContainers=[container("i")]), Observed())
    assert the_container(status)["state"] == {"waiting": {"reason": "PodInitializing"}}
    assert conditions(status)["Initialized"] == "False"


def test_a_running_container_is_told_in_full() -> None:
    of = pod(container(volumeMounts=[{"name": "v", "mountPath": "/v", "readOnly": True}]))
    one = running(of["spec"]["containers"][0], user=User(1, 2, (2, 3)))
    status = told(of, observed(one, started={"c-0"}, ready={"c-0"}))
    assert the_container(status) == {
        "name": "c",
        "state": {"running": {"startedAt": "2026-01-02T03:04:05Z"}},
        "lastState": {},
        "restartCount": 0,
        "image": "docker.io/library/busybox:latest",
        "imageID": "sha256:1",
        "containerID": "containerd://c-0",
        "resources": {},
        "user": {"linux": {"uid": 1, "gid": 2, "supplementalGroups": [2, 3]}},
        "volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": True, "recursiveReadOnly": "Disabled"}],
        "started": True,
        "ready": True,
    }
    assert status["phase"] == "Running"
    assert set(conditions(status).values()) == {"True"}
    assert (status["podIP"], status["podIPs"]) == ("10.42.0.5", [{"ip": "10.42.0.5"}])


def test_a_container_is_not_ready_before_its_probe_says_so() -> None:
    status = told(pod(), observed(running(container()), started={"c-0"}))
    ready = next(each for each in status["conditions"] if each["type"] == "Ready")
    assert ready["message"] == "containers with unready status: [c]"
    assert ready["reason"] == "ContainersNotReady"


def test_a_readiness_gate_keeps_a_pod_from_being_ready() -> None:
    of = pod(readinessGates=[{"conditionType": "example.com/up"}])
    known = observed(running(container()), started={"c-0"}, ready={"c-0"})
    status = told(of, known)
    assert conditions(status)["ContainersReady"] == "True"
    ready = next(each for each in status["conditions"] if each["type"] == "Ready")
    assert (
        ready["message"] == 'corresponding condition of pod readiness gate "example.com/up" does not exist.'
    )
    of["status"] = {"conditions": [{"type": "example.com/up", "status": "True"}]}
    assert conditions(told(of, known))["Ready"] == "True"


def test_a_container_in_back_off_waits_and_tells_how_it_ended() -> None:
    status = told(pod(), observed(ended(container(), 3, 1, backoff=10)), after=2)
    state = the_container(status)
    assert state["state"]["waiting"] == {
        "reason": "CrashLoopBackOff",
        "message": "back-off 10s restarting failed container=c pod=p_default(uid-p)",
    }
    assert state["lastState"]["terminated"]["exitCode"] == 3
    assert (status["phase"], state["restartCount"]) == ("Running", 1)


@pytest.mark.parametrize(("seconds", "text"), [(10, "10s"), (80, "1m20s"), (300, "5m0s")])
def test_back_offs_are_written_as_durations(seconds: int, text: str) -> None:
    state = the_container(told(pod(), observed(ended(container(), 1, 1, backoff=seconds))))
    assert state["state"]["waiting"]["message"].startswith(f"back-off {text} restarting")


def test_a_failed_pull_is_shown_as_itself_then_as_a_back_off() -> None:
    known = observed(troubles={"c": Trouble("ErrImagePull", "no such host", NOW, later(10), 10)})
    assert the_container(told(pod(), known))["state"]["waiting"]["reason"] == "ErrImagePull"
    waiting = the_container(told(pod(), known, after=6))["state"]["waiting"]
    assert waiting == {
        "reason": "ImagePullBackOff",
        "message": 'Back-off pulling image "busybox": ErrImagePull: no such host',
    }


def test_a_container_waits_for_the_image_of_a_volume_that_it_mounts() -> None:
    mounting = container(volumeMounts=[{"name": "data", "mountPath": "/data"}])
    of = pod(mounting, volumes=[{"name": "data", "image": {"reference": "far/away"}}])
    trouble = Trouble("ErrImagePull", "no such host", NOW, later(10), 10, "far/away")
    known = observed(volume_trouble=trouble)
    assert the_container(told(of, known))["state"]["waiting"]["reason"] == "ErrImagePull"
    assert the_container(told(of, known, after=6))["state"]["waiting"] == {
        "reason": "ImagePullBackOff",
        "message": 'Back-off pulling image "far/away": ErrImagePull: no such host',
    }
    without = pod(volumes=[{"name": "data", "image": {"reference": "far/away"}}])
    assert the_container(told(without, known))["state"]["waiting"]["reason"] == "ContainerCreating"


def test_what_a_container_cannot_be_made_for_is_its_waiting_reason() -> None:
    trouble = Trouble("CreateContainerConfigError", 'secret "x" not found', NOW, later(2), 2)
    waiting = the_container(told(pod(), observed(troubles={"c": trouble})))["state"]["waiting"]
    assert waiting == {"reason": "CreateContainerConfigError", "message": 'secret "x" not found'}


@pytest.mark.parametrize(
    ("policy", "code", "phase", "reason"),
    [
        ("Never", 0, "Succeeded", "PodCompleted"),
        ("Never", 1, "Failed", "PodFailed"),
        ("OnFailure", 0, "Succeeded", "PodCompleted"),
        ("OnFailure", 1, "Running", "ContainersNotReady"),
        ("Always", 0, "Running", "ContainersNotReady"),
    ],
)
def test_the_phase_follows_the_ends_of_containers(policy: str, code: int, phase: str, reason: str) -> None:
    status = told(pod(restartPolicy=policy), observed(ended(container(), code)))
    assert status["phase"] == phase
    ready = next(each for each in status["conditions"] if each["type"] == "Ready")
    assert ready["reason"] == reason


def test_a_failed_init_container_fails_a_pod_that_is_not_to_restart() -> None:
    init = container("i")
    of = pod(initContainers=[init], restartPolicy="Never")
    assert told(of, observed(ended(init, 1)))["phase"] == "Failed"


def test_an_init_container_that_ended_well_is_ready() -> None:
    init = container("i")
    status = told(pod(initContainers=[init]), observed(ended(init, 0)))
    assert status["initContainerStatuses"][0]["ready"] is True
    assert (status["phase"], conditions(status)["Initialized"]) == ("Pending", "True")


def test_a_sidecar_that_restarts_does_not_make_a_running_pod_pending() -> None:
    side = container("side", restartPolicy="Always")
    known = observed(ended(side, 1, 1, backoff=10), running(container()), started={"c-0"}, ready={"c-0"})
    status = told(pod(initContainers=[side]), known)
    assert (status["phase"], conditions(status)["Initialized"]) == ("Running", "True")


def test_a_phase_never_goes_back() -> None:
    of = pod(restartPolicy="Never")
    of["status"] = {"phase": "Succeeded"}
    assert told(of, observed(running(container())))["phase"] == "Succeeded"


def test_a_pod_that_ran_past_its_deadline_failed_for_that_reason() -> None:
    known = observed(ended(container(), 137), failed=("DeadlineExceeded", "too long"))
    status = told(pod(), known)
    assert (status["phase"], status["reason"], status["message"]) == (
        "Failed",
        "DeadlineExceeded",
        "too long",
    )


def test_a_pod_has_not_failed_as_long_as_its_processes_run() -> None:
    of = {**pod(), "status": {"phase": "Running"}}
    status = told(of, observed(running(container()), failed=("Evicted", "no memory")))
    assert status["phase"] == "Running"
    assert "reason" not in status


def deleted(of: Obj) -> Obj:
    stamp = {"deletionTimestamp": meta.timestamp(NOW)}
    return {**of, "metadata": {**of["metadata"], **stamp}}


def test_a_deleted_pod_that_was_never_run_fails_with_containers_that_were_never_found() -> None:
    status = told(deleted(pod()), Observed(torn_down=True, cleaned=True))
    state = the_container(status)["state"]["terminated"]
    assert status["phase"] == "Failed"
    assert (state["reason"], state["exitCode"]) == ("ContainerStatusUnknown", 137)


def test_a_deleted_pod_whose_containers_ended_well_succeeded() -> None:
    known = observed(ended(container(), 0), torn_down=True)
    assert told(deleted(pod()), known)["phase"] == "Succeeded"


def test_addresses_stay_when_the_pod_has_ended() -> None:
    of = pod(restartPolicy="Never")
    of["status"] = {"podIP": "10.42.0.5", "podIPs": [{"ip": "10.42.0.5"}]}
    assert told(of, Observed(torn_down=True))["podIP"] == "10.42.0.5"


def test_a_pod_on_the_hosts_network_has_the_hosts_address() -> None:
    assert told(pod(hostNetwork=True), observed())["podIP"] == "192.0.2.1"


def test_transition_times_change_with_the_status_only() -> None:
    of = pod()
    of["status"] = told(of, Observed())
    status = told(of, observed(running(container()), started={"c-0"}, ready={"c-0"}), after=60)
    times = {each["type"]: each["lastTransitionTime"] for each in status["conditions"]}
    assert times["PodScheduled"] == "2026-01-02T03:04:05Z"
    assert times["Ready"] == "2026-01-02T03:05:05Z"


def test_what_others_wrote_into_the_status_stays() -> None:
    of = pod()
    of["status"] = {"nominatedNodeName": "n", "conditions": [{"type": "DisruptionTarget", "status": "True"}]}
    status = told(of, Observed())
    assert status["nominatedNodeName"] == "n"
    assert status["conditions"][0]["type"] == "DisruptionTarget"


def test_a_created_container_is_still_waiting() -> None:
    assert "waiting" in the_container(told(pod(), observed(attempt(container()))))["state"]


@pytest.mark.parametrize(
    ("old", "new", "patch"),
    [
        ({"phase": "Pending"}, {"phase": "Pending"}, {}),
        ({"phase": "Pending"}, {"phase": "Running"}, {"phase": "Running"}),
        ({"reason": "x"}, {}, {"reason": None}),
        ({}, {"a": [{"at": None}]}, {"a": [{"at": None}]}),
        ({"a": [{"b": 1}]}, {"a": [{"b": 1, "at": None}]}, {}),
        (
            {"podIPs": [{"ip": "1"}]},
            {"podIPs": [{"ip": "2"}]},
            {"podIPs": [{"$patch": "replace"}, {"ip": "2"}]},
        ),
        (
            {
                "conditions": [
                    {"type": "A", "status": "False", "reason": "r"},
                    {"type": "B", "status": "True"},
                ]
            },
            {"conditions": [{"type": "A", "status": "True"}, {"type": "B", "status": "True"}]},
            {"conditions": [{"type": "A", "status": "True", "reason": None}]},
        ),
    ],
)
def test_only_what_differs_is_sent(old: dict[str, Any], new: dict[str, Any], patch: dict[str, Any]) -> None:
    assert difference(old, new) == patch


def test_a_pod_that_was_refused_has_nothing_here_but_the_reason() -> None:
    scheduled = {"type": "PodScheduled", "status": "True"}
    of = pod()
    of["status"] = {"phase": "Pending", "conditions": [scheduled], "qosClass": "BestEffort"}
    known = Observed()
    known.failed = ("OutOfcpu", "Pod was rejected: Node didn't have enough resource: cpu")
    status = told(of, known)
    assert (status["phase"], status["reason"]) == ("Failed", "OutOfcpu")
    assert status["conditions"] == [scheduled]
    assert "containerStatuses" not in status
    assert "hostIP" not in status
    of["status"] = status
    assert told(of, Observed(), after=9) == status
