"""Connections to a pod's ports, from within its network."""

from __future__ import annotations

import asyncio
import os
import socket

from podium.runtime.interfaces import PodView
from podium.runtime.nodeapi.netns import socket_in


async def connect(netns: str, port: int) -> socket.socket:
    """A connection to a port of the loopback address in a network namespace ("" for the node's own). Raises
    OSError."""
    connection = await asyncio.to_thread(socket_in, netns)
    connection.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
    except BaseException:
        connection.close()
        raise
    return connection


def refusal(view: PodView, port: int, failure: OSError) -> str:
    """What a client is told, in upstream's words."""
    why = os.strerror(failure.errno).lower() if failure.errno else str(failure)
    uid = view.pod["metadata"]["uid"]
    inside = f'localhost:{port} inside namespace "{view.netns}"'
    dialed = f"IPv4: dial tcp4 127.0.0.1:{port}: connect: {why}"
    return f"error forwarding port {port} to pod {uid}, uid {uid}: failed to connect to {inside}, {dialed}"
