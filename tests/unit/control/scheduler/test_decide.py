"""Decisions: which node, or why none, in the words of `kubectl describe pod`."""

from __future__ import annotations

from typing import Any

import pytest

from podium.api.types.requests import pod_requests
from podium.control.scheduler.decide import Rejection
from podium.control.scheduler.needs import placed_of

from .build import container, decide, explain, needs, node, picture, place, pod

SOFT = {"key": "soft", "effect": "PreferNoSchedule"}
HARD = {"key": "hard", "value": "v", "effect": "NoSchedule"}


def reason(decision: str | Rejection) -> str:
    assert isinstance(decision, Rejection)
    return decision.message


def test_the_emptiest_node_wins() -> None:
    nodes = picture(node("a"), node("b"))
    place(nodes, "x", "a", requests={"cpu": "1", "memory": "1Gi"})
    assert decide(needs(requests={"cpu": "1"}), nodes) == "b"


def test_pods_that_ask_for_nothing_spread_too() -> None:
    nodes = picture(node("a"), node("b"), node("c"))
    for number in range(9):
        where = decide(needs(f"p{number}"), nodes)
        assert isinstance(where, str)
        place(nodes, f"p{number}", where)
    assert sorted(len(entry.pods) for entry in nodes.present) == [3, 3, 3]


def test_a_pod_goes_where_it_evens_out_what_is_used() -> None:
    nodes = picture(node("a", cpu="10", memory="10Gi"), node("b", cpu="10", memory="10Gi"))
    place(nodes, "x", "b", requests={"cpu": "2", "memory": "8Gi"})
    place(nodes, "y", "a", requests={"cpu": "5", "memory": "5Gi"})
    assert decide(needs(requests={"cpu": "2"}), nodes) == "b"


def test_each_reason_is_counted() -> None:
    nodes = picture(node("a", taints=[HARD]), node("b", cpu="1"), node("c", cpu="2"))
    place(nodes, "x", "c", requests={"cpu": "1500m"})
    assert explain(needs(requests={"cpu": "2"}), nodes) == (
        "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu."
        " preemption: 0/3 nodes are available: 1 No preemption victims found for incoming pod,"
        " 2 Preemption is not helpful for scheduling."
    )


def test_without_nodes_it_says_so() -> None:
    assert reason(decide(needs(), picture())) == "no nodes available to schedule pods"


def test_a_pod_that_never_preempts_is_told_so() -> None:
    message = explain(needs(requests={"cpu": "9"}, preemptionPolicy="Never"), picture(node("a")))
    assert message.endswith("1 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never.")


REJECTS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "cordoned": ({"unschedulable": True}, {}, "node(s) were unschedulable"),
    "taint": ({"taints": [HARD]}, {}, "node(s) had untolerated taint(s)"),
    "taint of another value": (
        {"taints": [HARD]},
        {"tolerations": [{"key": "hard", "operator": "Equal", "value": "w"}]},
        "node(s) had untolerated taint(s)",
    ),
    "selector": ({}, {"nodeSelector": {"disk": "ssd"}}, "node(s) didn't match Pod's node affinity/selector"),
    "memory": ({}, {"requests": {"memory": "9Gi"}}, "Insufficient memory"),
    "unknown resource": ({}, {"requests": {"example.com/gpu": "1"}}, "Insufficient example.com/gpu"),
    "number of pods": ({"pods": "0"}, {}, "Too many pods"),
}


@pytest.mark.parametrize("name", REJECTS)
def test_a_node_is_refused(name: str) -> None:
    on, spec, wanted = REJECTS[name]
    assert f"1 {wanted}" in reason(decide(needs(**spec), picture(node("a", **on))))


ACCEPTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "everything tolerated": (
        {"taints": [HARD], "unschedulable": True},
        {"tolerations": [{"operator": "Exists"}]},
    ),
    "taint tolerated by value": (
        {"taints": [HARD]},
        {"tolerations": [{"key": "hard", "value": "v", "effect": "NoSchedule"}]},
    ),
    "cordon tolerated": (
        {"unschedulable": True},
        {
            "tolerations": [
                {"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"}
            ]
        },
    ),
    "soft taint": ({"taints": [SOFT]}, {}),
    "selector": ({"labels": {"disk": "ssd"}}, {"nodeSelector": {"disk": "ssd"}}),
    "extended resource": ({"extra": {"example.com/gpu": "1"}}, {"requests": {"example.com/gpu": "1"}}),
    "exactly fitting": ({"cpu": "1", "pods": "1"}, {"requests": {"cpu": "1"}}),
}


@pytest.mark.parametrize("name", ACCEPTS)
def test_a_node_is_accepted(name: str) -> None:
    on, spec = ACCEPTS[name]
    assert decide(needs(**spec), picture(node("a", **on))) == "a"


def affinity(*terms: dict[str, Any]) -> dict[str, Any]:
    return {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}
    }


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, "values": list(values)}


@pytest.mark.parametrize(
    ("terms", "matches"),
    [
        ([{"matchExpressions": [expression("zone", "In", "x", "y")]}], True),
        ([{"matchExpressions": [expression("zone", "NotIn", "x")]}], False),
        ([{"matchExpressions": [expression("other", "NotIn", "x")]}], True),
        ([{"matchExpressions": [expression("cores", "Gt", "8")]}], True),
        ([{"matchExpressions": [expression("cores", "Lt", "8")]}], False),
        (
            [
                {"matchExpressions": [expression("other", "Exists")]},
                {"matchExpressions": [expression("zone", "Exists")]},
            ],
            True,
        ),
        ([{"matchExpressions": [expression("zone", "Exists"), expression("other", "Exists")]}], False),
        ([{}], False),
        ([], False),
        ([{"matchFields": [expression("metadata.name", "In", "a")]}], True),
        ([{"matchFields": [expression("metadata.name", "In", "b")]}], False),
    ],
)
def test_required_node_affinity(terms: list[dict[str, Any]], matches: bool) -> None:
    decision = decide(
        needs(affinity=affinity(*terms)), picture(node("a", labels={"zone": "x", "cores": "16"}))
    )
    assert (decision == "a") is matches


def test_preferred_affinity_outweighs_a_little_load() -> None:
    nodes = picture(node("a"), node("b", labels={"disk": "ssd"}))
    place(nodes, "x", "b", requests={"cpu": "1"})
    preference = {"weight": 10, "preference": {"matchExpressions": [expression("disk", "In", "ssd")]}}
    wanted = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [preference]}}
    assert decide(needs(affinity=wanted), nodes) == "b"


def test_a_soft_taint_is_avoided_while_there_is_another_node() -> None:
    nodes = picture(node("a", taints=[SOFT]), node("b"))
    place(nodes, "x", "b", requests={"cpu": "2"})
    assert decide(needs(), nodes) == "b"


def port(number: int, address: str = "", protocol: str = "TCP") -> dict[str, Any]:
    return container(
        ports=[{"containerPort": 1, "hostPort": number, "hostIP": address, "protocol": protocol}]
    )


@pytest.mark.parametrize(
    ("held", "wanted", "fits"),
    [
        (port(80), port(80), False),
        (port(80), port(81), True),
        (port(80), port(80, protocol="UDP"), True),
        (port(80, "10.0.0.1"), port(80, "10.0.0.2"), True),
        (port(80, "10.0.0.1"), port(80), False),
        (port(80), port(80, "10.0.0.1"), False),
    ],
)
def test_host_ports(held: dict[str, Any], wanted: dict[str, Any], fits: bool) -> None:
    nodes = picture(node("a"))
    place(nodes, "x", "a", containers=[held])
    assert (decide(needs(containers=[wanted]), nodes) == "a") is fits


def test_a_pod_that_left_gives_everything_back() -> None:
    nodes = picture(node("a", cpu="1", pods="1"))
    place(nodes, "x", "a", containers=[{**port(80), "resources": {"requests": {"cpu": "1"}}}])
    assert isinstance(decide(needs(requests={"cpu": "1"}), nodes), Rejection)
    nodes.remove("uid-x")
    assert decide(needs(containers=[port(80)]), nodes) == "a"
    assert nodes.nodes["a"].used == {"cpu": 0}


def test_a_node_that_left_keeps_its_pods_costs_until_they_leave() -> None:
    nodes = picture(node("a"), node("b"))
    place(nodes, "x", "a", requests={"cpu": "1"})
    nodes.remove_node("a")
    assert decide(needs(), nodes) == "b"
    assert "a" in nodes.nodes
    nodes.remove("uid-x")
    assert "a" not in nodes.nodes


def test_a_binding_that_was_assumed_gives_nothing_back() -> None:
    nodes = picture(node("a"), node("b"))
    made = placed_of(pod("p", requests={"cpu": "1"}))
    assert nodes.place(made, "a") is None
    assert nodes.place(made, "a") is None
    assert nodes.place(made, "b") == made
    assert (nodes.nodes["a"].used, nodes.nodes["b"].used) == ({"cpu": 0}, {"cpu": 1000})


SIDECAR = {"restartPolicy": "Always"}
REQUESTS: dict[str, tuple[dict[str, Any], dict[str, int]]] = {
    "containers add up": (
        {
            "containers": [
                container(requests={"cpu": "100m"}),
                container(requests={"cpu": "1", "memory": "1Ki"}),
            ]
        },
        {"cpu": 1100, "memory": 1024},
    ),
    "the greatest init container counts, not the sum": (
        {
            "containers": [container(requests={"cpu": "1"})],
            "initContainers": [container(requests={"cpu": "3"}), container(requests={"cpu": "2"})],
        },
        {"cpu": 3000},
    ),
    "sidecars run beside the containers": (
        {
            "containers": [container(requests={"cpu": "1"})],
            "initContainers": [container(requests={"cpu": "2"}, **SIDECAR)],
        },
        {"cpu": 3000},
    ),
    "an init container runs beside earlier sidecars alone": (
        {
            "containers": [container(requests={"cpu": "1"})],
            "initContainers": [
                container(requests={"cpu": "1"}, **SIDECAR),
                container(requests={"cpu": "4"}),
                container(requests={"cpu": "2"}, **SIDECAR),
            ],
        },
        {"cpu": 5000},
    ),
    "overhead comes on top": (
        {"containers": [container(requests={"cpu": "1"})], "overhead": {"cpu": "250m"}},
        {"cpu": 1250},
    ),
    "the pod's own request replaces its containers'": (
        {"containers": [container(requests={"cpu": "1"})], "resources": {"requests": {"cpu": "500m"}}},
        {"cpu": 500},
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_what_a_pod_asks_for(name: str) -> None:
    spec, wanted = REQUESTS[name]
    assert pod_requests(spec) == wanted
