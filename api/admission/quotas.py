"""ResourceQuota: what a namespace may hold and use in all.

Usage is counted from what has been accepted at the moment of the request, not from the quota's status, which
a controller writes later. Nothing waits between this plugin, the last of the chain, and the store's
acceptance of the write, so that of two creates at the same time the second one sees the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from podium.api.admission.limited import Limited, uncovered
from podium.api.admission.request import AdmissionRequest, Cluster
from podium.api.types import Obj, quantity
from podium.api.types.resources import PODS, RESOURCE_QUOTAS
from podium.api.types.scopes import in_scope
from podium.api.types.usage import Usage, like, usage_of

NOTHING = Decimal(0)
# For these every container of a pod has to say what it needs: so it was decided once, and for no others.
MUST_SPECIFY = ("cpu", "limits.cpu", "limits.memory", "memory", "requests.cpu", "requests.memory")


class ResourceQuota:
    """`limits` are what takes a quota."""

    name = "ResourceQuota"

    def __init__(self, limits: Sequence[Limited] = ()) -> None:
        self._limits = limits

    async def mutate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        """A quota changes nothing."""

    async def validate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        if request.operation not in ("CREATE", "UPDATE") or request.obj is None or not request.namespace:
            return
        resized = request.resource is PODS and request.subresource == "resize"
        if (request.subresource and not resized) or request.resource is RESOURCE_QUOTAS:
            return
        quotas = cluster.every(RESOURCE_QUOTAS, request.namespace)
        if not quotas and not self._limits:
            return
        now = cluster.now()
        more = usage_of(request.resource, request.obj, now)
        before = usage_of(request.resource, request.old, now) if request.old else {}
        if self._limits:
            self._cover(request, quotas, {name for name in more if more[name] > before.get(name, NOTHING)})
        for quota in quotas:
            self._check(request, cluster, quota, more, before)

    def _cover(self, request: AdmissionRequest, quotas: Sequence[Obj], consumed: set[str]) -> None:
        """Raises 403."""
        assert request.obj is not None
        if consumed and (why := uncovered(self._limits, request.resource, request.obj, consumed, quotas)):
            raise request.refuse(why)

    def _check(
        self, request: AdmissionRequest, cluster: Cluster, quota: Obj, more: Usage, before: Usage
    ) -> None:
        spec, obj, old = quota.get("spec") or {}, request.obj, request.old
        assert obj is not None
        if not in_scope(request.resource, obj, spec):
            return
        hard = spec.get("hard") or {}
        if request.resource is PODS and request.operation == "CREATE":
            self._must_specify(request, quota, obj, hard)
        had = before if old is not None and in_scope(request.resource, old, spec) else {}
        asked = {name: more[name] - had.get(name, NOTHING) for name in more if name in hard}
        asked = {name: amount for name, amount in asked.items() if amount > 0}
        if not asked:
            return
        used = cluster.used(request.resource, request.namespace, spec)
        over = [
            name
            for name in sorted(asked)
            if used.get(name, NOTHING) + asked[name] > quantity.parse(hard[name])
        ]
        if over:
            texts = (_listed(over, asked, hard), _listed(over, used, hard))
            limits = ",".join(f"{name}={hard[name]}" for name in over)
            raise request.refuse(
                f"exceeded quota: {quota['metadata']['name']}, requested: {texts[0]}, used: {texts[1]}, "
                f"limited: {limits}"
            )

    def _must_specify(self, request: AdmissionRequest, quota: Obj, pod: Obj, hard: Mapping[str, str]) -> None:
        """A quota of compute resources makes every container say what it needs of them, unless the pod does
        so as a whole."""
        spec = pod["spec"]
        if any((spec.get("resources") or {}).get(key) for key in ("requests", "limits")):
            return
        containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
        missing: dict[str, list[str]] = {}
        for name in MUST_SPECIFY:
            if name not in hard:
                continue
            key, _, resource = name.rpartition(".")
            for container in containers:
                if resource not in ((container.get("resources") or {}).get(key or "requests") or {}):
                    missing.setdefault(name, []).append(container["name"])
        if missing:
            text = "; ".join(f"{name} for: {','.join(sorted(who))}" for name, who in missing.items())
            raise request.refuse(f"failed quota: {quota['metadata']['name']}: must specify {text}")


def _listed(names: Sequence[str], amounts: Mapping[str, Decimal], hard: Mapping[str, str]) -> str:
    return ",".join(f"{name}={like(amounts.get(name, NOTHING), hard[name])}" for name in names)
