"""The node API: what the kubelet serves on port 10250, over TLS with client certificates. Logs, exec,
attach, statistics.

`NodeServer(Node(config, pods, outputs, containerd, cgroups))` with `start` and `stop` is all that the
daemon needs. A handler decides in plain functions (`request`, `channels`, `status`, `summary`) and does
through containerd and `podium.runtime.logs`."""

from podium.runtime.nodeapi.interfaces import Node, NodeApiConfig
from podium.runtime.nodeapi.server import NodeServer

__all__ = ["Node", "NodeApiConfig", "NodeServer"]
