"""From what a volume names to the files it shows. Pure: the objects are given.

A configMap, secret or downwardAPI volume is a projected volume of one source, so all four are read as a list
of projected sources."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from podium.api.types import Obj
from podium.api.types.resources import CONFIG_MAPS, PODS, SECRETS, Resource
from podium.storage import downward
from podium.storage.atomic import File
from podium.storage.base import Request
from podium.storage.errors import VolumeError, failed
from podium.storage.objects import Reference

Source = Mapping[str, Any]
Files = dict[str, File]

DEFAULT_MODE = 0o644
_RESOURCES: dict[str, Resource] = {"configMap": CONFIG_MAPS, "secret": SECRETS}
_KEY_MISSING = {
    "configMap": "configmap references non-existent config key: {}",
    "secret": "references non-existent secret key: {}",
}


class Spec(NamedTuple):
    """A payload volume in its common form."""

    sources: Sequence[Source]
    default_mode: int


def spec_of(request: Request) -> Spec:
    source = request.source
    mode = int(source.get("defaultMode", DEFAULT_MODE))
    match request.type:
        case "projected":
            return Spec(source.get("sources") or (), mode)
        case "secret":
            return Spec([{"secret": {**source, "name": source.get("secretName", "")}}], mode)
    return Spec([{request.type: source}], mode)


def kind_of(source: Source) -> str:
    """The field that is set: `configMap`, `secret`, `downwardAPI`, `serviceAccountToken`, or one we do not
    know."""
    return next(iter(source), "")


def reference_of(source: Source, namespace: str) -> Reference | None:
    """The ConfigMap or Secret that a source shows."""
    kind = kind_of(source)
    resource = _RESOURCES.get(kind)
    return Reference(resource, namespace, str(source[kind].get("name", ""))) if resource else None


def references(request: Request) -> list[Reference]:
    """Every object whose change may change the volume's files: for the downward API, the pod itself."""
    found = []
    for source in spec_of(request).sources:
        if reference := reference_of(source, request.namespace):
            found.append(reference)
        elif follows_pod(source):
            found.append(pod_reference(request))
    return found


def follows_pod(source: Source) -> bool:
    """Whether the source shows what may change during a pod's life: labels or annotations."""
    items = (source.get("downwardAPI") or {}).get("items") or ()
    paths = [(item.get("fieldRef") or {}).get("fieldPath", "") for item in items]
    return any(path.startswith(("metadata.labels", "metadata.annotations")) for path in paths)


def pod_reference(request: Request) -> Reference:
    return Reference(PODS, request.namespace, str(request.pod["metadata"]["name"]))


def needs_node(request: Request) -> bool:
    """Whether the node's allocatable resources are shown."""
    return any(
        downward.needs_node(request.pod, item["resourceFieldRef"])
        for source in spec_of(request).sources
        for item in (source.get("downwardAPI") or {}).get("items") or ()
        if "resourceFieldRef" in item
    )


def object_files(source: Source, obj: Obj | None, default_mode: int) -> Files:
    """What a configMap or secret source shows of its object. Raises VolumeError."""
    kind = kind_of(source)
    wanted: Source = source[kind]
    optional = bool(wanted.get("optional"))
    if obj is None and not optional:
        raise failed(f'{kind.lower()} "{wanted.get("name", "")}" not found')
    data = _data(kind, obj or {})
    items = wanted.get("items")
    if not items:
        return {key: File(content, default_mode) for key, content in data.items()}
    files: Files = {}
    for item in items:
        content = data.get(item["key"])
        if content is not None:
            files[item["path"]] = File(content, int(item.get("mode", default_mode)))
        elif not optional:
            raise failed(_KEY_MISSING[kind].format(item["key"]))
    return files


def _data(kind: str, obj: Obj) -> dict[str, bytes]:
    if kind == "secret":
        return {key: base64.b64decode(text) for key, text in (obj.get("data") or {}).items()}
    found = {key: text.encode() for key, text in (obj.get("data") or {}).items()}
    found.update({key: base64.b64decode(text) for key, text in (obj.get("binaryData") or {}).items()})
    return found


def downward_files(
    items: Iterable[Mapping[str, Any]], pod: Obj, allocatable: Mapping[str, Any], default_mode: int
) -> Files:
    """Raises VolumeError."""
    files: Files = {}
    for item in items:
        if "fieldRef" in item:
            text = downward.field_text(pod, item["fieldRef"]["fieldPath"])
        else:
            text = downward.resource_text(pod, item["resourceFieldRef"], allocatable)
        files[item["path"]] = File(text.encode(), int(item.get("mode", default_mode)))
    return files


def aggregate(errors: Sequence[VolumeError]) -> VolumeError:
    """All sources' faults in one."""
    texts = list(dict.fromkeys(error.message for error in errors))
    return failed(texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")


def nested_mount_points(pod: Obj, volume: str) -> set[str]:
    """The directories that other volumes are mounted on inside this one, relative to it: nobody can make them
    later, since the volume is read-only in the containers."""
    found: set[str] = set()
    for field in ("initContainers", "containers", "ephemeralContainers"):
        for container in pod["spec"].get(field) or ():
            mounts = container.get("volumeMounts") or ()
            bases = [
                PurePosixPath(m["mountPath"]) for m in mounts if m["name"] == volume and not m.get("subPath")
            ]
            for other in mounts:
                path = PurePosixPath(other["mountPath"])
                found |= {str(path.relative_to(base)) for base in bases if base in path.parents}
    return {path for path in found if ".." not in PurePosixPath(path).parts}
