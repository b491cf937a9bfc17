"""What objects use of a ResourceQuota: reckoned alike by the server, which refuses what is over one, and by
the controller that shows it in the quota's status.

Source: kubernetes.io "Resource Quotas"; for a pod's total "Init Containers", "Resource sharing within
containers".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from podium.api.types import Obj, quantity
from podium.api.types.resources import PERSISTENT_VOLUME_CLAIMS, PODS, SERVICES, Resource

Usage = dict[str, Decimal]
# Kinds whose objects have a short name in quotas; every kind is counted as `count/PLURAL.GROUP`.
COUNTED = frozenset(
    {
        "pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps",
        "persistentvolumeclaims",
    }
)  # fmt: skip
COMPUTE = ("cpu", "memory", "ephemeral-storage")


def counted_by(name: str) -> tuple[str, str]:
    """The (plural, group) of the resource that a name in a quota is about."""
    if name.startswith("count/"):
        plural, _, group = name.removeprefix("count/").partition(".")
        return plural, group
    if name in COUNTED:
        return name, ""
    if name.startswith("services."):
        return SERVICES.plural, ""
    if name == "requests.storage" or ".storageclass.storage.k8s.io/" in name:
        return PERSISTENT_VOLUME_CLAIMS.plural, ""
    return PODS.plural, ""


def usage(objects: Iterable[Obj], resource: Resource, spec: Obj) -> Usage:
    """What the objects of one kind use of a quota."""
    total: Usage = {}
    for obj in objects:
        if in_scope(resource, obj, spec):
            for name, amount in usage_of(resource, obj).items():
                total[name] = total.get(name, Decimal(0)) + amount
    return total


def usage_of(resource: Resource, obj: Obj) -> Usage:
    """What one object uses, by every name that a quota may have for it."""
    counted = f"count/{resource.plural}" + (f".{resource.group}" if resource.group else "")
    found: Usage = {counted: Decimal(1)}
    if resource is PODS:
        return found if _is_done(obj) else {**found, **_pod_usage(obj["spec"])}
    if not resource.group and resource.plural in COUNTED:
        found[resource.plural] = Decimal(1)
    if resource is SERVICES:
        found.update(_service_usage(obj["spec"]))
    if resource is PERSISTENT_VOLUME_CLAIMS:
        found.update(_claim_usage(obj["spec"]))
    return found


def _is_done(pod: Obj) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _pod_usage(spec: Obj) -> Usage:
    found: Usage = {"pods": Decimal(1)}
    for key in ("requests", "limits"):
        for name, text in pod_total(spec, key).items():
            found[f"{key}.{name}"] = quantity.parse(text)
            if key == "requests" and (name in COMPUTE or name.startswith("hugepages-")):
                found[name] = quantity.parse(text)
    return found


def _service_usage(spec: Obj) -> Usage:
    found: Usage = {}
    if spec.get("type") == "LoadBalancer":
        found["services.loadbalancers"] = Decimal(1)
    if spec.get("type") in ("NodePort", "LoadBalancer"):
        found["services.nodeports"] = Decimal(len(spec.get("ports") or ()))
    return found


def _claim_usage(spec: Obj) -> Usage:
    size = quantity.parse(((spec.get("resources") or {}).get("requests") or {}).get("storage", "0"))
    found = {"requests.storage": size}
    if name := spec.get("storageClassName"):
        prefix = f"{name}.storageclass.storage.k8s.io"
        found[f"{prefix}/requests.storage"] = size
        found[f"{prefix}/persistentvolumeclaims"] = Decimal(1)
    return found


def in_scope(resource: Resource, obj: Obj, spec: Obj) -> bool:
    """Whether a quota is about an object: all its scopes must hold, and scopes are about pods."""
    scopes = [{"scopeName": name, "operator": "Exists"} for name in spec.get("scopes") or ()]
    scopes += (spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    if not scopes:
        return True
    return resource is PODS and all(_in_scope(obj, scope) for scope in scopes)


def _in_scope(pod: Obj, scope: Obj) -> bool:
    spec = pod["spec"]
    best_effort = not any(pod_total(spec, key).keys() & {"cpu", "memory"} for key in ("requests", "limits"))
    match scope["scopeName"]:
        case "Terminating":
            return spec.get("activeDeadlineSeconds") is not None
        case "NotTerminating":
            return spec.get("activeDeadlineSeconds") is None
        case "BestEffort":
            return best_effort
        case "NotBestEffort":
            return not best_effort
        case "PriorityClass":
            return _selects(scope, spec.get("priorityClassName", ""))
    return False


def _selects(scope: Obj, value: str) -> bool:
    given = scope.get("values") or ()
    match scope.get("operator"):
        case "In":
            return value in given
        case "NotIn":
            return value not in given
        case "Exists":
            return bool(value)
    return not value


def pod_total(spec: Obj, key: str) -> dict[str, str]:
    """What a pod asks for as a whole: its containers and sidecars together, or its greediest init
    container."""
    sums: dict[str, Decimal] = {}
    peaks: dict[str, Decimal] = {}
    for container in spec.get("containers") or ():
        _add(sums, _amounts(container, key))
    for container in spec.get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            _add(sums, _amounts(container, key))
        else:
            for name, amount in _amounts(container, key).items():
                peaks[name] = max(peaks.get(name, Decimal(0)), amount)
    for name, amount in peaks.items():
        sums[name] = max(sums.get(name, Decimal(0)), amount)
    whole = {
        name: quantity.parse(text) for name, text in ((spec.get("resources") or {}).get(key) or {}).items()
    }
    return {name: shown(amount) for name, amount in {**sums, **whole}.items()}


def _amounts(container: Obj, key: str) -> dict[str, Decimal]:
    listed = (container.get("resources") or {}).get(key) or {}
    return {name: quantity.parse(text) for name, text in listed.items()}


def _add(sums: dict[str, Decimal], amounts: Mapping[str, Decimal]) -> None:
    for name, amount in amounts.items():
        sums[name] = sums.get(name, Decimal(0)) + amount


def shown(amount: Decimal) -> str:
    """A quantity as text: whole, or in thousandths."""
    whole = amount.to_integral_value()
    return str(int(whole)) if whole == amount else f"{int(amount * 1000)}m"
