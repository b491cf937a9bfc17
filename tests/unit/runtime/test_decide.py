"""What is decided about a pod, moment by moment."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from podium.api.types import Obj, meta
from podium.runtime.pods import rules
from podium.runtime.pods.decide import DEADLINE, decide
from podium.runtime.pods.model import (
    Action,
    BeginAnew,
    CleanUp,
    EnsureImage,
    Finish,
    KillContainer,
    MountVolumes,
    Observed,
    Plan,
    RemoveContainer,
    SetUpSandbox,
    StartContainer,
    TearDown,
    Trouble,
)
from tests.unit.runtime.making import (
    NOW,
    attempt,
    container,
    ended,
    later,
    observed,
    pod,
    running,
    with_images,
)


def plan(of: Obj, known: Observed, *, phase: str = "Running", after: float = 0) -> Plan:
    return decide(of, known, later(after), phase=phase)


def actions(of: Obj, known: Observed, *, phase: str = "Running", after: float = 0) -> list[Action]:
    return list(plan(of, known, phase=phase, after=after).actions)


def deleting(of: Obj, grace: int = 30) -> Obj:
    marks = {"deletionTimestamp": meta.timestamp(later(grace)), "deletionGracePeriodSeconds": grace}
    return {**of, "metadata": {**of["metadata"], **marks}}


def test_a_new_pod_gets_sandbox_volumes_and_image_side_by_side() -> None:
    assert actions(pod(), Observed(), phase="Pending") == [
        EnsureImage("c", pull=False),
        SetUpSandbox(),
        MountVolumes(),
    ]


def test_nothing_under_way_is_begun_again() -> None:
    known = Observed(busy={"sandbox", "image/c"})
    assert actions(pod(), known, phase="Pending") == [MountVolumes()]


def test_containers_start_together_once_everything_is_there() -> None:
    of = pod(container("a"), container("b"))
    known = with_images(observed(), "a", "b")
    assert actions(of, known) == [StartContainer("a", 0, 0), StartContainer("b", 0, 0)]


def test_a_container_does_not_wait_for_the_image_of_another() -> None:
    of = pod(container("a"), container("b"))
    known = with_images(observed(), "b")
    assert actions(of, known) == [EnsureImage("a", pull=False), StartContainer("b", 0, 0)]


def test_an_ephemeral_container_starts_whenever_it_comes_and_only_once() -> None:
    first, added = container("first"), container("added")
    of = pod(initContainers=[first], ephemeralContainers=[added])
    known = with_images(observed(running(first)), "added")
    assert actions(of, known) == [StartContainer("added", 0, 0)]
    known.put(ended(added, 1))
    assert actions(of, known, after=1000) == []
    ran = {"name": "added", "state": {"terminated": {"exitCode": 1}}}
    forgotten = {**of, "status": {"ephemeralContainerStatuses": [ran]}}
    assert actions(forgotten, with_images(observed(running(first)), "added")) == []


@pytest.mark.parametrize(
    ("spec", "reason", "message"),
    [
        ({"os": {"name": "windows"}}, "PodOSNotSupported", "the OS field doesn't match node OS"),
    ],
)
def test_a_pod_that_cannot_run_here_is_refused(spec: Obj, reason: str, message: str) -> None:
    made = plan(pod(**spec), Observed(), phase="Pending")
    assert made.failed is not None
    assert made.failed[0] == reason
    assert message in made.failed[1]
    assert made.actions == ()


def test_what_every_node_has_is_not_refused() -> None:
    sysctls = [{"name": "kernel.shm_rmid_forced"}, {"name": "net/ipv4/tcp_syncookies"}]
    spec = {"os": {"name": "linux"}, "securityContext": {"sysctls": sysctls}}
    assert plan(pod(**spec), Observed(), phase="Pending").failed is None


def test_init_containers_run_one_after_the_other() -> None:
    one, two = container("one"), container("two")
    of = pod(initContainers=[one, two])
    known = with_images(observed(), "one", "two", "c")
    assert actions(of, known) == [StartContainer("one", 0, 0)]
    known.put(running(one))
    assert actions(of, known) == []
    known.put(ended(one, 0))
    assert actions(of, known) == [StartContainer("two", 0, 0)]


def test_containers_wait_for_a_sidecar_to_have_started() -> None:
    side = container("side", restartPolicy="Always")
    of = pod(initContainers=[side])
    known = with_images(observed(running(side)), "c")
    assert actions(of, known) == []
    known.started.add("side-0")
    assert actions(of, known) == [StartContainer("c", 0, 0)]


def test_a_sidecar_that_ended_comes_back_beside_running_containers() -> None:
    side = container("side", restartPolicy="Always")
    of = pod(initContainers=[side])
    known = with_images(observed(ended(side, 0), running(container())), "side")
    assert actions(of, known) == [StartContainer("side", 1, 10)]


def test_init_containers_do_not_run_again_after_the_pod_was_initialised() -> None:
    init = container("init")
    of = pod(initContainers=[init])
    assert actions(of, with_images(observed(running(container())), "init")) == []


def test_init_containers_run_again_in_a_new_sandbox() -> None:
    init = container("init")
    of = pod(initContainers=[init])
    known = with_images(observed(ended(init, 0, sandbox="old")), "init", "c")
    assert actions(of, known) == [StartContainer("init", 1, 10)]


@pytest.mark.parametrize(
    ("number", "backoff", "wait"),
    [(0, 0, 0), (1, 10, 10), (2, 20, 20), (6, 300, 300)],
)
def test_restarts_wait_longer_each_time(number: int, backoff: int, wait: int) -> None:
    known = with_images(observed(ended(container(), 1, number, backoff=backoff)), "c")
    following = min(max(10, backoff * 2), 300)
    if wait:
        assert actions(pod(), known, after=wait - 1) == []
        assert plan(pod(), known).wake_at == later(wait)
    assert actions(pod(), known, after=wait) == [StartContainer("c", number + 1, following)]


def test_an_attempt_that_lasted_ten_minutes_is_forgiven() -> None:
    lasted = ended(container(), 1, 5, at=later(601), backoff=160)
    known = with_images(observed(lasted), "c")
    assert actions(pod(), known, after=601) == [StartContainer("c", 6, 10)]


@pytest.mark.parametrize(
    ("policy", "code", "again"),
    [
        ("Always", 0, True),
        ("Always", 1, True),
        ("OnFailure", 0, False),
        ("OnFailure", 1, True),
        ("Never", 1, False),
    ],
)
def test_the_restart_policy_decides(policy: str, code: int, again: bool) -> None:
    known = with_images(observed(ended(container(), code)), "c")
    assert bool(actions(pod(restartPolicy=policy), known)) is again


def test_a_rule_of_the_container_overrides_the_policy() -> None:
    rule = {"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}
    picky = container(restartPolicy="Never", restartPolicyRules=[rule])
    assert rules.restarts(pod(picky), picky, 42)
    assert not rules.restarts(pod(picky), picky, 1)


def test_a_container_that_the_api_server_knows_to_have_ended_does_not_run_twice() -> None:
    of = pod(restartPolicy="Never")
    of["status"] = {"containerStatuses": [{"name": "c", "state": {"running": {}}, "restartCount": 0}]}
    assert actions(of, with_images(observed(), "c")) == []


def test_the_count_of_restarts_goes_on_after_everything_on_the_machine_was_lost() -> None:
    of = pod()
    of["status"] = {"containerStatuses": [{"name": "c", "state": {"running": {}}, "restartCount": 3}]}
    assert actions(of, with_images(observed(), "c")) == [StartContainer("c", 4, 0)]


def test_trouble_is_waited_out() -> None:
    known = observed()
    known.troubles["c"] = Trouble("ErrImagePull", "no", NOW, later(10), 10)
    assert actions(pod(), known) == []
    assert plan(pod(), known).wake_at == later(10)
    assert actions(pod(), known, after=10) == [EnsureImage("c", pull=False)]


def test_always_pulls_when_the_policy_says_so() -> None:
    of = pod(container(imagePullPolicy="Always"))
    assert actions(of, observed()) == [EnsureImage("c", pull=True)]


def test_a_failed_liveness_probe_kills_with_the_probes_own_grace() -> None:
    of = pod(container(livenessProbe={"terminationGracePeriodSeconds": 7}))
    known = observed(running(of["spec"]["containers"][0]), doomed={"c-0": "liveness"})
    message = "Container c failed liveness probe, will be restarted"
    assert actions(of, known) == [KillContainer("c-0", "c", 7, NOW, message)]


def test_a_container_whose_definition_changed_is_replaced() -> None:
    known = observed(running(container(image="old")))
    (kill,) = actions(pod(terminationGracePeriodSeconds=5), known)
    message = "Container c definition changed, will be restarted"
    assert kill == KillContainer("c-0", "c", 5, NOW, message)


def test_resources_change_without_a_restart() -> None:
    small, large = container(resources={}), container(resources={"limits": {"cpu": "1"}})
    assert actions(pod(large), observed(running(small))) == []


def test_of_ended_attempts_the_newest_two_are_kept() -> None:
    attempts = [ended(container(), 1, number) for number in range(3)]
    known = observed(*attempts, running(container(), 3))
    assert actions(pod(), known) == [RemoveContainer("c-0", "c"), RemoveContainer("c-1", "c")]


def test_a_pod_being_deleted_is_killed_then_torn_down_then_let_go_and_then_cleaned_up() -> None:
    of, known = deleting(pod(), 9), observed(running(container()), stopping_since=NOW)
    assert actions(of, known) == [KillContainer("c-0", "c", 9, NOW, "Stopping container c")]
    known.put(ended(container(), 143))
    assert actions(of, known) == [TearDown()]
    known.torn_down = True
    assert actions(of, known, phase="Failed") == [Finish()]
    known.finished = True
    assert actions(of, known, phase="Failed") == [CleanUp()]
    known.cleaned = True
    assert actions(of, known, phase="Failed") == []


def test_a_kill_under_way_is_decided_again_so_that_it_can_hasten() -> None:
    known = observed(running(container()), stopping_since=NOW, busy={"kill/c-0"})
    assert actions(deleting(pod(), 0), known) == [KillContainer("c-0", "c", 2, NOW, "Stopping container c")]


def test_nothing_is_torn_down_while_a_container_is_being_started() -> None:
    assert actions(deleting(pod()), observed(busy={"container/c"})) == []


def test_sidecars_end_after_the_others_and_in_reverse_order() -> None:
    sides = [container(name, restartPolicy="Always") for name in ("s1", "s2")]
    of = deleting(pod(initContainers=sides))
    known = observed(*(running(each) for each in sides), running(container()))
    assert [each.key for each in actions(of, known)] == ["kill/c-0"]
    known.put(ended(container(), 0))
    assert [each.key for each in actions(of, known)] == ["kill/s2-0"]
    known.put(ended(sides[1], 0))
    assert [each.key for each in actions(of, known)] == ["kill/s1-0"]


def test_a_pod_that_the_api_server_forgot_is_not_asked_for_there() -> None:
    known = observed(gone=True)
    assert actions(pod(), known) == [TearDown()]
    known.torn_down = True
    assert actions(pod(), known, phase="Failed") == [CleanUp()]
    known.cleaned = True
    assert actions(pod(), known, phase="Failed") == []


def test_a_pod_that_has_ended_is_torn_down_but_its_containers_are_kept() -> None:
    of, known = pod(restartPolicy="Never"), observed(ended(container(), 0))
    assert actions(of, known, phase="Succeeded") == [TearDown()]
    known.torn_down = True
    assert actions(of, known, phase="Succeeded") == []


def test_a_pod_past_its_deadline_fails_and_is_killed() -> None:
    of = pod(activeDeadlineSeconds=60)
    of["status"] = {"startTime": meta.timestamp(NOW)}
    known = observed(running(container()))
    assert plan(of, known).wake_at == later(60)
    late = plan(of, known, after=60)
    assert late.failed == DEADLINE
    assert [each.key for each in late.actions] == ["kill/c-0"]


def test_a_failed_sandbox_is_tried_again_after_a_while() -> None:
    trouble = Trouble("FailedCreatePodSandBox", "no", NOW, later(1), 1)
    known = replace(Observed(), sandbox_trouble=trouble, volumes=True)
    assert SetUpSandbox() not in actions(pod(), known)
    assert SetUpSandbox() in actions(pod(), known, after=timedelta(seconds=1).total_seconds())


def _restarting(name: str, **more: Any) -> Obj:
    rules = [{"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [42]}}]
    return container(name, restartPolicy="Never", restartPolicyRules=rules, **more)


def test_all_containers_end_and_begin_again_when_one_says_so() -> None:
    first, source, other = container("first"), _restarting("source"), container("other")
    of = pod(source, other, initContainers=[first], restartPolicy="Never")
    known = with_images(
        observed(ended(first, 0), ended(source, 42), running(other)), "first", "source", "other"
    )
    (kill,) = actions(of, known)
    assert isinstance(kill, KillContainer)
    assert (kill.name, kill.grace) == ("other", 2.0)
    known.put(ended(other, 137))
    assert actions(of, known) == [BeginAnew()]
    known.sandbox = "s.1"
    assert actions(of, known) == [StartContainer("first", 1, 10)]
    known.put(ended(first, 0, 1, sandbox="s.1"))
    started = actions(of, known)
    assert [each.name for each in started if isinstance(each, StartContainer)] == ["source", "other"]


def test_another_sandbox_is_no_reason_for_containers_to_begin_again() -> None:
    only = container()
    known = with_images(observed(ended(only, 0)), only["name"])
    known.sandbox = "another"
    assert actions(pod(only, restartPolicy="Never"), known) == []


def test_a_container_that_is_only_just_being_started_is_not_killed_yet() -> None:
    only = container()
    known = observed(attempt(only), busy={f"container/{only['name']}"})
    known.gone = True
    assert actions(pod(only), known) == []
    assert [type(each) for each in actions(pod(only), known, after=3)] == [KillContainer]
    known.busy.clear()
    assert [type(each) for each in actions(pod(only), known)] == [KillContainer]


def test_the_longest_back_off_can_be_shorter() -> None:
    only = container()
    known = with_images(observed(ended(only, 1, backoff=20)), only["name"])
    made = decide(pod(only), known, NOW + timedelta(seconds=30), phase="Running", max_backoff=30)
    assert made.actions == (StartContainer(only["name"], 1, 30),)
