"""Requests and limits as cgroup settings. Source: the kubelet's conversion of milli-CPUs to shares and quota,
and of QoS to oom_score_adj."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from podium.api.types import Obj, quantity

PERIOD = 100_000
MIN_SHARES = 2
MIN_QUOTA = 1000

GUARANTEED_OOM = -997
BEST_EFFORT_OOM = 1000


def amounts(container: Obj, kind: str) -> Mapping[str, str]:
    """A container's `requests` or `limits`."""
    found: Mapping[str, str] = (container.get("resources") or {}).get(kind) or {}
    return found


def qos_class(pod: Obj) -> str:
    """Guaranteed, Burstable or BestEffort, of requests and limits of CPU and memory."""
    spec = pod["spec"]
    anything = False
    guaranteed = True
    for container in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]:
        requests, limits = amounts(container, "requests"), amounts(container, "limits")
        for name in ("cpu", "memory"):
            request, limit = quantity.parse(requests.get(name, "0")), quantity.parse(limits.get(name, "0"))
            anything = anything or request > 0 or limit > 0
            guaranteed = guaranteed and limit > 0 and (name not in requests or request == limit)
    if not anything:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def milli_cpu(container: Obj, kind: str) -> int:
    return quantity.milli(amounts(container, kind).get("cpu", "0"))


def memory(container: Obj, kind: str) -> int:
    return quantity.value(amounts(container, kind).get("memory", "0"))


def shares(milli: int) -> int:
    return max(MIN_SHARES, min(milli * 1024 // 1000, 262_144))


def quota(milli: int) -> int:
    return max(MIN_QUOTA, milli * PERIOD // 1000)


def weight(cpu_shares: int) -> int:
    """cgroup v2's cpu.weight for v1's cpu.shares, by runc's formula."""
    return 1 + ((cpu_shares - 2) * 9999) // 262_142


def linux_resources(container: Obj) -> Obj:
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
    pages = [
        {"pageSize": name.removeprefix("hugepages-").replace("i", "B"), "limit": quantity.value(text)}
        for name, text in amounts(container, "limits").items()
        if name.startswith("hugepages-")
    ]
    return {**made, "hugepageLimits": pages} if pages else made


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
    score = 1000 - (1000 * request) // capacity if capacity else 999
    return max(min(max(score, 1000 + GUARANTEED_OOM), BEST_EFFORT_OOM - 1), floor)


def pod_resources(pod: Obj) -> Obj:
    """What the whole pod's cgroup gets: `shares`, and `quota` and `memory` where every container has a
    limit."""
    spec = pod["spec"]
    containers = list(spec.get("containers") or ())
    inits = list(spec.get("initContainers") or ())
    steady = containers + [each for each in inits if each.get("restartPolicy") == "Always"]
    once = [each for each in inits if each.get("restartPolicy") != "Always"]
    made: Obj = {"shares": shares(_total(steady, once, "requests", milli_cpu))}
    if all("cpu" in amounts(each, "limits") for each in containers + inits):
        made["quota"] = quota(_total(steady, once, "limits", milli_cpu))
    if all("memory" in amounts(each, "limits") for each in containers + inits):
        made["memory"] = _total(steady, once, "limits", memory)
    return made


def _total(steady: Iterable[Obj], once: Iterable[Obj], kind: str, of: Callable[[Obj, str], int]) -> int:
    together = sum(of(each, kind) for each in steady)
    return max([together, *(of(each, kind) for each in once)])
