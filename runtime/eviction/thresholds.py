"""When a node counts as short of something, in the kubelet's words: `memory.available<100Mi`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from podium.api.types import quantity

MEMORY, ALLOCATABLE_MEMORY = "memory.available", "allocatableMemory.available"
NODE_FS, NODE_INODES = "nodefs.available", "nodefs.inodesFree"
IMAGE_FS, IMAGE_INODES = "imagefs.available", "imagefs.inodesFree"
CONTAINER_FS, CONTAINER_INODES = "containerfs.available", "containerfs.inodesFree"
PIDS = "pid.available"

RESOURCES: Mapping[str, str] = {
    MEMORY: "memory",
    ALLOCATABLE_MEMORY: "memory",
    NODE_FS: "ephemeral-storage",
    IMAGE_FS: "ephemeral-storage",
    CONTAINER_FS: "ephemeral-storage",
    NODE_INODES: "inodes",
    IMAGE_INODES: "inodes",
    CONTAINER_INODES: "inodes",
    PIDS: "pids",
}
"""Signal → what there is too little of."""

CONDITIONS: Mapping[str, str] = {
    "memory": "MemoryPressure",
    "ephemeral-storage": "DiskPressure",
    "inodes": "DiskPressure",
    "pids": "PIDPressure",
}

DEFAULT_HARD = (
    "memory.available<100Mi,nodefs.available<10%,nodefs.inodesFree<5%,"
    "imagefs.available<15%,imagefs.inodesFree<5%"
)


class BadThreshold(ValueError):
    """A setting that cannot be meant; `str()` says why."""


@dataclass(frozen=True, slots=True)
class Amount:
    """So many of something, or a share of all there is."""

    value: int = 0
    share: float | None = None

    def of(self, capacity: int) -> int:
        return self.value if self.share is None else int(capacity * self.share)


@dataclass(frozen=True, slots=True)
class Threshold:
    """`grace` is how many seconds it has to be crossed before pods are ended, 0 for a hard one; `reclaim` how
    much more than the threshold has to be free again."""

    signal: str
    amount: Amount
    grace: float = 0.0
    reclaim: Amount = Amount()

    @property
    def resource(self) -> str:
        return RESOURCES[self.signal]


@dataclass(frozen=True, slots=True)
class Eviction:
    """The settings as text. `transition` is how many seconds a condition is told after it was last seen,
    `max_grace` the most seconds that pods get to end at a soft threshold, `period` the seconds between two
    looks."""

    hard: str = DEFAULT_HARD
    soft: str = ""
    soft_grace: str = ""
    reclaim: str = ""
    transition: float = 300.0
    max_grace: int = 0
    period: float = 10.0

    def thresholds(self) -> tuple[Threshold, ...]:
        """Raises BadThreshold."""
        reclaims = {name: _reclaim(name, text) for name, text in pairs(self.reclaim, "=")}
        graces = {name: _grace(name, text) for name, text in pairs(self.soft_grace, "=")}
        none = Amount()
        found = [
            Threshold(name, amount, 0.0, reclaims.get(name, none)) for name, amount in _amounts(self.hard)
        ]
        for name, amount in _amounts(self.soft):
            if name not in graces:
                raise BadThreshold(f"grace period must be specified for the soft eviction threshold {name}")
            found.append(Threshold(name, amount, graces[name], reclaims.get(name, none)))
        return tuple(found) + tuple(_of_pods(found))


def _of_pods(thresholds: Iterable[Threshold]) -> list[Threshold]:
    """What holds for the machine's memory holds for the part of it that is the pods'."""
    return [
        Threshold(ALLOCATABLE_MEMORY, each.amount, 0.0, each.reclaim)
        for each in thresholds
        if each.signal == MEMORY and not each.grace
    ]


def with_containers(thresholds: Sequence[Threshold], *, dedicated: bool) -> tuple[Threshold, ...]:
    """Containers write to the disk that images are on, or to the node's where those are not `dedicated` one:
    what holds for that disk holds for them, whatever was asked for."""
    space, inodes = (IMAGE_FS, IMAGE_INODES) if dedicated else (NODE_FS, NODE_INODES)
    same = {space: CONTAINER_FS, inodes: CONTAINER_INODES}
    kept = [each for each in thresholds if each.signal not in same.values()]
    return (*kept, *(replace(each, signal=same[each.signal]) for each in kept if each.signal in same))


def pairs(text: str, sign: str) -> list[tuple[str, str]]:
    """`a=1,b=2` (or with another sign) as pairs. Raises BadThreshold."""
    found = []
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, middle, value = entry.partition(sign)
        if not middle or not value:
            raise BadThreshold(f"{entry!r} is not of the form NAME{sign}VALUE")
        found.append((name.strip(), value.strip()))
    return found


def _known(signal: str) -> None:
    if signal not in RESOURCES or signal == ALLOCATABLE_MEMORY:
        raise BadThreshold(f"unsupported eviction signal {signal}")


def _amounts(text: str) -> list[tuple[str, Amount]]:
    found = []
    for signal, value in pairs(text, "<"):
        _known(signal)
        if value in ("0%", "100%"):
            continue
        amount = _amount(value)
        if amount.share is not None and not 0 <= amount.share <= 1:
            bound = ">= 0%" if amount.share < 0 else "<= 100%"
            raise BadThreshold(f"eviction percentage threshold {signal} must be {bound}: {value}")
        if amount.share is None and amount.value <= 0:
            raise BadThreshold(f"eviction threshold {signal} must be positive: {value}")
        found.append((signal, amount))
    return found


def _reclaim(signal: str, text: str) -> Amount:
    _known(signal)
    amount = _amount(text)
    if amount.share is not None and amount.share <= 0:
        raise BadThreshold(f"eviction percentage minimum reclaim {signal} must be positive: {text}")
    if amount.value < 0:
        raise BadThreshold(f"negative eviction minimum reclaim specified for {signal}")
    return amount


def _amount(text: str) -> Amount:
    try:
        if text.endswith("%"):
            return Amount(share=float(text[:-1]) / 100)
        return Amount(quantity.value(text))
    except ValueError as error:
        raise BadThreshold(f"{text!r} is neither an amount nor a percentage") from error


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def _grace(signal: str, text: str) -> float:
    _known(signal)
    return seconds(text)


def seconds(text: str) -> float:
    """A duration as Go writes it: `1m30s`. Raises BadThreshold."""
    total, number = 0.0, ""
    rest = text
    while rest:
        while rest and (rest[0].isdigit() or rest[0] in ".-"):
            number, rest = number + rest[0], rest[1:]
        unit = next((each for each in ("ms", "s", "m", "h") if rest.startswith(each)), "")
        if not unit or not number:
            raise BadThreshold(f"invalid duration {text!r}")
        try:
            total += float(number) * _UNITS[unit]
        except ValueError as error:
            raise BadThreshold(f"invalid duration {text!r}") from error
        number, rest = "", rest.removeprefix(unit)
    if total < 0:
        raise BadThreshold(f"invalid eviction grace period specified: {text}, must be a positive value")
    return total


def kept_back(thresholds: Sequence[Threshold], capacity: Mapping[str, int]) -> dict[str, int]:
    """What hard thresholds take from pods: of `memory` and `ephemeral-storage`, in bytes."""
    signals = {MEMORY: "memory", NODE_FS: "ephemeral-storage"}
    return {
        signals[each.signal]: each.amount.of(capacity[signals[each.signal]])
        for each in thresholds
        if each.signal in signals and not each.grace
    }


def reserved(texts: Iterable[str]) -> dict[str, int]:
    """Reservations, `cpu=100m,memory=1Gi`, added up: cpu in thousandths. Raises BadThreshold."""
    total: dict[str, int] = {}
    for text in texts:
        for name, value in pairs(text, "="):
            if name not in ("cpu", "memory", "ephemeral-storage", "pid"):
                raise BadThreshold(f"cannot reserve {name!r} resource")
            try:
                amount = quantity.milli(value) if name == "cpu" else quantity.value(value)
            except ValueError as error:
                raise BadThreshold(f"invalid quantity for {name!r}: {value}") from error
            if amount < 0:
                raise BadThreshold(f"resource quantity for {name!r} cannot be negative: {value}")
            total[name] = total.get(name, 0) + amount
    return total


def shown(amount: int, signal: str) -> str:
    """An amount as events tell it: bytes in the greatest unit that leaves them whole."""
    if RESOURCES[signal] in ("inodes", "pids"):
        return decimal(amount)
    return binary(amount)


def binary(amount: int) -> str:
    return _in_units(amount, 1024, ("Ei", "Pi", "Ti", "Gi", "Mi", "Ki"))


def decimal(amount: int) -> str:
    return _in_units(amount, 1000, ("E", "P", "T", "G", "M", "k"))


def _in_units(amount: int, step: int, units: Sequence[str]) -> str:
    for power, unit in zip(range(len(units), 0, -1), units, strict=True):
        if amount and amount % step**power == 0:
            return f"{amount // step**power}{unit}"
    return str(amount)
