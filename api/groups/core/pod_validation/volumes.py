"""A pod's volumes: one source each, complete and with paths that stay inside."""

from __future__ import annotations

from collections.abc import Sequence

from podium.api.groups.core import storage_systems
from podium.api.groups.core.claim_spec import check_claim
from podium.api.groups.core.pod_validation import env
from podium.api.groups.core.storage_systems import Check
from podium.api.groups.core.volume_sources import CALLED, TOO_LONG_PORTAL, driver_name
from podium.api.types import Obj, quantity
from podium.api.types.errors import Cause
from podium.api.validation import causes, metadata, names, values

HOST_PATH_TYPES = (
    "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket",
)  # fmt: skip
# In the order in which upstream looks at them: the second one found is the one that is refused.
SOURCES = (
    "emptyDir", "hostPath", "gitRepo", "gcePersistentDisk", "awsElasticBlockStore", "secret", "nfs", "iscsi",
    "glusterfs", "flocker", "persistentVolumeClaim", "rbd", "cinder", "cephfs", "quobyte", "downwardAPI",
    "fc", "flexVolume", "configMap", "azureFile", "vsphereVolume", "photonPersistentDisk", "portworxVolume",
    "azureDisk", "storageos", "projected", "scaleIO", "csi", "ephemeral", "image",
)  # fmt: skip
# What some sources are called as one too many.
_REFUSED = {"cephfs": "cephFS", "downwardAPI": "downwarAPI"}
PULL_POLICIES = ("Always", "IfNotPresent", "Never")
MIN_TOKEN_SECONDS = 600


def check(volumes: Sequence[Obj], path: str, pod: str = "") -> tuple[list[Cause], dict[str, Obj]]:
    """The faults, and the well-formed volumes by name. `pod` is the name of the pod that has them."""
    found: list[Cause] = []
    known: dict[str, Obj] = {}
    made = {f"{pod}-{each.get('name', '')}" for each in volumes if pod and each.get("ephemeral") is not None}
    for index, volume in enumerate(volumes):
        where, name = f"{path}[{index}]", volume.get("name", "")
        wrong = check_source(volume, where) + _of_its_own(volume, where, pod)
        if not name:
            wrong.append(causes.required(f"{where}.name"))
        else:
            wrong += values.named(name, f"{where}.name", names.dns_label)
        if name in known:
            wrong.append(causes.duplicate(f"{where}.name", name))
        if not wrong:
            known[name] = volume
        claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        if claim in made:
            detail = "must not reference a PVC that gets created for an ephemeral volume"
            wrong.append(causes.invalid(f"{where}.persistentVolumeClaim.claimName", claim, detail))
        found += wrong
    return found, known


def _of_its_own(volume: Obj, path: str, pod: str) -> list[Cause]:
    """What the name of a volume must be fit for beside being one."""
    name, found = volume.get("name", ""), []
    iscsi = volume.get("iscsi") or {}
    if "initiatorName" in iscsi and len(f"{name}:{iscsi.get('targetPortal', '')}") > 64:
        found.append(causes.invalid(f"{path}.name", name, TOO_LONG_PORTAL))
    if pod and name and volume.get("ephemeral") is not None:
        claim = f"{pod}-{name}"
        found += [
            causes.invalid(f"{path}.name", name, f"PVC name {causes.render(claim)}: {text}")
            for text in names.dns_subdomain(claim)
        ]
    return found


def check_source(volume: Obj, path: str) -> list[Cause]:
    given = [source for source in SOURCES if volume.get(source) is not None]
    if not given:
        return [causes.required(path, "must specify a volume type")]
    source = given[0]
    examine = _CHECKS.get(source)
    found = examine(volume[source], f"{path}.{CALLED.get(source, source)}") if examine else []
    return found + [
        causes.forbidden(f"{path}.{_REFUSED.get(other, other)}", "may not specify more than 1 volume type")
        for other in given[1:]
    ]


def _empty_dir(source: Obj, path: str) -> list[Cause]:
    limit = source.get("sizeLimit")
    if limit is not None and quantity.parse(limit) < 0:
        return [causes.forbidden(f"{path}.sizeLimit", "SizeLimit field must be a valid resource quantity")]
    return []


def _host_path(source: Obj, path: str) -> list[Cause]:
    if not source.get("path"):
        return [causes.required(f"{path}.path")]
    found = values.no_backsteps(source["path"], f"{path}.path")
    return found + values.optional_one_of(source.get("type"), f"{path}.type", HOST_PATH_TYPES)


def _secret(source: Obj, path: str) -> list[Cause]:
    found = [] if source.get("secretName") else [causes.required(f"{path}.secretName")]
    return found + _mode_and_items(source, path)


def _config_map(source: Obj, path: str) -> list[Cause]:
    found = [] if source.get("name") else [causes.required(f"{path}.name")]
    return found + _mode_and_items(source, path)


def _mode_and_items(source: Obj, path: str) -> list[Cause]:
    found = values.mode(source.get("defaultMode"), f"{path}.defaultMode")
    for index, item in enumerate(source.get("items") or ()):
        found += _item(item, f"{path}.items[{index}]")
    return found


def _item(item: Obj, path: str) -> list[Cause]:
    found = [causes.required(f"{path}.{key}") for key in ("key", "path") if not item.get(key)]
    found += values.not_reserved(item.get("path", ""), f"{path}.path")
    return found + values.mode(item.get("mode"), f"{path}.mode")


def _downward(source: Obj, path: str) -> list[Cause]:
    found = values.mode(source.get("defaultMode"), f"{path}.defaultMode")
    for file in source.get("items") or ():
        found += _downward_file(file, path)
    return found


def _downward_file(file: Obj, path: str) -> list[Cause]:
    found = [] if file.get("path") else [causes.required(f"{path}.path")]
    found += values.not_reserved(file.get("path", ""), f"{path}.path")
    field, resource = file.get("fieldRef"), file.get("resourceFieldRef")
    if field is not None:
        found += env.field_ref(field, env.VOLUME_FIELDS, f"{path}.fieldRef")
        if resource is not None:
            detail = "fieldRef and resourceFieldRef can not be specified simultaneously"
            found.append(causes.invalid(path, "resource", detail))
    elif resource is not None:
        found += env.resource_ref(resource, f"{path}.resourceFieldRef", in_volume=True)
    else:
        found.append(causes.required(path, "one of fieldRef and resourceFieldRef is required"))
    return found + values.mode(file.get("mode"), f"{path}.mode")


def _projected(source: Obj, path: str) -> list[Cause]:
    found = values.mode(source.get("defaultMode"), f"{path}.defaultMode")
    taken: set[str] = set()
    for index, part in enumerate(source.get("sources") or ()):
        found += _projection(part, f"{path}.sources[{index}]", path, taken)
    return found


def _projection(part: Obj, where: str, path: str, taken: set[str]) -> list[Cause]:
    found: list[Cause] = []
    paths: list[tuple[str, str]] = []
    for kind in ("secret", "configMap"):
        if (source := part.get(kind)) is not None:
            if not source.get("name"):
                found.append(causes.required(f"{where}.{kind}.name"))
            for index, item in enumerate(source.get("items") or ()):
                found += _item(item, f"{where}.{kind}.items[{index}]")
                paths.append((item.get("path", ""), source.get("name", "")))
    if (downward := part.get("downwardAPI")) is not None:
        for file in downward.get("items") or ():
            found += _downward_file(file, f"{where}.downwardAPI")
            paths.append((file.get("path", ""), file.get("path", "")))
    if (token := part.get("serviceAccountToken")) is not None:
        found += _token(token, f"{where}.serviceAccountToken", path)
    for target, shown in paths:
        if target and target in taken:
            found.append(causes.invalid(path, shown, "conflicting duplicate paths"))
        taken.add(target)
    if sum(value is not None for value in part.values()) > 1:
        found.append(causes.forbidden(where, "may not specify more than 1 volume type per source"))
    return found


def _token(token: Obj, where: str, path: str) -> list[Cause]:
    seconds = token.get("expirationSeconds", 0)
    found = []
    if seconds < MIN_TOKEN_SECONDS:
        detail = "may not specify a duration less than 10 minutes"
        found.append(causes.invalid(f"{where}.expirationSeconds", seconds, detail))
    if seconds > 2**32:
        detail = "may not specify a duration larger than 2^32 seconds"
        found.append(causes.invalid(f"{where}.expirationSeconds", seconds, detail))
    if not token.get("path"):
        found.append(causes.required(f"{path}.path"))
    else:
        found += values.not_reserved(token["path"], f"{path}.path")
    return found


def _claim(source: Obj, path: str) -> list[Cause]:
    return [] if source.get("claimName") else [causes.required(f"{path}.claimName")]


def _csi(source: Obj, path: str) -> list[Cause]:
    found = driver_name(source.get("driver", ""), f"{path}.driver")
    if (secret := source.get("nodePublishSecretRef")) is not None:
        if not secret.get("name"):
            found.append(causes.required(f"{path}.nodePublishSecretRef.name"))
        else:
            found += values.named(secret["name"], f"{path}.name", names.dns_subdomain)
    return found


def _ephemeral(source: Obj, path: str) -> list[Cause]:
    template, where = source.get("volumeClaimTemplate"), f"{path}.volumeClaimTemplate"
    if template is None:
        return [causes.required(where)]
    meta = template.get("metadata") or {}
    found = metadata.check_annotations(meta.get("annotations"), f"{where}.metadata.annotations")
    found += metadata.check_labels(meta.get("labels"), f"{where}.metadata.labels")
    found += [
        causes.forbidden(f"{where}.metadata.{key}", "cannot be set")
        for key in meta
        if key not in ("annotations", "labels") and meta[key]
    ]
    return found + check_claim(template.get("spec") or {}, f"{where}.spec")


def _image(source: Obj, path: str) -> list[Cause]:
    found = [] if source.get("reference") else [causes.required(f"{path}.reference")]
    return found + values.one_of(source.get("pullPolicy"), f"{path}.pullPolicy", PULL_POLICIES)


def _git(source: Obj, path: str) -> list[Cause]:
    found = storage_systems.needed(source, path, ("repository",))
    return found + values.descending(source.get("directory", ""), f"{path}.directory")


def _iscsi(source: Obj, path: str) -> list[Cause]:
    return storage_systems.iscsi(source, path, "must be valid format starting with iqn, eui, or naa")


_CHECKS: dict[str, Check] = {
    **storage_systems.ALIKE,
    "cinder": storage_systems.with_secret(storage_systems.ALIKE["cinder"], "name"),
    "storageos": storage_systems.with_secret(storage_systems.ALIKE["storageos"], "name"),
    "gitRepo": _git,
    "iscsi": _iscsi,
    "emptyDir": _empty_dir,
    "hostPath": _host_path,
    "secret": _secret,
    "configMap": _config_map,
    "downwardAPI": _downward,
    "projected": _projected,
    "persistentVolumeClaim": _claim,
    "csi": _csi,
    "ephemeral": _ephemeral,
    "image": _image,
}
