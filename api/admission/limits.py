"""LimitRanger: a namespace's defaults and bounds for what a container, a pod or a claim may ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from podium.api.admission.request import AdmissionRequest, Cluster
from podium.api.types import Obj, quantity
from podium.api.types.resources import LIMIT_RANGES, PERSISTENT_VOLUME_CLAIMS, PODS
from podium.api.types.usage import pod_total

ANNOTATION = "kubernetes.io/limit-ranger"
Amounts = Mapping[str, str]


class LimitRanger:
    name = "LimitRanger"

    async def mutate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        pod = request.obj
        if pod is None or not _sizes_pod(request):
            return
        for limit_range in cluster.every(LIMIT_RANGES, request.namespace):
            _fill(pod, limit_range)

    async def validate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        if request.obj is None or request.operation not in ("CREATE", "UPDATE"):
            return
        if request.old is not None and request.old["metadata"].get("deletionTimestamp"):
            return
        check: Callable[[Obj, Obj], Iterator[str]]
        if _sizes_pod(request):
            check = _pod_faults
        elif request.concerns(PERSISTENT_VOLUME_CLAIMS):
            check = _claim_faults
        else:
            return
        for limit_range in cluster.every(LIMIT_RANGES, request.namespace):
            faults = list(dict.fromkeys(check(request.obj, limit_range)))
            if faults:
                raise request.refuse(faults[0] if len(faults) == 1 else f"[{', '.join(faults)}]")


def _sizes_pod(request: AdmissionRequest) -> bool:
    """Whether the request says what a pod's containers get: it makes the pod, or resizes it."""
    resized = request.resource is PODS and request.subresource == "resize" and request.operation == "UPDATE"
    return resized or request.creates(PODS) is not None


def _items(limit_range: Obj, kind: str) -> Iterator[Obj]:
    for item in (limit_range.get("spec") or {}).get("limits") or ():
        if item.get("type") == kind:
            yield item


def _fill(pod: Obj, limit_range: Obj) -> None:
    limits: dict[str, str] = {}
    requests: dict[str, str] = {}
    for item in _items(limit_range, "Container"):
        limits.update(item.get("default") or {})
        requests.update(item.get("defaultRequest") or {})
    done: list[str] = []
    for key, word in (("containers", "container"), ("initContainers", "init container")):
        for container in pod["spec"].get(key) or ():
            done += _fill_container(container, requests, limits, word)
    if done:
        annotations = pod["metadata"].get("annotations") or {}
        text = f"LimitRanger plugin set: {'; '.join(done)}"
        pod["metadata"]["annotations"] = {**annotations, ANNOTATION: text}


def _fill_container(container: Obj, requests: Amounts, limits: Amounts, word: str) -> list[str]:
    resources = container["resources"] = {**(container.get("resources") or {})}
    done = []
    for key, defaults in (("request", requests), ("limit", limits)):
        given = resources.get(f"{key}s") or {}
        missing = sorted(defaults.keys() - given.keys())
        if missing:
            resources[f"{key}s"] = {**given, **{name: defaults[name] for name in missing}}
            done.append(f"{', '.join(missing)} {key} for {word} {container.get('name', '')}")
    return done


def _pod_faults(pod: Obj, limit_range: Obj) -> Iterator[str]:
    spec = pod["spec"]
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    for item in _items(limit_range, "Container"):
        for container in containers:
            resources = container.get("resources") or {}
            yield from _faults(item, resources.get("requests") or {}, resources.get("limits") or {})
    for item in _items(limit_range, "Pod"):
        yield from _faults(item, pod_total(spec, "requests"), pod_total(spec, "limits"))


def _claim_faults(claim: Obj, limit_range: Obj) -> Iterator[str]:
    requests = (claim["spec"].get("resources") or {}).get("requests") or {}
    for item in _items(limit_range, "PersistentVolumeClaim"):
        for name, bound in (item.get("min") or {}).items():
            yield from _least(item["type"], name, bound, requests, {})
        for name, bound in (item.get("max") or {}).items():
            yield from _most(item["type"], name, bound, {}, requests, "request")


def _faults(item: Obj, requests: Amounts, limits: Amounts) -> Iterator[str]:
    kind = item["type"]
    for name, bound in (item.get("min") or {}).items():
        yield from _least(kind, name, bound, requests, limits)
    for name, bound in (item.get("max") or {}).items():
        yield from _most(kind, name, bound, requests, limits, "limit")
    for name, bound in (item.get("maxLimitRequestRatio") or {}).items():
        yield from _ratio(kind, name, bound, requests, limits)


def _least(kind: str, name: str, bound: str, requests: Amounts, limits: Amounts) -> Iterator[str]:
    text = f"minimum {name} usage per {kind} is {bound}"
    if name not in requests:
        yield f"{text}.  No request is specified"
    elif quantity.parse(requests[name]) < quantity.parse(bound):
        yield f"{text}, but request is {requests[name]}"
    elif name in limits and quantity.parse(limits[name]) < quantity.parse(bound):
        yield f"{text}, but limit is {limits[name]}"


def _most(kind: str, name: str, bound: str, requests: Amounts, limits: Amounts, word: str) -> Iterator[str]:
    text = f"maximum {name} usage per {kind} is {bound}"
    if name not in limits:
        yield f"{text}.  No {word} is specified"
    elif quantity.parse(limits[name]) > quantity.parse(bound):
        yield f"{text}, but {word} is {limits[name]}"
    elif name in requests and quantity.parse(requests[name]) > quantity.parse(bound):
        yield f"{text}, but request is {requests[name]}"


def _ratio(kind: str, name: str, bound: str, requests: Amounts, limits: Amounts) -> Iterator[str]:
    text = f"{name} max limit to request ratio per {kind} is {bound}"
    request, limit = (quantity.parse(amounts.get(name, "0")) for amounts in (requests, limits))
    if not request:
        yield f"{text}, but no request is specified or request is 0"
    elif not limit:
        yield f"{text}, but no limit is specified or limit is 0"
    elif limit / request > quantity.parse(bound):
        yield f"{text}, but provided ratio is {limit / request:.6f}"
