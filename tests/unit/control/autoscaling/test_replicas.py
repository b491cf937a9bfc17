from __future__ import annotations

from datetime import timedelta

import pytest

from podium.api.types import Obj
from podium.control.autoscaling.amounts import amount
from podium.control.autoscaling.replicas import (
    MOST,
    Metrics,
    Tolerances,
    Unknown,
    by_average,
    by_total,
    by_total_per_pod,
    by_utilization,
)
from tests.unit.control.autoscaling.build import MINUTE, metrics, pod, pods, workload

YOUNG = 2 * MINUTE


def cpu(found: list[Obj], known: Metrics, target: int, wanted: int | None = None) -> tuple[int, int | None]:
    answer = by_utilization(workload(found, wanted), known, target, "cpu", "")
    return answer.replicas, answer.utilization


@pytest.mark.parametrize(
    ("found", "known", "target", "expected"),
    [
        (pods(3), metrics(300, 500, 700), 30, (5, 50)),
        (pods(5), metrics(100, 300, 500, 250, 250), 50, (3, 28)),
        # Within a tenth of the target nothing is done.
        (pods(3), metrics(1010, 1030, 1020), 100, (3, 102)),
        (pods(3), metrics(900, 910, 920), 100, (3, 91)),
        (pods(3), metrics(890, 890, 880), 100, (3, 88)),
        (pods(10), metrics(*[890] * 10), 100, (9, 89)),
    ],
)
def test_utilization_is_brought_to_its_target(
    found: list[Obj], known: Metrics, target: int, expected: tuple[int, int]
) -> None:
    assert cpu(found, known, target) == expected


@pytest.mark.parametrize(
    ("found", "known", "target", "expected"),
    [
        # Growing: a pod without metrics counts as idle.
        (pods(3), metrics(900, 900), 50, 4),
        (pods(2), metrics(900), 50, 2),
        # Shrinking: as if it used all that it requested, or the target where that is more.
        (pods(4), metrics(100, 100, 100), 50, 3),
        (pods(4), metrics(100, 100, 100), 200, 2),
        # The careful answer points the other way: nothing is done.
        (pods(3), metrics(600), 50, 3),
    ],
)
def test_missing_metrics_make_careful(found: list[Obj], known: Metrics, target: int, expected: int) -> None:
    assert cpu(found, known, target)[0] == expected


def test_pods_that_are_not_ready_count_as_idle_when_growing() -> None:
    found = [*pods(2), pod("p2", phase="Pending"), pod("p3", phase="Pending")]
    assert cpu(found, metrics(500, 700), 30)[0] == 4
    assert cpu(found, metrics(2000, 2000), 30, wanted=4)[0] == 14


def test_pods_that_are_not_ready_do_not_count_when_shrinking() -> None:
    found = [*pods(2), pod("p2", phase="Pending")]
    assert cpu(found, metrics(100, 100), 50)[0] == 1


def test_failed_and_deleted_pods_do_not_count_at_all() -> None:
    found = [*pods(2), pod("p2", phase="Failed"), pod("p3", gone=True)]
    assert cpu(found, metrics(500, 700, 9999, 9999), 30, wanted=2) == (4, 60)


@pytest.mark.parametrize(
    ("case", "counts"),
    [
        (pod("p0", age=YOUNG, ready=False), False),
        # Its window reaches back to before it was ready.
        (pod("p0", age=YOUNG, since=timedelta(seconds=30)), False),
        (pod("p0", age=YOUNG, since=timedelta(seconds=90)), True),
        # Later an unready pod counts, unless it was never ready.
        (pod("p0", ready=False, since=MINUTE), True),
        (pod("p0", ready=False, age=timedelta(hours=1), since=timedelta(hours=1, seconds=-10)), False),
    ],
)
def test_the_processors_that_a_start_takes_are_no_load(case: Obj, counts: bool) -> None:
    if counts:
        assert cpu([case], metrics(500), 100)[1] == 50
    else:
        with pytest.raises(Unknown, match="pods might be unready"):
            cpu([case], metrics(500), 100)


def test_memory_counts_from_the_start() -> None:
    found = [pod("p0", age=YOUNG, ready=False)]
    found[0]["spec"]["containers"][0]["resources"] = {"requests": {"memory": "1Ki"}}
    known = metrics(512_000)
    assert by_utilization(workload(found), known, 100, "memory", "").utilization == 50


@pytest.mark.parametrize(
    ("found", "container", "message"),
    [
        ([], "", "no pods returned by selector while calculating replica count"),
        (pods(1, request=None), "", "missing request for cpu in container main of Pod p0"),
        (pods(1), "other", "container other not found in Pod p0"),
        (
            pods(1, resources={"requests": {"memory": "1Gi"}}),
            "",
            "missing pod-level request for cpu in Pod p0",
        ),
    ],
)
def test_what_cannot_be_told_is_said(found: list[Obj], container: str, message: str) -> None:
    with pytest.raises(Unknown, match=message):
        by_utilization(workload(found), metrics(100), 50, "cpu", container)


def test_requests_are_those_of_all_that_runs_on() -> None:
    sidecar = {"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}}
    setup = {"name": "i", "resources": {"requests": {"cpu": "8"}}}
    found = pods(1, initContainers=[sidecar, setup])
    assert cpu(found, metrics(1000), 100)[1] == 50
    assert by_utilization(workload(found), metrics(1000), 100, "cpu", "s").utilization == 100


def test_a_pods_own_requests_go_before_its_containers() -> None:
    found = pods(1, resources={"requests": {"cpu": "500m"}})
    assert cpu(found, metrics(500), 50)[1] == 100


@pytest.mark.parametrize(
    ("known", "target", "replicas", "value"),
    [(metrics(20, 10, 30), 15, 4, 20), (metrics(12, 12, 12), 12, 3, 12), (metrics(5, 5, 5), 15, 1, 5)],
)
def test_an_average_value_is_brought_to_its_target(
    known: Metrics, target: int, replicas: int, value: int
) -> None:
    answer = by_average(workload(pods(3)), known, target)
    assert (answer.replicas, answer.value, answer.utilization) == (replicas, value, None)


def test_a_missing_average_counts_as_the_target_when_shrinking() -> None:
    assert by_average(workload(pods(4)), metrics(2, 2, 2), 10).replicas == 2


@pytest.mark.parametrize(
    ("found", "wanted", "total", "target", "replicas"),
    [
        (pods(3), 3, 40000, 20000, 6),
        (pods(3), 3, 21000, 20000, 3),
        # Only what is ready does the work.
        ([*pods(2), pod("p2", ready=False)], 3, 40000, 20000, 4),
        # From zero: as many as the targets fit into the total.
        ([], 0, 50000, 20000, 3),
        (pods(3), 3, 10**18, 1, MOST),
    ],
)
def test_a_total_is_brought_to_its_target(
    found: list[Obj], wanted: int, total: int, target: int, replicas: int
) -> None:
    assert by_total(workload(found, wanted), total, target).replicas == replicas


@pytest.mark.parametrize(
    ("present", "total", "target", "replicas", "value"),
    [(3, 8600, 2150, 4, 2867), (3, 6600, 2150, 3, 2200), (0, 8600, 2150, 4, 8600), (5, 8600, 2150, 4, 1720)],
)
def test_a_total_is_shared_among_the_pods(
    present: int, total: int, target: int, replicas: int, value: int
) -> None:
    answer = by_total_per_pod(workload([], present), total, target)
    assert (answer.replicas, answer.value) == (replicas, value)


def test_each_direction_has_a_tolerance_of_its_own() -> None:
    found, strict = pods(10), Tolerances(down=0.5, up=0.0)
    up = by_utilization(workload(found, tolerances=strict), metrics(*[510] * 10), 50, "cpu", "")
    down = by_utilization(workload(found, tolerances=strict), metrics(*[300] * 10), 50, "cpu", "")
    assert (up.replicas, down.replicas) == (11, 10)


@pytest.mark.parametrize(
    ("value", "binary", "text"),
    [
        (1500, False, "1500m"),
        (2000, False, "2"),
        (2_000_000, False, "2k"),
        (104857600 * 1000, True, "100Mi"),
        (1023 * 1000, True, "1023"),
        (0, False, "0"),
    ],
)
def test_amounts_have_one_form(value: int, binary: bool, text: str) -> None:
    assert amount(value, binary=binary) == text
