"""Who may go on at once, who waits, and who is called next.

Two things are scarce. Seats: how many requests of a level are under way (they wait for the disk, for
webhooks, for other servers). And the loop: whoever runs keeps everybody else from running. So requests are
let in only until what they are expected to cost fills a turn of some milliseconds; the others wait in their
queues, and each further turn takes from all flows alike. Whoever has 500 connections gets no more of a turn
than somebody with one. As long as a turn is not full, nobody waits, and all there is to do is counting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from time import perf_counter

from podium.api.auth.actions import Action
from podium.api.auth.users import User
from podium.api.exchange import Exchange
from podium.api.fairness.level import Flow, Level, Waiter
from podium.api.fairness.limits import limits_of
from podium.api.fairness.numbers import Numbers, families
from podium.api.fairness.objects import MANDATORY, flow_schema, priority_level
from podium.api.fairness.schemas import FlowSchema, compiled, in_order
from podium.api.metrics.exposition import Family
from podium.api.types import Obj
from podium.api.types.errors import StatusError, too_many_requests

# Of what a read of one object costs, how much fits into a turn: some milliseconds.
TURN = 48.0
WRITE = 3.0
# Objects that a list goes through for the same cost as one read of one; and for one seat.
OBJECTS, OBJECTS_PER_SEAT = 16, 100
READS = frozenset({"get", "head", "options"})
LISTS = frozenset({"list", "watch", "deletecollection"})
# Flows that are remembered. Clients make up as many as they like.
KNOWN = 10_000
# Characters of what is done, where, in those.
LONGEST = 300
PATIENCE = 15.0  # seconds that a request waits before it is sent away
LOOK_EVERY = 1.0
RETRY_AFTER = 1  # seconds

Key = tuple[object, ...]


class Seat:
    """What a request holds while it is served; `leave` gives it back, once."""

    __slots__ = ("_began", "_fairness", "_flow", "_width")

    def __init__(self, fairness: Fairness, flow: Flow, width: int) -> None:
        self._fairness: Fairness | None = fairness
        self._flow = flow
        self._width = width
        self._began = perf_counter()

    def leave(self) -> None:
        fairness, self._fairness = self._fairness, None
        if fairness is not None:
            self._flow.numbers.served.add(perf_counter() - self._began)
            fairness.left(self._flow, self._width)


class Fairness:
    """Of one server, with `total` seats. `count` says how many objects there are below a prefix of the
    store."""

    def __init__(self, total: int, count: Callable[[str], int]) -> None:
        self._total = total
        self._count = count
        self._levels: dict[str, Level] = {}
        self._schemas: list[FlowSchema] = []
        self._flows: dict[Key, Flow] = {}
        self._numbers: dict[tuple[str, str], Numbers] = {}
        self._waiting: dict[Waiter, None] = {}
        self._waiters: dict[Exchange, Waiter] = {}
        self._spent = 0.0
        self._turning = False
        # Set by whoever reads from connections: the loop has gone round since it was last looked at.
        self.heard = False
        self._looking: asyncio.TimerHandle | None = None
        self.configure((), ())

    # --- what it goes by

    def configure(self, levels: Iterable[Obj], schemas: Iterable[FlowSchema]) -> None:
        """From now on by these PriorityLevelConfigurations and schemas; those that have to be are thought
        up where they are missing. A schema of a level that is not there counts for nothing."""
        by_name = {name: priority_level(name) for name in MANDATORY}
        by_name |= {obj["metadata"]["name"]: obj for obj in levels}
        limits = limits_of({name: obj["spec"] for name, obj in by_name.items()}, self._total)
        for name in [name for name in self._levels if name not in limits]:
            self._levels.pop(name).settle("", None)
        for name, each in limits.items():
            level = self._levels.setdefault(name, Level(name))
            level.settle(by_name[name]["metadata"].get("uid", ""), each)
        own = {name: compiled(flow_schema(name)) for name in MANDATORY}
        own |= {schema.name: schema for schema in schemas}
        self._schemas = in_order(schema for schema in own.values() if schema.level in self._levels)
        self._flows.clear()

    def families(self) -> Iterator[Family]:
        """For /metrics."""
        yield from families(self._numbers, self._levels.values())

    # --- requests

    def enter(self, exchange: Exchange, user: User, action: Action) -> bool:
        """Whether the request may go on at once; when not, `wait`. Raises 429."""
        flow = self._flow_of(user, action)
        exchange.marks = (*exchange.marks, *flow.marks) if exchange.marks else flow.marks
        level = flow.level
        limits = level.limits
        if limits is None:
            self._seat(exchange, flow, 0)
            return True
        verb = action.verb
        width, cost = 1, (1.0 if verb in READS else WRITE)
        if verb in LISTS:
            width, cost = self._estimate(exchange, limits.widest)
        if self.heard:
            self.heard = False
            if not self._turning:
                self._spent = 0.0
        fits = self._fits(level, width)
        if fits and ((self._spent < TURN and not self._waiting) or limits.queuing is None):
            self._take(exchange, flow, width, cost)
            return True
        self._line_up(exchange, flow, width, cost, fits=fits)
        return False

    async def wait(self, exchange: Exchange) -> None:
        """Until it is the request's turn. Raises 429."""
        waiter = self._waiters.pop(exchange)
        flow = waiter.flow
        try:
            in_turn = await waiter.called
        except asyncio.CancelledError:
            if waiter.called.done() and not waiter.called.cancelled() and waiter.called.result():
                # Called and cancelled in the same turn: what it was given goes on to the next.
                self.left(flow, waiter.width)
            raise
        finally:
            self._forget(waiter)
        waited = perf_counter() - waiter.since
        if not in_turn and waited >= PATIENCE:
            raise self._rejected(flow, "time-out")
        flow.numbers.waited.add(waited)
        if not in_turn:
            # Its level is no more: nobody is in its way.
            self._count_in(flow, waiter.width)
        exchange.seat = Seat(self, flow, waiter.width)

    def left(self, flow: Flow, width: int) -> None:
        """A request is over that had taken `width` seats."""
        flow.level.seats -= width
        numbers = flow.numbers
        numbers.executing -= 1
        numbers.seats -= width
        if self._waiting:
            if self._spent < TURN:
                self._call()
            else:
                self._await_turn()

    # --- flows

    def _flow_of(self, user: User, action: Action) -> Flow:
        key = (user.name, user.groups, action[:5], action.path)
        flow = self._flows.get(key)
        if flow is None:
            if len(self._flows) >= KNOWN:
                self._flows.clear()
            flow = self._classify(user, action)
            if sum(map(len, action[:5])) + len(action.path) <= LONGEST:
                self._flows[key] = flow
        return flow

    def _classify(self, user: User, action: Action) -> Flow:
        schema = next((each for each in self._schemas if each.fits(user, action)), self._schemas[-1])
        level = self._levels[schema.level]
        labels = (level.name, schema.name)
        numbers = self._numbers.get(labels)
        if numbers is None:
            numbers = self._numbers[labels] = Numbers()
        marks = (
            (b"x-kubernetes-pf-flowschema-uid", schema.uid.encode()),
            (b"x-kubernetes-pf-prioritylevel-uid", level.uid.encode()),
        )
        return Flow(level, numbers, f"{schema.name}/{schema.flow_of(user, action)}", marks)

    def _estimate(self, exchange: Exchange, widest: int) -> tuple[int, float]:
        """Seats and cost of a request on many objects."""
        target, query = exchange.target, exchange.query
        if target is None:
            return 1, 1.0
        initial = query.get("sendInitialEvents") == "true" or query.get("resourceVersion", "0") in ("", "0")
        if exchange.verb == "watch" and not initial:
            return 1, 1.0
        count = self._count(target.kind.below(target.namespace))
        limit = query.get("limit", "")
        if limit.isdecimal() and "labelSelector" not in query and "fieldSelector" not in query:
            # No more digits than a number of objects has.
            count = min(count, int(limit[:9])) or count
        return max(1, min(-(-count // OBJECTS_PER_SEAT), widest)), 1.0 + count / OBJECTS

    # --- seats

    def _fits(self, level: Level, width: int) -> bool:
        """Whether there are as many seats: the level's own, or what others lend."""
        limits = level.limits
        if limits is None or level.seats + width <= limits.nominal or not level.seats:
            return True
        return level.seats + width <= limits.upper and self._lent(width)

    def _lent(self, width: int) -> bool:
        """What is borrowed in all comes from what the others can spare."""
        borrowed = spare = 0
        for level in self._levels.values():
            if (limits := level.limits) is not None:
                borrowed += max(0, level.seats - limits.nominal)
                spare += max(0, min(limits.nominal - limits.lower, limits.nominal - level.seats))
        return borrowed + width <= spare

    def _take(self, exchange: Exchange, flow: Flow, width: int, cost: float) -> None:
        self._spent += cost
        self._seat(exchange, flow, width)

    def _seat(self, exchange: Exchange, flow: Flow, width: int) -> None:
        self._count_in(flow, width)
        exchange.seat = Seat(self, flow, width)

    def _count_in(self, flow: Flow, width: int) -> None:
        flow.level.seats += width
        numbers = flow.numbers
        numbers.dispatched += 1
        numbers.executing += 1
        numbers.seats += width

    # --- queues

    def _line_up(self, exchange: Exchange, flow: Flow, width: int, cost: float, *, fits: bool) -> None:
        """Raises 429."""
        level, loop = flow.level, asyncio.get_running_loop()
        waiter = Waiter(flow, width, cost, perf_counter(), loop.create_future())
        if not level.waiting:
            level.virtual = max(level.virtual, self._least())
        if not level.add(waiter):
            queuing = level.limits.queuing if level.limits else None
            raise self._rejected(flow, "queue-full" if queuing else "concurrency-limit")
        flow.numbers.waiting += 1
        self._waiting[waiter] = None
        self._waiters[exchange] = waiter
        if self._looking is None:
            self._looking = loop.call_later(LOOK_EVERY, self._look)
        if fits:
            self._await_turn()

    def _least(self) -> float:
        """What the level got that is next: one that comes later has saved nothing up."""
        return min((level.virtual for level in self._levels.values() if level.waiting), default=0.0)

    def _forget(self, waiter: Waiter) -> None:
        if self._waiting.pop(waiter, waiter) is None:
            waiter.flow.level.remove(waiter)
            waiter.flow.numbers.waiting -= 1

    def _rejected(self, flow: Flow, why: str) -> StatusError:
        flow.numbers.rejected[why] += 1
        return too_many_requests("Too many requests, please try again later.", RETRY_AFTER)

    # --- turns

    def _await_turn(self) -> None:
        if not self._turning:
            self._turning = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        """The loop has gone round once."""
        self._turning = False
        self._spent = 0.0
        if self._waiting:
            self._call()

    def _call(self) -> None:
        """Calls those whose turn it is, until that is full: of the levels and of the flows in them, always
        the one that got least."""
        while self._spent < TURN:
            waiter = self._next()
            if waiter is None:
                return
            if waiter.called.done():
                # Its client is gone, or its time was over.
                self._forget(waiter)
                continue
            level = waiter.flow.level
            limits = level.limits
            level.pop(waiter)
            level.virtual += waiter.cost / max(1, limits.shares if limits else 1)
            self._waiting.pop(waiter)
            waiter.flow.numbers.waiting -= 1
            self._count_in(waiter.flow, waiter.width)
            self._spent += waiter.cost
            self._await_turn()
            waiter.called.set_result(True)

    def _next(self) -> Waiter | None:
        """Of those for whom there are seats."""
        chosen: Waiter | None = None
        for level in self._levels.values():
            if level.waiting and (chosen is None or level.virtual < chosen.flow.level.virtual):
                waiter = level.head()
                if waiter is not None and self._fits(level, waiter.width):
                    chosen = waiter
        return chosen

    def _look(self) -> None:
        """Sends away who has waited too long."""
        self._looking = None
        born = perf_counter() - PATIENCE
        for waiter in [each for each in self._waiting if each.since <= born]:
            if not waiter.called.done():
                waiter.called.set_result(False)
                self._forget(waiter)
        if self._waiting:
            self._looking = asyncio.get_running_loop().call_later(LOOK_EVERY, self._look)
