"""What objects use of a ResourceQuota: reckoned alike by the server, which refuses what is over one, and by
the controller that shows it in the quota's status.

Source: kubernetes.io "Resource Quotas"; for a pod's total "Init Containers", "Resource sharing within
containers".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from podium.api.types import Obj, quantity
from podium.api.types.meta import parse_time
from podium.api.types.resources import PERSISTENT_VOLUME_CLAIMS, PODS, SERVICES, Resource
from podium.api.types.scopes import in_scope
from podium.api.types.storage import class_of, requested

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


def usage(objects: Iterable[Obj], resource: Resource, spec: Obj, now: datetime) -> Usage:
    """What the objects of one kind use of a quota."""
    total: Usage = {}
    for obj in objects:
        if in_scope(resource, obj, spec):
            add(total, usage_of(resource, obj, now))
    return total


def usage_of(resource: Resource, obj: Obj, now: datetime) -> Usage:
    """What one object uses, by every name that a quota may have for it."""
    counted = f"count/{resource.plural}" + (f".{resource.group}" if resource.group else "")
    found: Usage = {counted: Decimal(1)}
    if resource is PODS:
        return found if _is_done(obj) or _is_overdue(obj, now) else {**found, **_pod_usage(obj["spec"])}
    if not resource.group and resource.plural in COUNTED:
        found[resource.plural] = Decimal(1)
    if resource is SERVICES:
        found.update(_service_usage(obj["spec"]))
    if resource is PERSISTENT_VOLUME_CLAIMS:
        found.update(_claim_usage(obj))
    return found


def _is_done(pod: Obj) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _is_overdue(pod: Obj, now: datetime) -> bool:
    """Whether a pod that is to go should have gone: nobody is to be kept from replacing it."""
    meta = pod["metadata"]
    since, grace = meta.get("deletionTimestamp"), meta.get("deletionGracePeriodSeconds")
    return bool(since) and grace is not None and now > parse_time(since) + timedelta(seconds=grace)


def _pod_usage(spec: Obj) -> Usage:
    found: Usage = {"pods": Decimal(1)}
    overhead = spec.get("overhead") or {}
    for key in ("requests", "limits"):
        total = {name: quantity.parse(text) for name, text in pod_total(spec, key).items()}
        for name, text in overhead.items():
            # A limit that is not there is not made by the overhead.
            if key == "requests" or total.get(name):
                total[name] = total.get(name, Decimal(0)) + quantity.parse(text)
        for name, amount in total.items():
            found[f"{key}.{name}"] = amount
            if key == "requests" and (name in COMPUTE or name.startswith("hugepages-")):
                found[name] = amount
    return found


def _service_usage(spec: Obj) -> Usage:
    found: Usage = {}
    ports = spec.get("ports") or ()
    if spec.get("type") == "LoadBalancer":
        found["services.loadbalancers"] = Decimal(1)
        if spec.get("allocateLoadBalancerNodePorts") is False:
            ports = [port for port in ports if port.get("nodePort")]
    if spec.get("type") in ("NodePort", "LoadBalancer"):
        found["services.nodeports"] = Decimal(len(ports))
    return found


def _claim_usage(claim: Obj) -> Usage:
    """What a claim asks for, or what it was promised if that is more: whole bytes."""
    promised = ((claim.get("status") or {}).get("allocatedResources") or {}).get("storage", "0")
    size = Decimal(max(quantity.value(requested(claim)), quantity.value(promised)))
    found = {"requests.storage": size}
    if name := class_of(claim):
        prefix = f"{name}.storageclass.storage.k8s.io"
        found[f"{prefix}/requests.storage"] = size
        found[f"{prefix}/persistentvolumeclaims"] = Decimal(1)
    return found


def pod_total(spec: Obj, key: str) -> dict[str, str]:
    """What a pod's containers ask for as a whole: those that run together (sidecars with them), or an init
    container with the sidecars that were started before it, whatever is more. What the pod says for itself
    counts before that."""
    sums: Usage = {}
    peaks: Usage = {}
    sidecars: Usage = {}
    for container in spec.get("containers") or ():
        add(sums, _amounts(container, key))
    for container in spec.get("initContainers") or ():
        amounts = _amounts(container, key)
        if container.get("restartPolicy") == "Always":
            add(sums, amounts)
            add(sidecars, amounts)
            amounts = sidecars
        else:
            add(amounts, sidecars)
        for name, amount in amounts.items():
            peaks[name] = max(peaks.get(name, Decimal(0)), amount)
    for name, amount in peaks.items():
        sums[name] = max(sums.get(name, Decimal(0)), amount)
    return {name: shown(amount) for name, amount in {**sums, **_amounts(spec, key)}.items()}


def _amounts(container: Obj, key: str) -> dict[str, Decimal]:
    listed = (container.get("resources") or {}).get(key) or {}
    return {name: quantity.parse(text) for name, text in listed.items()}


def add(sums: Usage, amounts: Mapping[str, Decimal], sign: int = 1) -> None:
    """Adds to `sums` in place, or takes away."""
    for name, amount in amounts.items():
        sums[name] = sums.get(name, Decimal(0)) + amount * sign


def shown(amount: Decimal) -> str:
    """A quantity as text: whole, or in thousandths."""
    whole = amount.to_integral_value()
    return str(int(whole)) if whole == amount else f"{int(amount * 1000)}m"


def like(amount: Decimal, other: str) -> str:
    """A quantity as text in the family of units of `other`, in the greatest unit that leaves it whole."""
    if not amount or amount % 1:
        return shown(amount)
    step, units = (1024, "KMGTPE") if other.endswith("i") else (1000, "kMGTPE")
    number, unit = int(amount), ""
    for letter in units:
        if number % step:
            break
        number, unit = number // step, letter + ("i" if step == 1024 else "")
    return f"{number}{unit}"
