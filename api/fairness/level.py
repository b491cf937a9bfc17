"""One priority level: who sits, who waits, and whose turn it is. Pure: time and the loop are others'."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from hashlib import blake2b

from podium.api.fairness.limits import Limits
from podium.api.fairness.numbers import Numbers

# Queues that nobody waits in and that are remembered for what was taken from them.
SPARE = 1024


class Waiter:
    """A request in a queue. `cost` is what it takes of a turn, `width` how many seats it needs; `called` is
    done when it may go on."""

    __slots__ = ("called", "cost", "flow", "queue", "since", "width")

    def __init__(
        self, flow: Flow, width: int, cost: float, since: float, called: asyncio.Future[bool]
    ) -> None:
        self.flow = flow
        self.width = width
        self.cost = cost
        self.since = since
        self.called = called
        self.queue: Queue | None = None


class Flow:
    """The requests of one flow, as long as nothing is configured anew. `marks` are the headers that tell a
    client how its request was taken."""

    __slots__ = ("_hand", "_hash", "level", "marks", "numbers")

    def __init__(
        self, level: Level, numbers: Numbers, key: str, marks: tuple[tuple[bytes, bytes], ...]
    ) -> None:
        self.level = level
        self.numbers = numbers
        self.marks = marks
        self._hash = int.from_bytes(blake2b(key.encode(), digest_size=8).digest())
        self._hand: tuple[int, list[int]] = (0, [])

    def hand(self, queues: int, size: int) -> list[int]:
        """The queues that it may be put into, of so many."""
        if self._hand[0] != queues or len(self._hand[1]) != size:
            self._hand = (queues, dealt(self._hash, queues, size))
        return self._hand[1]


class Queue:
    """`virtual` is how much was taken from it; the queue that got least is next."""

    __slots__ = ("virtual", "waiters")

    def __init__(self) -> None:
        self.waiters: deque[Waiter] = deque()
        self.virtual = 0.0


class Level:
    """`seats` are taken at present, by `executing` requests; `waiting` is how many wait. Without `limits` it
    is exempt. `virtual` is what it got, in relation to its shares."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.uid = ""
        self.limits: Limits | None = None
        self.seats = 0
        self.waiting = 0
        self.virtual = 0.0
        # By number, made when the first waits: there may be millions.
        self._queues: dict[int, Queue] = {}
        self._busy: dict[Queue, None] = {}
        self._clock = 0.0

    def settle(self, uid: str, limits: Limits | None) -> None:
        """Has other limits from now on; who waits keeps the order."""
        before, self.uid, self.limits = self.limits, uid, limits
        after = limits.queuing.queues if limits and limits.queuing else 0
        if before is not None and (before.queuing.queues if before.queuing else 0) == after:
            return
        waiters = [waiter for queue in self._busy for waiter in queue.waiters]
        self._queues.clear()
        self._busy.clear()
        self.waiting = 0
        for waiter in waiters:
            if after:
                self._append(waiter, self._choose(waiter))
                continue
            waiter.queue = None
            if not waiter.called.done():
                waiter.called.set_result(False)

    def add(self, waiter: Waiter) -> bool:
        """Whether there was room in its queue."""
        queuing = self.limits.queuing if self.limits else None
        if queuing is None:
            return False
        queue = self._choose(waiter)
        if len(queue.waiters) >= queuing.length:
            return False
        self._append(waiter, queue)
        return True

    def head(self) -> Waiter | None:
        """Whose turn it is: of the queue that got the least."""
        if not self._busy:
            return None
        return min(self._busy, key=_virtual).waiters[0]

    def pop(self, waiter: Waiter) -> None:
        """Takes out the `head`, and counts it for its queue."""
        queue = waiter.queue
        assert queue is not None
        self._clock = queue.virtual
        queue.virtual += waiter.cost
        self.remove(waiter)

    def remove(self, waiter: Waiter) -> None:
        queue, waiter.queue = waiter.queue, None
        if queue is None:
            return
        if queue.waiters[0] is waiter:
            queue.waiters.popleft()
        else:
            queue.waiters.remove(waiter)
        self.waiting -= 1
        if not queue.waiters:
            self._busy.pop(queue, None)

    def oldest(self) -> Iterator[Waiter]:
        """The first of each queue."""
        for queue in list(self._busy):
            yield queue.waiters[0]

    def _choose(self, waiter: Waiter) -> Queue:
        limits = self.limits
        assert limits is not None
        assert limits.queuing is not None
        if len(self._queues) - len(self._busy) > SPARE:
            self._queues = {card: queue for card, queue in self._queues.items() if queue in self._busy}
        hand = waiter.flow.hand(limits.queuing.queues, limits.queuing.hand_size)
        return min([self._queues.setdefault(card, Queue()) for card in hand], key=_length)

    def _append(self, waiter: Waiter, queue: Queue) -> None:
        waiter.queue = queue
        if not queue.waiters:
            # Who asked for nothing before has saved nothing up.
            queue.virtual = max(queue.virtual, self._clock)
            self._busy[queue] = None
        queue.waiters.append(waiter)
        self.waiting += 1


def dealt(hash: int, deck: int, hand: int) -> list[int]:
    """The queues of a flow: a few of all, others for each flow, so that few flows share all of theirs with a
    noisy one (shuffle sharding)."""
    cards: list[int] = []
    for left in range(deck, deck - min(hand, deck), -1):
        hash, card = divmod(hash, left)
        for taken in sorted(cards):
            if card >= taken:
                card += 1
        cards.append(card)
    return cards


def _virtual(queue: Queue) -> float:
    return queue.virtual


def _length(queue: Queue) -> int:
    return len(queue.waiters)
