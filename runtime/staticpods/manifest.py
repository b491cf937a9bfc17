"""A pod of a file. Pure.

Source: docs, "Create static Pods"; API reference, "Well-Known Labels, Annotations and Taints"."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any

import orjson
import yaml

from podium.api.types import Obj
from podium.runtime.staticpods import defaults

HASH = "kubernetes.io/config.hash"
MIRROR = "kubernetes.io/config.mirror"
SEEN = "kubernetes.io/config.seen"
SOURCE = "kubernetes.io/config.source"
LARGEST = 10 << 20
"""Bytes of a file."""

_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_NAME = re.compile(_LABEL)
_SUBDOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_UID = re.compile(r"[0-9A-Za-z][-0-9A-Za-z]{0,62}")


class BadManifest(Exception):
    """The file holds no pod that can be run."""


def parse(data: bytes, path: str, node_name: str, *, seen: str) -> Obj:
    """The pod, its name and uid the node's and the content's. `seen` is when the file was first met. Raises
    BadManifest."""
    if len(data) > LARGEST:
        raise BadManifest(f"larger than {LARGEST} bytes")
    try:
        pod: Any = yaml.load(data, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        # Dates and the like are no JSON.
        pod = orjson.loads(orjson.dumps(pod))
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise BadManifest(f"neither YAML nor JSON of one object: {error}") from error
    _check(pod)
    metadata, spec = pod["metadata"], pod["spec"]
    # Whatever others know better.
    for name in ("resourceVersion", "creationTimestamp", "generation", "ownerReferences", "managedFields"):
        metadata.pop(name, None)
    pod.pop("status", None)
    uid = metadata.get("uid") or _uid(pod, path, node_name)
    metadata.update(uid=uid, name=f"{metadata['name']}-{node_name.lower()}")
    metadata["namespace"] = metadata.get("namespace") or "default"
    metadata["annotations"] = {**(metadata.get("annotations") or {}), HASH: uid, SEEN: seen, SOURCE: "file"}
    spec["nodeName"] = node_name
    defaults.fill(pod)
    return {**pod, "status": {"phase": "Pending"}}


def _uid(pod: Obj, path: str, node_name: str) -> str:
    content = orjson.dumps(pod, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(b"\0".join([content, node_name.encode(), path.encode()])).hexdigest()[:32]


def _check(pod: Any) -> None:
    """What becomes part of paths, and what a node cannot do without. The API server holds the rest against
    its rules when it is shown the pod."""
    if not isinstance(pod, dict) or (pod.get("apiVersion"), pod.get("kind")) != ("v1", "Pod"):
        raise BadManifest("not a v1 Pod")
    metadata, spec = pod.get("metadata"), pod.get("spec")
    if not isinstance(metadata, dict) or not metadata.get("name"):
        raise BadManifest("invalid pod: name is needed for the pod")
    _match(_SUBDOMAIN, metadata["name"], "metadata.name")
    _match(_NAME, metadata.get("namespace") or "default", "metadata.namespace")
    _match(_UID, metadata.get("uid") or "0", "metadata.uid")
    if not isinstance(spec, dict) or not _objects(spec, "containers"):
        raise BadManifest("invalid pod: spec.containers: Required value")
    names = []
    for kind in ("initContainers", "containers"):
        for container in _objects(spec, kind):
            _match(_NAME, container.get("name"), f"spec.{kind}.name")
            if not isinstance(container.get("image"), str) or not container["image"]:
                raise BadManifest(f"invalid pod: spec.{kind}[{container['name']}].image: Required value")
            names.append(container["name"])
    if len(set(names)) < len(names):
        raise BadManifest("invalid pod: two containers have the same name")
    for volume in _objects(spec, "volumes"):
        _match(_NAME, volume.get("name"), "spec.volumes.name")
    if spec.get("ephemeralContainers"):
        raise BadManifest("invalid pod: spec.ephemeralContainers: may not be set")
    if plural := next(_referred(spec), ""):
        raise BadManifest(f"static pods may not reference {plural}")


def _match(pattern: re.Pattern[str], value: object, field: str) -> None:
    if not isinstance(value, str) or len(value) > 253 or not pattern.fullmatch(value):
        raise BadManifest(f"invalid pod: {field}: Invalid value: {value!r}")


def _objects(spec: Obj, field: str) -> list[Obj]:
    found = spec.get(field) or []
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise BadManifest(f"invalid pod: spec.{field}: must be a list of objects")
    return found


def _referred(spec: Obj) -> Iterator[str]:
    """The kinds of API objects that the pod needs: there may be no API server to give them."""
    if spec.get("serviceAccountName") or spec.get("serviceAccount"):
        yield "serviceaccounts"
    if spec.get("imagePullSecrets"):
        yield "secrets"
    if spec.get("resourceClaims"):
        yield "resourceclaims"
    for kind in ("initContainers", "containers"):
        for container in _objects(spec, kind):
            yield from _in_container(container)
    for volume in _objects(spec, "volumes"):
        yield from _in_volume(volume)


_BY_ENV = {
    "secretRef": "secrets", "secretKeyRef": "secrets",
    "configMapRef": "configmaps", "configMapKeyRef": "configmaps",
}  # fmt: skip
_BY_VOLUME = {
    "secret": "secrets", "configMap": "configmaps", "persistentVolumeClaim": "persistentvolumeclaims",
    "ephemeral": "persistentvolumeclaims", "serviceAccountToken": "serviceaccounts",
    "clusterTrustBundle": "clustertrustbundles", "podCertificate": "podcertificaterequests",
}  # fmt: skip


def _in_container(container: Obj) -> Iterator[str]:
    given = [variable.get("valueFrom") or {} for variable in container.get("env") or ()]
    for source in (*given, *(container.get("envFrom") or ())):
        yield from (plural for key, plural in _BY_ENV.items() if key in source)


def _in_volume(volume: Obj) -> Iterator[str]:
    sources = (volume.get("projected") or {}).get("sources") or ()
    for holder in (volume, *sources):
        yield from (plural for key, plural in _BY_VOLUME.items() if holder.get(key) is not None)
    for source in volume.values():
        if isinstance(source, dict) and ("secretRef" in source or "nodePublishSecretRef" in source):
            yield "secrets"
