"""Who goes on at once, who waits, who is called next, who is sent away."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from podium.api.auth.actions import Action
from podium.api.auth.users import User
from podium.api.exchange import Exchange
from podium.api.fairness import Fairness
from podium.api.fairness import fairness as module
from podium.api.fairness.level import dealt
from podium.api.fairness.limits import limits_of
from podium.api.fairness.objects import LEVELS, SCHEMAS, flow_schema, priority_level
from podium.api.fairness.schemas import FlowSchema, compiled
from podium.api.types import Obj
from podium.api.types.errors import StatusError

READ = Action("get", "", "configmaps", "", "default", "a")
SEATS = 4


def account(name: str) -> User:
    return User(f"system:serviceaccount:default:{name}", ("system:serviceaccounts", "system:authenticated"))


async def nothing(*_: Any) -> Any:
    """Of a request of which only the head counts."""


def asked(query: str = "") -> Exchange:
    scope = {"method": "GET", "path": "/x", "query_string": query.encode(), "headers": []}
    return Exchange(scope, nothing, nothing)


def level(name: str, *, shares: int = 10, length: int = 3, queues: int = 8, reject: bool = False) -> Obj:
    queuing = {"queues": queues, "handSize": 1, "queueLengthLimit": length}
    response = {"type": "Reject"} if reject else {"type": "Queue", "queuing": queuing}
    limited = {"nominalConcurrencyShares": shares, "limitResponse": response, "borrowingLimitPercent": 0}
    return {"metadata": {"name": name, "uid": f"of-{name}"}, "spec": {"type": "Limited", "limited": limited}}


def schema(name: str, level: str) -> FlowSchema:
    obj = flow_schema("service-accounts")
    obj["metadata"] |= {"name": name, "uid": f"of-{name}"}
    obj["spec"]["priorityLevelConfiguration"] = {"name": level}
    return compiled(obj)


def catch_all() -> Obj:
    return level("catch-all", shares=0)


@pytest.fixture
def fairness() -> Fairness:
    """One level, `narrow`, of SEATS seats for all service accounts."""
    made = Fairness(SEATS, lambda prefix: 0)
    made.configure([level("narrow"), catch_all()], [schema("accounts", "narrow")])
    return made


async def come(fairness: Fairness, name: str, order: list[str], *, hold: asyncio.Event | None = None) -> None:
    exchange = asked()
    if not fairness.enter(exchange, account(name), READ):
        await fairness.wait(exchange)
    order.append(name)
    if hold is not None:
        await hold.wait()
    assert exchange.seat is not None
    exchange.seat.leave()


def numbers(fairness: Fairness, name: str) -> dict[tuple[str, ...], Any]:
    family = next(each for each in fairness.families() if each.name == f"apiserver_flowcontrol_{name}")
    return {tuple(labels): value for labels, value in family.series}


async def test_while_there_is_room_nobody_waits(fairness: Fairness) -> None:
    exchange = asked()
    assert fairness.enter(exchange, account("a"), READ)
    assert exchange.seat is not None
    assert exchange.marks == (
        (b"x-kubernetes-pf-flowschema-uid", b"of-accounts"),
        (b"x-kubernetes-pf-prioritylevel-uid", b"of-narrow"),
    )
    key = ("narrow", "accounts")
    assert numbers(fairness, "current_executing_seats")[key] == 1
    exchange.seat.leave()
    exchange.seat.leave()
    assert numbers(fairness, "current_executing_seats")[key] == 0
    assert numbers(fairness, "dispatched_requests_total")[key] == 1


async def test_who_asks_little_is_called_before_the_rest_of_who_asks_much(fairness: Fairness) -> None:
    order: list[str] = []
    hold = asyncio.Event()
    noisy = [asyncio.create_task(come(fairness, "noisy", order, hold=hold)) for _ in range(SEATS)]
    await asyncio.sleep(0)
    noisy += [asyncio.create_task(come(fairness, "noisy", order)) for _ in range(3)]
    await asyncio.sleep(0)
    quiet = asyncio.create_task(come(fairness, "quiet", order))
    await asyncio.sleep(0)
    assert order == ["noisy"] * SEATS
    hold.set()
    await asyncio.gather(*noisy, quiet)
    assert "quiet" in order[SEATS : SEATS + 2]


async def test_a_full_queue_sends_away_with_the_time_to_come_again(fairness: Fairness) -> None:
    hold = asyncio.Event()
    tasks = [asyncio.create_task(come(fairness, "noisy", [], hold=hold)) for _ in range(SEATS + 3)]
    await asyncio.sleep(0)
    with pytest.raises(StatusError) as caught:
        fairness.enter(asked(), account("noisy"), READ)
    assert (caught.value.code, caught.value.reason) == (429, "TooManyRequests")
    assert caught.value.details == {"retryAfterSeconds": 1}
    assert numbers(fairness, "rejected_requests_total") == {("narrow", "accounts", "queue-full"): 1}
    hold.set()
    await asyncio.gather(*tasks)


async def test_queues_that_nobody_waits_in_cost_nothing() -> None:
    fairness = Fairness(1, lambda prefix: 0)
    vast = level("narrow", queues=10_000_000)
    before = tracemalloc_of(lambda: fairness.configure([vast, catch_all()], [schema("accounts", "narrow")]))
    assert before < 1 << 20
    hold = asyncio.Event()
    order: list[str] = []
    tasks = [asyncio.create_task(come(fairness, f"a{turn}", order, hold=hold)) for turn in range(3)]
    await asyncio.sleep(0)
    assert order == ["a0"]
    hold.set()
    await asyncio.gather(*tasks)
    assert order == ["a0", "a1", "a2"]


async def test_flows_of_long_names_are_not_remembered(fairness: Fairness) -> None:
    def ask(namespace: str) -> None:
        exchange = asked()
        fairness.enter(exchange, account("a"), READ._replace(namespace=namespace))
        assert exchange.seat is not None
        exchange.seat.leave()

    assert tracemalloc_of(lambda: [ask(f"{turn}{'x' * 100_000}") for turn in range(20)]) < 1 << 20


def tracemalloc_of(work: Callable[[], object]) -> int:
    """Bytes that are left of it."""
    tracemalloc.start()
    try:
        work()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


async def test_a_level_without_queues_sends_away_at_once() -> None:
    fairness = Fairness(1, lambda prefix: 0)
    fairness.configure([level("narrow", reject=True), catch_all()], [schema("accounts", "narrow")])
    assert fairness.enter(asked(), account("a"), READ)
    with pytest.raises(StatusError, match=r"Too many requests, please try again later\."):
        fairness.enter(asked(), account("b"), READ)


async def test_of_one_turn_of_the_loop_nobody_gets_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seats there are plenty; what is short is time."""
    monkeypatch.setattr(module, "TURN", 4.0)
    fairness = Fairness(1000, lambda prefix: 0)
    fairness.configure([level("wide", length=100), catch_all()], [schema("accounts", "wide")])
    order: list[str] = []
    noisy = [asyncio.create_task(come(fairness, "noisy", order)) for _ in range(50)]
    quiet = asyncio.create_task(come(fairness, "quiet", order))
    await asyncio.gather(*noisy, quiet)
    # The first turn was full before it came; of the next one it has its share.
    assert "quiet" in order[4:8]


async def test_who_goes_away_while_he_waits_leaves_nothing_behind(fairness: Fairness) -> None:
    hold, order = asyncio.Event(), list[str]()
    tasks = [asyncio.create_task(come(fairness, "noisy", order, hold=hold)) for _ in range(SEATS)]
    await asyncio.sleep(0)
    gone = asyncio.create_task(come(fairness, "gone", order))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    assert numbers(fairness, "current_inqueue_requests")[("narrow", "accounts")] == 0
    hold.set()
    await asyncio.gather(*tasks)
    assert numbers(fairness, "current_executing_requests")[("narrow", "accounts")] == 0


async def test_who_was_called_and_goes_away_gives_his_seat_to_the_next(fairness: Fairness) -> None:
    hold, order = asyncio.Event(), list[str]()
    tasks = [asyncio.create_task(come(fairness, "noisy", order, hold=hold)) for _ in range(SEATS)]
    await asyncio.sleep(0)
    called = asyncio.create_task(come(fairness, "called", order))
    next = asyncio.create_task(come(fairness, "next", order))
    await asyncio.sleep(0)
    hold.set()
    for task in tasks[:1]:
        await task
    called.cancel()
    await asyncio.gather(called, return_exceptions=True)
    await asyncio.gather(next, *tasks)
    assert numbers(fairness, "current_executing_seats")[("narrow", "accounts")] == 0


async def test_who_waits_too_long_is_sent_away(fairness: Fairness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    monkeypatch.setattr(module, "LOOK_EVERY", 0.001)
    hold = asyncio.Event()
    tasks = [asyncio.create_task(come(fairness, "noisy", [], hold=hold)) for _ in range(SEATS)]
    await asyncio.sleep(0)
    with pytest.raises(StatusError):
        await come(fairness, "late", [])
    assert numbers(fairness, "rejected_requests_total") == {("narrow", "accounts", "time-out"): 1}
    hold.set()
    await asyncio.gather(*tasks)


async def test_a_level_that_is_deleted_lets_its_queues_go_on(fairness: Fairness) -> None:
    hold, order = asyncio.Event(), list[str]()
    tasks = [asyncio.create_task(come(fairness, "noisy", order, hold=hold)) for _ in range(SEATS)]
    await asyncio.sleep(0)
    waiting = asyncio.create_task(come(fairness, "waiting", order))
    await asyncio.sleep(0)
    fairness.configure([], [schema("accounts", "narrow")])
    await waiting
    hold.set()
    await asyncio.gather(*tasks)
    # Its schema counts for nothing any more.
    exchange = asked()
    assert fairness.enter(exchange, account("a"), READ)
    assert numbers(fairness, "dispatched_requests_total")[("catch-all", "catch-all")] == 1


async def test_seats_that_others_do_not_need_are_borrowed() -> None:
    levels = [level("mine"), level("lender"), catch_all()]
    levels[0]["spec"]["limited"] |= {"borrowingLimitPercent": None, "nominalConcurrencyShares": 10}
    levels[1]["spec"]["limited"]["lendablePercent"] = 50
    fairness = Fairness(20, lambda prefix: 0)
    fairness.configure(levels, [schema("accounts", "mine")])
    # Ten of its own, and half of the other's ten.
    assert [fairness.enter(asked(), account("a"), READ) for _ in range(16)] == [True] * 15 + [False]


def test_the_shares_of_all_levels_make_the_seats_of_each() -> None:
    limits = limits_of({name: priority_level(name)["spec"] for name in LEVELS}, 600)
    assert limits["exempt"] is None
    found = {name: (each.nominal, each.lower, each.upper) for name, each in limits.items() if each}
    assert found["workload-low"] == (245, 25, 845)
    assert found["catch-all"] == (13, 13, 613)
    assert found["global-default"] == (49, 25, 649)


def test_a_flow_has_a_hand_of_its_own_and_never_a_queue_twice() -> None:
    hands = [tuple(sorted(dealt(hash * 7919**3, 128, 6))) for hash in range(200)]
    assert all(len(set(hand)) == 6 and max(hand) < 128 for hand in hands)
    assert len(set(hands)) > 190


@pytest.mark.parametrize(("query", "objects", "seats"), [("", 450, 5), ("limit=100", 450, 1), ("", 0, 1),
                                                        ("limit=100&labelSelector=a", 450, 5)])  # fmt: skip
async def test_a_list_takes_seats_by_what_it_goes_through(query: str, objects: int, seats: int) -> None:
    fairness = Fairness(600, lambda prefix: objects)
    fairness.configure([priority_level(n) for n in LEVELS], [compiled(flow_schema(n)) for n in SCHEMAS])
    exchange = asked(query)
    exchange.target = Target()  # type: ignore[assignment]
    assert fairness.enter(exchange, account("a"), READ._replace(verb="list", name=""))
    taken = numbers(fairness, "current_executing_seats")
    assert taken[("workload-low", "service-accounts")] == seats


class Target:
    """Of a request on the pods of a namespace."""

    namespace = "default"

    class kind:
        @staticmethod
        def below(namespace: str) -> str:
            return f"/registry/core/pods/{namespace}/"
