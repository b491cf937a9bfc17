"""StatefulSets."""

from __future__ import annotations

from datetime import datetime
from types import MappingProxyType
from typing import Any

from podium.api.groups import cells
from podium.api.groups.apps.workloads import Workload, available, collisions, counts, within
from podium.api.groups.core.claim_spec import check_claim, default_claim
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, names, scaling, values

CHANGEABLE = (
    "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy", "minReadySeconds",
)  # fmt: skip
FORBIDDEN = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)
RETENTION = ("Retain", "Delete")


class StatefulSets(Workload):
    """Its name is a label, since its pods' names are host names."""

    name_rule = staticmethod(names.dns_label)
    owner, title = "StatefulSet", "statefulset"
    columns = cells.table("Name", "Ready", "Age", *cells.CONTAINERS[:2])
    first_status = MappingProxyType({"replicas": 0, "availableReplicas": 0})

    def default(self, obj: Obj) -> None:
        super().default(obj)
        spec = obj["spec"]
        spec.setdefault("podManagementPolicy", "OrderedReady")
        strategy = spec.setdefault("updateStrategy", {})
        if not strategy.get("type"):
            strategy["type"] = "RollingUpdate"
            strategy.setdefault("rollingUpdate", {})
        if strategy["type"] == "RollingUpdate" and strategy.get("rollingUpdate") is not None:
            strategy["rollingUpdate"].setdefault("partition", 0)
        retention = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
        retention["whenDeleted"] = retention.get("whenDeleted") or "Retain"
        retention["whenScaled"] = retention.get("whenScaled") or "Retain"
        spec.setdefault("replicas", 1)
        spec.setdefault("revisionHistoryLimit", 10)
        for claim in spec.get("volumeClaimTemplates") or ():
            claim.setdefault("apiVersion", "v1")
            claim.setdefault("kind", "PersistentVolumeClaim")
            default_claim(claim.setdefault("spec", {}))
            claim.setdefault("status", {}).setdefault("phase", "Pending")

    def check(self, obj: Obj) -> list[Cause]:
        spec = obj["spec"]
        found = self._spec(spec)
        if spec.get("serviceName"):
            found += values.named(spec["serviceName"], "spec.serviceName", names.dns_label)
        for index, claim in enumerate(spec.get("volumeClaimTemplates") or ()):
            found += check_claim(claim["spec"], f"spec.volumeClaimTemplates[{index}].spec")
        return found + self.check_selected(obj)

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        found = self._spec(new["spec"]) + self.check_selected(new)
        kept, former = (
            {key: value for key, value in obj["spec"].items() if key not in CHANGEABLE} for obj in (new, old)
        )
        if kept != former:
            found.append(causes.forbidden("spec", FORBIDDEN))
        return found

    def check_status(self, new: Obj, old: Obj) -> list[Cause]:
        keys = ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")
        found = counts(new, "replicas", *keys, "observedGeneration") + within(new, "replicas", *keys)
        return found + available(new, "status.readyReplicas") + collisions(new, old)

    def _spec(self, spec: Obj) -> list[Cause]:
        found: list[Cause] = []
        policy = spec.get("podManagementPolicy")
        if policy not in ("OrderedReady", "Parallel"):
            detail = "must be 'OrderedReady' or 'Parallel'"
            found.append(causes.invalid("spec.podManagementPolicy", policy, detail))
        found += _strategy(spec.get("updateStrategy") or {})
        for key, value in (spec.get("persistentVolumeClaimRetentionPolicy") or {}).items():
            path = f"spec.persistentVolumeClaimRetentionPolicy.{key}"
            found += values.optional_one_of(value, path, RETENTION)
        for key in ("replicas", "minReadySeconds"):
            found += values.not_negative(spec.get(key), f"spec.{key}")
        return found + values.not_negative((spec.get("ordinals") or {}).get("start"), "spec.ordinals.start")

    def checked_template(self, spec: Obj) -> Obj:
        """The controller adds a volume for every claim, and sets the host's name and the subdomain."""
        template: Obj = spec["template"]
        claims = {
            (claim.get("metadata") or {}).get("name", ""): claim
            for claim in spec.get("volumeClaimTemplates") or ()
        }
        pod = {key: value for key, value in template["spec"].items() if key not in ("hostname", "subdomain")}
        if claims:
            added = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in claims]
            others = [volume for volume in pod.get("volumes") or () if volume.get("name") not in claims]
            pod["volumes"] = [*added, *others]
        return {**template, "spec": pod}

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        spec, status = obj["spec"], obj.get("status") or {}
        ready = f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}"
        return [obj["metadata"]["name"], ready, cells.age(obj, now), *cells.containers(spec.get("template"))]


def _strategy(strategy: Obj) -> list[Cause]:
    path, rolling = "spec.updateStrategy", strategy.get("rollingUpdate")
    match strategy.get("type"):
        case "OnDelete":
            if rolling is None:
                return []
            detail = "only allowed for updateStrategy 'RollingUpdate'"
            return [causes.invalid(f"{path}.rollingUpdate", rolling, detail)]
        case "RollingUpdate":
            rolling = rolling or {}
            where = f"{path}.rollingUpdate"
            found = values.not_negative(rolling.get("partition"), f"{where}.partition")
            share, where = rolling.get("maxUnavailable"), f"{where}.maxUnavailable"
            found += scaling.share(share, where)
            if share is not None and scaling.is_zero(share):
                found.append(causes.invalid(where, share, "cannot be 0"))
            return found + scaling.at_most_all(share, where)
    return [causes.invalid(path, strategy, "must be 'RollingUpdate' or 'OnDelete'")]
