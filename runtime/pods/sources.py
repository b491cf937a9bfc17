"""What containers take from the API server when they are made: what their environment is of."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable, Mapping

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.resources import CONFIG_MAPS, SECRETS, Resource
from podium.client.base import Client
from podium.runtime.interfaces import MountedVolume
from podium.runtime.oci.env import (
    EnvSources,
    environment,
    expand,
    service_variables,
    wanted,
    wanted_files,
)
from podium.runtime.oci.errors import ConfigError
from podium.runtime.pods.node import PodNode
from podium.storage.kernel import open_beneath

log = logging.getLogger(__name__)

MAX_FILE = 1 << 20


async def container_env(
    node: PodNode,
    pod: Obj,
    container: Obj,
    ips: tuple[str, ...],
    volumes: Mapping[str, MountedVolume],
) -> dict[str, str]:
    """The container's variables. Raises ConfigError, StatusError, ConnectionError."""
    namespace = pod["metadata"].get("namespace", "")
    names = wanted(container)
    config_maps, secrets = await asyncio.gather(
        _known(node.client, CONFIG_MAPS, namespace, names[0]),
        _known(node.client, SECRETS, namespace, names[1]),
    )
    links = pod["spec"].get("enableServiceLinks", True)
    in_files = list(wanted_files(container))
    files = await asyncio.to_thread(_files, in_files, volumes) if in_files else {}
    sources = EnvSources(
        files=files,
        config_maps=config_maps,
        secrets=secrets,
        services=service_variables(node.services(), namespace, links),
        pod_ips=(node.host_ip,) if pod["spec"].get("hostNetwork") else ips,
        host_ip=node.host_ip,
        allocatable=_allocatable(node),
    )
    return environment(pod, container, sources)


def _files(
    wanted: Iterable[tuple[str, str]], volumes: Mapping[str, MountedVolume]
) -> dict[tuple[str, str], str]:
    """What can be read of files in volumes. A link that a container has made leads nowhere outside of
    them."""
    found = {}
    for volume, path in wanted:
        if volume not in volumes:
            raise ConfigError(f'cannot find the volume "{volume}" referenced by FileKeyRef')
        try:
            found[(volume, path)] = _text(volumes[volume].path, path)
        except OSError as error:
            log.info("cannot read %s of volume %s: %s", path, volume, error)
    return found


def _text(folder: str, path: str) -> str:
    root = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # A pipe that nobody writes to must keep nobody waiting.
        file = open_beneath(root, path, os.O_RDONLY | os.O_NONBLOCK)
    finally:
        os.close(root)
    with os.fdopen(file, "rb") as content:
        return content.read(MAX_FILE).decode(errors="surrogateescape")


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


def mapped(
    container: Obj, volumes: Mapping[str, MountedVolume], found: Mapping[str, tuple[str, bool]]
) -> frozenset[str]:
    """Those of the paths in `found` whose files belong to the pod's own users anyway."""
    theirs = {name for name, volume in volumes.items() if volume.mapped}
    mounts = container.get("volumeMounts") or ()
    return frozenset(found[each["mountPath"]][0] for each in mounts if each["name"] in theirs)


def _allocatable(node: PodNode) -> Mapping[str, str]:
    """What the node can give: as it is told, else all that there is."""
    told: Mapping[str, str] = ((node.known() or {}).get("status") or {}).get("allocatable") or {}
    return told or {"cpu": str(node.machine.cpus), "memory": str(node.machine.memory)}


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
