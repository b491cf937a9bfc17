from __future__ import annotations

import asyncio

from podium.api.types import Obj
from podium.api.types.errors import forbidden
from podium.api.types.meta import condition, deleting
from podium.api.types.resources import DEPLOYMENTS, EVENTS, PODS, REPLICA_SETS, Resource
from podium.control.deployments.revisions import HASH, HISTORY, REVISION, build
from podium.control.pods import is_ready

from .cluster import TestCluster
from .objects import deployment, replica_set, template


def status(obj: Obj, field: str) -> int:
    return int((obj.get("status") or {}).get(field, 0))


def is_rolled_out(obj: Obj) -> bool:
    progressing = condition(obj, "Progressing") or {}
    counts = {status(obj, name) for name in ("replicas", "updatedReplicas", "availableReplicas")}
    observed = status(obj, "observedGeneration") == obj["metadata"].get("generation", 0)
    complete = progressing.get("reason") == "NewReplicaSetAvailable"
    return observed and complete and counts == {obj["spec"]["replicas"]}


async def rolled_out(cluster: TestCluster, revision: int = 1) -> Obj:
    def done(obj: Obj) -> bool:
        return is_rolled_out(obj) and obj["metadata"]["annotations"].get(REVISION) == str(revision)

    return await cluster.one(DEPLOYMENTS, "web", done)


async def set_image(cluster: TestCluster, image: str) -> None:
    patch = {"spec": {"template": template(image)}}
    await cluster.client.patch(DEPLOYMENTS, "web", patch, "test")


def image_of(obj: Obj) -> str:
    spec = obj["spec"].get("template", obj)["spec"]
    return str(spec["containers"][0]["image"])


async def replica_sets(cluster: TestCluster) -> dict[str, Obj]:
    found = await cluster.client.list(REPLICA_SETS, "test")
    return {image_of(obj): obj for obj in found.items}


async def events(cluster: TestCluster, count: int, reason: str = "ScalingReplicaSet") -> list[str]:
    def told(objects: list[Obj]) -> list[str]:
        return [event["message"] for event in objects if event["reason"] == reason]

    return told(await cluster.until(EVENTS, lambda objects: len(told(objects)) >= count))


async def test_a_deployment_becomes_a_replica_set_with_its_pods_and_says_so(cluster: TestCluster) -> None:
    await cluster.client.create(DEPLOYMENTS, deployment(3))
    found = await rolled_out(cluster)
    assert found["metadata"]["annotations"][REVISION] == "1"
    assert condition(found, "Available")["reason"] == "MinimumReplicasAvailable"  # type: ignore[index]
    assert found["status"]["terminatingReplicas"] == 0
    new = (await replica_sets(cluster))["web:1"]
    suffix = new["metadata"]["labels"][HASH]
    assert new["metadata"]["name"] == f"web-{suffix}"
    assert new["spec"]["selector"]["matchLabels"] == {"app": "web", HASH: suffix}
    assert condition(found, "Progressing")["message"] == (  # type: ignore[index]
        f'ReplicaSet "web-{suffix}" has successfully progressed.'
    )
    pods = (await cluster.client.list(PODS, "test")).items
    assert len(pods) == 3
    assert all(pod["metadata"]["name"].startswith(f"web-{suffix}-") for pod in pods)
    assert await events(cluster, 1) == [f"Scaled up replica set web-{suffix} from 0 to 3"]


async def test_thirty_replicas_need_few_rounds_of_the_loop(cluster: TestCluster) -> None:
    await cluster.client.create(DEPLOYMENTS, deployment(30))
    await rolled_out(cluster)
    assert len((await cluster.client.list(PODS, "test")).items) == 30


async def test_a_rolling_update_stays_within_surge_and_unavailability(cluster: TestCluster) -> None:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}}
    await cluster.client.create(DEPLOYMENTS, deployment(4, strategy=rolling))
    await rolled_out(cluster)
    watching = asyncio.ensure_future(extremes(cluster))
    await asyncio.sleep(0)
    await set_image(cluster, "web:2")
    found = await rolled_out(cluster, 2)
    watching.cancel()
    most, fewest = (await asyncio.gather(watching, return_exceptions=True))[0] or (0, 0)  # type: ignore[misc]
    assert most <= 5
    assert fewest >= 3
    assert found["metadata"]["annotations"][REVISION] == "2"
    sets = await replica_sets(cluster)
    assert (sets["web:1"]["spec"]["replicas"], sets["web:2"]["spec"]["replicas"]) == (0, 4)
    assert {image_of(pod) for pod in (await cluster.client.list(PODS, "test")).items} == {"web:2"}


async def extremes(cluster: TestCluster) -> tuple[int, int]:
    """Until cancelled: the most pods that existed at once, and the fewest that were ready."""
    found = await cluster.client.list(PODS, "test")
    pods = {pod["metadata"]["uid"]: pod for pod in found.items}
    most, fewest = len(pods), sum(map(is_ready, pods.values()))
    try:
        async for event in cluster.client.watch(PODS, "test", resource_version=found.resource_version):
            if event.type != "BOOKMARK":
                pods[event.object["metadata"]["uid"]] = event.object
            alive = [pod for pod in pods.values() if not deleting(pod)]
            most, fewest = max(most, len(alive)), min(fewest, sum(map(is_ready, alive)))
    except asyncio.CancelledError:
        return most, fewest
    return most, fewest


async def test_a_rollout_whose_pods_never_become_ready_keeps_the_old_ones(cluster: TestCluster) -> None:
    await cluster.client.create(DEPLOYMENTS, deployment(4))
    await rolled_out(cluster)
    cluster.kubelet.ready = lambda pod: image_of(pod) == "web:1"
    await set_image(cluster, "web:2")
    found = await cluster.one(
        DEPLOYMENTS, "web", lambda obj: status(obj, "updatedReplicas") == 2 and status(obj, "replicas") == 5
    )
    assert status(found, "availableReplicas") == 3
    assert condition(found, "Available")["status"] == "True"  # type: ignore[index]
    sets = await replica_sets(cluster)
    assert (sets["web:1"]["spec"]["replicas"], sets["web:2"]["spec"]["replicas"]) == (3, 2)


async def test_recreate_starts_nothing_before_the_last_old_pod_has_gone(cluster: TestCluster) -> None:
    await cluster.client.create(DEPLOYMENTS, deployment(2, strategy={"type": "Recreate"}))
    await rolled_out(cluster)
    cluster.kubelet.hold = True
    await set_image(cluster, "web:2")
    await cluster.until(PODS, lambda pods: all(map(deleting, pods)))
    await cluster.one(DEPLOYMENTS, "web", lambda obj: status(obj, "terminatingReplicas") == 2)
    assert list(await replica_sets(cluster)) == ["web:1"]
    cluster.kubelet.release()
    await rolled_out(cluster, 2)
    assert {image_of(pod) for pod in (await cluster.client.list(PODS, "test")).items} == {"web:2"}


async def test_going_back_to_an_earlier_template_reuses_its_replica_set(cluster: TestCluster) -> None:
    await cluster.client.create(DEPLOYMENTS, deployment(2))
    await rolled_out(cluster)
    first = (await replica_sets(cluster))["web:1"]
    for revision, image in ((2, "web:2"), (3, "web:1")):
        await set_image(cluster, image)
        await rolled_out(cluster, revision)
    again = (await replica_sets(cluster))["web:1"]
    assert again["metadata"]["uid"] == first["metadata"]["uid"]
    assert again["metadata"]["annotations"][REVISION] == "3"
    assert again["metadata"]["annotations"][HISTORY] == "1"


async def test_a_paused_deployment_scales_but_rolls_nothing_out_until_resumed(cluster: TestCluster) -> None:
    await cluster.client.create(DEPLOYMENTS, deployment(2))
    await rolled_out(cluster)
    paused = {"spec": {"paused": True, "replicas": 3, "template": template("web:2")}}
    await cluster.client.patch(DEPLOYMENTS, "web", paused, "test")
    found = await cluster.one(DEPLOYMENTS, "web", lambda obj: status(obj, "availableReplicas") == 3)
    assert condition(found, "Progressing")["reason"] == "DeploymentPaused"  # type: ignore[index]
    assert list(await replica_sets(cluster)) == ["web:1"]
    await cluster.client.patch(DEPLOYMENTS, "web", {"spec": {"paused": False}}, "test")
    await rolled_out(cluster, 2)
    assert (await replica_sets(cluster))["web:2"]["spec"]["replicas"] == 3


async def test_scaling_resizes_the_present_replica_set(cluster: TestCluster) -> None:
    await cluster.client.create(DEPLOYMENTS, deployment(1))
    await rolled_out(cluster)
    for count in (4, 0, 2):
        await cluster.client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": count}}, "test")
        await cluster.until(PODS, lambda pods, count=count: len(pods) == count)  # type: ignore[misc]
        await rolled_out(cluster)
    name = (await replica_sets(cluster))["web:1"]["metadata"]["name"]
    assert await events(cluster, 4) == [
        f"Scaled up replica set {name} from 0 to 1",
        f"Scaled up replica set {name} from 1 to 4",
        f"Scaled down replica set {name} from 4 to 0",
        f"Scaled up replica set {name} from 0 to 2",
    ]


async def test_old_replica_sets_beyond_the_history_limit_go(cluster: TestCluster) -> None:
    await cluster.client.create(DEPLOYMENTS, deployment(1, revisionHistoryLimit=1))
    await rolled_out(cluster)
    for revision, image in ((2, "web:2"), (3, "web:3")):
        await set_image(cluster, image)
        await rolled_out(cluster, revision)
    left = await cluster.until(REPLICA_SETS, lambda objects: len(objects) == 2)
    assert {image_of(obj) for obj in left} == {"web:2", "web:3"}


async def test_a_replica_set_left_behind_is_adopted_with_its_pods(cluster: TestCluster) -> None:
    await cluster.client.create(DEPLOYMENTS, deployment(2))
    await rolled_out(cluster)
    before = {pod["metadata"]["uid"] for pod in (await cluster.client.list(PODS, "test")).items}
    await cluster.client.delete(DEPLOYMENTS, "web", "test", propagation="Orphan")
    await cluster.gone(DEPLOYMENTS, "web")
    await cluster.until(REPLICA_SETS, lambda found: not found[0]["metadata"].get("ownerReferences"))
    await cluster.client.create(DEPLOYMENTS, deployment(2))
    await rolled_out(cluster)
    assert {pod["metadata"]["uid"] for pod in (await cluster.client.list(PODS, "test")).items} == before
    assert len(await replica_sets(cluster)) == 1


async def test_a_name_that_somebody_else_has_taken_is_counted_as_a_collision(cluster: TestCluster) -> None:
    wanted = deployment(1)
    probe = await cluster.client.create(DEPLOYMENTS, {**wanted, "spec": {**wanted["spec"], "paused": True}})
    name = build(probe)["metadata"]["name"]
    stranger = replica_set(0, name=name)
    stranger["spec"]["selector"] = {"matchLabels": {"app": "other"}}
    stranger["spec"]["template"] = template("other:1", {"app": "other"})
    await cluster.client.create(REPLICA_SETS, stranger)
    await cluster.client.patch(DEPLOYMENTS, "web", {"spec": {"paused": False}}, "test")
    found = await rolled_out(cluster)
    assert found["status"]["collisionCount"] == 1
    assert (await replica_sets(cluster))["web:1"]["metadata"]["name"] != name


async def test_a_replica_set_that_cannot_be_made_is_told_in_condition_and_event(cluster: TestCluster) -> None:
    refused = True

    def refuse(resource: Resource) -> Exception | None:
        error = forbidden("replicasets", "web", "not today", "apps")
        return error if refused and resource == REPLICA_SETS else None

    cluster.gate.refuse = refuse  # type: ignore[assignment]
    await cluster.client.create(DEPLOYMENTS, deployment(1))
    found = await cluster.one(DEPLOYMENTS, "web", lambda obj: condition(obj, "Progressing") is not None)
    progressing = condition(found, "Progressing") or {}
    assert (progressing["status"], progressing["reason"]) == ("False", "ReplicaSetCreateError")
    assert "not today" in (await events(cluster, 1, "ReplicaSetCreateError"))[0]
    refused = False
    await rolled_out(cluster)


async def test_a_failure_of_pods_is_told_by_the_deployment_and_taken_back(cluster: TestCluster) -> None:
    refused = True

    def refuse(resource: Resource) -> Exception | None:
        return forbidden("pods", "", "exceeded quota", "") if refused and resource == PODS else None

    cluster.gate.refuse = refuse  # type: ignore[assignment]
    await cluster.client.create(DEPLOYMENTS, deployment(2))
    found = await cluster.one(DEPLOYMENTS, "web", lambda obj: condition(obj, "ReplicaFailure") is not None)
    failure = condition(found, "ReplicaFailure") or {}
    assert failure["reason"] == "FailedCreate"
    assert "exceeded quota" in failure["message"]
    refused = False
    found = await rolled_out(cluster)
    found = await cluster.one(DEPLOYMENTS, "web", lambda obj: condition(obj, "ReplicaFailure") is None)


async def test_deleting_a_deployment_takes_everything_of_it(cluster: TestCluster) -> None:
    await cluster.client.create(DEPLOYMENTS, deployment(3))
    await rolled_out(cluster)
    await cluster.client.delete(DEPLOYMENTS, "web", "test")
    await cluster.until(PODS, lambda pods: not pods)
    await cluster.until(REPLICA_SETS, lambda found: not found)
