"""Which nodes to add for the pods that fit nowhere. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from podium.api.types import Obj
from podium.control.nodescaling.provider import Template, template_node
from podium.control.scheduler.simulate import Simulation, Unfit

Simulate = Callable[[], Simulation]
"""A new simulation of the nodes that can run pods now, and of all pods."""

FULL = "max node group size reached"
WAITING = "in backoff after failed scale-up"


class Choice(NamedTuple):
    """A group as far as it can grow: `size` nodes are there or on their way, of which `coming` cannot run
    pods yet."""

    name: str
    template: Template
    size: int
    coming: int
    most: int
    blocked: bool = False

    @property
    def room(self) -> int:
        return 0 if self.blocked else max(self.most - self.size, 0)


class Plan(NamedTuple):
    """`add`: how many nodes to each group. `helped`: by uid, the pods that they are for and the group.
    `hopeless`: by uid, why no group helps."""

    add: Mapping[str, int]
    helped: Mapping[str, str]
    hopeless: Mapping[str, str]


def plan(simulate: Simulate, pending: Sequence[Obj], choices: Sequence[Choice]) -> Plan:
    """The group that takes most of the pods first, with the fewest nodes; then the next for those left."""
    left = _unplaced(simulate, pending, choices)
    add: dict[str, int] = {}
    helped: dict[str, str] = {}
    while left:
        tried = [
            (choice, *_filled(simulate, left, choice, add.get(choice.name, 0)))
            for choice in choices
            if choice.room > add.get(choice.name, 0)
        ]
        tried = [entry for entry in tried if entry[2]]
        if not tried:
            break
        choice, count, taken = min(tried, key=lambda entry: (-len(entry[2]), entry[1], entry[0].name))
        add[choice.name] = add.get(choice.name, 0) + count
        helped |= dict.fromkeys(taken, choice.name)
        left = [pod for pod in left if pod["metadata"]["uid"] not in taken]
    hopeless = {pod["metadata"]["uid"]: _why(simulate, pod, choices, add) for pod in left}
    return Plan(add, helped, hopeless)


def _unplaced(simulate: Simulate, pending: Sequence[Obj], choices: Sequence[Choice]) -> list[Obj]:
    """The pods that fit neither on what there is nor on what is coming."""
    simulation = simulate()
    for choice in choices:
        for number in range(choice.coming):
            simulation.add_node(_node(choice, f"coming-{number}"))
    return [pod for pod in _ordered(pending) if isinstance(simulation.place(pod), Unfit)]


def _ordered(pods: Sequence[Obj]) -> list[Obj]:
    """As the scheduler takes them: the most important first, then the oldest."""
    return sorted(
        pods,
        key=lambda pod: (
            -(pod["spec"].get("priority") or 0),
            pod["metadata"].get("creationTimestamp", ""),
            pod["metadata"]["name"],
        ),
    )


def _filled(simulate: Simulate, pods: Sequence[Obj], choice: Choice, taken: int) -> tuple[int, set[str]]:
    """How many new nodes of a group the pods need, and which of them get a place there."""
    simulation = simulate()
    names: list[str] = []
    room, placed = choice.room - taken, set()
    for pod in pods:
        if names and not isinstance(simulation.place(pod, only=names), Unfit):
            placed.add(pod["metadata"]["uid"])
            continue
        if len(names) >= room:
            continue
        name = _node(choice, f"new-{len(names)}")["metadata"]["name"]
        simulation.add_node(_node(choice, f"new-{len(names)}"))
        if isinstance(simulation.place(pod, only=[name]), Unfit):
            simulation.remove_node(name)
            continue
        names.append(name)
        placed.add(pod["metadata"]["uid"])
    return len(names), placed


def _why(simulate: Simulate, pod: Obj, choices: Sequence[Choice], add: Mapping[str, int]) -> str:
    """As events word it: every reason with the number of groups that it keeps out."""
    reasons: Counter[str] = Counter()
    for choice in choices:
        simulation, node = simulate(), _node(choice, "new")
        simulation.add_node(node)
        why = simulation.fits(pod, node["metadata"]["name"])
        if why:
            reasons.update(why)
        elif choice.blocked:
            reasons[WAITING] += 1
        else:
            reasons[FULL] += 1
    return ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))


def _node(choice: Choice, suffix: str) -> Obj:
    return template_node(f"template-{choice.name}-{suffix}", choice.name, choice.template)
