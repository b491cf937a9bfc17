"""What the API server would fill in, as far as a node counts on it: nobody else has seen a static pod. Pure.

Source: API reference, PodSpec and Container."""

from __future__ import annotations

from typing import Any

from podium.api.types import Obj
from podium.runtime import references

_PRIORITIES = {"system-node-critical": 2000001000, "system-cluster-critical": 2000000000}
_PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
_MODE = 0o644
_STAYS = {"operator": "Exists", "effect": "NoExecute"}


def fill(pod: Obj) -> None:
    """Changes the pod."""
    spec = pod["spec"]
    _set(
        spec,
        restartPolicy="Always",
        dnsPolicy="ClusterFirst",
        schedulerName="default-scheduler",
        terminationGracePeriodSeconds=30,
        enableServiceLinks=True,
        securityContext={},
    )
    if spec.get("priorityClassName") in _PRIORITIES:
        _set(spec, priority=_PRIORITIES[spec["priorityClassName"]])
    tolerations = spec.setdefault("tolerations", [])
    if _STAYS not in tolerations:
        tolerations.append(dict(_STAYS))
    for kind in ("initContainers", "containers"):
        for container in spec.get(kind) or ():
            _container(container, on_host=bool(spec.get("hostNetwork")))
    for volume in spec.get("volumes") or ():
        _volume(volume)


def _set(obj: Obj, **values: Any) -> None:
    for name, value in values.items():
        if obj.get(name) is None:
            obj[name] = value


def _container(container: Obj, *, on_host: bool) -> None:
    _set(
        container,
        terminationMessagePath="/dev/termination-log",
        terminationMessagePolicy="File",
        imagePullPolicy=_policy(container["image"]),
        resources={},
    )
    resources = container["resources"]
    if limits := resources.get("limits"):
        resources["requests"] = {**limits, **(resources.get("requests") or {})}
    for port in container.get("ports") or ():
        _set(port, protocol="TCP")
        if on_host:
            _set(port, hostPort=port.get("containerPort"))
    for kind in ("livenessProbe", "readinessProbe", "startupProbe"):
        if probe := container.get(kind):
            _set(probe, **_PROBE)
            _handler(probe)
    for hook in (container.get("lifecycle") or {}).values():
        if isinstance(hook, dict):
            _handler(hook)
    for variable in container.get("env") or ():
        if field := (variable.get("valueFrom") or {}).get("fieldRef"):
            _set(field, apiVersion="v1")


def _policy(image: str) -> str:
    try:
        name = references.parse(image)
    except references.InvalidName:
        return "IfNotPresent"
    return "Always" if name.tag == "latest" and not name.digest else "IfNotPresent"


def _handler(action: Obj) -> None:
    if request := action.get("httpGet"):
        _set(request, path="/", scheme="HTTP")
    if "grpc" in action:
        _set(action["grpc"], service="")


def _volume(volume: Obj) -> None:
    if len(volume) == 1:
        volume["emptyDir"] = {}
    if host := volume.get("hostPath"):
        _set(host, type="")
    for kind in ("downwardAPI", "projected"):
        if source := volume.get(kind):
            _set(source, defaultMode=_MODE)
            items = [*(source.get("items") or ())]
            for each in source.get("sources") or ():
                items += (each.get("downwardAPI") or {}).get("items") or ()
            for item in items:
                if field := item.get("fieldRef"):
                    _set(field, apiVersion="v1")
