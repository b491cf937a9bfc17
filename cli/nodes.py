"""The nodes of a local cluster. The first one is this machine itself; each other one is a network namespace
with a host name, folders, cgroups, a containerd and a node daemon of its own. What there is of them is
written down in DATA/nodes/NAME/node.json, everything else follows from that and from the cluster's
settings."""

from __future__ import annotations

import ipaddress
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from podium.cli import daemons
from podium.cli.cluster import Cluster
from podium.cli.errors import CommandError
from podium.cli.process import Daemon
from podium.netd.dns.forward import ResolvConf, server_of
from podium.netd.nodelinks import NodeLink

# unix(7): sun_path has room for 108 bytes, one of them the closing 0; containerd appends its own suffix.
SOCKET_PATH = 107 - len(".ttrpc")
RESOLV_CONF = Path("/etc/resolv.conf")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


@dataclass(frozen=True)
class LocalNode:
    """One node. `settings` are the cluster's as this node has them: its folders, its address, its cgroups."""

    cluster: Cluster
    settings: Cluster

    @property
    def name(self) -> str:
        return self.settings.node_name

    @property
    def address(self) -> str:
        return self.settings.node_address

    @property
    def first(self) -> bool:
        return self.settings.data_dir == self.cluster.data_dir

    @property
    def daemon(self) -> Daemon:
        return daemons.node(self.settings)

    @property
    def uts(self) -> Path:
        """Where its host name's namespace is pinned."""
        return self.settings.run / "uts"

    @property
    def token_file(self) -> Path:
        """What lets it join, while it does."""
        return self.settings.pki / "token"

    @property
    def link(self) -> NodeLink:
        length = self.cluster.node_cidr.partition("/")[2]
        return NodeLink(
            node=self.name,
            pin=self.settings.run / "net",
            bridge=self.cluster.node_bridge,
            address=f"{self.address}/{length}",
            gateway=self.cluster.bridge_address,
            machine=self.cluster.node_address,
        )

    @property
    def command(self) -> list[str]:
        """What starts its daemon."""
        plain = daemons.command(self.settings, self.daemon)
        if self.first:
            return plain
        return [
            "nsenter", f"--net={self.link.pin}", f"--uts={self.uts}", *plain,
            f"--images-from={self.cluster.containerd_socket}",
            f"--join={self.cluster.advertised}", f"--token-file={self.token_file}",
        ]  # fmt: skip


def first(cluster: Cluster) -> LocalNode:
    return LocalNode(cluster, cluster)


def everyone(cluster: Cluster) -> list[LocalNode]:
    """All nodes, the first one first."""
    return [first(cluster), *others(cluster)]


def others(cluster: Cluster) -> list[LocalNode]:
    """Those in namespaces, in the order of their addresses."""
    found = []
    for path in sorted((cluster.data / "nodes").glob("*/node.json")):
        if not path.parent.name.startswith("."):
            written = json.loads(path.read_text())
            own = settings(cluster, written["name"], written["address"])
            found.append(LocalNode(cluster, replace(own, **written.get("settings", {}))))
    return sorted(found, key=lambda node: ipaddress.IPv4Address(node.address))


def find(cluster: Cluster, name: str) -> LocalNode:
    """Raises CommandError for a node that is none of this machine's."""
    nodes = everyone(cluster)
    for node in nodes:
        if node.name == name:
            return node
    known = ", ".join(node.name for node in nodes)
    raise CommandError(f"this cluster has no node {name!r} on this machine: it has {known}")


def settings(cluster: Cluster, name: str, address: str) -> Cluster:
    """The cluster's settings for the node `name`. Pure."""
    data = cluster.data / "nodes" / name
    return replace(
        cluster,
        data_dir=str(data),
        run_dir=str(cluster.run / "n" / name),
        log_dir=str(data / "log" / "pods"),
        node_name=name,
        node_address=address,
        images=str(cluster.images_folder),
        pod_manifest_path="",
        cgroup_root=f"{cluster.cgroup_root or cluster.name}/{name}",
        dns_upstream=",".join(f"{_as_seen(cluster, host)}:{port}" for host, port in upstream(cluster)),
    )


def upstream(cluster: Cluster) -> list[tuple[str, int]]:
    """The resolvers that nodes in namespaces have to be told of; none when they can follow /etc/resolv.conf
    as this machine does."""
    if cluster.dns_upstream:
        return [server_of(entry) for entry in cluster.dns_upstream.split(",")]
    read = ResolvConf(RESOLV_CONF, cluster.dns_address)()
    return read if any(is_loopback(host) for host, _ in read) else []


def _as_seen(cluster: Cluster, host: str) -> str:
    """This machine's loopback is reached by way of its address on the bridge."""
    return cluster.bridge_address if is_loopback(host) else host


def is_loopback(host: str) -> bool:
    return host.startswith("127.")


def register(cluster: Cluster, name: str = "", elsewhere: Iterable[str] = ()) -> LocalNode:
    """Writes one more node down, under the first free name unless one is given. `elsewhere` are names that
    other machines' nodes have. Raises CommandError for a name that is taken or is none, and when no address
    is left."""
    nodes = everyone(cluster)
    taken = {node.name for node in nodes} | set(elsewhere)
    chosen = name or free_name(cluster.name, taken)
    if not _NAME.fullmatch(chosen) or len(chosen) > 63:
        raise CommandError(
            f"{chosen!r} cannot be a node's name: lower-case letters, digits, '-' and '.' are, 63 at most"
        )
    if chosen in taken:
        raise CommandError(f"there is a node {chosen!r} already")
    used = {cluster.bridge_address, *(node.address for node in nodes)}
    address = free_address(cluster.node_cidr, used)
    made = LocalNode(cluster, settings(cluster, chosen, address))
    if (length := len(made.settings.containerd_socket)) > SOCKET_PATH:
        raise CommandError(
            f"{made.settings.containerd_socket} is too long for a socket ({length} characters, "
            f"{SOCKET_PATH} at most): choose a shorter --run-dir or name"
        )
    made.settings.data.mkdir(parents=True, exist_ok=True, mode=0o755)
    _write(made, {})
    return made


def adjust(node: LocalNode, own: Mapping[str, Any]) -> LocalNode:
    """The node with settings of its own from now on, in place of the cluster's."""
    if not node.first:
        written = json.loads((node.settings.data / "node.json").read_text())
        _write(node, {**written.get("settings", {}), **own})
    return replace(node, settings=replace(node.settings, **own))


def _write(node: LocalNode, own: Mapping[str, Any]) -> None:
    path = node.settings.data / "node.json"
    scratch = path.with_suffix(".tmp")
    more = {"settings": own} if own else {}
    scratch.write_text(json.dumps({"name": node.name, "address": node.address, **more}) + "\n")
    os.replace(scratch, path)


def free_name(prefix: str, taken: Iterable[str]) -> str:
    """The first of PREFIX-2, PREFIX-3, ... that nobody has. Pure."""
    used, number = set(taken), 2
    while f"{prefix}-{number}" in used:
        number += 1
    return f"{prefix}-{number}"


def free_address(cidr: str, taken: Iterable[str]) -> str:
    """The lowest address of the range that nobody has. Pure; raises CommandError."""
    used = set(taken)
    for address in ipaddress.IPv4Network(cidr).hosts():
        if str(address) not in used:
            return str(address)
    raise CommandError(f"no address is left for another node in {cidr}: choose a larger --node-cidr")
