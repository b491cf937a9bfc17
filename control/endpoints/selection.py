"""What a Service selects, and what of a pod its endpoints show. Source: kubernetes.io "Service",
"EndpointSlices"."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from podium.api.types import Obj
from podium.api.types.meta import deleting, key_of, namespace_of
from podium.api.types.selectors import from_map
from podium.client.informer import Informer
from podium.control.pods import is_finished, is_ready

HEADLESS = "service.kubernetes.io/headless"
BY_SELECTOR = "selector"


def selector_of(service: Obj) -> dict[str, str]:
    """Empty for a Service whose endpoints somebody else keeps."""
    if service["spec"].get("type") == "ExternalName":
        return {}
    return service["spec"].get("selector") or {}


def is_headless(service: Obj) -> bool:
    return service["spec"].get("clusterIP", "") in ("", "None")


def matches(selector: Mapping[str, str], labels: Mapping[str, str] | None) -> bool:
    """Whether a Service's selector selects these labels. It is asked of many pods: no detour over a
    Selector."""
    if not selector or not labels:
        return False
    return all(labels.get(name) == value for name, value in selector.items())


def selected(service: Obj, pods: Informer) -> list[Obj]:
    """The pods of the Service's namespace that it selects."""
    return pods.selected(from_map(selector_of(service)), namespace_of(service))


def by_selector(service: Obj) -> Iterable[str]:
    """The indexer BY_SELECTOR: one label that every pod of the Service has, so that a pod finds its Services
    among hundreds."""
    selector = selector_of(service)
    if selector:
        name, value = min(selector.items())
        yield f"{namespace_of(service)}/{name}={value}"


def services_of(pod: Obj, services: Informer) -> Iterator[str]:
    """The keys of the Services that select the pod; their informer has the index BY_SELECTOR."""
    labels = pod["metadata"].get("labels") or {}
    namespace = namespace_of(pod)
    for name, value in labels.items():
        for service in services.by_index(BY_SELECTOR, f"{namespace}/{name}={value}"):
            if matches(selector_of(service), labels):
                yield key_of(service)


def concerned(old: Obj | None, new: Obj | None, services: Informer) -> set[str]:
    """The keys of the Services whose endpoints a change of a pod may alter."""
    if old is None or new is None:
        pod = old or new
        return set(services_of(pod, services)) if pod is not None else set()
    relabelled = old["metadata"].get("labels") != new["metadata"].get("labels")
    if not relabelled and _shown(old) == _shown(new):
        return set()
    after = set(services_of(new, services))
    return after | set(services_of(old, services)) if relabelled else after


def _shown(pod: Obj) -> tuple[object, ...]:
    spec = pod["spec"]
    return (
        addresses(pod),
        is_ready(pod),
        is_finished(pod),
        deleting(pod),
        spec.get("nodeName"),
        spec.get("hostname"),
        spec.get("subdomain"),
    )


def addresses(pod: Obj) -> list[str]:
    status = pod.get("status") or {}
    found = [entry["ip"] for entry in status.get("podIPs") or () if entry.get("ip")]
    return found or ([status["podIP"]] if status.get("podIP") else [])


def is_eligible(pod: Obj, *, terminating: bool) -> bool:
    """Whether the pod has a place among the endpoints; `terminating` lets those count that are shutting
    down."""
    if is_finished(pod) or not addresses(pod):
        return False
    return terminating or not deleting(pod)


def target_port(pod: Obj, port: Obj) -> int | None:
    """The number behind a Service's port on this pod, None where the pod has no port of that name."""
    target = port.get("targetPort", port["port"])
    if isinstance(target, int):
        return target or int(port["port"])
    protocol = port.get("protocol", "TCP")
    for container in _listening(pod):
        for entry in container.get("ports") or ():
            if entry.get("name") == target and entry.get("protocol", "TCP") == protocol:
                return int(entry["containerPort"])
    return None


def _listening(pod: Obj) -> Iterable[Obj]:
    yield from pod["spec"].get("containers") or ()
    for container in pod["spec"].get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            yield container


def hostname(pod: Obj, service: Obj) -> str:
    """The name under which a headless Service's DNS knows the pod."""
    spec = pod["spec"]
    if spec.get("hostname") and spec.get("subdomain") == service["metadata"]["name"]:
        return str(spec["hostname"])
    return ""


def reference(pod: Obj) -> Obj:
    meta = pod["metadata"]
    return {"kind": "Pod", "namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"]}
