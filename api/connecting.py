"""What admission is shown of a connection to a node, a pod or a service."""

from __future__ import annotations

from podium.api.types import Obj
from podium.api.types.resources import Resource

Pairs = list[tuple[str, str]]

PORT_DIGITS = 5


def connect_options(resource: Resource, subresource: str, rest: str, pairs: Pairs) -> Obj:
    """What admission sees of a connection: PodExecOptions, ServiceProxyOptions, ... Source: API reference."""
    name = "PortForward" if subresource == "portforward" else subresource.capitalize()
    options: Obj = {"kind": f"{resource.kind}{name}Options", "apiVersion": "v1"}
    query = dict(pairs)
    if subresource == "proxy":
        return options | {"path": rest}
    if subresource == "portforward":
        texts = [text for name, value in pairs if name == "ports" for text in value.split(",")]
        ports = [int(text) for text in texts if text.isdecimal() and len(text) <= PORT_DIGITS]
        return options | ({"ports": ports} if ports else {})
    for flag in ("stdin", "stdout", "stderr", "tty"):
        if query.get(flag, "").lower() in ("1", "true"):
            options[flag] = True
    if query.get("container"):
        options["container"] = query["container"]
    if subresource == "exec":
        options["command"] = [value for name, value in pairs if name == "command"]
    return options
