"""What a resize does to a pod that runs, in which order, and what is told of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from podium.api.types import Obj
from podium.runtime.oci.resources import effective
from podium.runtime.pods import allocation, records
from podium.runtime.pods.decide import decide
from podium.runtime.pods.differences import changing, differs
from podium.runtime.pods.model import Attempt, KillContainer, Observed, Resize
from podium.runtime.pods.resize import (
    Memory,
    Resizing,
    backfilled,
    below_usage,
    in_order,
    told_resources,
    updated,
    whole_pod,
)
from podium.runtime.pods.status import compose
from tests.unit.runtime.making import NOW, attempt, container, later, pod

MB = 1 << 20


def sized(name: str = "c", cpu: str = "100m", memory: str = "100Mi", **more: Any) -> Obj:
    amounts = {"cpu": cpu, "memory": memory}
    return container(name, resources={"requests": amounts, "limits": amounts}, **more)


def running_with(of: Obj, *containers: Obj) -> Observed:
    """What is known when each container runs with the resources given here."""
    attempts = {}
    for each in containers:
        made = replace(attempt(each), resources=effective(of, each)).running(1, NOW)
        attempts[each["name"]] = [made]
    return Observed(sandbox="s", volumes=True, attempts=attempts)


def test_a_pod_goes_by_what_it_was_promised() -> None:
    small, large = pod(sized(cpu="100m")), pod(sized(cpu="200m"))
    promise = allocation.of(small)
    assert allocation.applied(small, promise) is small
    assert allocation.applied(large, promise) == small
    assert allocation.applied(large, None) is large
    whole = pod(sized(), resources={"limits": {"cpu": "1"}})
    assert allocation.applied(whole, promise)["spec"].get("resources") is None


def test_resizes_that_free_something_are_looked_at_first_then_the_important_ones() -> None:
    had = pod(sized(cpu="200m"))
    smaller, larger = pod(sized(cpu="100m")), pod(sized(cpu="300m"))
    dear = pod(sized(cpu="300m"), priority=7)
    sure = {**larger, "status": {"qosClass": "Guaranteed"}}
    ranks = [
        allocation.rank(of, had, since)
        for of, since in ((larger, "2026-02"), (larger, "2026-01"), (sure, ""), (dear, ""), (smaller, ""))
    ]
    assert sorted(ranks) == ranks[::-1]
    assert allocation.rank(larger, had, "") > allocation.rank(larger, had, "2026-02")


def test_a_running_container_is_resized_in_place() -> None:
    of = pod(sized(cpu="200m"))
    known = running_with(of, sized(cpu="100m"))
    assert [each.name for each in changing(of, known)] == ["c"]
    assert decide(of, known, NOW, phase="Running").actions == (Resize(),)
    assert not differs(pod(sized(cpu="0.1")), known)


def test_a_container_that_wants_a_restart_for_it_is_killed_and_the_pod_resized_after_that() -> None:
    policy = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]
    of = pod(sized("a", memory="200Mi", resizePolicy=policy), sized("b", cpu="200m"))
    known = running_with(of, sized("a"), sized("b"))
    (kill,) = decide(of, known, NOW, phase="Running").actions
    assert isinstance(kill, KillContainer)
    assert (kill.name, kill.message) == ("a", "Container a resize requires restart")
    cpu_only = pod(sized("a", cpu="200m", resizePolicy=policy), sized("b"))
    assert decide(cpu_only, known, NOW, phase="Running").actions == (Resize(),)


def test_after_trouble_a_resize_waits() -> None:
    of = pod(sized(cpu="200m"))
    known = running_with(of, sized(cpu="100m"))
    known.resizing.retry_at = later(10)
    plan = decide(of, known, NOW, phase="Running")
    assert (plan.actions, plan.wake_at) == ((), later(10))


def test_who_gives_comes_before_who_takes() -> None:
    of = pod(sized("a", memory="200Mi"), sized("b", memory="50Mi"), sized("c", cpu="1"))
    found = changing(of, running_with(of, sized("a"), sized("b"), sized("c")))
    assert [each.name for each in in_order(found, "memory")] == ["b", "a"]
    assert [each.name for each in in_order(found, "cpu")] == ["c"]


def test_memory_that_is_used_is_not_taken_away() -> None:
    of = pod(sized(memory="50Mi"))
    found = changing(of, running_with(of, sized(memory="100Mi")))
    used = {"": 70 * MB, "c": 60 * MB}
    assert below_usage(found, Memory(100 * MB, 50 * MB, used)) == (
        "cannot decrease memory limits: [attempting to set pod memory limit (52428800) below current usage "
        '(73400320), attempting to set container "c" memory limit (52428800) below current usage (62914560)]'
    )
    assert below_usage(found, Memory(100 * MB, 50 * MB, {"": 9, "c": 9})) == ""
    grown = changing(pod(sized(memory="200Mi")), running_with(of, sized(memory="100Mi")))
    assert below_usage(grown, Memory(100 * MB, 200 * MB, {"": 300 * MB, "c": 300 * MB})) == ""


def test_one_resource_at_a_time() -> None:
    old = {"limits": {"cpu": "1", "memory": "1Gi"}}
    new = {"limits": {"cpu": "2", "memory": "2Gi"}, "requests": {"cpu": "1"}}
    assert updated(old, new, "memory") == {"limits": {"cpu": "1", "memory": "2Gi"}}
    assert updated(old, new, "cpu") == {
        "limits": {"memory": "1Gi", "cpu": "2"},
        "requests": {"cpu": "1"},
    }


def test_conditions_keep_their_date_until_their_reason_changes() -> None:
    resizing = Resizing()
    assert resizing.defer("no room", 2, NOW)
    assert not resizing.defer("still no room", 2, later(60))
    (condition,) = resizing.conditions()
    assert condition == {
        "type": "PodResizePending", "status": "True", "reason": "Deferred", "message": "still no room",
        "lastProbeTime": None, "lastTransitionTime": "2026-01-02T03:04:05Z", "observedGeneration": 2,
    }  # fmt: skip
    assert resizing.defer("no room", 3, later(90))
    resizing.begin(3, None, later(100))
    assert [each["type"] for each in resizing.conditions()] == ["PodResizeInProgress"]
    assert resizing.fail("used", 4, later(110))
    assert not resizing.fail("used", 4, later(120))
    (condition,) = resizing.conditions()
    assert (condition["reason"], condition["observedGeneration"]) == ("Error", 3)
    assert condition["lastTransitionTime"] == "2026-01-02T03:05:55Z"
    assert (done := resizing.end()) is not None
    assert done.generation == 3
    assert resizing.conditions() == []


def test_a_new_daemon_knows_what_was_told() -> None:
    resizing = Resizing()
    resizing.begin(3, None, NOW)
    of = {**pod(), "status": {"conditions": resizing.conditions()}}
    assert backfilled(of).conditions() == resizing.conditions()
    assert backfilled(of).whole


def test_the_status_tells_what_was_promised_and_what_is_in_force() -> None:
    of = pod(sized(cpu="200m"))
    status = compose(of, running_with(of, sized(cpu="100m")), NOW, host_ip="h")
    (told,) = status["containerStatuses"]
    assert told["allocatedResources"] == {"cpu": "200m", "memory": "100Mi"}
    assert told["resources"]["limits"] == {"cpu": "100m", "memory": "100Mi"}
    assert status["allocatedResources"] == {"cpu": "200m", "memory": "100Mi"}


def test_conditions_of_a_resize_go_when_it_is_over() -> None:
    of = {**pod(), "status": {"conditions": [{"type": "PodResizeInProgress", "status": "True"}]}}
    status = compose(of, Observed(), NOW, host_ip="h")
    assert "PodResizeInProgress" not in {each["type"] for each in status["conditions"]}


def test_what_is_no_cpu_or_memory_is_told_as_promised() -> None:
    asks = container(resources={"limits": {"cpu": "2", "ephemeral-storage": "1Gi"}})
    told = told_resources(asks, {"limits": {"cpu": "1", "memory": "5Mi"}})
    assert told == {"limits": {"cpu": "1", "memory": "5Mi", "ephemeral-storage": "1Gi"}}
    assert told_resources(asks, None) == asks["resources"]


def test_a_pod_tells_the_sums_and_limits_only_where_all_are_limited() -> None:
    of = pod(sized("a"), container("b", resources={"requests": {"cpu": "1"}}))
    told = whole_pod(of, None, running=True)
    assert told == {
        "resources": {"requests": {"cpu": "1100m", "memory": "100Mi"}},
        "allocatedResources": {"cpu": "1100m", "memory": "100Mi"},
    }
    whole = pod(container(), resources={"requests": {"cpu": "1"}, "limits": {"cpu": "2"}})
    settled = {"requests": {"cpu": "3"}, "limits": {"cpu": "4"}}
    assert whole_pod(whole, settled, running=True) == {
        "resources": {"requests": {"cpu": "3"}, "limits": {"cpu": "4"}},
        "allocatedResources": {"cpu": "1"},
    }


def test_what_a_container_was_given_is_read_back_from_its_record() -> None:
    made: Attempt = replace(attempt(container()), resources={"limits": {"cpu": "1"}})
    assert records.progress(made.running(1, NOW))["resources"] == {"limits": {"cpu": "1"}}


def test_events_list_what_each_container_asks_for() -> None:
    of = pod(sized(), initContainers=[container("i")])
    assert allocation.summary("Pod resize started", of, 3) == (
        'Pod resize started: {"initContainers":[{"name":"i","resources":{}}],"containers":[{"name":"c",'
        '"resources":{"limits":{"cpu":"100m","memory":"100Mi"},"requests":{"cpu":"100m","memory":"100Mi"}}}],'
        '"generation":3}'
    )
