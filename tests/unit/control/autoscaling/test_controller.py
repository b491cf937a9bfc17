"""The autoscaler against a real API server; only the metrics are made up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from podium.api.server import ApiServer
from podium.api.types import Obj
from podium.api.types.errors import no_such_path
from podium.api.types.meta import timestamp
from podium.api.types.resources import DEPLOYMENTS, EVENTS, HORIZONTAL_POD_AUTOSCALERS, PODS, Resource
from podium.client.factory import InformerFactory
from podium.control.autoscaling import HorizontalAutoscaler
from podium.control.autoscaling.controller import AutoscalingConfig
from podium.control.controller import Context
from tests.unit.control.watching import until
from tests.unit.frozen import FrozenClient, freeze

NAMESPACE = "default"


class Adapter(FrozenClient):
    """Answers the metrics APIs from `answers` (path → items); everything else is the server's."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.answers: dict[str, list[Obj]] = {}
        self.queries: dict[str, dict[str, list[str]]] = {}

    async def read(self, path: str) -> Obj:
        parts = urlsplit(path)
        if parts.path == "/apis/custom.metrics.k8s.io":
            return freeze({"versions": [{"version": "v1beta1"}, {"version": "v1beta2"}]})  # type: ignore[no-any-return]
        if ".metrics.k8s.io/" in parts.path or "/metrics.k8s.io/" in parts.path:
            self.queries[parts.path] = parse_qs(parts.query)
            if parts.path not in self.answers:
                raise no_such_path()
            return freeze({"items": self.answers[parts.path]})  # type: ignore[no-any-return]
        return await super().read(path)


class World:
    def __init__(self, client: Any) -> None:
        self.client = client
        self.adapter = Adapter(client)

    async def workload(
        self, name: str = "web", replicas: int = 2, labels: dict[str, str] | None = None
    ) -> None:
        """A Deployment with so many pods that are ready for long and request 100m."""
        labels = labels or {"app": name}
        container = {"name": "main", "image": "x", "resources": {"requests": {"cpu": "100m"}}}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
        spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
        await self.client.create(
            DEPLOYMENTS, {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}
        )
        long_ago = "2020-01-01T00:00:00Z"
        for number in range(replicas):
            meta = {"name": f"{name}-{number}", "namespace": NAMESPACE, "labels": labels}
            await self.client.create(PODS, {"metadata": meta, "spec": {"containers": [container]}})
            ready = {"type": "Ready", "status": "True", "lastTransitionTime": long_ago}
            status = {"phase": "Running", "startTime": long_ago, "conditions": [ready]}
            await self.client.patch(
                PODS, f"{name}-{number}", {"status": status}, NAMESPACE, subresource="status"
            )

    def uses(self, *millicores: int, name: str = "web") -> None:
        self.adapter.answers[f"/apis/metrics.k8s.io/v1beta1/namespaces/{NAMESPACE}/pods"] = [
            {
                "metadata": {"name": f"{name}-{number}"},
                "timestamp": timestamp(),
                "window": "15s",
                "containers": [{"name": "main", "usage": {"cpu": f"{value}m", "memory": "10Mi"}}],
            }
            for number, value in enumerate(millicores)
        ]

    def custom(self, path: str, **values: int) -> None:
        self.adapter.answers[f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/{NAMESPACE}/{path}"] = [
            {
                "describedObject": {"name": name.replace("_", "-")},
                "timestamp": timestamp(),
                "value": str(value),
            }
            for name, value in values.items()
        ]

    async def scaled(self, name: str = "web", target: str = "web", **spec: Any) -> None:
        reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
        meta = {"name": name, "namespace": NAMESPACE}
        whole = {"scaleTargetRef": reference, "maxReplicas": 10, **spec}
        await self.client.create(HORIZONTAL_POD_AUTOSCALERS, {"metadata": meta, "spec": whole})

    async def until(self, resource: Resource, holds: Callable[[Obj], bool], name: str = "") -> Obj:
        def wanted(objects: list[Obj]) -> list[Obj]:
            return [obj for obj in objects if name in ("", obj["metadata"]["name"]) and holds(obj)]

        return wanted(await until(self.client, resource, lambda found: bool(wanted(found)), NAMESPACE))[0]

    async def condition(self, kind: str, reason: str, name: str = "web") -> Obj:
        """Waits until the autoscaler has it."""

        def of(obj: Obj) -> Obj | None:
            listed = (obj.get("status") or {}).get("conditions") or ()
            return next((each for each in listed if each["type"] == kind and each["reason"] == reason), None)

        found = of(await self.until(HORIZONTAL_POD_AUTOSCALERS, lambda obj: of(obj) is not None, name))
        assert found is not None
        return found

    async def size(self, replicas: int, name: str = "web") -> None:
        await self.until(DEPLOYMENTS, lambda obj: bool(obj["spec"]["replicas"] == replicas), name)

    async def event(self, reason: str) -> Obj:
        return await self.until(EVENTS, lambda obj: bool(obj["reason"] == reason))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    server = ApiServer()
    await server.start()
    world = World(server.client)
    context = Context(world.adapter, InformerFactory(world.adapter))
    controller = HorizontalAutoscaler(context, AutoscalingConfig(sync_period=0.05))
    context.informers.start()
    running = asyncio.create_task(controller.run())
    try:
        yield world
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await context.informers.stop()
        await context.close()
        await server.close()


def share(percent: int) -> Obj:
    target = {"type": "Utilization", "averageUtilization": percent}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}


async def test_a_busy_workload_grows(world: World) -> None:
    await world.workload()
    world.uses(100, 100)
    await world.scaled(metrics=[share(50)])
    await world.size(4)
    event = await world.event("SuccessfulRescale")
    expected = "New size: 4; reason: cpu resource utilization (percentage of request) above target"
    assert event["message"] == expected
    hpa = await world.until(
        HORIZONTAL_POD_AUTOSCALERS, lambda obj: bool((obj.get("status") or {}).get("lastScaleTime"))
    )
    current = {"averageUtilization": 100, "averageValue": "100m"}
    assert hpa["status"]["currentMetrics"][0]["resource"] == {"name": "cpu", "current": current}
    able = await world.condition("AbleToScale", "SucceededRescale")
    assert able["message"] == "the HPA controller was able to update the target scale to 4"
    assert world.adapter.queries[f"/apis/metrics.k8s.io/v1beta1/namespaces/{NAMESPACE}/pods"] == {
        "labelSelector": ["app=web"]
    }


async def test_an_idle_workload_shrinks_when_its_window_is_over(world: World) -> None:
    await world.workload(replicas=4)
    world.uses(10, 10, 10, 10)
    down = {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}
    await world.scaled(metrics=[share(50)], behavior={"scaleDown": down})
    await world.size(3)
    assert (await world.event("SuccessfulRescale"))["message"].endswith("All metrics below target")
    limited = await world.condition("ScalingLimited", "ScaleDownLimit")
    assert limited["status"] == "True"


async def test_the_metric_that_asks_for_most_counts(world: World) -> None:
    await world.workload()
    world.uses(50, 50)
    world.custom("pods/*/requests", web_0=30, web_1=30)
    pods = {"metric": {"name": "requests"}, "target": {"type": "AverageValue", "averageValue": "10"}}
    await world.scaled(metrics=[share(50), {"type": "Pods", "pods": pods}])
    await world.size(6)
    assert "pods metric requests above target" in (await world.event("SuccessfulRescale"))["message"]


async def test_an_objects_metric_counts(world: World) -> None:
    await world.workload()
    world.custom("services/shop/hits", shop=40)
    described = {"apiVersion": "v1", "kind": "Service", "name": "shop"}
    target = {"type": "Value", "value": "10"}
    source = {"metric": {"name": "hits"}, "describedObject": described, "target": target}
    await world.scaled(metrics=[{"type": "Object", "object": source}])
    await world.size(8)


async def test_a_metric_of_something_outside_counts(world: World) -> None:
    await world.workload()
    path = f"/apis/external.metrics.k8s.io/v1beta1/namespaces/{NAMESPACE}/queue"
    world.adapter.answers[path] = [{"value": "20"}, {"value": "30"}]
    metric = {"name": "queue", "selector": {"matchLabels": {"name": "jobs"}}}
    source = {"metric": metric, "target": {"type": "AverageValue", "averageValue": "10"}}
    await world.scaled(metrics=[{"type": "External", "external": source}])
    await world.size(5)
    assert world.adapter.queries[path] == {"labelSelector": ["name=jobs"]}
    assert "external metric queue(" in (await world.event("SuccessfulRescale"))["message"]


async def test_one_container_can_be_meant(world: World) -> None:
    await world.workload()
    world.uses(90, 90)
    target = {"type": "Utilization", "averageUtilization": 30}
    source = {"name": "cpu", "container": "main", "target": target}
    await world.scaled(metrics=[{"type": "ContainerResource", "containerResource": source}])
    await world.size(6)


async def test_metrics_that_fail_are_told_of(world: World) -> None:
    await world.workload()
    await world.scaled(metrics=[share(50)])
    active = await world.condition("ScalingActive", "FailedGetResourceMetric")
    assert active["status"] == "False"
    assert active["message"].startswith(
        "the HPA was unable to compute the replica count: failed to get cpu utilization: unable to get "
        "metrics for resource cpu: unable to fetch metrics from resource metrics API: "
    )
    event = await world.event("FailedComputeMetricsReplicas")
    assert event["message"].startswith(
        "invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: "
    )
    world.uses(100, 100)
    await world.size(4)
    await world.condition("ScalingActive", "ValidMetricFound")


async def test_with_a_metric_missing_nothing_shrinks_but_may_grow(world: World) -> None:
    await world.workload(replicas=3)
    world.uses(10, 10, 10)
    source = {"metric": {"name": "queue"}, "target": {"type": "Value", "value": "10"}}
    await world.scaled(metrics=[share(50), {"type": "External", "external": source}])
    await world.condition("ScalingActive", "FailedGetExternalMetric")
    world.uses(100, 100, 100)
    await world.size(6)


async def test_two_autoscalers_of_one_workload_do_nothing(world: World) -> None:
    await world.workload()
    world.uses(50, 50)
    await world.scaled("a", metrics=[share(50)])
    await world.scaled("b", metrics=[share(50)])
    active = await world.condition("ScalingActive", "AmbiguousSelector", "a")
    expected = "pods by selector app=web are controlled by multiple HPAs: [default/a default/b]"
    assert active["message"] == expected


async def test_a_workload_of_size_zero_is_left_alone(world: World) -> None:
    await world.workload(replicas=0)
    await world.scaled(metrics=[share(50)])
    active = await world.condition("ScalingActive", "ScalingDisabled")
    assert active["message"] == "scaling is disabled since the replica count of the target is zero"


async def test_bounds_hold_whatever_the_metrics_say(world: World) -> None:
    await world.workload(replicas=2)
    await world.scaled(minReplicas=3, metrics=[share(50)])
    await world.size(3)
    event = await world.event("SuccessfulRescale")
    assert event["message"] == "New size: 3; reason: Current number of replicas below Spec.MinReplicas"


async def test_a_target_that_is_not_there_is_told_of(world: World) -> None:
    await world.scaled(target="nobody", metrics=[share(50)])
    able = await world.condition("AbleToScale", "FailedGetScale")
    assert "the HPA controller was unable to get the target's current scale: " in able["message"]
    assert 'deployments.apps "nobody" not found' in able["message"]


async def test_a_kind_that_nobody_knows_is_told_of(world: World) -> None:
    reference = {"apiVersion": "example.com/v1", "kind": "Foo", "name": "x"}
    await world.scaled(scaleTargetRef=reference, metrics=[share(50)])
    able = await world.condition("AbleToScale", "FailedGetScale")
    assert 'no matches for kind "Foo" in version "example.com/v1"' in able["message"]
