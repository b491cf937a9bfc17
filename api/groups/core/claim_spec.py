"""What a claim asks for: of a PersistentVolumeClaim, or of a template that makes claims.

Source: API reference, PersistentVolumeClaimSpec.
"""

from __future__ import annotations

from collections.abc import Sequence

from podium.api.types import Obj, quantity
from podium.api.types.errors import Cause
from podium.api.validation import causes, names, values
from podium.api.validation.selectors import label_selector

MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
VOLUME_MODES = ("Block", "Filesystem")
# What the older of the two fields for a data source may name; anything else in it was always ignored.
_OLD_SOURCES = (("", "PersistentVolumeClaim"), ("snapshot.storage.k8s.io", "VolumeSnapshot"))


def check_modes(modes: Sequence[str], path: str) -> list[Cause]:
    found = [causes.not_supported(path, mode, MODES) for mode in modes if mode not in MODES]
    if "ReadWriteOncePod" in modes and any(mode in MODES for mode in modes if mode != "ReadWriteOncePod"):
        found.append(causes.forbidden(path, "may not use ReadWriteOncePod with other access modes"))
    return found


def check_positive(amount: str, path: str) -> list[Cause]:
    return [] if quantity.parse(amount) > 0 else [causes.invalid(path, str(amount), values.NOT_POSITIVE)]


def default_claim(spec: Obj) -> None:
    """A PersistentVolumeClaimSpec; the two forms of a data source mirror each other."""
    spec.setdefault("volumeMode", "Filesystem")
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    if source and not reference:
        if (source.get("apiGroup") or "", source.get("kind")) in _OLD_SOURCES:
            spec["dataSourceRef"] = dict(source)
        else:
            del spec["dataSource"]
    elif reference and not source and not reference.get("namespace"):
        spec["dataSource"] = dict(reference)


def check_claim(spec: Obj, path: str) -> list[Cause]:
    modes = spec.get("accessModes") or ()
    found = [] if modes else [causes.required(f"{path}.accessModes", "at least 1 access mode is required")]
    found += label_selector(spec.get("selector"), f"{path}.selector")
    found += check_modes(modes, f"{path}.accessModes")
    storage = storage_of(spec)
    if storage is None:
        found.append(causes.required(f"{path}.resources[storage]"))
    else:
        found += check_positive(storage, f"{path}.resources[storage]")
    if spec.get("storageClassName"):
        found += values.named(spec["storageClassName"], f"{path}.storageClassName", names.dns_subdomain)
    found += values.optional_one_of(spec.get("volumeMode"), f"{path}.volumeMode", VOLUME_MODES)
    found += _data_sources(spec, path)
    if name := spec.get("volumeAttributesClassName"):
        found += values.named(name, f"{path}.volumeAttributesClassName", names.dns_subdomain)
    return found


def storage_of(spec: Obj) -> str | None:
    return ((spec.get("resources") or {}).get("requests") or {}).get("storage")


def _data_sources(spec: Obj, path: str) -> list[Cause]:
    found: list[Cause] = []
    for key in ("dataSource", "dataSourceRef"):
        if (source := spec.get(key)) is not None:
            found += _data_source(source, f"{path}.{key}")
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    if not source or not reference:
        return found
    if reference.get("namespace"):
        detail = "may not be specified when dataSourceRef.namespace is specified"
        found.append(causes.invalid(path, f"{path}.dataSource", detail))
    elif any((source.get(key) or "") != (reference.get(key) or "") for key in ("apiGroup", "kind", "name")):
        found.append(causes.invalid(path, f"{path}.dataSource", "must match dataSourceRef"))
    return found


def _data_source(source: Obj, path: str) -> list[Cause]:
    found = [causes.required(f"{path}.{key}") for key in ("name", "kind") if not source.get(key)]
    group = source.get("apiGroup") or ""
    if group:
        found += values.named(group, f"{path}.apiGroup", names.dns_subdomain)
    elif source.get("kind") != "PersistentVolumeClaim":
        detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
        found.append(causes.invalid(path, source.get("kind", ""), detail))
    if source.get("namespace"):
        found += values.named(source["namespace"], f"{path}.namespace", names.dns_label)
    return found
