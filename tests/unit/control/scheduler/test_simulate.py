"""Would it fit?"""

from __future__ import annotations

from podium.control.scheduler.simulate import Simulation, Unfit

from .build import node, pod
from .terms import anti_affinity

WEB = {"app": "web"}


def test_a_pod_fits_once_a_node_like_the_template_is_added() -> None:
    waiting = pod("p", requests={"cpu": "3"}, schedulingGates=[{"name": "x"}])
    simulation = Simulation([node("a", cpu="2")], [])
    assert simulation.fits(waiting, "a") == ("Insufficient cpu",)
    found = simulation.place(waiting)
    assert found == Unfit("0/1 nodes are available: 1 Insufficient cpu.", frozenset({"NodeResourcesFit"}))
    simulation.add_node(node("new", cpu="4"))
    assert simulation.place(waiting) == "new"
    assert simulation.pods_on("new") == [waiting]
    assert isinstance(simulation.place(pod("q", requests={"cpu": "3"})), Unfit)
    simulation.unplace(waiting)
    assert simulation.place(pod("q", requests={"cpu": "3"})) == "new"


def test_the_pods_of_a_node_that_goes_find_another_place_or_not() -> None:
    bound = [
        pod("low", nodeName="a", requests={"cpu": "1"}),
        pod("high", nodeName="a", requests={"cpu": "1"}, priority=5),
        {**pod("done", nodeName="a", requests={"cpu": "1"}), "status": {"phase": "Succeeded"}},
    ]
    simulation = Simulation([node("a"), node("b", cpu="1")], bound)
    moved = simulation.remove_node("a")
    assert [entry["metadata"]["name"] for entry in moved] == ["high", "low"]
    assert simulation.place(moved[0]) == "b"
    assert isinstance(simulation.place(moved[1]), Unfit)


def test_relations_count_and_the_choice_can_be_narrowed() -> None:
    placed = pod("web", nodeName="a", labels=WEB)
    simulation = Simulation([node("a"), node("b"), node("c")], [placed])
    wanted = pod("q", **anti_affinity(WEB))
    assert simulation.fits(wanted, "a") == ("node(s) didn't match pod anti-affinity rules",)
    assert simulation.fits(wanted, "b") == ()
    assert simulation.place(wanted, only={"a", "c"}) == "c"
