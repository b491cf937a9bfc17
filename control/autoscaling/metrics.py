"""Metrics as the metrics APIs tell them: of resources, custom ones of pods and objects, and external ones.

Source: kubernetes.io, "Horizontal Pod Autoscaling", "Support for metrics APIs"; metrics.k8s.io,
custom.metrics.k8s.io, external.metrics.k8s.io.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from urllib.parse import quote, urlencode

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import parse_time
from podium.api.types.resources import Resource
from podium.client.base import Client
from podium.control.autoscaling.amounts import milli
from podium.control.autoscaling.replicas import Metrics, PodMetric, Unknown

RESOURCES = "/apis/metrics.k8s.io/v1beta1"
CUSTOM = "custom.metrics.k8s.io"
EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1"
# What is understood of the custom metrics API, the best first.
CUSTOM_VERSIONS = ("v1beta2", "v1beta1")
# Of custom metrics that do not tell it.
WINDOW = timedelta(minutes=1)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(h|ms|us|µs|ns|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


class MetricsSource:
    """All methods raise Unknown."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def of_resource(self, resource: str, namespace: str, selector: str, container: str) -> Metrics:
        """What the pods use of a resource, or one container of each."""
        path = f"{RESOURCES}/namespaces/{namespace}/pods"
        items = await self._items(path, {"labelSelector": selector}, "resource")
        return of_pods(items, resource, container)

    async def of_pods(self, metric: str, namespace: str, selector: str, among: str) -> Metrics:
        """A metric that each pod has."""
        path = f"/namespaces/{namespace}/pods/*/{quote(metric, safe='')}"
        items = await self._custom(path, {"labelSelector": selector}, among)
        return {item["describedObject"]["name"]: _described(item) for item in items}

    async def of_object(self, metric: str, namespace: str, target: Resource, name: str, among: str) -> int:
        """A metric that one object has."""
        plural = f"{target.plural}.{target.group}" if target.group else target.plural
        # A namespace has metrics of its own; a reference never leads out of its own namespace.
        inner = "metrics" if plural == "namespaces" else f"{plural}/{quote(name, safe='')}"
        path = f"/namespaces/{namespace}/{inner}/{quote(metric, safe='')}"
        items = await self._custom(path, {}, among)
        if len(items) != 1:
            count = len(items)
            text = f"the custom metrics API server returned {count} results when we asked for exactly one"
            raise Unknown(f"unable to fetch metrics from custom metrics API: {text}")
        return milli(items[0]["value"])

    async def of_nobody(self, metric: str, namespace: str, among: str) -> list[int]:
        """The values of a metric of something outside the cluster."""
        path = f"{EXTERNAL}/namespaces/{namespace}/{quote(metric, safe='')}"
        items = await self._items(path, {"labelSelector": among}, "external")
        return [milli(item["value"]) for item in items]

    async def _custom(self, path: str, query: dict[str, str], among: str) -> list[Obj]:
        query = query | ({"metricLabelSelector": among} if among else {})
        try:
            group = await self._client.read(f"/apis/{CUSTOM}")
        except (StatusError, ConnectionError):
            text = "no custom metrics API (custom.metrics.k8s.io) registered"
            raise Unknown(f"unable to fetch metrics from custom metrics API: {text}") from None
        served = [entry["version"] for entry in group.get("versions") or ()]
        version = next((each for each in CUSTOM_VERSIONS if each in served), CUSTOM_VERSIONS[-1])
        return await self._items(f"/apis/{CUSTOM}/{version}{path}", query, "custom")

    async def _items(self, path: str, query: Mapping[str, str], api: str) -> list[Obj]:
        given = {key: value for key, value in query.items() if value}
        try:
            answer = await self._client.read(f"{path}?{urlencode(given)}" if given else path)
        except (StatusError, ConnectionError) as error:
            raise Unknown(f"unable to fetch metrics from {api} metrics API: {error}") from None
        items: list[Obj] = answer.get("items") or []
        if not items:
            raise Unknown(f"no metrics returned from {api} metrics API")
        return items


def of_pods(items: Iterable[Obj], resource: str, container: str) -> Metrics:
    """PodMetrics as one value per pod; pods of which some container's use is not known are left out."""
    found = {}
    for item in items:
        containers = [each for each in item.get("containers") or () if container in ("", each["name"])]
        usages = [(each.get("usage") or {}).get(resource) for each in containers]
        if not usages or any(usage is None for usage in usages):
            continue
        value = sum(milli(usage) for usage in usages if usage is not None)
        at, window = parse_time(item["timestamp"]), duration(item.get("window") or "0s")
        found[item["metadata"]["name"]] = PodMetric(value, at, window)
    return found


def _described(item: Obj) -> PodMetric:
    seconds = item.get("windowSeconds", item.get("window"))
    window = WINDOW if seconds is None else timedelta(seconds=float(seconds))
    return PodMetric(milli(item["value"]), parse_time(item["timestamp"]), window)


def duration(text: str) -> timedelta:
    """A metav1.Duration: `1m30.5s`."""
    return timedelta(seconds=sum(float(number) * _SECONDS[unit] for number, unit in _DURATION.findall(text)))
