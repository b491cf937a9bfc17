from __future__ import annotations

from typing import Any

from podium.api.types import Obj
from podium.api.types.meta import deleting
from podium.api.types.resources import CONTROLLER_REVISIONS, DAEMON_SETS, EVENTS, NODES, PODS
from podium.control.daemons.placement import pinned, target, tolerations

from .cluster import TestCluster
from .objects import daemon_set, template

SURGE = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


def number(obj: Obj, field: str) -> int:
    return int((obj.get("status") or {}).get(field, 0))


def covers(count: int) -> Any:
    """Every one of `count` nodes has an available pod of the present template."""
    fields = ("desiredNumberScheduled", "numberAvailable", "updatedNumberScheduled", "currentNumberScheduled")

    def holds(obj: Obj) -> bool:
        observed = number(obj, "observedGeneration") == obj["metadata"]["generation"]
        return observed and {number(obj, field) for field in fields} == {count}

    return holds


async def covered(cluster: TestCluster, count: int = 2) -> Obj:
    return await cluster.one(DAEMON_SETS, "web", covers(count))


async def pods(cluster: TestCluster) -> dict[str, Obj]:
    return {obj["spec"]["nodeName"]: obj for obj in (await cluster.client.list(PODS, "test")).items}


def image_of(obj: Obj) -> str:
    return str(obj["spec"]["containers"][0]["image"])


async def change(cluster: TestCluster, **spec: Any) -> None:
    await cluster.client.patch(DAEMON_SETS, "web", {"spec": spec}, "test")


async def label(cluster: TestCluster, node: str, value: str | None) -> None:
    await cluster.client.patch(NODES, node, {"metadata": {"labels": {"disk": value}}})


async def test_every_node_gets_a_pod_bound_to_it_by_the_scheduler(cluster: TestCluster) -> None:
    await cluster.client.create(DAEMON_SETS, daemon_set())
    await covered(cluster)
    found = await pods(cluster)
    assert set(found) == {"node-a", "node-b"}
    terms = found["node-a"]["spec"]["affinity"]["nodeAffinity"]
    required = terms["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert required == [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-a"]}]}]
    labels = found["node-a"]["metadata"]["labels"]
    revision = (await cluster.client.list(CONTROLLER_REVISIONS, "test")).items[0]
    assert labels["controller-revision-hash"] == revision["metadata"]["labels"]["controller-revision-hash"]
    assert revision["metadata"]["name"] == f"web-{labels['controller-revision-hash']}"
    assert labels["pod-template-generation"] == "1"


async def test_a_node_that_joins_gets_its_pod_and_one_that_goes_is_no_longer_counted(
    cluster: TestCluster,
) -> None:
    await cluster.client.create(DAEMON_SETS, daemon_set())
    await covered(cluster)
    await cluster.node("node-c")
    await covered(cluster, 3)
    await cluster.client.delete(NODES, "node-c")
    await covered(cluster, 2)


async def test_pods_follow_the_labels_of_their_nodes(cluster: TestCluster) -> None:
    await cluster.client.create(DAEMON_SETS, daemon_set(pod=template(nodeSelector={"disk": "fast"})))
    await cluster.one(DAEMON_SETS, "web", lambda obj: number(obj, "observedGeneration") == 1)
    assert not await pods(cluster)
    await label(cluster, "node-a", "fast")
    await covered(cluster, 1)
    assert set(await pods(cluster)) == {"node-a"}
    await label(cluster, "node-a", None)
    await cluster.until(PODS, lambda found: not found)


async def test_a_repelling_taint_keeps_new_pods_away_and_no_execute_drives_old_ones_out(
    cluster: TestCluster,
) -> None:
    taint = {"key": "own", "value": "x", "effect": "NoSchedule"}
    await cluster.client.patch(NODES, "node-a", {"spec": {"taints": [taint]}})
    await cluster.client.create(DAEMON_SETS, daemon_set())
    await covered(cluster, 1)
    assert set(await pods(cluster)) == {"node-b"}
    cordon = {"spec": {"unschedulable": True}}
    await cluster.client.patch(NODES, "node-b", cordon)
    await cluster.one(NODES, "node-b", lambda obj: bool(obj["spec"].get("taints")), "")
    await covered(cluster, 1)
    await cluster.client.patch(NODES, "node-b", {"spec": {"taints": [{**taint, "effect": "NoExecute"}]}})
    await cluster.until(PODS, lambda found: not found)


async def test_an_update_replaces_one_pod_after_the_other(cluster: TestCluster) -> None:
    await cluster.client.create(DAEMON_SETS, daemon_set())
    await covered(cluster)
    cluster.kubelet.hold = True
    await change(cluster, template=template("web:2"))
    found = await cluster.until(PODS, lambda found: any(map(deleting, found)))
    assert sum(map(deleting, found)) == 1
    cluster.kubelet.release()
    await covered(cluster)
    assert {image_of(obj) for obj in (await pods(cluster)).values()} == {"web:2"}
    assert {
        obj["metadata"]["labels"]["pod-template-generation"] for obj in (await pods(cluster)).values()
    } == {"2"}


async def test_a_broken_update_stops_at_the_first_pod(cluster: TestCluster) -> None:
    await cluster.client.create(DAEMON_SETS, daemon_set())
    await covered(cluster)
    cluster.kubelet.ready = lambda pod: image_of(pod) == "web:1"
    await change(cluster, template=template("web:2"))
    await cluster.one(
        DAEMON_SETS,
        "web",
        lambda obj: number(obj, "updatedNumberScheduled") == 1 and number(obj, "numberUnavailable") == 1,
    )
    assert sorted(image_of(obj) for obj in (await pods(cluster)).values()) == ["web:1", "web:2"]
    # Going back replaces the broken one at once, and leaves the other as it is.
    kept = {obj["metadata"]["uid"] for obj in (await pods(cluster)).values() if image_of(obj) == "web:1"}
    await change(cluster, template=template("web:1"))
    await covered(cluster)
    assert kept < {obj["metadata"]["uid"] for obj in (await pods(cluster)).values()}


async def test_a_surge_starts_the_new_pod_before_the_old_one_goes(cluster: TestCluster) -> None:
    await cluster.client.create(DAEMON_SETS, daemon_set(updateStrategy=SURGE))
    await covered(cluster)
    cluster.kubelet.ready = lambda pod: image_of(pod) == "web:1"
    await change(cluster, template=template("web:2"))
    found = await cluster.until(PODS, lambda found: len(found) == 3)
    assert not any(map(deleting, found))
    cluster.kubelet.ready = lambda pod: True
    await cluster.until(
        PODS,
        lambda found: any(
            image_of(obj) == "web:2" and bool((obj.get("status") or {}).get("podIP")) for obj in found
        ),
    )
    for obj in (await cluster.client.list(PODS, "test")).items:
        if image_of(obj) == "web:2":
            await cluster.kubelet.report(obj, ready=True)
    await covered(cluster)
    await cluster.until(PODS, lambda found: [image_of(obj) for obj in found] == ["web:2"] * 2)


async def test_on_delete_replaces_only_what_somebody_deletes(cluster: TestCluster) -> None:
    await cluster.client.create(DAEMON_SETS, daemon_set(updateStrategy={"type": "OnDelete"}))
    await covered(cluster)
    await change(cluster, template=template("web:2"))
    await cluster.until(CONTROLLER_REVISIONS, lambda found: len(found) == 2)
    await cluster.client.delete(PODS, (await pods(cluster))["node-a"]["metadata"]["name"], "test")
    await cluster.one(DAEMON_SETS, "web", lambda obj: number(obj, "updatedNumberScheduled") == 1)
    assert image_of((await pods(cluster))["node-b"]) == "web:1"


async def test_a_failed_pod_is_replaced_and_an_event_says_so(cluster: TestCluster) -> None:
    await cluster.client.create(DAEMON_SETS, daemon_set())
    await covered(cluster)
    failed = (await pods(cluster))["node-a"]
    await cluster.kubelet.report(failed, ready=False, phase="Failed")
    await cluster.until(
        PODS, lambda found: len(found) == 2 and failed["metadata"]["uid"] not in map(uid_of, found)
    )
    name = failed["metadata"]["name"]
    message = f"Found failed daemon pod test/{name} on node node-a, will try to kill it"
    await cluster.until(
        EVENTS,
        lambda events: any((e["reason"], e["message"]) == ("FailedDaemonPod", message) for e in events),
    )


def uid_of(obj: Obj) -> str:
    return str(obj["metadata"]["uid"])


async def test_two_revisions_of_one_template_become_one(cluster: TestCluster) -> None:
    await cluster.client.create(DAEMON_SETS, daemon_set())
    await covered(cluster)
    first = (await cluster.client.list(CONTROLLER_REVISIONS, "test")).items[0]
    twin = {**first, "metadata": {**first["metadata"], "name": "twin"}, "revision": 2}
    del twin["metadata"]["resourceVersion"], twin["metadata"]["uid"]
    await cluster.client.create(CONTROLLER_REVISIONS, twin)
    await change(cluster, minReadySeconds=0, revisionHistoryLimit=3)
    left = await cluster.until(CONTROLLER_REVISIONS, lambda found: len(found) == 1)
    assert left[0]["metadata"]["name"] == "twin"


def test_a_daemon_bears_the_troubles_of_its_node_for_good() -> None:
    own = {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}
    found = tolerations({"tolerations": [{**own, "tolerationSeconds": 5}], "hostNetwork": True})
    assert found[0] == own
    assert [entry["key"].partition("/")[2] for entry in found] == [
        "not-ready",
        "unreachable",
        "disk-pressure",
        "memory-pressure",
        "pid-pressure",
        "unschedulable",
        "network-unavailable",
    ]


def test_a_pod_that_is_not_bound_yet_says_which_node_it_is_for() -> None:
    spec = {"affinity": {"podAntiAffinity": {}, "nodeAffinity": {"preferredDuringScheduling": []}}}
    made = pinned(spec, "node-a")
    assert set(made) == {"podAntiAffinity", "nodeAffinity"}
    assert target({"spec": {"affinity": made}}) == "node-a"
    assert target({"spec": {}}) == ""
