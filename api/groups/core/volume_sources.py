"""What a PersistentVolume is made of: exactly one of many kinds of volumes.

Source: API reference, PersistentVolumeSpec.
"""

from __future__ import annotations

import posixpath

from podium.api.groups.core import storage_systems
from podium.api.groups.core.storage_systems import Check, needed
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, names, values

# Everything in a PersistentVolumeSpec that is not the volume itself.
_NOT_SOURCES = frozenset(

    {"capacity", "accessModes", "claimRef", "persistentVolumeReclaimPolicy", "storageClassName",
    "mountOptions", "volumeMode", "nodeAffinity", "volumeAttributesClassName"},
)  # fmt: skip
MOUNT_OPTIONS = frozenset(

    {"gcePersistentDisk", "awsElasticBlockStore", "glusterfs", "nfs", "rbd", "quobyte", "iscsi", "cinder",
    "cephfs", "azureFile", "vsphereVolume", "azureDisk", "photonPersistentDisk"},
)  # fmt: skip
HOST_PATH_TYPES = (
    "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket",
)  # fmt: skip
_GONE = {
    "cephfs": "cephfs: deprecated in v1.28, non-functional in v1.31+",
    "photonPersistentDisk": "photonPersistentDisk: deprecated in v1.11, non-functional in v1.16+",
    "scaleIO": "scaleIO: deprecated in v1.16, non-functional in v1.22+",
    "storageos": "storageOS: deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "glusterfs: deprecated in v1.25, non-functional in v1.26+",
    "rbd": "rbd: deprecated in v1.28, non-functional in v1.31+",
}
_DEFAULTS: dict[str, Obj] = {
    "hostPath": {"type": ""},
    "iscsi": {"iscsiInterface": "default"},
    "rbd": {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
    "azureDisk": {"cachingMode": "ReadWrite", "fsType": "ext4", "readOnly": False, "kind": "Shared"},
    "scaleIO": {"storageMode": "ThinProvisioned", "fsType": "xfs"},
}
# In the order in which upstream looks at them: the second one found is the one that is refused.
ORDER = (
    "hostPath", "gcePersistentDisk", "awsElasticBlockStore", "glusterfs", "flocker", "nfs", "rbd", "quobyte",
    "cephfs", "iscsi", "cinder", "fc", "flexVolume", "azureFile", "vsphereVolume", "photonPersistentDisk",
    "portworxVolume", "azureDisk", "scaleIO", "local", "storageos", "csi",
)  # fmt: skip
# What some sources are called in messages: about themselves, and as one too many.
CALLED = {"gcePersistentDisk": "persistentDisk"}
_REFUSED = {"cephfs": "cephFS"}
TOO_LONG_PORTAL = (
    "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName "
    "is specified."
)


def sources(spec: Obj) -> Obj:
    """The part of the spec that says what the volume is."""
    return {key: value for key, value in spec.items() if key not in _NOT_SOURCES and value is not None}


def default(spec: Obj) -> None:
    for key, fields in _DEFAULTS.items():
        if (source := spec.get(key)) is not None:
            for name, value in fields.items():
                source.setdefault(name, value)


def warnings(spec: Obj) -> list[str]:
    return [f"spec.{text}" for key, text in _GONE.items() if spec.get(key) is not None]


def check(spec: Obj, path: str, name: str) -> list[Cause]:
    given = sources(spec)
    if not given:
        return [causes.required(path, "must specify a volume type")]
    first, *more = sorted(given, key=ORDER.index)
    found = [
        causes.forbidden(f"{path}.{_REFUSED.get(key, key)}", "may not specify more than 1 volume type")
        for key in more
    ]
    if rule := _RULES.get(first):
        found += rule(given[first], f"{path}.{CALLED.get(first, first)}")
    portal = (given.get("iscsi") or {}).get("targetPortal", "")
    if "initiatorName" in (given.get("iscsi") or {}) and len(f"{name}:{portal}") > 64:
        found.append(causes.invalid(f"{path}.iscsi.targetportal", portal, TOO_LONG_PORTAL))
    if "local" in given and not spec.get("nodeAffinity"):
        found.append(causes.required(f"{path}.nodeAffinity", "Local volume requires node affinity"))
    recycled = spec.get("persistentVolumeReclaimPolicy") == "Recycle"
    if recycled and "hostPath" in given and posixpath.normpath(given["hostPath"].get("path", "")) == "/":
        detail = "may not be 'recycle' for a hostPath mount of '/'"
        found.append(causes.forbidden(f"{path}.persistentVolumeReclaimPolicy", detail))
    return found


def _host_path(source: Obj, path: str) -> list[Cause]:
    if not source.get("path"):
        return [causes.required(f"{path}.path")]
    found = values.no_backsteps(source["path"], f"{path}.path")
    return found + values.optional_one_of(source.get("type"), f"{path}.type", HOST_PATH_TYPES)


def _local(source: Obj, path: str) -> list[Cause]:
    if not source.get("path"):
        return [causes.required(f"{path}.path")]
    return values.no_backsteps(source["path"], f"{path}.path")


def driver_name(name: str, path: str) -> list[Cause]:
    """The faults of a CSI driver's name."""
    if not name:
        return [causes.required(path)]
    found = [causes.too_long(path, 63)] if len(name) > 63 else []
    return found + [causes.invalid(path, name, text) for text in names.dns_subdomain(name.lower())]


def _csi(source: Obj, path: str) -> list[Cause]:
    found = driver_name(source.get("driver", ""), f"{path}.driver")
    found += needed(source, path, ("volumeHandle",))
    for key in ("controllerPublish", "controllerExpand", "nodePublish", "nodeExpand"):
        secret = source.get(f"{key}SecretRef")
        if secret is not None:
            found += _secret(secret, f"{path}.{key}SecretRef")
    return found


def _secret(secret: Obj, path: str) -> list[Cause]:
    found: list[Cause] = []
    for key, rule in (("name", names.dns_subdomain), ("namespace", names.dns_label)):
        given = secret.get(key)
        found += values.named(given, f"{path}.{key}", rule) if given else [causes.required(f"{path}.{key}")]
    return found


def _iscsi(source: Obj, path: str) -> list[Cause]:
    secret, found = source.get("secretRef"), storage_systems.iscsi(source, path)
    return found + (needed(secret, f"{path}.secretRef", ("name",)) if secret is not None else [])


def _azure_file(source: Obj, path: str) -> list[Cause]:
    found = needed(source, path, ("secretName", "shareName"))
    if source.get("secretNamespace") == "":
        found.append(causes.required(f"{path}.secretNamespace"))
    return found


def _glusterfs(source: Obj, path: str) -> list[Cause]:
    found, namespace = needed(source, path, ("endpoints", "path")), source.get("endpointsNamespace")
    where = f"{path}.endpointsNamespace"
    if namespace == "":
        detail = "if the endpointnamespace is set, it must be a valid namespace name"
        found.append(causes.invalid(where, namespace, detail))
    return found + (values.named(namespace, where, names.dns_label) if namespace else [])


_RULES: dict[str, Check] = {
    **storage_systems.ALIKE,
    "azureFile": _azure_file,
    "cinder": storage_systems.with_secret(storage_systems.ALIKE["cinder"], "name", "namespace"),
    "csi": _csi,
    "glusterfs": _glusterfs,
    "hostPath": _host_path,
    "iscsi": _iscsi,
    "local": _local,
    "storageos": storage_systems.with_secret(storage_systems.ALIKE["storageos"], "name", "namespace"),
}
