"""What the scheduler keeps and remembers over random changes, held against a picture made afresh."""

from __future__ import annotations

import random
from typing import Any

import pytest

from podium.api.types.selectors import Requirement, Selector
from podium.control.scheduler.decide import Decider, Job
from podium.control.scheduler.labels import Labels
from podium.control.scheduler.needs import Shape, needs_of, placed_of
from podium.control.scheduler.picture import NodePicture, Picture

from .build import node, pod
from .terms import anti_affinity, drawn, near, spread

ZONE = "topology.kubernetes.io/zone"
APPS = [{"app": name} for name in ("web", "db", "job")]
RELATIONS: list[dict[str, Any]] = [
    {},
    near(APPS[1], ZONE),
    anti_affinity(APPS[0]),
    anti_affinity(APPS[1], ZONE, namespaceSelector={"matchLabels": {"team": "a"}}),
    drawn(APPS[0], ZONE, weight=50),
    drawn(APPS[2], weight=-50),
    spread(APPS[0], ZONE),
    spread(APPS[2], maxSkew=2, nodeTaintsPolicy="Honor"),
    spread(APPS[1], ZONE, action="ScheduleAnyway"),
]


class Everybody:
    """All pods with an app label belong together."""

    generation = 0

    def selector(self, shape: Shape) -> Selector | None:
        app = shape.labels.get("app")
        return Selector((Requirement("app", "In", (app,)),)) if app else None


class World:
    """Objects as the API has them, and the picture that has seen each change."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.nodes: dict[str, Any] = {}
        self.pods: dict[str, tuple[Any, str]] = {}
        self.namespaces: dict[str, Labels] = {}
        self.picture = Picture()
        self.decider = Decider(self.picture, owners=Everybody())
        self.count = 0

    def step(self) -> None:
        kinds = [self.add_node, self.add_pod, self.add_pod, self.add_pod, self.remove_pod, self.end_pod]
        self.random.choice([*kinds, self.remove_node, self.relabel_namespace])()

    def add_node(self) -> None:
        """A new node, or an old one changed."""
        name = f"n{self.random.randrange(6)}"
        taints = [{"key": "k", "effect": self.random.choice(("NoSchedule", "PreferNoSchedule"))}]
        labels = {ZONE: self.random.choice("xyz")} if self.random.random() < 0.9 else {}
        made = node(name, cpu=self.random.choice(("2", "4")), labels=labels)
        made["spec"]["taints"] = taints if self.random.random() < 0.2 else []
        self.nodes[name] = made
        self.picture.set_node(made)

    def remove_node(self) -> None:
        name = f"n{self.random.randrange(6)}"
        self.nodes.pop(name, None)
        self.picture.remove_node(name)

    def candidate(self) -> Any:
        self.count += 1
        spec = self.random.choice(RELATIONS) | {"priority": self.random.randrange(3)}
        namespace = self.random.choice(("default", "other"))
        labels = self.random.choice(APPS)
        cpu = {"cpu": self.random.choice(("100m", "1"))}
        return pod(f"p{self.count}", labels=labels, namespace=namespace, requests=cpu, **spec)

    def add_pod(self) -> None:
        made = self.candidate()
        where = f"n{self.random.randrange(6)}"
        self.pods[made["metadata"]["uid"]] = (made, where)
        self.picture.place(placed_of(made), where)

    def remove_pod(self) -> None:
        if self.pods:
            uid = self.random.choice([*self.pods])
            del self.pods[uid]
            self.picture.remove(uid)

    def end_pod(self) -> None:
        if self.pods:
            uid = self.random.choice([*self.pods])
            made, where = self.pods[uid]
            made = {**made, "metadata": {**made["metadata"], "deletionTimestamp": "2024-01-01T00:00:00Z"}}
            self.pods[uid] = (made, where)
            self.picture.place(placed_of(made), where)

    def relabel_namespace(self) -> None:
        labels = Labels({"team": self.random.choice("ab")})
        self.namespaces["other"] = labels
        self.picture.census.set_namespace("other", labels)

    def afresh(self) -> Picture:
        """The picture of somebody who sees all of it for the first time."""
        picture = Picture()
        for name, labels in self.namespaces.items():
            picture.census.set_namespace(name, labels)
        for made in self.nodes.values():
            picture.set_node(made)
        for made, where in self.pods.values():
            picture.place(placed_of(made), where)
        return picture


def judged(decider: Decider, picture: Picture, made: Any) -> dict[str, object]:
    """What is found about each node, and how the fitting ones score."""
    job = decider.job(needs_of(made))
    assert isinstance(job, Job)
    nodes = sorted(picture.present, key=lambda entry: entry.name)
    found: dict[str, object] = {entry.name: job.check(entry) for entry in nodes}
    fitting: list[NodePicture] = [entry for entry in nodes if found[entry.name] is None]
    if fitting:
        found["scores"] = [job.verdict(entry).score for entry in fitting]
        verdicts = [job.verdict(entry) for entry in fitting]
        # Terms that nobody has any more may be remembered; they count for nothing.
        found["relative"] = [part for part in decider._relative(job, fitting, verdicts) if any(part[1])]
    return found


@pytest.mark.parametrize("seed", range(8))
def test_what_is_remembered_is_what_would_be_found_out_again(seed: int) -> None:
    world = World(seed)
    for _ in range(120):
        world.step()
        fresh = world.afresh()
        made = world.candidate()
        other = Decider(fresh, owners=Everybody())
        assert judged(world.decider, world.picture, made) == judged(other, fresh, made)


def test_a_trial_leaves_no_trace() -> None:
    world = World(99)
    for _ in range(60):
        world.step()
    made = world.candidate()
    before = judged(world.decider, world.picture, made)
    for entry in world.picture.present:
        with world.picture.trying(entry) as trial:
            for placed in [*entry.pods.values()]:
                trial.take(placed)
        with world.picture.supposing(entry, [placed_of(world.candidate())]):
            pass
    assert judged(world.decider, world.picture, made) == before
