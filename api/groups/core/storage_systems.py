"""Volumes of storage systems outside the cluster: what a pod and a PersistentVolume say of them alike.

Source: API reference, Volume and PersistentVolumeSpec.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, names, values

Check = Callable[[Obj, str], list[Cause]]

# Zero is taken, too, though it is not told.
PARTITION, UNIT = values.in_range(1, 255), values.in_range(0, 255)
PAIRS = "must be a host:port pair or multiple pairs separated by commas"
LONGEST_TENANT = 64
CACHING, DISK_KINDS = ("None", "ReadOnly", "ReadWrite"), ("Dedicated", "Managed", "Shared")
_MANAGED_DISK = (
    "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"
)
_BLOB_DISK = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"
_PAIR = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*):[^:\[\]]*")
_QUALIFIED_NAMES = {
    "iqn": re.compile(r"iqn\.\d{4}-\d{2}\.([0-9a-z-.]+)(:([^,;*&$|\s]+)?)?$"),
    "eui": re.compile(r"eui.[0-9a-fA-F]{16}$"),
    "naa": re.compile(r"naa.([0-9a-fA-F]{16}|[0-9a-fA-F]{32})$"),
}


def needed(source: Obj, path: str, keys: Iterable[str]) -> list[Cause]:
    return [causes.required(f"{path}.{key}") for key in keys if not source.get(key)]


def fields(*keys: str) -> Check:
    return lambda source, path: needed(source, path, keys)


def nfs(source: Obj, path: str) -> list[Cause]:
    found = needed(source, path, ("server", "path"))
    if not source.get("path", "").startswith("/"):
        found.append(causes.invalid(f"{path}.path", source.get("path", ""), "must be an absolute path"))
    return found


def fc(source: Obj, path: str) -> list[Cause]:
    where = f"{path}.targetWWNs"
    given, ids, lun = source.get("targetWWNs"), source.get("wwids"), source.get("lun")
    if not given:
        detail = "must specify either targetWWNs or wwids, but not both"
        return [] if ids else [causes.required(where, detail)]
    found = []
    if ids:
        detail = "targetWWNs and wwids can not be specified simultaneously"
        found.append(causes.invalid(where, given, detail))
    if lun is None:
        found.append(causes.required(f"{path}.lun", "lun is required if targetWWNs is specified"))
    elif not 0 <= lun <= 255:
        found.append(causes.invalid(f"{path}.lun", lun, UNIT))
    return found


def iscsi(source: Obj, path: str, strange: str = "must be valid format") -> list[Cause]:
    """`strange` is what is said of a name that starts like none of the three forms."""
    found = needed(source, path, ("targetPortal", "iqn"))
    if source.get("iqn"):
        found += _qualified(source["iqn"], f"{path}.iqn", strange)
    lun = source.get("lun", 0)
    if not 0 <= lun <= 255:
        found.append(causes.invalid(f"{path}.lun", lun, UNIT))
    if source.get("secretRef") is None and (source.get("chapAuthDiscovery") or source.get("chapAuthSession")):
        found.append(causes.required(f"{path}.secretRef"))
    if source.get("initiatorName") is not None:
        found += _qualified(source["initiatorName"], f"{path}.initiatorname", strange)
    return found


def _qualified(text: str, path: str, strange: str) -> list[Cause]:
    form = _QUALIFIED_NAMES.get(text[:3])
    if form is None:
        return [causes.invalid(path, text, strange)]
    return [] if form.match(text) else [causes.invalid(path, text, "must be valid format")]


def _disk(key: str) -> Check:
    def check(source: Obj, path: str) -> list[Cause]:
        found, part = needed(source, path, (key,)), source.get("partition", 0)
        if not 0 <= part <= 255:
            found.append(causes.invalid(f"{path}.partition", part, PARTITION))
        return found

    return check


def _quobyte(source: Obj, path: str) -> list[Cause]:
    registry = source.get("registry", "")
    found: list[Cause] = []
    if not registry:
        found.append(causes.required(f"{path}.registry", PAIRS))
    elif len(source.get("tenant", "")) > LONGEST_TENANT:
        detail = f"must be a UUID and may not exceed a length of {LONGEST_TENANT} characters"
        found.append(causes.required(f"{path}.tenant", detail))
    else:
        wrong = [pair for pair in registry.split(",") if not _PAIR.fullmatch(pair)]
        found += [causes.invalid(f"{path}.registry", registry, PAIRS) for _ in wrong]
    return found + needed(source, path, ("volume",))


def _flocker(source: Obj, path: str) -> list[Cause]:
    name, uuid = source.get("datasetName", ""), source.get("datasetUUID", "")
    found: list[Cause] = []
    if not name and not uuid:
        found.append(causes.required(path, "one of datasetName and datasetUUID is required"))
    if name and uuid:
        detail = "datasetName and datasetUUID can not be specified simultaneously"
        found.append(causes.invalid(path, "resource", detail))
    if "/" in name:
        found.append(causes.invalid(f"{path}.datasetName", name, "must not contain '/'"))
    return found


def _flex(source: Obj, path: str) -> list[Cause]:
    found = needed(source, path, ("driver",))
    for key in source.get("options") or ():
        if f".{key.partition('/')[0].lower()}".endswith((".kubernetes.io", ".k8s.io")):
            detail = "kubernetes.io and k8s.io namespaces are reserved"
            found.append(causes.invalid(f"{path}.options[{key}]", key, detail))
    return found


def _azure_disk(source: Obj, path: str) -> list[Cause]:
    found = needed(source, path, ("diskName", "diskURI"))
    found += values.optional_one_of(source.get("cachingMode"), f"{path}.cachingMode", CACHING)
    kind, uri = source.get("kind"), source.get("diskURI", "")
    found += values.optional_one_of(kind, f"{path}.kind", DISK_KINDS)
    if kind == "Managed" and not uri.startswith("/subscriptions/"):
        found.append(causes.not_supported(f"{path}.diskURI", uri, (_MANAGED_DISK,)))
    elif kind not in (None, "Managed") and not uri.startswith("https://"):
        found.append(causes.not_supported(f"{path}.diskURI", uri, (_BLOB_DISK,)))
    return found


def storageos(source: Obj, path: str) -> list[Cause]:
    found = needed(source, path, ("volumeName",))
    for key in ("volumeName", "volumeNamespace"):
        if source.get(key):
            found += values.named(source[key], f"{path}.{key}", names.dns_label)
    return found


def with_secret(check: Check, *keys: str) -> Check:
    """A rule for a source and, where it names a secret, for what is said of that one."""

    def both(source: Obj, path: str) -> list[Cause]:
        secret, found = source.get("secretRef"), check(source, path)
        return found if secret is None else found + needed(secret, f"{path}.secretRef", keys)

    return both


ALIKE: dict[str, Check] = {
    "awsElasticBlockStore": _disk("volumeID"),
    "azureDisk": _azure_disk,
    "azureFile": fields("secretName", "shareName"),
    "cephfs": fields("monitors"),
    "cinder": fields("volumeID"),
    "fc": fc,
    "flexVolume": _flex,
    "flocker": _flocker,
    "gcePersistentDisk": _disk("pdName"),
    "glusterfs": fields("endpoints", "path"),
    "nfs": nfs,
    "photonPersistentDisk": fields("pdID"),
    "portworxVolume": fields("volumeID"),
    "quobyte": _quobyte,
    "rbd": fields("monitors", "image"),
    "scaleIO": fields("gateway", "system", "volumeName"),
    "storageos": storageos,
    "vsphereVolume": fields("volumePath"),
}
