"""Pods as `kubectl get pods -o wide` shows them."""

from __future__ import annotations

from typing import Any

import pytest

from podium.api.types import Obj
from podium.api.types.resources import PODS
from tests.unit.api.groups.build import container, pod, row, strategy


def running(**more: Any) -> Obj:
    return {"name": "main", "ready": True, "restartCount": 0, "state": {"running": {}}, **more}


def terminated(code: int = 0, reason: str = "", **more: Any) -> Obj:
    ended = {"exitCode": code, **({"reason": reason} if reason else {}), **more}
    return {"name": "main", "ready": False, "restartCount": 0, "state": {"terminated": ended}}


def waiting(reason: str, **more: Any) -> Obj:
    return {
        "name": "main",
        "ready": False,
        "restartCount": 0,
        "state": {"waiting": {"reason": reason}},
        **more,
    }


READY = {"type": "Ready", "status": "True"}
INITIALIZED = {"type": "Initialized", "status": "True"}


def of(status: Obj, **spec: Any) -> Obj:
    return {**pod(**spec), "status": status}


def init(*statuses: Obj, sidecar: bool = False, phase: str = "Pending", **more: Any) -> Obj:
    policy = {"restartPolicy": "Always"} if sidecar else {}
    inits = [container(name=f"i{index}", **policy) for index, _ in enumerate(statuses)]
    named = [{**status, "name": f"i{index}"} for index, status in enumerate(statuses)]
    return of({"phase": phase, "initContainerStatuses": named, **more}, initContainers=inits)


@pytest.mark.parametrize(
    ("obj", "ready", "status", "restarts"),
    [
        (of({"phase": "Pending"}), "0/1", "Pending", "0"),
        (of({"phase": "Running", "containerStatuses": [running()]}), "1/1", "Running", "0"),
        (of({"phase": "Running", "containerStatuses": [running(ready=False)]}), "0/1", "Running", "0"),
        (
            of({"phase": "Pending", "containerStatuses": [waiting("ContainerCreating")]}),
            "0/1",
            "ContainerCreating",
            "0",
        ),
        (
            of({"phase": "Pending", "containerStatuses": [waiting("ImagePullBackOff")]}),
            "0/1",
            "ImagePullBackOff",
            "0",
        ),
        (
            of(
                {
                    "phase": "Running",
                    "containerStatuses": [
                        waiting(
                            "CrashLoopBackOff",
                            restartCount=2,
                            lastState={"terminated": {"finishedAt": "2026-01-02T11:55:00Z"}},
                        )
                    ],
                }
            ),
            "0/1",
            "CrashLoopBackOff",
            "2 (5m ago)",
        ),
        (
            of({"phase": "Succeeded", "containerStatuses": [terminated(0, "Completed")]}),
            "0/1",
            "Completed",
            "0",
        ),
        (of({"phase": "Failed", "containerStatuses": [terminated(1, "Error")]}), "0/1", "Error", "0"),
        (of({"phase": "Failed", "containerStatuses": [terminated(137)]}), "0/1", "ExitCode:137", "0"),
        (of({"phase": "Failed", "containerStatuses": [terminated(137, signal=9)]}), "0/1", "Signal:9", "0"),
        (of({"phase": "Failed", "reason": "Evicted"}), "0/1", "Evicted", "0"),
        (
            of(
                {
                    "phase": "Running",
                    "conditions": [READY],
                    "containerStatuses": [terminated(0, "Completed"), running(name="b")],
                },
                containers=[container(), container(name="b")],
            ),
            "1/2",
            "Running",
            "0",
        ),
        (
            of(
                {"phase": "Running", "containerStatuses": [terminated(0, "Completed"), running(name="b")]},
                containers=[container(), container(name="b")],
            ),
            "1/2",
            "NotReady",
            "0",
        ),
        (
            of({"phase": "Pending", "conditions": [{"type": "PodScheduled", "reason": "SchedulingGated"}]}),
            "0/1",
            "SchedulingGated",
            "0",
        ),
        (init(running(ready=False)), "0/1", "Init:0/1", "0"),
        (init(terminated(0, "Completed"), waiting("PodInitializing")), "0/1", "Init:1/2", "0"),
        (init(terminated(1, "Error")), "0/1", "Init:Error", "0"),
        (init(terminated(3)), "0/1", "Init:ExitCode:3", "0"),
        (init(waiting("CrashLoopBackOff", restartCount=4)), "0/1", "Init:CrashLoopBackOff", "4"),
        (
            init(
                running(started=True),
                sidecar=True,
                phase="Running",
                conditions=[INITIALIZED],
                containerStatuses=[running()],
            ),
            "2/2",
            "Running",
            "0",
        ),
        (
            init(
                {**terminated(0), "restartCount": 3},
                phase="Running",
                containerStatuses=[running(restartCount=1)],
            ),
            "1/1",
            "Running",
            "1",
        ),
    ],
)
def test_status_ready_and_restarts(obj: Obj, ready: str, status: str, restarts: str) -> None:
    cells = row(PODS, obj)
    assert (cells["Ready"], cells["Status"], cells["Restarts"]) == (ready, status, restarts)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"phase": "Running", "containerStatuses": [running()]}, "Terminating"),
        ({"phase": "Running", "reason": "NodeLost"}, "Unknown"),
        ({"phase": "Failed"}, "Failed"),
    ],
)
def test_a_pod_on_its_way_out(status: Obj, expected: str) -> None:
    obj = of(status)
    obj["metadata"]["deletionTimestamp"] = "2026-01-02T12:00:30Z"
    assert row(PODS, obj)["Status"] == expected


def test_the_wide_columns() -> None:
    status = {
        "phase": "Running", "podIPs": [{"ip": "10.42.0.7"}],
        "conditions": [{"type": "g/a", "status": "True"}],
    }  # fmt: skip
    gates = [{"conditionType": "g/a"}, {"conditionType": "g/b"}]
    cells = row(PODS, of(status, nodeName="n1", readinessGates=gates))
    assert cells["IP"] == "10.42.0.7"
    assert cells["Node"] == "n1"
    assert cells["Nominated Node"] == "<none>"
    assert cells["Readiness Gates"] == "1/2"
    assert cells["Age"] == "60m"


def test_column_names_and_priorities_are_those_kubectl_knows() -> None:
    columns = strategy(PODS).columns
    assert [column.name.upper() for column in columns if not column.priority] == [
        "NAME", "READY", "STATUS", "RESTARTS", "AGE",
    ]  # fmt: skip
    assert columns[0].wire()["format"] == "name"


def test_a_row_tells_that_its_pod_is_done() -> None:
    [condition] = strategy(PODS).row_conditions(of({"phase": "Succeeded"}))
    assert (condition["type"], condition["reason"]) == ("Completed", "Succeeded")
