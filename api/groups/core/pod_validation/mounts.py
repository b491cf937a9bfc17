"""What a container mounts, and the block devices it gets."""

from __future__ import annotations

from collections.abc import Mapping

from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, values

PROPAGATIONS = ("Bidirectional", "HostToContainer", "None")
RECURSIVE = ("Disabled", "Enabled", "IfPossible")
_OPTIONS = frozenset({"subPath", "subPathExpr", "mountPropagation", "recursiveReadOnly"})

Volumes = Mapping[str, Obj]


def check(entry: Obj, volumes: Volumes, path: str) -> list[Cause]:
    """The faults of a container's mounts and devices; `volumes` are its pod's well-formed volumes by name."""
    return _mounts(entry, volumes, f"{path}.volumeMounts") + _devices(entry, volumes, f"{path}.volumeDevices")


def _mounts(entry: Obj, volumes: Volumes, path: str) -> list[Cause]:
    found: list[Cause] = []
    devices = {each.get("name", ""): each.get("devicePath", "") for each in entry.get("volumeDevices") or ()}
    taken: set[str] = set()
    for index, mount in enumerate(entry.get("volumeMounts") or ()):
        where = f"{path}[{index}]"
        name, target = mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            found.append(causes.required(f"{where}.name"))
        if name not in volumes:
            found.append(causes.not_found(f"{where}.name", name))
        if not target:
            found.append(causes.required(f"{where}.mountPath"))
        if target in taken:
            found.append(causes.invalid(f"{where}.mountPath", target, "must be unique"))
        taken.add(target)
        if name in devices:
            detail = "must not already exist in volumeDevices"
            found.append(causes.invalid(f"{where}.name", name, detail))
        if target in devices.values():
            detail = "must not already exist as a path in volumeDevices"
            found.append(causes.invalid(f"{where}.mountPath", target, detail))
        if mount.keys() & _OPTIONS:
            found += _options(mount, entry, where, path)
    return found


def _options(mount: Obj, entry: Obj, where: str, path: str) -> list[Cause]:
    found: list[Cause] = []
    if mount.get("subPath"):
        found += values.descending(mount["subPath"], f"{path}.subPath")
    if expression := mount.get("subPathExpr"):
        if mount.get("subPath"):
            detail = "subPathExpr and subPath are mutually exclusive"
            found.append(causes.invalid(f"{where}.subPathExpr", expression, detail))
        found += values.descending(expression, f"{path}.subPathExpr")
    propagation = mount.get("mountPropagation")
    found += values.optional_one_of(propagation, f"{path}.mountPropagation", PROPAGATIONS)
    if propagation == "Bidirectional" and not (entry.get("securityContext") or {}).get("privileged"):
        detail = "Bidirectional mount propagation is available only to privileged containers"
        found.append(causes.forbidden(f"{path}.mountPropagation", detail))
    return found + _recursive(mount, f"{path}.recursiveReadOnly")


def _recursive(mount: Obj, path: str) -> list[Cause]:
    wanted = mount.get("recursiveReadOnly")
    if wanted not in ("Enabled", "IfPossible"):
        return values.optional_one_of(wanted, path, RECURSIVE)
    found: list[Cause] = []
    if not mount.get("readOnly"):
        found.append(causes.forbidden(path, "may only be specified when readOnly is true"))
    if mount.get("mountPropagation") not in (None, "None"):
        detail = "may only be specified when mountPropagation is None or not specified"
        found.append(causes.forbidden(path, detail))
    return found


def _devices(entry: Obj, volumes: Volumes, path: str) -> list[Cause]:
    found: list[Cause] = []
    mounts = {each.get("name", ""): each.get("mountPath", "") for each in entry.get("volumeMounts") or ()}
    paths: set[str] = set()
    taken: set[str] = set()
    for index, device in enumerate(entry.get("volumeDevices") or ()):
        where = f"{path}[{index}]"
        name, target = device.get("name", ""), device.get("devicePath", "")
        found += _device_name(name, volumes, taken, f"{where}.name")
        found += _device_path(target, paths, f"{where}.devicePath")
        if name in mounts:
            detail = "must not already exist in volumeMounts"
            found.append(causes.invalid(f"{where}.name", name, detail))
        if target in mounts.values():
            detail = "must not already exist as a path in volumeMounts"
            found.append(causes.invalid(f"{where}.devicePath", target, detail))
    return found


def _device_name(name: str, volumes: Volumes, taken: set[str], path: str) -> list[Cause]:
    found = [] if name else [causes.required(path)]
    if name in taken:
        found.append(causes.invalid(path, name, "must be unique"))
    if name not in volumes:
        found.append(causes.not_found(path, name))
    elif not volumes[name].keys() & {"persistentVolumeClaim", "ephemeral"}:
        detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
        found.append(causes.invalid(path, name, detail))
    if name:
        taken.add(name)
    return found


def _device_path(target: str, taken: set[str], path: str) -> list[Cause]:
    found = [] if target else [causes.required(path)]
    if target in taken:
        found.append(causes.invalid(path, target, "must be unique"))
    if ".." in target.split("/"):
        found.append(causes.invalid(path, target, "can not contain backsteps ('..')"))
    else:
        taken.add(target)
    return found
