"""PersistentVolumes and PersistentVolumeClaims."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from podium.api.groups import cells
from podium.api.groups.core.pod_validation.scheduling import node_selector
from podium.api.groups.core.pod_validation.update import differences
from podium.api.strategy import Strategy
from podium.api.types import Obj, quantity
from podium.api.types.errors import Cause
from podium.api.validation import causes, metadata, names, values
from podium.api.validation.selectors import label_selector

MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
SHORT_MODES = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}
RECLAIM = ("Delete", "Recycle", "Retain")
VOLUME_MODES = ("Block", "Filesystem")
BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
# Everything in a PersistentVolumeSpec that is not the volume itself.
_NOT_SOURCES = frozenset(

    {"capacity", "accessModes", "claimRef", "persistentVolumeReclaimPolicy", "storageClassName",
    "mountOptions", "volumeMode", "nodeAffinity", "volumeAttributesClassName"},
)  # fmt: skip


def short_modes(modes: Sequence[str]) -> str:
    return ",".join(text for mode, text in SHORT_MODES.items() if mode in modes)


def _class(obj: Obj) -> str:
    annotated = (obj["metadata"].get("annotations") or {}).get(BETA_CLASS)
    return str(annotated if annotated is not None else obj["spec"].get("storageClassName") or "")


def _phase(obj: Obj) -> str:
    if obj["metadata"].get("deletionTimestamp"):
        return "Terminating"
    return str((obj.get("status") or {}).get("phase", ""))


def _modes(modes: Sequence[str], path: str) -> list[Cause]:
    found = [causes.not_supported(path, mode, MODES) for mode in modes if mode not in MODES]
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        found.append(causes.forbidden(path, "may not use ReadWriteOncePod with other access modes"))
    return found


def _positive(amount: str, path: str) -> list[Cause]:
    return [] if quantity.parse(amount) > 0 else [causes.invalid(path, amount, values.NOT_POSITIVE)]


class PersistentVolumes(Strategy):
    name_rule = staticmethod(names.dns_subdomain)
    columns = cells.table(
        "Name", "Capacity", "Access Modes", "Reclaim Policy", "Status", "Claim", "StorageClass",
        "VolumeAttributesClass", "Reason", "Age", "VolumeMode:string:1",
    )  # fmt: skip
    status_keeps = ()

    def default(self, obj: Obj) -> None:
        spec = obj.setdefault("spec", {})
        spec.setdefault("persistentVolumeReclaimPolicy", "Retain")
        spec.setdefault("volumeMode", "Filesystem")
        if (host_path := spec.get("hostPath")) is not None:
            host_path.setdefault("type", "")
        obj.setdefault("status", {}).setdefault("phase", "Pending")

    def prepare_create(self, obj: Obj) -> None:
        obj["status"] = {"phase": "Pending"}

    def check(self, obj: Obj) -> list[Cause]:
        spec = obj["spec"]
        modes, capacity = spec.get("accessModes") or (), spec.get("capacity") or {}
        found = [] if modes else [causes.required("spec.accessModes")]
        found += _modes(modes, "spec.accessModes")
        if not capacity:
            found.append(causes.required("spec.capacity"))
        elif capacity.keys() != {"storage"}:
            found.append(causes.not_supported("spec.capacity", capacity, ("storage",)))
        for name, amount in capacity.items():
            found += _positive(amount, f"spec.capacity[{name}]")
        policy = spec.get("persistentVolumeReclaimPolicy")
        found += values.optional_one_of(policy, "spec.persistentVolumeReclaimPolicy", RECLAIM)
        found += values.optional_one_of(spec.get("volumeMode"), "spec.volumeMode", VOLUME_MODES)
        if spec.get("storageClassName"):
            found += values.named(spec["storageClassName"], "spec.storageClassName", names.dns_subdomain)
        affinity = (spec.get("nodeAffinity") or {}).get("required")
        if affinity is not None:
            found += node_selector(affinity, "spec.nodeAffinity.required")
        return found + _source(spec)

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        before, after = ({k: v for k, v in pv["spec"].items() if k not in _NOT_SOURCES} for pv in (old, new))
        found = self.check(new)
        if before != after:
            text = "spec.persistentvolumesource is immutable after creation\n"
            lines = "\n".join(differences(before, after, "spec"))
            found.append(causes.forbidden("spec.persistentvolumesource", text + lines))
        return found + metadata.immutable(
            new["spec"].get("volumeMode"), old["spec"].get("volumeMode"), "spec.volumeMode"
        )

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        spec = obj["spec"]
        claim = spec.get("claimRef")
        return [
            obj["metadata"]["name"], (spec.get("capacity") or {}).get("storage", "0"),
            short_modes(spec.get("accessModes") or ()), spec.get("persistentVolumeReclaimPolicy", ""),
            _phase(obj), f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "",
            _class(obj), spec.get("volumeAttributesClassName") or cells.UNSET,
            (obj.get("status") or {}).get("reason", ""), cells.age(obj, now),
            spec.get("volumeMode") or cells.UNSET,
        ]  # fmt: skip


def _source(spec: Obj) -> list[Cause]:
    given = [key for key, value in spec.items() if key not in _NOT_SOURCES and value is not None]
    if not given:
        return [causes.required("spec", "must specify a volume type")]
    found = [causes.forbidden(f"spec.{key}", "may not specify more than 1 volume type") for key in given[1:]]
    if "local" in given:
        path = spec["local"].get("path", "")
        found += [] if path else [causes.required("spec.local.path")]
        found += values.no_backsteps(path, "spec.local.path")
        if not spec.get("nodeAffinity"):
            found.append(causes.required("spec.nodeAffinity", "Local volume requires node affinity"))
    if "hostPath" in given:
        path = spec["hostPath"].get("path", "")
        found += [] if path else [causes.required("spec.hostPath.path")]
        found += values.no_backsteps(path, "spec.hostPath.path")
        if path == "/" and spec.get("persistentVolumeReclaimPolicy") == "Recycle":
            detail = "may not be 'recycle' for a hostPath mount of '/'"
            found.append(causes.forbidden("spec.persistentVolumeReclaimPolicy", detail))
    return found


class PersistentVolumeClaims(Strategy):
    columns = cells.table(
        "Name", "Status", "Volume", "Capacity", "Access Modes", "StorageClass", "VolumeAttributesClass",
        "Age", "VolumeMode:string:1",
    )  # fmt: skip
    status_keeps = ()

    def default(self, obj: Obj) -> None:
        default_claim(obj.setdefault("spec", {}))
        obj.setdefault("status", {}).setdefault("phase", "Pending")

    def prepare_create(self, obj: Obj) -> None:
        obj["status"] = {"phase": "Pending"}

    def check(self, obj: Obj) -> list[Cause]:
        return check_claim(obj["spec"], "spec")

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        return self.check(new) + _claim_changes(new, old)

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        spec, status = obj["spec"], obj.get("status") or {}
        bound = bool(spec.get("volumeName"))
        return [
            obj["metadata"]["name"], _phase(obj), spec.get("volumeName", ""),
            (status.get("capacity") or {}).get("storage", "0") if bound else "",
            short_modes(status.get("accessModes") or ()) if bound else "", _class(obj),
            spec.get("volumeAttributesClassName") or cells.UNSET, cells.age(obj, now),
            spec.get("volumeMode") or cells.UNSET,
        ]  # fmt: skip


def default_claim(spec: Obj) -> None:
    """A PersistentVolumeClaimSpec; the two forms of a data source mirror each other."""
    spec.setdefault("volumeMode", "Filesystem")
    if spec.get("dataSource") and not spec.get("dataSourceRef"):
        spec["dataSourceRef"] = dict(spec["dataSource"])
    elif (
        spec.get("dataSourceRef")
        and not spec.get("dataSource")
        and not spec["dataSourceRef"].get("namespace")
    ):
        spec["dataSource"] = dict(spec["dataSourceRef"])


def check_claim(spec: Obj, path: str) -> list[Cause]:
    modes = spec.get("accessModes") or ()
    found = [] if modes else [causes.required(f"{path}.accessModes", "at least 1 access mode is required")]
    found += label_selector(spec.get("selector"), f"{path}.selector")
    found += _modes(modes, f"{path}.accessModes")
    storage = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if storage is None:
        found.append(causes.required(f"{path}.resources[storage]"))
    else:
        found += _positive(storage, f"{path}.resources[storage]")
    if spec.get("storageClassName"):
        found += values.named(spec["storageClassName"], f"{path}.storageClassName", names.dns_subdomain)
    return found + values.optional_one_of(spec.get("volumeMode"), f"{path}.volumeMode", VOLUME_MODES)


def _claim_changes(new: Obj, old: Obj) -> list[Cause]:
    """A claim may be bound to a volume once, get its class once, and grow once it is bound."""
    munged, former = dict(new["spec"]), dict(old["spec"])
    if not former.get("volumeName"):
        former.pop("volumeName", None)
        munged.pop("volumeName", None)
    if former.get("storageClassName") is None and BETA_CLASS not in (
        old["metadata"].get("annotations") or {}
    ):
        munged.pop("storageClassName", None)
    wanted, had = (
        ((spec.get("resources") or {}).get("requests") or {}).get("storage") for spec in (munged, former)
    )
    if (new.get("status") or {}).get("phase") == "Bound":
        munged["resources"] = former.get("resources")
        munged["volumeAttributesClassName"] = former.get("volumeAttributesClassName")
    found = []
    lines = differences(former, munged, "spec")
    if lines:
        text = (
            "spec is immutable after creation except resources.requests and volumeAttributesClassName "
            "for bound claims\n"
        )
        found.append(causes.forbidden("spec", text + "\n".join(lines)))
    size = ((old.get("status") or {}).get("capacity") or {}).get("storage")
    shrinks = wanted and had and quantity.parse(wanted) < quantity.parse(had)
    if shrinks and quantity.parse(wanted) <= quantity.parse(size or "0"):
        path = "spec.resources.requests.storage"
        found.append(causes.forbidden(path, "field can not be less than status.capacity"))
    return found
