"""When a node counts as short of something, and who has to go then."""

from __future__ import annotations

from typing import Any

import pytest

from podium.api.types import Obj
from podium.runtime.eviction.ranking import Used, message, ranked, refusal
from podium.runtime.eviction.thresholds import (
    ALLOCATABLE_MEMORY,
    CONTAINER_FS,
    CONTAINER_INODES,
    IMAGE_FS,
    MEMORY,
    NODE_FS,
    PIDS,
    Amount,
    BadThreshold,
    Eviction,
    Threshold,
    binary,
    reserved,
    seconds,
    with_containers,
)
from podium.runtime.eviction.watch import Seen, Watch
from tests.unit.runtime.making import container, later, pod

MB = 1 << 20


def asking(name: str, memory: str = "", **spec: Any) -> Obj:
    resources = {"requests": {"memory": memory}} if memory else {}
    return pod(container(resources=resources), name=name, **spec)


def test_thresholds_are_read_as_flags_write_them() -> None:
    found = Eviction(
        hard="memory.available<100Mi,nodefs.available<10%",
        soft="memory.available<1Gi",
        soft_grace="memory.available=1m30s",
        reclaim="memory.available=50Mi",
    ).thresholds()
    more = Amount(50 * MB)
    assert found == (
        Threshold(MEMORY, Amount(100 * MB), 0.0, more),
        Threshold(NODE_FS, Amount(share=0.1)),
        Threshold(MEMORY, Amount(1 << 30), 90.0, more),
        Threshold(ALLOCATABLE_MEMORY, Amount(100 * MB), 0.0, more),
    )
    assert found[1].amount.of(1000) == 100


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"hard": "memory.free<1Gi"}, "unsupported eviction signal memory.free"),
        ({"hard": "memory.available>1Gi"}, "is not of the form"),
        ({"hard": "memory.available<0"}, "must be positive"),
        ({"hard": "nodefs.available<120%"}, "must be <= 100%"),
        ({"hard": "nodefs.available<much"}, "neither an amount nor a percentage"),
        ({"hard": "", "soft": "memory.available<1Gi"}, "grace period must be specified"),
        ({"hard": "", "reclaim": "memory.available=0%"}, "must be positive"),
        ({"hard": "", "soft_grace": "memory.available=soon"}, "invalid duration"),
    ],
)
def test_what_cannot_be_meant_is_refused(settings: dict[str, str], why: str) -> None:
    with pytest.raises(BadThreshold, match=why):
        Eviction(**settings).thresholds()


def test_a_percentage_of_nothing_or_all_switches_a_threshold_off() -> None:
    assert Eviction(hard="nodefs.available<0%,imagefs.available<100%").thresholds() == ()


def test_durations_and_reservations_are_read() -> None:
    assert seconds("1h2m3.5s") == 3723.5
    assert reserved(("cpu=100m,memory=1Gi", "cpu=1,pid=100")) == {"cpu": 1100, "memory": 1 << 30, "pid": 100}
    with pytest.raises(BadThreshold):
        reserved(("disk=1Gi",))


def watching(**settings: Any) -> Watch:
    eviction = Eviction(**settings)
    return Watch(eviction, eviction.thresholds())


def test_a_hard_threshold_counts_at_once_and_its_condition_stays_for_a_while() -> None:
    watch = watching(hard="memory.available<100Mi", transition=300.0)
    assert watch.look({MEMORY: Seen(200 * MB, 1 << 30)}, later(0)) == []
    assert watch.conditions == frozenset()
    due = watch.look({MEMORY: Seen(99 * MB, 1 << 30)}, later(10))
    assert [each.signal for each in due] == [MEMORY]
    assert watch.conditions == {"MemoryPressure"}
    assert watch.look({MEMORY: Seen(200 * MB, 1 << 30)}, later(20)) == []
    assert watch.conditions == {"MemoryPressure"}
    watch.look({MEMORY: Seen(200 * MB, 1 << 30)}, later(311))
    assert watch.conditions == frozenset()


def test_a_soft_threshold_has_to_last_but_its_condition_is_told_at_once() -> None:
    watch = watching(hard="", soft="nodefs.available<50%", soft_grace="nodefs.available=30s")
    short = {NODE_FS: Seen(40, 100)}
    assert watch.look(short, later(0)) == []
    assert watch.conditions == {"DiskPressure"}
    assert watch.look(short, later(29)) == []
    assert watch.look({NODE_FS: Seen(60, 100)}, later(29.5)) == []
    assert watch.look(short, later(31)) == []
    assert [each.signal for each in watch.look(short, later(61))] == [NODE_FS]


def test_with_a_minimum_to_reclaim_it_is_not_over_at_the_threshold() -> None:
    watch = watching(hard="memory.available<100Mi", reclaim="memory.available=50Mi")
    assert watch.look({MEMORY: Seen(99 * MB, 1 << 30)}, later(0))
    assert watch.look({MEMORY: Seen(120 * MB, 1 << 30)}, later(10))
    assert not watch.look({MEMORY: Seen(150 * MB, 1 << 30)}, later(20))


def test_memory_is_freed_before_anything_else() -> None:
    watch = watching(hard="pid.available<10,nodefs.available<10%,memory.available<1Gi")
    seen = {PIDS: Seen(1, 100), NODE_FS: Seen(1, 100), MEMORY: Seen(1, 2 << 30)}
    assert next(each.signal for each in watch.look(seen, later(0))) == MEMORY
    assert watch.conditions == {"MemoryPressure", "DiskPressure", "PIDPressure"}


def test_who_uses_more_than_asked_for_goes_first_then_who_matters_least_then_who_uses_most() -> None:
    within, greedy = asking("within", "100Mi"), asking("greedy", "10Mi")
    greedier, dear = asking("greedier", "10Mi"), asking("dear", "10Mi", priority=5)
    unknown = asking("unknown", priority=9)
    used = {
        "uid-within": Used(90 * MB),
        "uid-greedy": Used(20 * MB),
        "uid-greedier": Used(30 * MB),
        "uid-dear": Used(900 * MB),
    }
    order = ranked([dear, within, greedy, unknown, greedier], used, "memory")
    assert [each["metadata"]["name"] for each in order] == ["unknown", "greedier", "greedy", "dear", "within"]


def test_process_ids_go_by_priority_and_number() -> None:
    few, many, dear = asking("few"), asking("many"), asking("dear", priority=1)
    used = {"uid-few": Used(2), "uid-many": Used(200), "uid-dear": Used(2000)}
    order = ranked([dear, few, many], used, "pids")
    assert [each["metadata"]["name"] for each in order] == ["many", "few", "dear"]


def test_the_message_names_threshold_and_containers_that_use_more_than_they_asked_for() -> None:
    of = pod(container("a", resources={"requests": {"memory": "10Mi"}}), container("b"))
    seen = {MEMORY: Seen(50 * MB, 1 << 30)}
    met = [Threshold(MEMORY, Amount(100 * MB))]
    text = message("memory", of, Used(40 * MB, {"a": 30 * MB, "b": 1000}), met, seen)
    assert text == (
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. "
        "Container a was using 30Mi, request is 10Mi, has larger consumption of memory. "
        "Container b was using 1000, request is 0, has larger consumption of memory. "
    )
    assert message("pids", of, Used(5), [], {}) == "The node was low on resource: pids. "


def test_amounts_are_told_in_the_greatest_unit_that_leaves_them_whole() -> None:
    assert [binary(each) for each in (0, 1023, 1024, 5 * MB, 3 << 30, (3 << 30) + 1)] == [
        "0", "1023", "1Ki", "5Mi", "3Gi", "3221225473",
    ]  # fmt: skip


def test_under_pressure_only_pods_come_in_that_do_not_make_it_worse() -> None:
    memory, disk = frozenset({"MemoryPressure"}), frozenset({"DiskPressure"})
    cheap, sized = asking("p"), asking("p", "1Mi")
    assert refusal(cheap, memory) == "The node had condition: [MemoryPressure]. "
    assert refusal(sized, memory) == ""
    assert refusal(sized, disk) == "The node had condition: [DiskPressure]. "
    tolerant = asking("p", tolerations=[{"key": "node.kubernetes.io/memory-pressure", "operator": "Exists"}])
    assert refusal(tolerant, memory) == ""
    assert refusal(asking("p", priority=2_000_000_000), disk) == ""
    assert refusal(cheap, frozenset()) == ""


@pytest.mark.parametrize(("dedicated", "share"), [(False, 0.1), (True, 0.15)])
def test_containers_go_by_the_thresholds_of_the_disk_that_they_write_to(
    dedicated: bool, share: float
) -> None:
    given = Eviction(
        hard="nodefs.available<10%,imagefs.available<15%,containerfs.inodesFree<90%"
    ).thresholds()
    found = with_containers(given, dedicated=dedicated)
    assert found == (
        Threshold(NODE_FS, Amount(share=0.1)),
        Threshold(IMAGE_FS, Amount(share=0.15)),
        Threshold(CONTAINER_FS, Amount(share=share)),
    )
    assert CONTAINER_INODES not in {each.signal for each in found}
