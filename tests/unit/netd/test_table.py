from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podium.netd.config import NetConfig
from podium.netd.nft import Nft
from podium.netd.services.plan import Element, Plan, Planner
from podium.netd.services.slots import settle
from podium.netd.services.table import Table

from .world import NODE, run

CONFIG = NetConfig(NODE, "192.0.2.2")
PLANNER = Planner(CONFIG)

addresses = st.frozensets(st.tuples(st.sampled_from([f"10.42.0.{n}" for n in range(2, 12)]), st.just(80)))


@given(st.lists(addresses, max_size=8))
def test_endpoints_keep_their_places_and_leave_no_holes(steps: list[frozenset[tuple[str, int]]]) -> None:
    members: list[tuple[str, int]] = []
    for wanted in steps:
        before, members = members, settle(members, wanted)
        assert sorted(members) == sorted(wanted)
        moved = [
            member
            for index, member in enumerate(members)
            if member in before and before.index(member) != index
        ]
        assert len(moved) <= len(set(before) - wanted)


def plan(name: str, replicas: int = 1, *, protocol: str = "TCP", **spec: Any) -> Plan:
    ips = {"clusterIP": "10.43.1.1", "clusterIPs": ["10.43.1.1"]}
    service = {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"ports": [{"port": 80, "protocol": protocol, "nodePort": 30080}], **ips, **spec},
    }
    endpoints = [{"addresses": [f"10.42.0.{n + 2}"], "nodeName": NODE} for n in range(replicas)]
    slices = {
        "addressType": "IPv4",
        "ports": [{"port": 8080, "protocol": protocol}],
        "endpoints": endpoints,
    }
    return PLANNER.service(service, [slices])


def test_a_replaced_endpoint_is_one_changed_element() -> None:
    table = Table(CONFIG)
    table.set("a", plan("web", 3))
    table.changes()
    moved = plan("web", 3)
    (name,) = moved.groups
    kept = sorted(moved.groups[name].endpoints)[:2]
    moved.groups[name] = moved.groups[name]._replace(endpoints=frozenset([*kept, ("10.42.0.9", 8080)]))
    table.set("a", moved)
    lines = table.changes().splitlines()
    assert lines == [
        "delete element ip podium tcp-endpoints { 2 }",
        "add element ip podium tcp-endpoints { 2 : 10.42.0.9 . 8080 }",
    ]


def test_nothing_changed_is_no_transaction() -> None:
    table = Table(CONFIG)
    table.set("a", plan("web", 3))
    assert table.changes()
    table.set("a", plan("web", 3))
    assert table.changes() == ""


def test_an_address_that_two_services_want_is_the_firsts_until_that_goes() -> None:
    table = Table(CONFIG)
    table.set("a", plan("a"))
    table.set("b", plan("b"))
    assert "10.43.1.1 . tcp . 80 : goto svc-default/a/tcp-80" in table.changes()
    table.set("a", None)
    assert "10.43.1.1 . tcp . 80 : goto svc-default/b/tcp-80" in table.changes()


@pytest.mark.parametrize(
    "labels", ["service.kubernetes.io/service-proxy-name", "service.kubernetes.io/headless"]
)
def test_services_that_are_somebody_elses_to_proxy_are_left_alone(labels: str) -> None:
    service = {
        "metadata": {"name": "web", "namespace": "default", "labels": {labels: "x"}},
        "spec": {"clusterIP": "10.43.1.1", "ports": [{"port": 80}], "externalIPs": ["198.51.100.7"]},
    }
    assert PLANNER.service(service, []) == Plan()


def test_what_is_no_address_never_gets_into_a_transaction() -> None:
    service = {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"clusterIP": "10.43.1.1", "ports": [{"port": 80}], "externalIPs": ["fd00::1", "x }"]},
    }
    endpoints = [{"addresses": ["nonsense"]}, {"addresses": ["10.42.0.2"]}]
    slices = {"addressType": "IPv4", "ports": [{"port": 8080}], "endpoints": endpoints}
    made = PLANNER.service(service, [slices])
    (group,) = made.groups.values()
    assert group.endpoints == {("10.42.0.2", 8080)}
    assert {element.set for element in made.elements} == {"services", "outside"} - {"outside"}
    assert Element("services", "10.43.1.1 . tcp . 80") in made.elements


specs = st.fixed_dictionaries(
    {},
    optional={
        "protocol": st.sampled_from(["TCP", "UDP", "SCTP"]),
        "sessionAffinity": st.sampled_from(["None", "ClientIP"]),
        "externalTrafficPolicy": st.sampled_from(["Cluster", "Local"]),
        "internalTrafficPolicy": st.sampled_from(["Cluster", "Local"]),
        "type": st.sampled_from(["ClusterIP", "NodePort"]),
        "externalIPs": st.just(["198.51.100.7"]),
    },
)
steps = st.lists(
    st.tuples(st.sampled_from("abc"), st.none() | st.tuples(st.integers(0, 4), specs)), min_size=1, max_size=6
)


@given(st.lists(steps, min_size=1, max_size=3))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_changes_lead_to_the_same_table_as_writing_everything(
    host: Path, transactions: list[list[tuple[str, Any]]]
) -> None:
    nft = Nft()
    table = Table(CONFIG)
    nft.apply_blocking("add table ip podium\ndelete table ip podium\n" + table.everything())
    for transaction in transactions:
        for name, step in transaction:
            made = None if step is None else plan(name, step[0], **step[1])
            table.set(name, made)
        nft.apply_blocking(table.changes())
    changed = listed()
    nft.apply_blocking("delete table ip podium\n" + table.everything())
    assert changed == listed()
    nft.close()


def listed() -> list[str]:
    """The table without the order of its parts, which only tells when they were added."""
    text = re.sub(r",\s*\n\s*", ", ", run("nft list table ip podium"))
    return sorted(
        ", ".join(sorted(line.strip(" {}\t").removeprefix("elements = { ").split(", ")))
        for line in text.splitlines()
    )
