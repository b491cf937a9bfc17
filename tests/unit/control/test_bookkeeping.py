"""Expectations, writes that are not visible yet, claims, conditions, the ownership graph, pod collection."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from podium.api.types import Obj
from podium.api.types.resources import CLUSTER_ROLES, CONFIG_MAPS, NODES, PODS
from podium.api.types.selectors import from_map
from podium.client.factory import InformerFactory
from podium.control import claims, conditions
from podium.control.controller import Context
from podium.control.expectations import Expectations
from podium.control.garbage.graph import FOREGROUND, ORPHAN, Graph
from podium.control.metadata import Record
from podium.control.podgc import QUARANTINE, PodCollector
from podium.control.written import Written

from ..clock import FakeClock, settle
from ..frozen import freeze
from . import objects
from .cluster import TestCluster

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_expectations_hold_until_everything_was_seen() -> None:
    expectations = Expectations()
    assert expectations.satisfied("a")
    expectations.expect("a", creations=2)
    expectations.created("a")
    assert not expectations.satisfied("a")
    expectations.created("a")
    assert expectations.satisfied("a")
    expectations.expect("a", deletions=["u1", "u2"])
    expectations.deleted("a", "u1")
    expectations.deleted("a", "u1")
    assert not expectations.satisfied("a")
    expectations.deleted("a", "u2")
    assert expectations.satisfied("a")


def test_an_expectation_that_nothing_fulfils_expires() -> None:
    clock = FakeClock()
    expectations = Expectations(clock.time)
    expectations.expect("a", creations=1)
    clock.advance(299)
    assert not expectations.satisfied("a")
    clock.advance(2)
    assert expectations.satisfied("a")


def entry(version: int, name: str = "x") -> Obj:
    meta = {"name": name, "namespace": "ns", "resourceVersion": str(version)}
    return freeze({"metadata": meta})  # type: ignore[no-any-return]


def test_a_write_is_visible_when_the_cache_has_it_or_something_newer() -> None:
    cached: dict[str, Obj] = {}
    clock = FakeClock()
    informer: Any = SimpleNamespace(get=lambda name, namespace: cached.get(name))
    written = Written(informer, clock.time)
    written.record("a", entry(7))
    assert not written.visible("a")
    written.seen("a", None, entry(6))
    assert not written.visible("a")
    written.seen("a", entry(6), entry(8))
    assert written.visible("a")
    written.record("a", entry(9))
    cached["x"] = entry(9)
    assert written.visible("a")
    written.record("a", entry(12))
    written.seen("a", entry(12), None)
    assert written.visible("a")
    written.record("a", entry(13))
    assert not written.visible("a")
    clock.advance(31)
    assert written.visible("a")


def owned(name: str, labels: dict[str, str], owner: str = "", *, deleting: bool = False) -> Obj:
    meta: Obj = {"name": name, "uid": name, "labels": labels}
    if owner:
        meta["ownerReferences"] = [{"uid": owner, "controller": True}]
    if deleting:
        meta["deletionTimestamp"] = "x"
    return freeze({"metadata": meta})  # type: ignore[no-any-return]


def test_claims_keep_adopt_and_release_by_labels_and_owner() -> None:
    labels = {"app": "web"}
    candidates = [
        owned("kept", labels, "me"),
        owned("released", {}, "me"),
        owned("others", labels, "you"),
        owned("adopted", labels),
        owned("dying", labels, deleting=True),
        owned("unrelated", {}),
    ]

    def decided(owner: Obj) -> list[list[str]]:
        parts = claims.decide(owner, from_map(labels), candidates)
        return [[obj["metadata"]["name"] for obj in part] for part in parts]

    assert decided(owned("me", {})) == [["kept"], ["adopted"], ["released"]]
    assert decided(owned("me", {}, deleting=True)) == [["kept"], [], []]


def test_a_condition_keeps_its_transition_time_while_its_status_stays() -> None:
    earlier = datetime(2026, 1, 1, tzinfo=UTC)
    first = conditions.put([], conditions.make("A", "True", "One", "m", earlier))
    assert conditions.put(first, conditions.make("A", "True", "One", "other", NOW)) == first
    (renamed,) = conditions.put(first, conditions.make("A", "True", "Two", "m", NOW))
    assert (renamed["reason"], renamed["lastTransitionTime"]) == ("Two", "2026-01-01T00:00:00Z")
    (flipped,) = conditions.put(first, conditions.make("A", "False", "One", "m", NOW))
    assert flipped["lastTransitionTime"] == "2026-01-02T03:04:05Z"


class Records:
    """A graph fed by hand."""

    def __init__(self) -> None:
        self.known: dict[str, Record] = {}
        self.graph = Graph(self.known)

    def put(
        self, name: str, *owners: str, finalizers: tuple[str, ...] = (), deleting: bool = False
    ) -> set[str]:
        obj = objects.config_map(name, uid=name, finalizers=list(finalizers))
        made = [objects.config_map(owner, uid=owner) for owner in owners]
        obj["metadata"]["ownerReferences"] = objects.owned_by(*made, blocks=True)
        if deleting:
            obj["metadata"]["deletionTimestamp"] = "x"
        record, old = Record(CONFIG_MAPS, obj), self.known.get(name)
        self.known[name] = record
        return set(self.graph.changed(old, record))

    def remove(self, name: str) -> set[str]:
        return set(self.graph.changed(self.known.pop(name), None))


def test_the_graph_names_whom_a_change_concerns() -> None:
    records = Records()
    assert records.put("child", "owner") == {"child"}
    assert records.put("owner") == set()
    assert records.put("second", "owner") == set()
    assert records.put("second", "owner", finalizers=("x",)) == set()
    assert records.remove("owner") == {"child", "second"}
    assert records.remove("child") == set()


def test_the_graph_wakes_dependents_of_what_waits_for_them_and_the_owner_when_they_have_gone() -> None:
    records = Records()
    records.put("owner")
    records.put("child", "owner")
    assert records.put("owner", finalizers=(FOREGROUND,), deleting=True) == {"owner", "child"}
    assert [record.name for record in records.graph.blocking("owner")] == ["child"]
    assert records.put("late", "owner") == {"late"}
    assert records.put("late") == {"owner"}
    assert records.remove("child") == {"owner"}
    assert records.graph.blocking("owner") == []


def test_the_graph_names_what_is_to_orphan_its_dependents() -> None:
    records = Records()
    records.put("owner")
    records.put("child", "owner")
    assert records.put("owner", finalizers=(ORPHAN,), deleting=True) == {"owner"}


async def test_pods_of_a_node_that_is_gone_are_failed_and_removed_after_a_while(cluster: TestCluster) -> None:
    clock = FakeClock()
    client = cluster.client
    await client.create(PODS, objects.pod("lost", nodeName="node-x"))
    await client.create(PODS, objects.pod("fine", nodeName="node-a"))
    context = Context(client, InformerFactory(client), clock)
    collector = PodCollector(context)
    context.informers.start()
    await context.informers.synced()
    assert clock.pending == [QUARANTINE]
    await client.create(NODES, {"metadata": {"name": "node-x"}})
    await settle()
    await collector.reconcile("node/node-x")
    assert len((await client.list(PODS, "test")).items) == 2
    await client.delete(NODES, "node-x")
    await settle()
    await collector.reconcile("node/node-x")
    pods = await cluster.until(PODS, lambda pods: len(pods) == 1)
    assert pods[0]["metadata"]["name"] == "fine"
    await context.informers.stop()


async def test_a_deleted_pod_of_a_node_out_of_service_goes_at_once_and_of_a_merely_silent_one_not(
    cluster: TestCluster,
) -> None:
    cluster.kubelet.hold = True
    await cluster.client.create(PODS, objects.pod("stuck", nodeName="node-a"))
    await cluster.client.delete(PODS, "stuck", "test")
    silent = {"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}
    await cluster.client.patch(NODES, "node-a", silent, kind="strategic", subresource="status")
    taint = {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}
    assert (await cluster.client.list(PODS, "test")).items
    await cluster.client.patch(NODES, "node-a", {"spec": {"taints": [taint]}})
    await cluster.until(PODS, lambda pods: not pods)


async def test_a_role_that_aggregates_has_the_rules_of_those_it_selects(cluster: TestCluster) -> None:
    def role(name: str, *resources: str, **labels: str) -> Obj:
        rules = [{"apiGroups": [""], "resources": [entry], "verbs": ["get"]} for entry in resources]
        return {"metadata": {"name": name, "labels": labels}, "rules": rules}

    async def granted(*wanted: str) -> None:
        def same(obj: Obj) -> bool:
            return [rule["resources"][0] for rule in obj.get("rules") or ()] == list(wanted)

        await cluster.one(CLUSTER_ROLES, "all", same, "")

    selectors = [{"matchLabels": {"to": "all"}}]
    whole = {**role("all"), "aggregationRule": {"clusterRoleSelectors": selectors}}
    await cluster.client.create(CLUSTER_ROLES, role("b", "pods", "secrets", to="all"))
    await cluster.client.create(CLUSTER_ROLES, whole)
    await granted("pods", "secrets")
    await cluster.client.create(CLUSTER_ROLES, role("a", "services", "pods", to="all"))
    await granted("services", "pods", "secrets")
    await cluster.client.patch(CLUSTER_ROLES, "b", {"metadata": {"labels": {"to": None}}})
    await granted("services", "pods")
    await cluster.client.delete(CLUSTER_ROLES, "a")
    await granted()
