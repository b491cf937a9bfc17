"""ResourceQuota: what a namespace may hold and use in all.

Usage is counted from what has been accepted at the moment of the request, not from the quota's status, which
a controller writes later. Nothing waits between this plugin, the last of the chain, and the store's
acceptance of the write, so that of two creates at the same time the second one sees the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from podium.api.admission.request import AdmissionRequest, Cluster
from podium.api.types import Obj, quantity
from podium.api.types.resources import PODS, RESOURCE_QUOTAS
from podium.api.types.usage import COMPUTE, Usage, in_scope, shown, usage, usage_of


class ResourceQuota:
    name = "ResourceQuota"

    async def mutate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        """A quota changes nothing."""

    async def validate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        if request.operation not in ("CREATE", "UPDATE") or request.subresource or request.obj is None:
            return
        if not request.namespace or request.resource is RESOURCE_QUOTAS:
            return
        quotas = cluster.every(RESOURCE_QUOTAS, request.namespace)
        if not quotas:
            return
        more = usage_of(request.resource, request.obj)
        before = usage_of(request.resource, request.old) if request.old else {}
        for quota in quotas:
            self._check(request, cluster, quota, more, before)

    def _check(
        self, request: AdmissionRequest, cluster: Cluster, quota: Obj, more: Usage, before: Usage
    ) -> None:
        spec, obj = quota.get("spec") or {}, request.obj
        assert obj is not None
        if not in_scope(request.resource, obj, spec):
            return
        hard = spec.get("hard") or {}
        if request.resource is PODS and request.operation == "CREATE":
            self._must_specify(request, quota, obj, hard)
        asked = {name: more[name] - before.get(name, Decimal(0)) for name in more if name in hard}
        asked = {name: amount for name, amount in asked.items() if amount > 0}
        if not asked:
            return
        used = usage(cluster.every(request.resource, request.namespace), request.resource, spec)
        over = [
            name
            for name in sorted(asked)
            if used.get(name, Decimal(0)) + asked[name] > quantity.parse(hard[name])
        ]
        if over:
            texts = (
                _listed(over, asked), _listed(over, {name: used.get(name, Decimal(0)) for name in over}),
                ",".join(f"{name}={hard[name]}" for name in over),
            )  # fmt: skip
            name = quota["metadata"]["name"]
            raise request.refuse(
                "exceeded quota: {}, requested: {}, used: {}, limited: {}".format(name, *texts)
            )

    def _must_specify(self, request: AdmissionRequest, quota: Obj, pod: Obj, hard: Mapping[str, str]) -> None:
        """A quota of compute resources makes every container say what it needs of them."""
        missing: dict[str, list[str]] = {}
        for name in sorted(hard):
            key, _, resource = name.rpartition(".")
            if resource not in COMPUTE or key not in ("", "requests", "limits"):
                continue
            for container in pod["spec"].get("containers") or ():
                if resource not in ((container.get("resources") or {}).get(key or "requests") or {}):
                    missing.setdefault(name, []).append(container["name"])
        if missing:
            text = "; ".join(f"{name} for: {','.join(who)}" for name, who in missing.items())
            raise request.refuse(f"failed quota: {quota['metadata']['name']}: must specify {text}")


def _listed(names: Sequence[str], amounts: Mapping[str, Decimal]) -> str:
    return ",".join(f"{name}={shown(amounts[name])}" for name in names)
