"""Pods that want, or do not want, to be where others are."""

from __future__ import annotations

from typing import Any

from podium.api.types.selectors import Requirement, Selector
from podium.control.scheduler.decide import Decider, Decision, Rejection
from podium.control.scheduler.labels import Labels
from podium.control.scheduler.needs import placed_of
from podium.control.scheduler.owners import KnownOwners
from podium.control.scheduler.picture import Picture

from .build import decide, needs, node, picture, place, pod
from .terms import HOST, anti_affinity, drawn, near, spread

ZONE = "topology.kubernetes.io/zone"
WEB, DB = {"app": "web"}, {"app": "db"}


def zones() -> Picture:
    """a and b in zone x, c in zone y."""
    where = {"a": "x", "b": "x", "c": "y"}
    return picture(*(node(name, labels={ZONE: zone}) for name, zone in where.items()))


def why(decision: str | Rejection) -> str:
    assert isinstance(decision, Rejection)
    return decision.message


def test_a_pod_goes_into_the_zone_of_those_it_wants_to_be_near() -> None:
    nodes = zones()
    place(nodes, "db", "c", labels=DB)
    assert decide(needs(**near(DB, ZONE)), nodes) == "c"


def test_a_pod_that_wants_to_be_near_nobody_there_is_has_no_place() -> None:
    message = why(decide(needs(**near(DB, ZONE)), zones()))
    assert message == "0/3 nodes are available: 3 node(s) didn't match pod affinity rules."


def test_the_first_of_a_series_need_not_wait_for_itself() -> None:
    nodes = zones()
    where = decide(needs("p", labels=WEB, **near(WEB, ZONE)), nodes)
    assert where in ("a", "b", "c")
    place(nodes, "other", "c", labels=WEB)
    assert decide(needs("q", labels=WEB, **near(WEB, ZONE)), nodes) == "c"


def test_a_pod_keeps_away_from_others() -> None:
    nodes = zones()
    place(nodes, "web", "a", labels=WEB)
    assert decide(needs(**anti_affinity(WEB, ZONE)), nodes) == "c"
    place(nodes, "web2", "c", labels=WEB)
    assert "3 node(s) didn't match pod anti-affinity rules" in why(
        decide(needs(**anti_affinity(WEB, ZONE)), nodes)
    )
    nodes.remove("uid-web2")
    assert decide(needs(**anti_affinity(WEB, ZONE)), nodes) == "c"


def test_pods_that_are_there_keep_others_away() -> None:
    nodes = zones()
    place(nodes, "hermit", "a", **anti_affinity(WEB, ZONE))
    place(nodes, "hermit2", "c", **anti_affinity(WEB, ZONE))
    assert why(decide(needs(labels=WEB), nodes)) == (
        "0/3 nodes are available: 3 node(s) didn't satisfy existing pods anti-affinity rules."
    )
    assert decide(needs(labels=DB), nodes) == "b"
    nodes.remove("uid-hermit")
    assert decide(needs(labels=WEB), nodes) in ("a", "b")


def test_terms_are_about_the_pods_own_namespace_unless_they_say_otherwise() -> None:
    nodes = zones()
    place(nodes, "db", "c", labels=DB, namespace="other")
    assert isinstance(decide(needs(**near(DB, ZONE)), nodes), Rejection)
    assert decide(needs(**near(DB, ZONE, namespaces=["other"])), nodes) == "c"
    assert decide(needs(**near(DB, ZONE, namespaceSelector={})), nodes) == "c"
    selected = near(DB, ZONE, namespaceSelector={"matchLabels": {"team": "a"}})
    assert isinstance(decide(needs(**selected), nodes), Rejection)
    nodes.census.set_namespace("other", Labels({"team": "a"}))
    assert decide(needs(**selected), nodes) == "c"


def test_match_label_keys_narrow_a_term_to_the_pods_own_values() -> None:
    nodes = zones()
    place(nodes, "old", "a", labels=WEB | {"hash": "1"})
    keys = {"matchLabelKeys": ["hash"]}
    assert decide(needs(labels=WEB | {"hash": "2"}, **anti_affinity(WEB, **keys)), nodes) in ("b", "c")
    fits = needs(labels=WEB | {"hash": "2"}, nodeSelector={HOST: "a"}, **anti_affinity(WEB, **keys))
    assert decide(fits, nodes) == "a"
    other = {"mismatchLabelKeys": ["hash"]}
    refused = needs(labels=WEB | {"hash": "2"}, nodeSelector={HOST: "a"}, **anti_affinity(WEB, **other))
    assert isinstance(decide(refused, nodes), Rejection)


def test_preferences_draw_and_repel() -> None:
    nodes = zones()
    place(nodes, "db", "c", labels=DB, requests={"cpu": "1"})
    assert decide(needs(**drawn(DB)), nodes) == "c"
    nodes = zones()
    for name in "ab":
        place(nodes, f"load-{name}", name, requests={"cpu": "1"})
    place(nodes, "db", "c", labels=DB)
    assert decide(needs(**drawn(DB, ZONE, weight=-100)), nodes) in ("a", "b")


def test_those_who_are_there_draw_whom_they_like() -> None:
    nodes = zones()
    place(nodes, "fan", "c", requests={"cpu": "1"}, **drawn(WEB))
    assert decide(needs(labels=WEB), nodes) == "c"
    nodes = zones()
    place(nodes, "leaning", "b", requests={"cpu": "500m"}, labels=WEB, **near(WEB))
    assert decide(needs(labels=WEB), nodes) == "b"


def rounds(nodes: Picture, count: int, **spec: Any) -> list[str]:
    """Where `count` equal pods go, one after the other."""
    decider = Decider(nodes)
    found = []
    for number in range(count):
        decision = decider.decide(needs(f"p{number}", **spec))
        assert isinstance(decision, Decision)
        place(nodes, f"p{number}", decision.node, **spec)
        found.append(decision.node)
    return found


def test_hard_spread_keeps_the_skew() -> None:
    nodes = zones()
    found = rounds(nodes, 6, labels=WEB, **spread(WEB, ZONE))
    assert sorted(found).count("c") == 3


def test_too_skewed_nodes_are_refused() -> None:
    nodes = zones()
    for number in range(2):
        place(nodes, f"w{number}", "a", labels=WEB)
    pinned = needs(labels=WEB, nodeSelector={HOST: "a"}, **spread(WEB, ZONE, nodeAffinityPolicy="Ignore"))
    assert why(decide(pinned, nodes)) == (
        "0/3 nodes are available: 1 node(s) didn't match pod topology spread constraints,"
        " 2 node(s) didn't match Pod's node affinity/selector."
    )
    # With Honor the pod's own selector makes zone x the only domain there is.
    assert decide(needs(labels=WEB, nodeSelector={HOST: "a"}, **spread(WEB, ZONE)), nodes) == "a"


def test_a_node_without_the_key_is_refused() -> None:
    nodes = picture(node("a"))
    assert why(decide(needs(labels=WEB, **spread(WEB, ZONE)), nodes)) == (
        "0/1 nodes are available: 1 node(s) didn't match pod topology spread constraints (missing required"
        " label)."
    )


def test_with_fewer_domains_than_wanted_the_emptiest_counts_as_empty() -> None:
    nodes = zones()
    for name in "abc":
        place(nodes, f"w-{name}", name, labels=WEB)
    place(nodes, "w", "c", labels=WEB)
    assert isinstance(decide(needs(labels=WEB, **spread(WEB, ZONE, minDomains=3)), nodes), Rejection)
    assert decide(needs(labels=WEB, **spread(WEB, ZONE, minDomains=2)), nodes) in ("a", "b", "c")


def test_tainted_nodes_are_domains_unless_taints_are_honoured() -> None:
    taint = {"key": "k", "effect": "NoSchedule"}
    nodes = picture(node("a", labels={ZONE: "x"}), node("c", labels={ZONE: "y"}, taints=[taint]))
    place(nodes, "w", "a", labels=WEB)
    assert isinstance(decide(needs(labels=WEB, **spread(WEB, ZONE)), nodes), Rejection)
    assert decide(needs(labels=WEB, **spread(WEB, ZONE, nodeTaintsPolicy="Honor")), nodes) == "a"


def test_terminating_pods_do_not_count_for_spread() -> None:
    nodes = zones()
    going = pod("w", labels=WEB)
    going["metadata"]["deletionTimestamp"] = "2024-01-01T00:00:00Z"
    nodes.place(placed_of(going), "a")
    pinned = needs(labels=WEB, nodeSelector={HOST: "a"}, **spread(WEB, ZONE, nodeAffinityPolicy="Ignore"))
    assert decide(pinned, nodes) == "a"


def test_soft_spread_prefers_the_emptier_zone() -> None:
    nodes = zones()
    place(nodes, "w", "c", labels=WEB)
    assert decide(needs(labels=WEB, **spread(WEB, ZONE, action="ScheduleAnyway")), nodes) in ("a", "b")


def test_pods_of_one_service_spread_by_default() -> None:
    nodes = zones()
    owners = KnownOwners()
    owners.set_service("default", "web", {"spec": {"selector": WEB}})
    assert owners.selector(needs(labels=WEB).shape) == Selector((Requirement("app", "In", ("web",)),))
    place(nodes, "w", "c", labels=WEB)
    for name in "ab":
        place(nodes, f"load-{name}", name, requests={"cpu": "200m"})
    decision = Decider(nodes, owners=owners).decide(needs(labels=WEB))
    assert isinstance(decision, Decision)
    assert decision.node in ("a", "b")
    assert decide(needs(labels=WEB), nodes) == "c"
