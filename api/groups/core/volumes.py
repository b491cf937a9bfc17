"""PersistentVolumes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from podium.api.groups import cells
from podium.api.groups.core import volume_sources
from podium.api.groups.core.claim_spec import VOLUME_MODES, check_modes, check_positive
from podium.api.groups.core.pod_validation.scheduling import node_selector
from podium.api.groups.core.pod_validation.update import differences
from podium.api.strategy import Strategy
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.types.meta import timestamp
from podium.api.types.storage import BETA_CLASS, annotation, class_of
from podium.api.validation import causes, metadata, names, values

SHORT_MODES = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}
RECLAIM = ("Delete", "Recycle", "Retain")
BETA_MOUNT_OPTIONS = "volume.beta.kubernetes.io/mount-options"
DEPRECATED = {
    BETA_CLASS: 'deprecated since v1.8; use "storageClassName" attribute instead',
    BETA_MOUNT_OPTIONS: 'deprecated since v1.31; use "mountOptions" attribute instead',
}
RECYCLES = (
    "The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic "
    "provisioning."
)


# (field, the only value that an inline volume may have for it, how that is told)
_INLINE = (
    ("persistentVolumeReclaimPolicy", "Retain", "may only be"),
    ("volumeMode", "Filesystem", "may not specify volumeMode other than"),
)


def short_modes(modes: Sequence[str]) -> str:
    return ",".join(text for mode, text in SHORT_MODES.items() if mode in modes)


def phase(obj: Obj) -> str:
    if obj["metadata"].get("deletionTimestamp"):
        return "Terminating"
    return str((obj.get("status") or {}).get("phase", ""))


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
        volume_sources.default(spec)
        obj.setdefault("status", {}).setdefault("phase", "Pending")

    def prepare_create(self, obj: Obj) -> None:
        obj["status"] = {"phase": "Pending"}
        if created := obj["metadata"].get("creationTimestamp"):
            obj["status"]["lastPhaseTransitionTime"] = created

    def stamp(self, new: Obj, old: Obj, now: datetime) -> None:
        """When the phase changed, unless the client says so itself."""
        status, former = new.setdefault("status", {}), old.get("status") or {}
        told, before = status.get("lastPhaseTransitionTime"), former.get("lastPhaseTransitionTime")
        if status.get("phase") == former.get("phase"):
            if told is None and before is not None:
                status["lastPhaseTransitionTime"] = before
        elif told is None or told == before:
            status["lastPhaseTransitionTime"] = timestamp(now)

    def check(self, obj: Obj) -> list[Cause]:
        found = check_volume(obj["spec"], "spec", obj["metadata"].get("name", ""))
        options = annotation(obj, BETA_MOUNT_OPTIONS)
        if options is not None and not volume_sources.MOUNT_OPTIONS & obj["spec"].keys():
            detail = "may not specify mount options for this volume type"
            found.append(causes.forbidden(f"metadata.annotations.{BETA_MOUNT_OPTIONS}", detail))
        return found

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        before, after = volume_sources.sources(old["spec"]), volume_sources.sources(new["spec"])
        found = self.check(new)
        added = (after.get("csi") or {}).get("controllerExpandSecretRef")
        if added and "csi" in before and not before["csi"].get("controllerExpandSecretRef"):
            after["csi"] = {
                key: value for key, value in after["csi"].items() if key != "controllerExpandSecretRef"
            }
        if before != after:
            text = "spec.persistentvolumesource is immutable after creation\n"
            lines = "\n".join(differences(before, after, "spec"))
            found.append(causes.forbidden("spec.persistentvolumesource", text + lines))
        mode, affinity = ("volumeMode", "nodeAffinity")
        found += metadata.immutable(new["spec"].get(mode), old["spec"].get(mode), mode)
        if old["spec"].get(affinity) is not None and new["spec"].get(affinity) != old["spec"][affinity]:
            detail = "field is immutable, except for updating from beta label to GA"
            found.append(causes.invalid(affinity, new["spec"].get(affinity), detail))
        attributes = "volumeAttributesClassName"
        if old["spec"].get(attributes) is not None and new["spec"].get(attributes) is None:
            found.append(
                causes.forbidden(f"spec.{attributes}", "update from non-nil value to nil is forbidden")
            )
        return found

    def warnings(self, obj: Obj) -> list[str]:
        found = [
            f"metadata.annotations[{name}]: {text}"
            for name, text in DEPRECATED.items()
            if annotation(obj, name) is not None
        ]
        if obj["spec"].get("persistentVolumeReclaimPolicy") == "Recycle":
            found.append(f"spec.persistentVolumeReclaimPolicy: {RECYCLES}")
        return found + volume_sources.warnings(obj["spec"])

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        spec = obj["spec"]
        claim = spec.get("claimRef")
        return [
            obj["metadata"]["name"], (spec.get("capacity") or {}).get("storage", "0"),
            short_modes(spec.get("accessModes") or ()), spec.get("persistentVolumeReclaimPolicy", ""),
            phase(obj), f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "",
            class_of(obj), spec.get("volumeAttributesClassName") or cells.UNSET,
            (obj.get("status") or {}).get("reason", ""), cells.age(obj, now),
            spec.get("volumeMode") or cells.UNSET,
        ]  # fmt: skip


def check_volume(spec: Obj, path: str, name: str) -> list[Cause]:
    """The faults of a PersistentVolumeSpec."""
    modes = spec.get("accessModes") or ()
    found = [] if modes else [causes.required(f"{path}.accessModes")]
    found += check_modes(modes, f"{path}.accessModes") + _capacity(spec.get("capacity") or {}, path)
    policy = spec.get("persistentVolumeReclaimPolicy")
    found += values.optional_one_of(policy, f"{path}.persistentVolumeReclaimPolicy", RECLAIM)
    if spec.get("nodeAffinity") is not None:
        where, required = f"{path}.nodeAffinity.required", spec["nodeAffinity"].get("required")
        if required is None:
            found.append(causes.required(where, "must specify required node constraints"))
        else:
            found += node_selector(required, where)
    found += volume_sources.check(spec, path, name)
    if spec.get("storageClassName"):
        found += values.named(spec["storageClassName"], f"{path}.storageClassName", names.dns_subdomain)
    found += values.optional_one_of(spec.get("volumeMode"), f"{path}.volumeMode", VOLUME_MODES)
    return found + _attributes(spec, path)


def check_inline(spec: Obj, path: str) -> list[Cause]:
    """The faults of the spec of a volume that is no object of its own: of a CSI driver, and free of what
    binding needs."""
    found = [
        causes.forbidden(f"{path}.{key}", "may not be specified in the context of inline volumes")
        for key in ("claimRef", "capacity", "nodeAffinity", "storageClassName")
        if spec.get(key)
    ]
    if not spec.get("csi"):
        found.append(causes.required(f"{path}.csi", "has to be specified in the context of inline volumes"))
    modes = spec.get("accessModes") or ()
    found += [] if modes else [causes.required(f"{path}.accessModes")]
    for key, only, may in _INLINE:
        if spec.get(key) not in (None, "", only):
            detail = f"{may} {only} in the context of inline volumes"
            found.append(causes.forbidden(f"{path}.{key}", detail))
    return found + check_modes(modes, f"{path}.accessModes") + volume_sources.check(spec, path, "")


def _capacity(capacity: Obj, path: str) -> list[Cause]:
    where = f"{path}.capacity"
    found = [] if capacity else [causes.required(where)]
    if capacity.keys() != {"storage"}:
        found.append(causes.not_supported(where, capacity, ("storage",)))
    for name, amount in capacity.items():
        found += check_positive(amount, f"{where}[{name}]")
    return found


def _attributes(spec: Obj, path: str) -> list[Cause]:
    name = spec.get("volumeAttributesClassName")
    if name is None:
        return []
    where = f"{path}.volumeAttributesClassName"
    if name:
        found = values.named(name, where, names.dns_subdomain)
    else:
        found = [causes.required(where, "an empty string is disallowed")]
    if not spec.get("csi"):
        detail = "has to be specified when using volumeAttributesClassName"
        found.append(causes.required(f"{path}.csi", detail))
    return found
