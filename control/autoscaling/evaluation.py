"""One metric of an autoscaler: what it is now, how many replicas it asks for, and how the status shows it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.selectors import selector_text
from podium.client.base import Client
from podium.control.autoscaling.amounts import amount, milli
from podium.control.autoscaling.metrics import MetricsSource
from podium.control.autoscaling.replicas import (
    Answer,
    Metrics,
    Unknown,
    Workload,
    by_average,
    by_total,
    by_total_per_pod,
    by_utilization,
)
from podium.control.targets import resource_of


class Failed(Exception):
    """A metric that could not be used: the condition's reason, what its message and event say of it, and
    what is said of it among others."""

    def __init__(self, reason: str, why: str, summary: str) -> None:
        super().__init__(summary)
        self.reason, self.why = reason, why


class Subject(NamedTuple):
    """Whose metrics: the workload's, whose pods `selector` finds in `namespace`."""

    namespace: str
    selector: str
    workload: Workload


class Proposal(NamedTuple):
    """`name` is what events call the metric, `status` its MetricStatus."""

    replicas: int
    name: str
    status: Obj


class Evaluator:
    """Reads through `client`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._source = MetricsSource(client)
        self._kinds: dict[str, Callable[[Obj, Subject], Awaitable[Proposal]]] = {
            "Resource": self._resource,
            "ContainerResource": self._container_resource,
            "Pods": self._pods,
            "Object": self._object,
            "External": self._external,
        }

    async def evaluate(self, metric: Obj, subject: Subject) -> Proposal:
        """What one MetricSpec asks for. Raises Failed."""
        kind = metric["type"]
        try:
            return await self._kinds[kind](metric, subject)
        except Unknown as error:
            raise Failed(f"FailedGet{kind}Metric", str(error), f"{_title(metric)}: {error}") from None

    async def _resource(self, metric: Obj, subject: Subject) -> Proposal:
        source = metric["resource"]
        answer, name = await self._of_resource(source, "", subject, "resource")
        status = {"name": source["name"], "current": _current(answer, source["name"])}
        return Proposal(answer.replicas, name, {"type": "Resource", "resource": status})

    async def _container_resource(self, metric: Obj, subject: Subject) -> Proposal:
        source = metric["containerResource"]
        container = source["container"]
        answer, name = await self._of_resource(source, container, subject, "container resource")
        current = _current(answer, source["name"])
        status = {"name": source["name"], "container": container, "current": current}
        return Proposal(answer.replicas, name, {"type": "ContainerResource", "containerResource": status})

    async def _of_resource(
        self, source: Obj, container: str, subject: Subject, title: str
    ) -> tuple[Answer, str]:
        resource, target = source["name"], source["target"]
        average, share = target.get("averageValue"), target.get("averageUtilization")
        what = "usage" if average is not None else "utilization"
        try:
            metrics = await self._known(resource, container, subject)
            if average is not None:
                answer = by_average(subject.workload, metrics, milli(average), resource)
                return answer, f"{resource} resource"
            answer = by_utilization(subject.workload, metrics, share, resource, container)
        except Unknown as error:
            raise Unknown(f"failed to get {resource} {what}: {error}") from None
        return answer, f"{resource} {title} utilization (percentage of request)"

    async def _known(self, resource: str, container: str, subject: Subject) -> Metrics:
        try:
            return await self._source.of_resource(resource, subject.namespace, subject.selector, container)
        except Unknown as error:
            raise Unknown(f"unable to get metrics for resource {resource}: {error}") from None

    async def _pods(self, metric: Obj, subject: Subject) -> Proposal:
        source = metric["pods"]
        identity, target = source["metric"], source["target"]
        name = identity["name"]
        try:
            among = selector_text(identity.get("selector"))
            metrics = await self._source.of_pods(name, subject.namespace, subject.selector, among)
        except Unknown as error:
            raise Unknown(f"unable to get metric {name}: {error}") from None
        answer = by_average(subject.workload, metrics, milli(target["averageValue"]))
        status = {"metric": identity, "current": {"averageValue": amount(answer.value)}}
        return Proposal(answer.replicas, f"pods metric {name}", {"type": "Pods", "pods": status})

    async def _object(self, metric: Obj, subject: Subject) -> Proposal:
        source = metric["object"]
        identity, target, described = source["metric"], source["target"], source["describedObject"]
        total = await self._value(identity, described, subject)
        name = identity["name"]
        if target.get("value") is not None and target["type"] == "Value":
            answer = by_total(subject.workload, total, milli(target["value"]))
            current, title = {"value": amount(answer.value)}, f"{described['kind']} metric {name}"
        elif target.get("averageValue") is not None and target["type"] == "AverageValue":
            answer = by_total_per_pod(subject.workload, total, milli(target["averageValue"]))
            current, title = {"averageValue": amount(answer.value)}, _external_title(identity)
        else:
            text = "neither a value target nor an average value target was set"
            raise Unknown(f"invalid object metric source: {text}")
        status = {"metric": identity, "current": current, "describedObject": described}
        return Proposal(answer.replicas, title, {"type": "Object", "object": status})

    async def _value(self, identity: Obj, described: Obj, subject: Subject) -> int:
        namespace, name = subject.namespace, identity["name"]
        try:
            resource = await resource_of(self._client, described)
            among = selector_text(identity.get("selector"))
            return await self._source.of_object(name, namespace, resource, described["name"], among)
        except (Unknown, StatusError, ConnectionError) as error:
            where = f"{described['kind']} {namespace}/{described['name']}"
            raise Unknown(f"unable to get metric {name}: {error} on {where}") from None

    async def _external(self, metric: Obj, subject: Subject) -> Proposal:
        source = metric["external"]
        identity, target = source["metric"], source["target"]
        name, average = identity["name"], target.get("averageValue")
        among = selector_text(identity.get("selector"))
        try:
            total = sum(await self._source.of_nobody(name, subject.namespace, among))
        except Unknown as error:
            text = f"unable to get external metric {subject.namespace}/{name}/{among or '<nil>'}: {error}"
            raise Unknown(_external_failure(name, text, average is not None)) from None
        if average is not None:
            answer = by_total_per_pod(subject.workload, total, milli(average))
            current = {"averageValue": amount(answer.value)}
        else:
            answer = by_total(subject.workload, total, milli(target["value"]))
            current = {"value": amount(answer.value)}
        status = {"metric": identity, "current": current}
        return Proposal(answer.replicas, _external_title(identity), {"type": "External", "external": status})


def _external_failure(name: str, text: str, average: bool) -> str:
    what = f"{name} external metric" if average else f"external metric {name}"
    return f"failed to get {what}: {text}"


def _external_title(identity: Obj) -> str:
    return f"external metric {identity['name']}({selector_text(identity.get('selector')) or 'nil'})"


def _title(metric: Obj) -> str:
    """How a failure begins that is told beside others."""
    match metric["type"]:
        case "Resource":
            return f"failed to get {metric['resource']['name']} resource metric value"
        case "ContainerResource":
            return f"failed to get {metric['containerResource']['container']} container metric value"
        case "External":
            return f"failed to get {metric['external']['metric']['name']} external metric value"
        case kind:
            return f"failed to get {kind.lower()} metric value"


def _current(answer: Answer, resource: str) -> Obj:
    """MetricValueStatus of a resource."""
    current: Obj = {"averageValue": amount(answer.value, binary=resource == "memory")}
    if answer.utilization is not None:
        current["averageUtilization"] = answer.utilization
    return current
