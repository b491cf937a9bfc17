"""What a pod refers to in its namespace, and its node therefore may read. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from podium.api.types import Obj

SECRETS, CONFIG_MAPS, CLAIMS, ACCOUNTS = "secrets", "configmaps", "persistentvolumeclaims", "serviceaccounts"
RESOURCE_CLAIMS = "resourceclaims"
_VOLUME_SECRETS = ("secretRef", "nodePublishSecretRef", "nodeStageSecretRef", "nodeExpandSecretRef")


class Reference(NamedTuple):
    plural: str
    namespace: str
    name: str


def references(pod: Obj) -> set[Reference]:
    namespace = pod["metadata"]["namespace"]
    return {Reference(plural, namespace, name) for plural, name in _named(pod) if name}


def volume_secrets(volume: Obj) -> set[Reference]:
    """What a PersistentVolume refers to, which whoever mounts it has to read."""
    spec = volume["spec"]
    home = (spec.get("claimRef") or {}).get("namespace", "")
    found = set()
    for source in spec.values():
        for key in _VOLUME_SECRETS if isinstance(source, dict) else ():
            if secret := source.get(key):
                found.add(Reference(SECRETS, secret.get("namespace") or home, secret.get("name", "")))
    azure = spec.get("azureFile") or {}
    if azure:
        found.add(Reference(SECRETS, azure.get("secretNamespace") or home, azure.get("secretName", "")))
    return found


def _named(pod: Obj) -> Iterator[tuple[str, str]]:
    spec = pod["spec"]
    yield ACCOUNTS, spec.get("serviceAccountName", "")
    for pull in spec.get("imagePullSecrets") or ():
        yield SECRETS, pull.get("name", "")
    for key in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(key) or ():
            yield from _of_container(container)
    for volume in spec.get("volumes") or ():
        yield from _of_volume(volume, pod["metadata"]["name"])
    for claim in (pod.get("status") or {}).get("resourceClaimStatuses") or ():
        yield RESOURCE_CLAIMS, claim.get("resourceClaimName", "")
    for claim in spec.get("resourceClaims") or ():
        yield RESOURCE_CLAIMS, claim.get("resourceClaimName", "")


def _of_container(container: Obj) -> Iterator[tuple[str, str]]:
    for source in container.get("envFrom") or ():
        yield SECRETS, (source.get("secretRef") or {}).get("name", "")
        yield CONFIG_MAPS, (source.get("configMapRef") or {}).get("name", "")
    for variable in container.get("env") or ():
        source = variable.get("valueFrom") or {}
        yield SECRETS, (source.get("secretKeyRef") or {}).get("name", "")
        yield CONFIG_MAPS, (source.get("configMapKeyRef") or {}).get("name", "")


def _of_volume(volume: Obj, pod: str) -> Iterator[tuple[str, str]]:
    yield SECRETS, (volume.get("secret") or {}).get("secretName", "")
    yield CONFIG_MAPS, (volume.get("configMap") or {}).get("name", "")
    yield CLAIMS, (volume.get("persistentVolumeClaim") or {}).get("claimName", "")
    if "ephemeral" in volume:
        yield CLAIMS, f"{pod}-{volume['name']}"
    for source in (volume.get("projected") or {}).get("sources") or ():
        yield SECRETS, (source.get("secret") or {}).get("name", "")
        yield CONFIG_MAPS, (source.get("configMap") or {}).get("name", "")
    for plugin in volume.values():
        if isinstance(plugin, dict):
            for key in ("secretRef", "nodePublishSecretRef"):
                yield SECRETS, (plugin.get(key) or {}).get("name", "")
