from __future__ import annotations

import asyncio
from typing import Any

from podium.api.types import Obj
from podium.api.types.errors import forbidden
from podium.api.types.meta import controller_of, deleting
from podium.api.types.resources import (
    CONTROLLER_REVISIONS,
    EVENTS,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    STATEFUL_SETS,
    Resource,
)

from .cluster import TestCluster
from .objects import stateful_set, template


async def names(cluster: TestCluster, resource: Resource = PODS) -> set[str]:
    return {obj["metadata"]["name"] for obj in (await cluster.client.list(resource, "test")).items}


def counts(obj: Obj) -> dict[str, int]:
    fields = ("replicas", "readyReplicas", "availableReplicas", "updatedReplicas", "currentReplicas")
    return {field: (obj.get("status") or {}).get(field, 0) for field in fields}


def settled(obj: Obj) -> bool:
    status = obj.get("status") or {}
    observed = status.get("observedGeneration") == obj["metadata"]["generation"]
    return observed and set(counts(obj).values()) == {obj["spec"]["replicas"]}


async def change(cluster: TestCluster, **spec: Any) -> None:
    await cluster.client.patch(STATEFUL_SETS, "web", {"spec": spec}, "test")


async def ready(cluster: TestCluster) -> Obj:
    return await cluster.one(STATEFUL_SETS, "web", settled)


async def pod(cluster: TestCluster, name: str) -> Obj:
    return await cluster.client.get(PODS, name, "test")


def image_of(obj: Obj) -> str:
    return str(obj["spec"]["containers"][0]["image"])


async def images(cluster: TestCluster) -> list[str]:
    found = (await cluster.client.list(PODS, "test")).items
    return [image_of(obj) for obj in sorted(found, key=lambda obj: str(obj["metadata"]["name"]))]


async def appearances(cluster: TestCluster, count: int) -> list[tuple[str, list[str]]]:
    """The next `count` pods as they are made, each with the pods that were not ready then."""
    found = await cluster.client.list(PODS, "test")
    known = {obj["metadata"]["name"]: obj for obj in found.items}
    seen: list[tuple[str, list[str]]] = []
    async for event in cluster.client.watch(PODS, "test", resource_version=found.resource_version):
        if event.type == "BOOKMARK":
            continue
        name = event.object["metadata"]["name"]
        if event.type == "ADDED":
            unready = [other for other, obj in known.items() if not (obj.get("status") or {}).get("podIP")]
            seen.append((name, unready))
        known[name] = event.object
        if len(seen) == count:
            break
    return seen


async def test_pods_come_in_order_each_after_the_last_is_ready(cluster: TestCluster) -> None:
    watching = asyncio.ensure_future(appearances(cluster, 3))
    await cluster.client.create(STATEFUL_SETS, stateful_set(3))
    assert await watching == [("web-0", []), ("web-1", []), ("web-2", [])]
    found = await ready(cluster)
    assert found["status"]["currentRevision"] == found["status"]["updateRevision"]
    assert found["status"]["collisionCount"] == 0


async def test_a_pod_knows_its_name_its_place_and_its_host(cluster: TestCluster) -> None:
    await cluster.client.create(STATEFUL_SETS, stateful_set(1, ordinals={"start": 5}))
    found = await ready(cluster)
    made = await pod(cluster, "web-5")
    labels = made["metadata"]["labels"]
    assert labels["statefulset.kubernetes.io/pod-name"] == "web-5"
    assert labels["apps.kubernetes.io/pod-index"] == "5"
    assert labels["controller-revision-hash"] == found["status"]["updateRevision"]
    assert made["spec"]["hostname"] == "web-5"
    assert made["spec"]["subdomain"] == "peers"
    assert made["metadata"]["generateName"] == "web-"
    owner = controller_of(made)
    assert owner is not None
    assert owner["uid"] == found["metadata"]["uid"]


async def test_the_highest_ordinal_goes_first(cluster: TestCluster) -> None:
    await cluster.client.create(STATEFUL_SETS, stateful_set(3))
    await ready(cluster)
    cluster.kubelet.hold = True
    await change(cluster, replicas=1)
    gone = await cluster.until(PODS, lambda pods: any(map(deleting, pods)))
    assert [obj["metadata"]["name"] for obj in gone if deleting(obj)] == ["web-2"]
    assert not deleting(await pod(cluster, "web-1"))
    cluster.kubelet.release()
    await cluster.until(PODS, lambda pods: len(pods) == 1)
    assert await names(cluster) == {"web-0"}


async def test_scaling_halts_while_a_pod_is_not_ready(cluster: TestCluster) -> None:
    cluster.kubelet.ready = lambda pod: pod["metadata"]["name"] == "web-0"
    await cluster.client.create(STATEFUL_SETS, stateful_set(3))
    second = await cluster.one(PODS, "web-1", lambda obj: bool((obj.get("status") or {}).get("podIP")))
    assert await names(cluster) == {"web-0", "web-1"}
    await cluster.kubelet.report(second, ready=True)
    await cluster.until(PODS, lambda pods: len(pods) == 3)


async def test_a_parallel_set_makes_all_pods_at_once_ready_or_not(cluster: TestCluster) -> None:
    cluster.kubelet.ready = lambda pod: False
    await cluster.client.create(STATEFUL_SETS, stateful_set(4, podManagementPolicy="Parallel"))
    await cluster.until(PODS, lambda pods: len(pods) == 4)
    await change(cluster, replicas=0)
    await cluster.until(PODS, lambda pods: not pods)


async def test_an_update_goes_from_the_highest_ordinal_down_and_becomes_current(cluster: TestCluster) -> None:
    await cluster.client.create(STATEFUL_SETS, stateful_set(3))
    before = await ready(cluster)
    watching = asyncio.ensure_future(appearances(cluster, 3))
    await asyncio.sleep(0)
    await change(cluster, template=template("web:2"))
    assert [name for name, _ in await watching] == ["web-2", "web-1", "web-0"]
    after = await cluster.one(
        STATEFUL_SETS,
        "web",
        lambda obj: settled(obj) and obj["status"]["currentRevision"] == obj["status"]["updateRevision"],
    )
    assert after["status"]["currentRevision"] != before["status"]["currentRevision"]
    assert await images(cluster) == ["web:2"] * 3
    revisions = (await cluster.client.list(CONTROLLER_REVISIONS, "test")).items
    assert sorted(obj["revision"] for obj in revisions) == [1, 2]


async def test_a_partition_keeps_the_lower_ordinals_as_they_are(cluster: TestCluster) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
    await cluster.client.create(STATEFUL_SETS, stateful_set(3, updateStrategy=strategy))
    before = await ready(cluster)
    await change(cluster, template=template("web:2"))
    found = await cluster.one(
        STATEFUL_SETS,
        "web",
        lambda obj: counts(obj)["updatedReplicas"] == 1 and counts(obj)["readyReplicas"] == 3,
    )
    assert await images(cluster) == ["web:1", "web:1", "web:2"]
    assert found["status"]["currentRevision"] == before["status"]["currentRevision"]
    assert counts(found)["currentReplicas"] == 2
    # What is lost below the partition comes back as it was.
    lost = await pod(cluster, "web-0")
    await cluster.client.delete(PODS, "web-0", "test")
    await cluster.one(
        PODS,
        "web-0",
        lambda obj: obj["metadata"]["uid"] != lost["metadata"]["uid"] and bool(obj["status"].get("podIP")),
    )
    assert image_of(await pod(cluster, "web-0")) == "web:1"


async def test_max_unavailable_updates_several_at_once(cluster: TestCluster) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 2}}
    await cluster.client.create(STATEFUL_SETS, stateful_set(4, updateStrategy=strategy))
    await ready(cluster)
    cluster.kubelet.hold = True
    await change(cluster, template=template("web:2"))
    found = await cluster.until(PODS, lambda pods: sum(map(deleting, pods)) == 2)
    assert sorted(obj["metadata"]["name"] for obj in found if deleting(obj)) == ["web-2", "web-3"]
    cluster.kubelet.release()
    await cluster.until(PODS, lambda pods: len(pods) == 4 and {image_of(obj) for obj in pods} == {"web:2"})


async def test_on_delete_replaces_only_what_somebody_deletes(cluster: TestCluster) -> None:
    await cluster.client.create(STATEFUL_SETS, stateful_set(2, updateStrategy={"type": "OnDelete"}))
    await ready(cluster)
    await change(cluster, template=template("web:2"))
    await cluster.one(
        STATEFUL_SETS,
        "web",
        lambda obj: obj["status"]["updateRevision"] != obj["status"]["currentRevision"],
    )
    assert await images(cluster) == ["web:1", "web:1"]
    await cluster.client.delete(PODS, "web-0", "test")
    await cluster.one(PODS, "web-0", lambda obj: image_of(obj) == "web:2")
    assert image_of(await pod(cluster, "web-1")) == "web:1"


async def test_going_back_reuses_the_revision_and_numbers_it_anew(cluster: TestCluster) -> None:
    await cluster.client.create(STATEFUL_SETS, stateful_set(1))
    first = (await ready(cluster))["status"]["currentRevision"]
    for image in ("web:2", "web:1"):
        await change(cluster, template=template(image))
        await cluster.one(
            STATEFUL_SETS,
            "web",
            lambda obj: settled(obj) and obj["status"]["currentRevision"] == obj["status"]["updateRevision"],
        )
    assert (await ready(cluster))["status"]["currentRevision"] == first
    again = await cluster.client.get(CONTROLLER_REVISIONS, first, "test")
    assert again["revision"] == 3
    assert len(await names(cluster, CONTROLLER_REVISIONS)) == 2


async def test_history_is_kept_to_its_limit(cluster: TestCluster) -> None:
    await cluster.client.create(STATEFUL_SETS, stateful_set(1, revisionHistoryLimit=1))
    await ready(cluster)
    for image in ("web:2", "web:3", "web:4"):
        await change(cluster, template=template(image))
        await cluster.one(PODS, "web-0", lambda obj, image=image: image_of(obj) == image)  # type: ignore[misc]
        await ready(cluster)
    found = await cluster.until(CONTROLLER_REVISIONS, lambda objects: len(objects) == 2)
    assert sorted(obj["revision"] for obj in found) == [3, 4]


async def test_each_pod_gets_claims_that_outlive_it(cluster: TestCluster) -> None:
    await cluster.client.create(STATEFUL_SETS, stateful_set(2, claims=("data",)))
    await cluster.until(PERSISTENT_VOLUME_CLAIMS, lambda claims: bool(claims))
    claim = await cluster.client.get(PERSISTENT_VOLUME_CLAIMS, "data-web-0", "test")
    assert claim["metadata"]["labels"] == {"app": "web"}
    assert not claim["metadata"].get("ownerReferences")
    made = await cluster.one(PODS, "web-0", lambda obj: True)
    assert {"name": "data", "persistentVolumeClaim": {"claimName": "data-web-0"}} in made["spec"]["volumes"]
    await cluster.client.delete(STATEFUL_SETS, "web", "test")
    await cluster.until(PODS, lambda pods: not pods)
    assert "data-web-0" in await names(cluster, PERSISTENT_VOLUME_CLAIMS)


async def test_claims_are_owned_as_the_retention_policy_says(cluster: TestCluster) -> None:
    policy = {"whenDeleted": "Delete", "whenScaled": "Delete"}
    made = stateful_set(
        2, claims=("data",), podManagementPolicy="Parallel", persistentVolumeClaimRetentionPolicy=policy
    )
    owner = await cluster.client.create(STATEFUL_SETS, made)

    def owned(claims: list[Obj]) -> bool:
        owners = [controller_of(claim) for claim in claims]
        return [(entry or {}).get("uid") for entry in owners] == [owner["metadata"]["uid"]] * 2

    await cluster.until(PERSISTENT_VOLUME_CLAIMS, owned)
    cluster.kubelet.hold = True
    await change(cluster, replicas=1)
    last = await cluster.one(
        PERSISTENT_VOLUME_CLAIMS, "data-web-1", lambda obj: (controller_of(obj) or {}).get("kind") == "Pod"
    )
    assert controller_of(last)["name"] == "web-1"  # type: ignore[index]
    retain = {"whenDeleted": "Retain", "whenScaled": "Retain"}
    await change(cluster, persistentVolumeClaimRetentionPolicy=retain)
    await cluster.one(PERSISTENT_VOLUME_CLAIMS, "data-web-0", lambda obj: controller_of(obj) is None)


async def test_a_failed_pod_is_made_again(cluster: TestCluster) -> None:
    await cluster.client.create(STATEFUL_SETS, stateful_set(1))
    await ready(cluster)
    for phase in ("Failed", "Succeeded"):
        before = await pod(cluster, "web-0")
        await cluster.kubelet.report(before, ready=False, phase=phase)
        await cluster.one(
            PODS,
            "web-0",
            lambda obj, uid=before["metadata"]["uid"]: (  # type: ignore[misc]
                obj["metadata"]["uid"] != uid and (obj.get("status") or {}).get("phase") == "Running"
            ),
        )


async def test_events_tell_what_was_made_and_what_was_refused(cluster: TestCluster) -> None:
    cluster.gate.refuse = lambda resource: forbidden("pods", "web-0", "no") if resource == PODS else None
    await cluster.client.create(STATEFUL_SETS, stateful_set(1))

    def told(reason: str) -> Any:
        return lambda events: any(event["reason"] == reason for event in events)

    found = await cluster.until(EVENTS, told("FailedCreate"))
    failed = next(event for event in found if event["reason"] == "FailedCreate")
    assert failed["message"].startswith("Create Pod web-0 in StatefulSet web failed error: ")
    cluster.gate.refuse = lambda resource: None
    found = await cluster.until(EVENTS, told("SuccessfulCreate"))
    made = next(event for event in found if event["reason"] == "SuccessfulCreate")
    assert made["message"] == "Create Pod web-0 in StatefulSet web successful"


async def test_min_ready_seconds_delay_the_next_pod(cluster: TestCluster) -> None:
    await cluster.client.create(STATEFUL_SETS, stateful_set(2, minReadySeconds=3600))
    found = await cluster.one(STATEFUL_SETS, "web", lambda obj: counts(obj)["readyReplicas"] == 1)
    assert counts(found)["availableReplicas"] == 0
    assert await names(cluster) == {"web-0"}
    await change(cluster, minReadySeconds=0)
    await cluster.until(PODS, lambda pods: len(pods) == 2)


async def test_a_set_left_behind_is_adopted_with_its_pods_and_history(cluster: TestCluster) -> None:
    await cluster.client.create(STATEFUL_SETS, stateful_set(2))
    await ready(cluster)
    before = {obj["metadata"]["uid"] for obj in (await cluster.client.list(PODS, "test")).items}
    await cluster.client.delete(STATEFUL_SETS, "web", "test", propagation="Orphan")
    await cluster.gone(STATEFUL_SETS, "web")
    await cluster.client.create(STATEFUL_SETS, stateful_set(2))
    await ready(cluster)
    assert {obj["metadata"]["uid"] for obj in (await cluster.client.list(PODS, "test")).items} == before
    assert len(await names(cluster, CONTROLLER_REVISIONS)) == 1
