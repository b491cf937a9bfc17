"""What a pod needs of the node before it can have anything: a runtime, user namespaces, dynamic resources.

Source: KEP-585 (RuntimeClass), KEP-127 (user namespaces), KEP-4381 (dynamic resources).
"""

from __future__ import annotations

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.resources import RUNTIME_CLASSES
from podium.runtime.handlers import Runtime
from podium.runtime.oci.errors import CREATE_ERROR, ConfigError
from podium.runtime.pods.node import PodNode

NO_DRIVER = "FailedPrepareDynamicResources"


def check(pod: Obj) -> None:
    """Raises ConfigError for a pod that wants what no node of ours has: its `reason` is the event's."""
    if claims := pod["spec"].get("resourceClaims"):
        names = ", ".join(each["name"] for each in claims)
        raise ConfigError(f"resource claims {names}: there is no driver for dynamic resources", NO_DRIVER)


async def handler(node: PodNode, pod: Obj) -> str:
    """The handler that the pod's RuntimeClass names, "" without one. Raises ConfigError, StatusError,
    ConnectionError."""
    check(pod)
    name = pod["spec"].get("runtimeClassName")
    found = await _of_class(node, name) if name else ""
    named(node, found)
    if pod["spec"].get("hostUsers") is False:
        await _check_users(node, found)
    return found


async def _check_users(node: PodNode, handler: str) -> None:
    """Raises ConfigError, ContainerdError."""
    if missing := await node.support.lacks(handler):
        who = f'RuntimeClass handler "{handler}"' if handler else "runtime"
        why = f"can't set `spec.hostUsers: false`, {who} does not support user namespaces: {missing}"
        raise ConfigError(why, CREATE_ERROR)


async def _of_class(node: PodNode, name: str) -> str:
    try:
        return str((await node.client.get(RUNTIME_CLASSES, name)).get("handler", ""))
    except StatusError as error:
        if error.code == 404:
            raise ConfigError(f'RuntimeClass "{name}" not found', CREATE_ERROR) from error
        raise


def named(node: PodNode, handler: str) -> Runtime:
    """Raises ConfigError."""
    if handler not in node.config.runtimes:
        why = f'failed to get sandbox runtime: no runtime for "{handler}" is configured'
        raise ConfigError(why, CREATE_ERROR)
    return node.config.runtimes[handler]
