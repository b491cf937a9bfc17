"""The in-process client keeps the client contract; what comes back is what HTTP shows."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from podium.api.local import LocalClient
from podium.api.server import ApiServer
from podium.api.types import resources
from podium.api.types.errors import StatusError
from podium.api.types.resources import CONFIG_MAPS, DEPLOYMENTS, NODES, PODS, SERVICE_ACCOUNTS
from podium.client.base import Client
from tests.unit.api.http.harness import config_map, deployment, pod


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    server = ApiServer()
    await server.start()
    yield server
    await server.close()


@pytest.fixture
def client(server: ApiServer) -> LocalClient:
    return server.client


def in_default(obj: dict[str, object]) -> dict[str, object]:
    metadata = obj["metadata"]
    assert isinstance(metadata, dict)
    return obj | {"metadata": {**metadata, "namespace": "default"}}


async def test_it_is_a_client(server: ApiServer) -> None:
    client: Client = server.client
    assert (await client.get(resources.NAMESPACES, "default"))["kind"] == "Namespace"


async def test_what_is_handed_in_stays_the_callers(client: LocalClient) -> None:
    mine = in_default(config_map("a"))
    made = await client.create(CONFIG_MAPS, mine)
    assert mine == in_default(config_map("a"))
    changed = {**made, "data": {"x": "y"}}
    assert (await client.update(CONFIG_MAPS, changed))["data"] == {"x": "y"}
    assert "data" not in made


async def test_what_is_handed_out_is_shared(client: LocalClient) -> None:
    await client.create(CONFIG_MAPS, config_map("a"), "default")
    assert await client.get(CONFIG_MAPS, "a", "default") is await client.get(CONFIG_MAPS, "a", "default")


async def test_a_list_carries_kinds_and_a_revision_to_watch_from(client: LocalClient) -> None:
    await client.create(CONFIG_MAPS, config_map("a", {"x": "1"}), "default")
    await client.create(CONFIG_MAPS, config_map("b", {"x": "2"}), "default")
    listed = await client.list(CONFIG_MAPS, "default", labels="x=2")
    assert [item["metadata"]["name"] for item in listed.items] == ["b"]
    assert listed.items[0]["kind"] == "ConfigMap"
    await client.delete(CONFIG_MAPS, "b", "default")
    stream = client.watch(CONFIG_MAPS, resource_version=listed.resource_version)
    event = await anext(stream)
    assert (event.type, event.object["metadata"]["name"]) == ("DELETED", "b")
    await stream.aclose()


async def test_a_watch_ends_with_the_server(client: LocalClient, server: ApiServer) -> None:
    stream = client.watch(CONFIG_MAPS, "default", resource_version="1")
    await client.create(CONFIG_MAPS, config_map("a"), "default")
    assert (await anext(stream)).type == "ADDED"
    await server.close()
    assert [event async for event in stream] == []


async def test_a_revision_that_is_gone_raises(client: LocalClient, server: ApiServer) -> None:
    await client.create(CONFIG_MAPS, config_map("a"), "default")
    await server.store.compact(server.store.revision)
    with pytest.raises(StatusError) as raised:
        await anext(client.watch(CONFIG_MAPS, resource_version="1"))
    assert raised.value.code == 410


async def test_failures_are_status_errors(client: LocalClient) -> None:
    with pytest.raises(StatusError) as missing:
        await client.get(CONFIG_MAPS, "a", "default")
    assert missing.value.code == 404
    made = await client.create(CONFIG_MAPS, config_map("a"), "default")
    await client.patch(CONFIG_MAPS, "a", {"data": {"x": "y"}}, "default")
    with pytest.raises(StatusError) as stale:
        await client.update(CONFIG_MAPS, made)
    assert stale.value.code == 409
    with pytest.raises(StatusError) as apply:
        await client.patch(CONFIG_MAPS, "a", {}, "default", kind="apply")
    assert apply.value.code == 415


async def test_subresources_are_reached(client: LocalClient) -> None:
    await client.create(DEPLOYMENTS, deployment("web"), "default")
    scale = await client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 4}}, "default", subresource="scale")
    assert scale["spec"]["replicas"] == 4
    await client.create(PODS, pod("a"), "default")
    binding = {"metadata": {"name": "a", "namespace": "default"}, "target": {"kind": "Node", "name": "one"}}
    await client.create(PODS, binding, name="a", subresource="binding")
    bound = await client.get(PODS, "a", "default")
    assert bound["spec"]["nodeName"] == "one"
    running = {**bound, "status": {**bound["status"], "phase": "Running"}}
    assert (await client.update(PODS, running, subresource="status"))["status"]["phase"] == "Running"
    token = await client.create(
        SERVICE_ACCOUNTS, {"spec": {}}, "default", name="default", subresource="token"
    )
    assert token["status"]["token"]
    with pytest.raises(StatusError):
        await client.create(NODES, {"metadata": {"name": "x"}}, name="x", subresource="nothing")


async def test_a_graceful_deletion_and_its_preconditions(client: LocalClient) -> None:
    await client.create(PODS, pod("a", node="one"), "default")
    with pytest.raises(StatusError):
        await client.delete(PODS, "a", "default", uid="another")
    await client.delete(PODS, "a", "default", grace_seconds=7)
    assert (await client.get(PODS, "a", "default"))["metadata"]["deletionGracePeriodSeconds"] == 7
    await client.delete(PODS, "a", "default", grace_seconds=0)
    with pytest.raises(StatusError):
        await client.get(PODS, "a", "default")


async def test_an_event_is_the_same_in_both_of_its_groups(client: LocalClient) -> None:
    core = {
        "metadata": {"name": "e", "namespace": "default"},
        "involvedObject": {"kind": "Pod", "name": "a", "namespace": "default"},
        "reason": "Started",
        "message": "it runs",
        "type": "Normal",
        "count": 3,
        "source": {"component": "node"},
        "firstTimestamp": "2030-01-01T00:00:00Z",
        "lastTimestamp": "2030-01-01T00:00:00Z",
    }
    await client.create(resources.EVENTS, core)
    other = await client.get(resources.EVENTS_V1, "e", "default")
    assert other["apiVersion"] == "events.k8s.io/v1"
    assert (other["note"], other["deprecatedCount"], other["regarding"]["name"]) == ("it runs", 3, "a")
    [listed] = (await client.list(resources.EVENTS_V1, "default")).items
    assert listed == other


async def test_an_autoscaler_is_the_same_in_both_versions(client: LocalClient) -> None:
    v1 = {
        "metadata": {"name": "h", "namespace": "default"},
        "spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": "web", "apiVersion": "apps/v1"},
            "minReplicas": 1,
            "maxReplicas": 5,
            "targetCPUUtilizationPercentage": 70,
        },
    }
    await client.create(resources.HORIZONTAL_POD_AUTOSCALERS_V1, v1)
    v2 = await client.get(resources.HORIZONTAL_POD_AUTOSCALERS, "h", "default")
    assert v2["apiVersion"] == "autoscaling/v2"
    [metric] = v2["spec"]["metrics"]
    assert metric["resource"] == {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}
    memory = {
        "type": "Resource",
        "resource": {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 50}},
    }
    both = {**v2, "spec": {**v2["spec"], "metrics": [metric, memory]}}
    await client.update(resources.HORIZONTAL_POD_AUTOSCALERS, both)
    shown = await client.get(resources.HORIZONTAL_POD_AUTOSCALERS_V1, "h", "default")
    assert shown["spec"]["targetCPUUtilizationPercentage"] == 70
    again = await client.update(resources.HORIZONTAL_POD_AUTOSCALERS_V1, shown)
    assert again["apiVersion"] == "autoscaling/v1"
    kept = await client.get(resources.HORIZONTAL_POD_AUTOSCALERS, "h", "default")
    assert kept["spec"]["metrics"] == [metric, memory]


async def test_whoever_remembers_many_objects_can_have_them_held(client: LocalClient) -> None:
    await client.create(CONFIG_MAPS, config_map("a", x="1"), "default")
    listed = await client.list(CONFIG_MAPS, "default")
    assert [holder.obj for holder in listed.holders] == listed.items
    async for event in client.watch(CONFIG_MAPS, "default", resource_version="0"):
        if event.object["metadata"]["name"] == "a":
            assert event.holder is not None
            assert event.holder.obj == event.object
            break
