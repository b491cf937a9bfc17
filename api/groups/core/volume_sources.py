"""What a PersistentVolume is made of: exactly one of many kinds of volumes.

Source: API reference, PersistentVolumeSpec.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable

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
_QUALIFIED_NAMES = {
    "iqn": re.compile(r"iqn\.\d{4}-\d{2}\.([0-9a-z-.]+)(:([^,;*&$|\s]+)?)?$"),
    "eui": re.compile(r"eui.[0-9a-fA-F]{16}$"),
    "naa": re.compile(r"naa.([0-9a-fA-F]{16}|[0-9a-fA-F]{32})$"),
}


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
    first, *more = given
    found = [causes.forbidden(f"{path}.{key}", "may not specify more than 1 volume type") for key in more]
    if rule := _RULES.get(first):
        found += rule(given[first], f"{path}.{first}", name)
    if "local" in given and not spec.get("nodeAffinity"):
        found.append(causes.required(f"{path}.nodeAffinity", "Local volume requires node affinity"))
    recycled = spec.get("persistentVolumeReclaimPolicy") == "Recycle"
    if recycled and "hostPath" in given and posixpath.normpath(given["hostPath"].get("path", "")) == "/":
        detail = "may not be 'recycle' for a hostPath mount of '/'"
        found.append(causes.forbidden(f"{path}.persistentVolumeReclaimPolicy", detail))
    return found


def _needed(source: Obj, path: str, keys: Iterable[str]) -> list[Cause]:
    return [causes.required(f"{path}.{key}") for key in keys if not source.get(key)]


def _host_path(source: Obj, path: str, _: str) -> list[Cause]:
    if not source.get("path"):
        return [causes.required(f"{path}.path")]
    found = values.no_backsteps(source["path"], f"{path}.path")
    return found + values.optional_one_of(source.get("type"), f"{path}.type", HOST_PATH_TYPES)


def _local(source: Obj, path: str, _: str) -> list[Cause]:
    if not source.get("path"):
        return [causes.required(f"{path}.path")]
    return values.no_backsteps(source["path"], f"{path}.path")


def _nfs(source: Obj, path: str, _: str) -> list[Cause]:
    found = _needed(source, path, ("server", "path"))
    if not source.get("path", "").startswith("/"):
        found.append(causes.invalid(f"{path}.path", source.get("path", ""), "must be an absolute path"))
    return found


def driver_name(name: str, path: str) -> list[Cause]:
    """The faults of a CSI driver's name."""
    if not name:
        return [causes.required(path)]
    found = [causes.too_long(path, 63)] if len(name) > 63 else []
    return found + [causes.invalid(path, name, text) for text in names.dns_subdomain(name.lower())]


def _csi(source: Obj, path: str, _: str) -> list[Cause]:
    found = driver_name(source.get("driver", ""), f"{path}.driver")
    found += _needed(source, path, ("volumeHandle",))
    for key in ("controllerPublish", "controllerExpand", "nodePublish", "nodeExpand"):
        secret = source.get(f"{key}SecretRef")
        if secret is not None:
            found += _needed(secret, f"{path}.{key}SecretRef", ("name", "namespace"))
    return found


def _fc(source: Obj, path: str, _: str) -> list[Cause]:
    where = f"{path}.targetWWNs"
    names_given, ids, lun = source.get("targetWWNs"), source.get("wwids"), source.get("lun")
    if not names_given:
        return (
            [] if ids else [causes.required(where, "must specify either targetWWNs or wwids, but not both")]
        )
    found = []
    if ids:
        detail = "targetWWNs and wwids can not be specified simultaneously"
        found.append(causes.invalid(where, names_given, detail))
    if lun is None:
        found.append(causes.required(f"{path}.lun", "lun is required if targetWWNs is specified"))
    elif not 0 <= lun <= 255:
        found.append(causes.invalid(f"{path}.lun", lun, values.in_range(0, 255)))
    return found


def _iscsi(source: Obj, path: str, name: str) -> list[Cause]:
    found = _needed(source, path, ("targetPortal", "iqn"))
    portal, initiator, lun = source.get("targetPortal", ""), source.get("initiatorName"), source.get("lun", 0)
    if initiator is not None and len(f"{name}:{portal}") > 64:
        detail = (
            "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if "
            "iscsi.initiatorName is specified."
        )
        found.append(causes.invalid(f"{path}.targetportal", portal, detail))
    for key, text in (("iqn", source.get("iqn")), ("initiatorname", initiator)):
        if text and not _is_qualified(text):
            found.append(causes.invalid(f"{path}.{key}", text, "must be valid format"))
    if not 0 <= lun <= 255:
        found.append(causes.invalid(f"{path}.lun", lun, values.in_range(0, 255)))
    secret = source.get("secretRef")
    if secret is None and (source.get("chapAuthDiscovery") or source.get("chapAuthSession")):
        found.append(causes.required(f"{path}.secretRef"))
    return found + (_needed(secret, f"{path}.secretRef", ("name",)) if secret is not None else [])


def _is_qualified(text: str) -> bool:
    form = _QUALIFIED_NAMES.get(text[:3])
    return form is not None and form.match(text) is not None


def _azure_file(source: Obj, path: str, _: str) -> list[Cause]:
    found = _needed(source, path, ("secretName", "shareName"))
    if source.get("secretNamespace") == "":
        found.append(causes.required(f"{path}.secretNamespace"))
    return found


def _fields(*keys: str) -> Callable[[Obj, str, str], list[Cause]]:
    return lambda source, path, _: _needed(source, path, keys)


_RULES: dict[str, Callable[[Obj, str, str], list[Cause]]] = {
    "hostPath": _host_path,
    "local": _local,
    "nfs": _nfs,
    "csi": _csi,
    "fc": _fc,
    "iscsi": _iscsi,
    "azureFile": _azure_file,
    "awsElasticBlockStore": _fields("volumeID"),
    "azureDisk": _fields("diskName", "diskURI"),
    "cephfs": _fields("monitors"),
    "cinder": _fields("volumeID"),
    "flexVolume": _fields("driver"),
    "gcePersistentDisk": _fields("pdName"),
    "glusterfs": _fields("endpoints", "path"),
    "photonPersistentDisk": _fields("pdID"),
    "portworxVolume": _fields("volumeID"),
    "quobyte": _fields("registry", "volume"),
    "rbd": _fields("monitors", "image"),
    "scaleIO": _fields("gateway", "system", "volumeName"),
    "vsphereVolume": _fields("volumePath"),
}
