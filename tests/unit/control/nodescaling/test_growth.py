from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from podium.api.types import Obj
from podium.control.nodescaling.growth import Choice, Plan, plan
from podium.control.nodescaling.pods import waits_for_room
from podium.control.nodescaling.templates import like
from podium.control.scheduler.simulate import Simulation
from tests.unit.control.nodescaling.build import TEMPLATE, node, pod


def choice(name: str = "a", size: int = 1, most: int = 5, **more: Any) -> Choice:
    options: dict[str, Any] = {"coming": 0, "template": TEMPLATE, **more}
    return Choice(name=name, size=size, most=most, **options)


def planned(nodes: Sequence[Obj], pods: Sequence[Obj], *choices: Choice) -> Plan:
    simulate: Callable[[], Simulation] = lambda: Simulation(nodes, pods)  # noqa: E731
    return plan(simulate, [each for each in pods if waits_for_room(each)], choices or (choice(),))


def reasons(made: Plan) -> list[str]:
    return sorted(made.hopeless.values())


FULL = [node("n"), *()]
BUSY = pod("busy", "4", on="n")


@pytest.mark.parametrize(
    ("waiting", "count"),
    [(["1"], 1), (["1"] * 4, 1), (["1"] * 5, 2), (["3", "3", "1", "1"], 2), (["4"] * 9, 4)],
)
def test_as_many_nodes_come_as_the_pods_need(waiting: list[str], count: int) -> None:
    pods = [BUSY, *(pod(cpu=cpu) for cpu in waiting)]
    made = planned(FULL, pods)
    assert made.add == {"a": count}
    assert len(made.helped) + len(made.hopeless) == len(waiting)


def test_what_fits_needs_nothing() -> None:
    assert planned([node("n")], [pod()]) == Plan({}, {}, {})


def test_nodes_that_are_coming_count() -> None:
    pods = [BUSY, *(pod(cpu="2") for _ in range(4))]
    assert planned(FULL, pods, choice(size=3, coming=2)).add == {}
    assert planned(FULL, pods, choice(size=2, coming=1)).add == {"a": 1}


def test_a_pod_that_no_node_could_take_brings_none() -> None:
    made = planned(FULL, [BUSY, pod(cpu="64")])
    assert (made.add, reasons(made)) == ({}, ["1 Insufficient cpu"])


def test_a_group_stops_at_its_most() -> None:
    made = planned(FULL, [BUSY, *(pod(cpu="4") for _ in range(3))], choice(size=1, most=2))
    assert made.add == {"a": 1}
    assert reasons(made) == ["1 max node group size reached"] * 2


def test_a_group_that_failed_is_left_alone() -> None:
    made = planned(FULL, [BUSY, pod()], choice(blocked=True))
    assert (made.add, reasons(made)) == ({}, ["1 in backoff after failed scale-up"])


def test_the_group_that_takes_most_pods_with_fewest_nodes_is_chosen() -> None:
    large = TEMPLATE._replace(allocatable={"cpu": "16", "memory": "8Gi", "pods": "110"})
    pods = [BUSY, *(pod(cpu="4") for _ in range(4))]
    made = planned(FULL, pods, choice("a"), choice("b", template=large))
    assert made.add == {"b": 1}


def test_labels_and_taints_of_a_group_count() -> None:
    gpu = TEMPLATE._replace(
        labels={"gpu": "yes"}, taints=[{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]
    )
    wants = pod("wants", nodeSelector={"gpu": "yes"}, tolerations=[{"key": "gpu", "operator": "Exists"}])
    made = planned(FULL, [BUSY, wants, pod("plain")], choice("a"), choice("b", template=gpu))
    assert made.add == {"a": 1, "b": 1}
    assert made.helped == {"uid-wants": "b", "uid-plain": "a"}


def test_pods_that_keep_apart_get_a_node_each() -> None:
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "x"}}}
    apart = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    pods = [pod(on="n", affinity=apart), *(pod(affinity=apart) for _ in range(3))]
    assert planned([node("n")], pods).add == {"a": 3}


@pytest.mark.parametrize(
    ("changed", "waits"),
    [
        (pod(), True),
        (pod(owner="DaemonSet"), False),
        (pod(on="n"), False),
        (pod(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}), False),
        ({**pod(), "status": {"phase": "Pending"}}, False),
        ({**pod(), "status": {**pod()["status"], "nominatedNodeName": "n"}}, False),
    ],
)
def test_only_what_a_node_would_help_waits_for_one(changed: Obj, waits: bool) -> None:
    assert waits_for_room(changed) is waits


def test_a_new_node_is_like_those_there_are() -> None:
    taints = [
        {"key": "team", "effect": "NoSchedule"},
        {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"},
        {"key": "DeletionCandidateOfClusterAutoscaler", "effect": "PreferNoSchedule"},
    ]
    sample = node("n", taints=taints, metadata={"labels": {"kubernetes.io/hostname": "n", "zone": "z"}})
    found = like(sample, [pod(cpu="500m", owner="DaemonSet", on="n"), pod(on="n")])
    assert (found.labels, [taint["key"] for taint in found.taints]) == ({"zone": "z"}, ["team"])
    # What daemons take is taken there too.
    assert (found.allocatable["cpu"], found.allocatable["pods"]) == ("3500m", "109")
