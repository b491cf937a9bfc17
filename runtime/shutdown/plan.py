"""Who ends when the machine goes down, and how long that may take. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from podium.api.types import Obj

SYSTEM_CRITICAL = 2_000_000_000
REASON, MESSAGE = "Terminated", "Pod was terminated in response to imminent node shutdown."
REFUSED = ("NodeShutdown", "Pod was rejected as the node is shutting down.")
NOT_READY = "node is shutting down"
DEFAULT_GRACE = 30


class BadShutdown(ValueError):
    """The settings mean nothing; the message tells why."""


class Share(NamedTuple):
    """Pods of `priority` and more, up to the next share's, get `seconds`."""

    priority: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Shutdown:
    """How long a node holds the machine back, in seconds: `grace` in all, `critical` of it for critical pods.
    `shares` is the finer way to say so, which excludes the other."""

    grace: float = 0.0
    critical: float = 0.0
    shares: tuple[Share, ...] = ()

    def planned(self) -> list[Share]:
        """From the least priority on; none where nothing is held back. Raises BadShutdown."""
        if self.shares and (self.grace or self.critical):
            raise BadShutdown(
                "cannot specify both shutdownGracePeriodByPodPriority and shutdownGracePeriod at the same "
                "time"
            )
        if self.grace < 0 or self.critical < 0 or any(each.seconds < 0 for each in self.shares):
            raise BadShutdown("shutdownGracePeriod must not be negative")
        if self.critical > self.grace:
            raise BadShutdown(
                f"invalid configuration: shutdownGracePeriodCriticalPods {self.critical:g}s must be <= "
                f"shutdownGracePeriod {self.grace:g}s"
            )
        if self.shares:
            return sorted(self.shares)
        if not self.grace:
            return []
        return [Share(0, self.grace - self.critical), Share(SYSTEM_CRITICAL, self.critical)]


def parsed(text: str) -> tuple[Share, ...]:
    """`0=20,1000=60`: priorities and their seconds. Raises BadShutdown."""
    shares = []
    for part in filter(None, text.split(",")):
        priority, _, seconds = part.partition("=")
        try:
            shares.append(Share(int(priority), float(seconds)))
        except ValueError:
            raise BadShutdown(f"{part!r}: write PRIORITY=SECONDS") from None
    return tuple(shares)


class Turn(NamedTuple):
    """Pods that end at the same time, and the seconds they have in all."""

    seconds: float
    pods: list[Obj]


def turns(pods: Iterable[Obj], shares: Sequence[Share]) -> list[Turn]:
    """In their order. A pod whose priority is below all shares' belongs to the first."""
    made = [Turn(share.seconds, []) for share in shares]
    for pod in pods:
        priority = pod["spec"].get("priority") or 0
        last = max((at for at, share in enumerate(shares) if share.priority <= priority), default=0)
        made[last].pods.append(pod)
    return [turn for turn in made if turn.pods]


def grace(pod: Obj, seconds: float) -> float:
    """What a pod gets of its turn."""
    wanted = pod["spec"].get("terminationGracePeriodSeconds")
    return min(float(DEFAULT_GRACE if wanted is None else wanted), seconds)


def condition(pod: Obj, at: str) -> Obj:
    """Tells whoever owns the pod that it was not its fault."""
    return {
        "type": "DisruptionTarget",
        "status": "True",
        "observedGeneration": pod["metadata"].get("generation", 0),
        "lastTransitionTime": at,
        "reason": "TerminationByKubelet",
        "message": MESSAGE,
    }
