"""Requests and limits as cgroup settings. Source: the kubelet's conversion of milli-CPUs to shares and quota,
and of QoS to oom_score_adj; KEP-2837 for resources of a pod as a whole."""

from __future__ import annotations

from collections.abc import Mapping

from podium.api.types import Obj, qos, quantity
from podium.api.types.requests import pod_limits, pod_requests

PERIOD = 100_000
MIN_SHARES = 2
MAX_SHARES = 262_144
MIN_QUOTA = 1000

GUARANTEED_OOM = -997
BEST_EFFORT_OOM = 1000


def amounts(container: Obj, kind: str) -> Mapping[str, str]:
    """A container's `requests` or `limits`."""
    found: Mapping[str, str] = (container.get("resources") or {}).get(kind) or {}
    return found


def qos_class(pod: Obj) -> str:
    """Guaranteed, Burstable or BestEffort: what the pod was made as, and stays."""
    said: str = (pod.get("status") or {}).get("qosClass") or ""
    return said or qos.qos_class(pod["spec"])


def milli_cpu(container: Obj, kind: str) -> int:
    return quantity.milli(amounts(container, kind).get("cpu", "0"))


def memory(container: Obj, kind: str) -> int:
    return quantity.value(amounts(container, kind).get("memory", "0"))


def shares(milli: int) -> int:
    return max(MIN_SHARES, min(milli * 1024 // 1000, MAX_SHARES))


def quota(milli: int) -> int:
    return max(MIN_QUOTA, milli * PERIOD // 1000)


def effective(pod: Obj, container: Obj) -> Obj:
    """The cpu and memory that a container gets: limits of the pod as a whole are those of every container
    that has none."""
    made: Obj = {}
    for kind in ("limits", "requests"):
        own = {name: text for name, text in amounts(container, kind).items() if name in ("cpu", "memory")}
        if kind == "limits":
            whole = amounts(pod["spec"], "limits")
            own |= {
                name: whole[name]
                for name in ("cpu", "memory")
                if name in whole and not quantity.parse(own.get(name, "0"))
            }
        if own:
            made[kind] = own
    return made


def linux_resources(container: Obj, *, cgroup_v2: bool = False) -> Obj:
    """The `cpu` and `memory` of an OCI `linux.resources`; runc translates them for cgroup v2."""
    request, limit = milli_cpu(container, "requests"), milli_cpu(container, "limits")
    if "cpu" not in amounts(container, "requests") and limit:
        request = limit
    cpu: Obj = {"shares": shares(request), "period": PERIOD}
    if limit:
        cpu["quota"] = quota(limit)
    made: Obj = {"cpu": cpu}
    if cap := memory(container, "limits"):
        made["memory"] = {"limit": cap}
    if cgroup_v2:
        # All processes of a container go together, and none of them is swapped out. It is said with every
        # change: systemd takes back what it was told before.
        made["unified"] = {"memory.oom.group": "1", "memory.swap.max": "0"}
    return made


def huge_pages(container: Obj, sizes: tuple[str, ...]) -> list[Obj]:
    """The `hugepageLimits` of an OCI `linux.resources`: of every page size that the machine has (`2MB`), as
    the kernel names them, none but what is asked for."""
    limits = {
        page_size(name): quantity.value(text)
        for name, text in amounts(container, "limits").items()
        if name.startswith("hugepages-")
    }
    return [{"pageSize": size, "limit": limits.get(size, 0)} for size in sizes]


def page_size(resource: str) -> str:
    """`hugepages-2Mi` as the kernel's cgroups name that size: `2MB`."""
    return resource.removeprefix("hugepages-").replace("i", "B")


def oom_score_adj(pod: Obj, container: Obj, capacity: int, *, floor: int) -> int:
    """How soon the kernel picks the container when memory runs out. `capacity` is the node's memory in bytes;
    `floor` the lowest value that this process may set."""
    if pod["spec"].get("priorityClassName") == "system-node-critical":
        return max(GUARANTEED_OOM, floor)
    kind = qos_class(pod)
    if kind == "Guaranteed":
        return max(GUARANTEED_OOM, floor)
    if kind == "BestEffort":
        return BEST_EFFORT_OOM
    request = memory(container, "requests")
    spare = _spare_memory(pod)
    if container.get("restartPolicy") == "Always" and container in (pod["spec"].get("initContainers") or ()):
        # A sidecar goes no sooner than those it serves.
        request = max(request, min(memory(each, "requests") for each in pod["spec"]["containers"]))
    score = 1000 - (1000 * (request + spare)) // capacity if capacity else 999
    return max(min(max(score, 1000 + GUARANTEED_OOM), BEST_EFFORT_OOM - 1), floor)


def _spare_memory(pod: Obj) -> int:
    """What a pod asks for as a whole and none of its containers does, in equal parts for each of them."""
    spec = pod["spec"]
    whole = memory(spec, "requests")
    if not whole:
        return 0
    steady = [*(spec.get("containers") or ())]
    steady += [each for each in spec.get("initContainers") or () if each.get("restartPolicy") == "Always"]
    own = pod_requests({**spec, "resources": None, "overhead": None}).get("memory", 0)
    return max(0, whole - own) // len(steady)


def pod_resources(pod: Obj) -> Obj:
    """What the whole pod's cgroup gets: `shares`, `quota` and `memory` where every container or the pod
    itself has a limit, and `huge` pages by size in bytes."""
    spec = pod["spec"]
    requests, limits = pod_requests(spec), pod_limits(spec)
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    kind = qos_class(pod)
    made: Obj = {"shares": MIN_SHARES if kind == "BestEffort" else shares(requests.get("cpu", 0))}

    def limited(name: str) -> bool:
        said = all(quantity.parse(amounts(each, "limits").get(name, "0")) for each in containers)
        return said or bool(quantity.parse(amounts(spec, "limits").get(name, "0")))

    if limited("cpu"):
        made["quota"] = quota(limits["cpu"])
    if limited("memory"):
        made["memory"] = limits["memory"]
    huge = {page_size(name): amount for name, amount in limits.items() if name.startswith("hugepages-")}
    return {**made, "huge": huge} if huge else made
