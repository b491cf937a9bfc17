"""What containers take from the API server when they are made: ConfigMaps and Secrets for their environment,
credentials for their images."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Iterable, Mapping

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.resources import CONFIG_MAPS, SECRETS, Resource
from podium.client.base import Client
from podium.runtime import references
from podium.runtime.interfaces import MountedVolume
from podium.runtime.machine import Machine
from podium.runtime.oci.env import EnvSources, environment, expand, service_variables, wanted
from podium.runtime.pods.node import PodNode

log = logging.getLogger(__name__)


async def container_env(node: PodNode, pod: Obj, container: Obj, ips: tuple[str, ...]) -> dict[str, str]:
    """The container's variables. Raises ConfigError, StatusError, ConnectionError."""
    namespace = pod["metadata"].get("namespace", "")
    names = wanted(container)
    config_maps, secrets = await asyncio.gather(
        _known(node.client, CONFIG_MAPS, namespace, names[0]),
        _known(node.client, SECRETS, namespace, names[1]),
    )
    links = pod["spec"].get("enableServiceLinks", True)
    sources = EnvSources(
        config_maps=config_maps,
        secrets=secrets,
        services=service_variables(node.services(), namespace, links),
        pod_ips=(node.host_ip,) if pod["spec"].get("hostNetwork") else ips,
        host_ip=node.host_ip,
        allocatable=allocatable(node.machine),
    )
    return environment(pod, container, sources)


async def mount_sources(
    node: PodNode, pod: Obj, container: Obj, volumes: Mapping[str, MountedVolume], env: Mapping[str, str]
) -> dict[str, tuple[str, bool]]:
    """(path on this machine, read-only by itself) for each of the container's mount paths. Raises
    VolumeError, OSError."""
    made = {}
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        volume = volumes.get(mount["name"])
        if volume is None:
            continue
        path = volume.path
        part = mount.get("subPath") or expand(mount.get("subPathExpr") or "", env.get)
        if part:
            uid, name = pod["metadata"]["uid"], container["name"]
            path = await node.volumes.subpath(uid, mount["name"], path, part, container=name, index=index)
        made[mount["mountPath"]] = (path, volume.read_only)
    return made


def allocatable(machine: Machine) -> dict[str, str]:
    return {"cpu": str(machine.cpus), "memory": str(machine.memory)}


async def _known(client: Client, resource: Resource, namespace: str, names: Iterable[str]) -> dict[str, Obj]:
    """Those of the objects that exist."""
    listed = sorted(names)
    found = await asyncio.gather(*(_get(client, resource, name, namespace) for name in listed))
    return {name: obj for name, obj in zip(listed, found, strict=True) if obj is not None}


async def _get(client: Client, resource: Resource, name: str, namespace: str) -> Obj | None:
    try:
        return await client.get(resource, name, namespace)
    except StatusError as error:
        if error.code == 404:
            return None
        raise


async def credentials(client: Client, pod: Obj, image: str) -> dict[str, str] | None:
    """CRI credentials for the image's registry from the pod's pull secrets, None when none fits."""
    try:
        host = references.parse(image).host
    except references.InvalidName:
        return None
    namespace = pod["metadata"].get("namespace", "")
    names = [each.get("name", "") for each in pod["spec"].get("imagePullSecrets") or ()]
    secrets = await _known(client, SECRETS, namespace, [name for name in names if name])
    for secret in secrets.values():
        for registry, entry in _registries(secret).items():
            if _same_host(registry, host):
                return _auth(entry)
    return None


def _registries(secret: Obj) -> Mapping[str, Obj]:
    """The registries in a `.dockerconfigjson` or `.dockercfg`."""
    data = secret.get("data") or {}
    try:
        if ".dockerconfigjson" in data:
            document: Obj = json.loads(base64.b64decode(data[".dockerconfigjson"]))
            found: Obj = document.get("auths") or {}
            return found
        if ".dockercfg" in data:
            legacy: Obj = json.loads(base64.b64decode(data[".dockercfg"]))
            return legacy
    except ValueError as error:
        log.warning("secret %s holds no docker configuration: %s", secret["metadata"]["name"], error)
    return {}


def _same_host(registry: str, host: str) -> bool:
    bare = registry.partition("://")[2] or registry
    name = bare.partition("/")[0]
    return name == host or (
        host == references.DEFAULT_HOST and name in ("index.docker.io", "registry-1.docker.io")
    )


def _auth(entry: Obj) -> dict[str, str]:
    made = {
        "username": entry.get("username", ""),
        "password": entry.get("password", ""),
        "identity_token": entry.get("identitytoken", ""),
    }
    if not made["username"] and entry.get("auth"):
        made["username"], _, made["password"] = base64.b64decode(entry["auth"]).decode().partition(":")
    return {name: value for name, value in made.items() if value}
