"""A local node as a machine that is plugged in before its daemon starts."""

from __future__ import annotations

from podium.cli.nodes import LocalNode
from podium.netd import nodelinks
from podium.runtime import mounting


def prepare(node: LocalNode) -> None:
    """Everything that its daemon needs to start: for a node that is not the first one, a network and a
    host name of its own."""
    if node.first:
        return
    cluster = node.cluster
    ranges = (cluster.cluster_cidr, cluster.service_cidr)
    mounting.apart(lambda: nodelinks.attach(node.link, ranges))
    if not mounting.is_mounted(node.uts):
        node.uts.touch()
        mounting.in_new_namespaces(mounting.CLONE_NEWUTS, {"uts": node.uts}, hostname=node.name)
