"""Who has to go so that a more important pod can run."""

from __future__ import annotations

from typing import Any

from podium.api.types.selectors import from_label_selector
from podium.control.scheduler.decide import Decider, Decision, Rejection
from podium.control.scheduler.needs import Needs, Placed, placed_of
from podium.control.scheduler.picture import Picture
from podium.control.scheduler.preempt import Budget, Candidate, preempt

from .build import needs, node, picture, place, pod
from .terms import anti_affinity, spread

WEB = {"app": "web"}


def displaced(wanted: Needs, on: Picture, *budgets: Budget) -> tuple[str, list[str]]:
    """The node, and the names of the victims."""
    found = _preempt(wanted, on, *budgets)
    assert isinstance(found, Candidate), found
    return found.node, [victim.name for victim in found.victims]


def refused(wanted: Needs, on: Picture, *budgets: Budget) -> str:
    found = _preempt(wanted, on, *budgets)
    assert isinstance(found, str)
    return found


def _preempt(wanted: Needs, on: Picture, *budgets: Budget) -> Candidate | str:
    decider = Decider(on)
    rejection = decider.decide(wanted)
    assert isinstance(rejection, Rejection)
    before = {name: (dict(entry.used), set(entry.pods)) for name, entry in on.nodes.items()}
    found = preempt(wanted, rejection, decider, on, lambda: budgets)
    assert before == {name: (entry.used, set(entry.pods)) for name, entry in on.nodes.items()}
    return found


def urgent(cpu: str = "1", **spec: Any) -> Needs:
    return needs("urgent", requests={"cpu": cpu}, priority=100, **spec)


def full(on: Picture, where: str, *pods: tuple[str, str, int], **spec: Any) -> None:
    for name, cpu, priority in pods:
        place(on, name, where, requests={"cpu": cpu}, priority=priority, **spec)


def budget(allowed: int) -> Budget:
    return Budget("default", from_label_selector({"matchLabels": WEB}), allowed, {})


def test_only_as_many_go_as_are_needed_and_the_least_important() -> None:
    nodes = picture(node("a", cpu="4"))
    full(nodes, "a", ("big", "2", 50), ("small", "1", 10), ("other", "1", 20))
    assert displaced(urgent("1"), nodes) == ("a", ["small"])
    assert displaced(urgent("2"), nodes) == ("a", ["other", "small"])
    assert displaced(urgent("3"), nodes) == ("a", ["big", "small"])


def test_equals_are_left_alone() -> None:
    nodes = picture(node("a", cpu="1"), node("b", cpu="500m"))
    full(nodes, "a", ("peer", "1", 100))
    assert refused(urgent(), nodes) == (
        "0/2 nodes are available: 1 No preemption victims found for incoming pod,"
        " 1 Preemption is not helpful for scheduling."
    )


def test_what_would_still_be_lacking_is_said() -> None:
    nodes = picture(node("a", cpu="2"))
    full(nodes, "a", ("peer", "1500m", 100), ("low", "500m", 1))
    assert refused(urgent(), nodes) == "0/1 nodes are available: 1 Insufficient cpu."


def test_the_node_whose_victims_matter_least_is_chosen() -> None:
    nodes = picture(node("a", cpu="1"), node("b", cpu="1"), node("c", cpu="1"))
    full(nodes, "a", ("a1", "1", 50))
    full(nodes, "b", ("b1", "500m", 10), ("b2", "500m", 10))
    full(nodes, "c", ("c1", "1", 10))
    assert displaced(urgent(), nodes) == ("c", ["c1"])


def test_a_budget_that_is_exhausted_counts_more_than_priority() -> None:
    nodes = picture(node("a", cpu="1"), node("b", cpu="1"))
    full(nodes, "a", ("protected", "1", 1), labels=WEB)
    full(nodes, "b", ("plain", "1", 90))
    assert displaced(urgent(), nodes, budget(0)) == ("b", ["plain"])
    assert displaced(urgent(), nodes, budget(1)) == ("a", ["protected"])


def test_those_with_an_exhausted_budget_are_spared_first() -> None:
    nodes = picture(node("a", cpu="2"))
    full(nodes, "a", ("protected", "1", 1), labels=WEB)
    full(nodes, "a", ("plain", "1", 50))
    assert displaced(urgent(), nodes, budget(0)) == ("a", ["plain"])


def test_of_equal_nodes_the_one_whose_victims_started_last_is_chosen() -> None:
    nodes = picture(node("a", cpu="1"), node("b", cpu="1"))
    for name, day in (("a", "01"), ("b", "02")):
        made = pod(f"on-{name}", requests={"cpu": "1"})
        made["status"] = {"startTime": f"2024-01-{day}T00:00:00Z"}
        nodes.place(placed_of(made), name)
    assert displaced(urgent(), nodes) == ("b", ["on-b"])


def test_anti_affinity_and_spread_are_reckoned_without_the_victims() -> None:
    nodes = picture(node("a"))
    place(nodes, "hermit", "a", **anti_affinity(WEB))
    assert displaced(needs("urgent", labels=WEB, priority=1), nodes) == ("a", ["hermit"])
    nodes = picture(node("a"))
    place(nodes, "web", "a", labels=WEB)
    assert displaced(needs("urgent", priority=1, **anti_affinity(WEB)), nodes) == ("a", ["web"])
    nodes = picture(node("a"), node("b", taints=[{"key": "k", "effect": "NoSchedule"}]))
    place(nodes, "web", "a", labels=WEB)
    assert displaced(needs("urgent", labels=WEB, priority=1, **spread(WEB)), nodes) == ("a", ["web"])


def test_who_waits_for_its_victims_to_go_displaces_no_more() -> None:
    nodes = picture(node("a", cpu="1"), node("b", cpu="1"))
    full(nodes, "b", ("low", "1", 0))
    leaving = Placed("uid-gone", "default", "gone", needs(requests={"cpu": "1"}).cost, preempted=True)
    nodes.place(leaving, "a")
    nodes.nominate(urgent().placed(), "a")
    assert refused(urgent(), nodes) == "not eligible due to a terminating pod on the nominated node."


def test_victims_count_as_leaving_from_the_decision_on() -> None:
    nodes = picture(node("a", cpu="1"), node("b", cpu="1"))
    full(nodes, "a", ("low", "1", 0))
    full(nodes, "b", ("other", "1", 0))
    nodes.nominate(urgent().placed(), "a")
    nodes.leaving.add("uid-low")
    assert refused(urgent(), nodes) == "not eligible due to a terminating pod on the nominated node."
    nodes.remove("uid-low")
    assert Decider(nodes).decide(urgent()) == Decision("a")


def test_the_place_that_is_being_made_is_kept_from_lesser_pods() -> None:
    nodes = picture(node("a", cpu="1"))
    nodes.nominate(urgent().placed(), "a")
    assert isinstance(Decider(nodes).decide(needs("late", requests={"cpu": "1"})), Rejection)
    assert not isinstance(
        Decider(nodes).decide(needs("more", requests={"cpu": "1"}, priority=200)), Rejection
    )
    nodes.forget_nomination("uid-urgent")
    assert not isinstance(Decider(nodes).decide(needs("late", requests={"cpu": "1"})), Rejection)
