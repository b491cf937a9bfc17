"""Small defaults that depend on the cluster: how long pods stay on a node that is gone, classes of ingresses
and runtimes."""

from __future__ import annotations

from collections.abc import Sequence

from podium.api.admission.request import AdmissionRequest, Cluster
from podium.api.groups.networking.ingresses import DEFAULT
from podium.api.types import Obj, quantity
from podium.api.types.resources import INGRESS_CLASSES, INGRESSES, PODS, RUNTIME_CLASSES, Resource

TOLERATED_SECONDS = 300
TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
INGRESS_CLASS = "kubernetes.io/ingress.class"
ANOTHER_OVERHEAD = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"
NO_OVERHEAD = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"


class DefaultTolerationSeconds:
    """Pods are moved away from a node that is not ready or unreachable after five minutes, unless they say
    otherwise."""

    name = "DefaultTolerationSeconds"

    async def mutate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        if not request.concerns(PODS) or request.obj is None:
            return
        tolerations = request.obj["spec"].get("tolerations") or []
        if missing := _not_tolerated(tolerations):
            request.obj["spec"]["tolerations"] = [*tolerations, *(_toleration(key) for key in missing)]

    async def validate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        """A default refuses nothing."""


def _not_tolerated(tolerations: Sequence[Obj]) -> list[str]:
    """The keys of TAINTS that no toleration is for."""
    missing = [*TAINTS]
    for entry in tolerations:
        if entry.get("effect", "") not in ("NoExecute", ""):
            continue
        key = entry.get("key", "")
        if key == "":
            return []
        if key in missing:
            missing.remove(key)
    return missing


def _toleration(key: str) -> Obj:
    return {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": TOLERATED_SECONDS}


class DefaultIngressClass:
    name = "DefaultIngressClass"

    async def mutate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        ingress = request.creates(INGRESSES)
        if ingress is None or (ingress.get("spec") or {}).get("ingressClassName") is not None:
            return
        if INGRESS_CLASS in (ingress["metadata"].get("annotations") or {}):
            return
        if default := newest_default(cluster, INGRESS_CLASSES, DEFAULT):
            ingress.setdefault("spec", {})["ingressClassName"] = default["metadata"]["name"]

    async def validate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        """A default refuses nothing."""


def newest_default(cluster: Cluster, resource: Resource, *annotations: str) -> Obj | None:
    """Of the classes marked as default the newest; of two as old the first by name."""
    marked = [
        entry
        for entry in cluster.every(resource)
        if any((entry["metadata"].get("annotations") or {}).get(name) == "true" for name in annotations)
    ]
    marked.sort(key=lambda entry: entry["metadata"]["name"])
    return max(marked, key=lambda entry: entry["metadata"].get("creationTimestamp", ""), default=None)


class RuntimeClass:
    """A pod gets the overhead and the place that its runtime needs."""

    name = "RuntimeClass"

    async def mutate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        pod = request.creates(PODS)
        found = self._class(request, pod, cluster) if pod is not None else None
        if pod is None or found is None:
            return
        spec = pod["spec"]
        self._overhead(request, spec, found)
        scheduling = found.get("scheduling") or {}
        wanted, needed = spec.get("nodeSelector") or {}, scheduling.get("nodeSelector") or {}
        for key, value in needed.items():
            if wanted.get(key, value) != value:
                why = f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; "
                raise request.refuse(why + f"pod.spec.nodeSelector[{key}] = {wanted[key]}")
        if needed:
            spec["nodeSelector"] = {**wanted, **needed}
        if extra := scheduling.get("tolerations"):
            given = spec.get("tolerations") or []
            spec["tolerations"] = [*given, *(entry for entry in extra if entry not in given)]

    def _class(self, request: AdmissionRequest, pod: Obj, cluster: Cluster) -> Obj | None:
        name = pod["spec"].get("runtimeClassName")
        if not name:
            return None
        found = cluster.lookup(RUNTIME_CLASSES, "", name)
        if found is None:
            raise request.refuse(f'pod rejected: RuntimeClass "{name}" not found')
        return found

    def _overhead(self, request: AdmissionRequest, spec: Obj, found: Obj) -> None:
        overhead = (found.get("overhead") or {}).get("podFixed")
        if overhead is None:
            return
        if spec.get("overhead") and not _same_amounts(overhead, spec["overhead"]):
            raise request.refuse(ANOTHER_OVERHEAD)
        spec["overhead"] = dict(overhead)

    async def validate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        """An overhead is its class's, whoever wrote it."""
        pod = request.creates(PODS)
        if pod is None:
            return
        found = self._class(request, pod, cluster)
        defined = ((found or {}).get("overhead") or {}).get("podFixed")
        given = pod["spec"].get("overhead")
        if defined is None and given is not None:
            raise request.refuse(NO_OVERHEAD)
        if defined is not None and not _same_amounts(defined, given or {}):
            raise request.refuse(ANOTHER_OVERHEAD)


def _same_amounts(some: Obj, others: Obj) -> bool:
    return some.keys() == others.keys() and all(
        quantity.parse(some[name]) == quantity.parse(others[name]) for name in some
    )
