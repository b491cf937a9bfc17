"""The cluster's pod range cut into equal parts, one for each node. Pure."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network

Network = IPv4Network | IPv6Network


class Exhausted(Exception):
    """Every part is taken."""


class Ranges:
    """Which node holds which part. Two nodes never hold the same one."""

    def __init__(self, cluster: str, node_prefix: int = 24) -> None:
        """Raises ValueError where `node_prefix` does not fit the cluster's range."""
        self.cluster: Network = ip_network(cluster)
        if not self.cluster.prefixlen <= node_prefix <= self.cluster.max_prefixlen:
            raise ValueError(f"node ranges of /{node_prefix} do not fit into {cluster}")
        self._prefix = node_prefix
        self._size = 2 ** (self.cluster.max_prefixlen - node_prefix)
        self._count = 2 ** (node_prefix - self.cluster.prefixlen)
        self._parts: dict[str, frozenset[int]] = {}
        self._holders: dict[int, str] = {}

    def occupy(self, node: str, text: str) -> None:
        """The node has this range already. A range outside the cluster's takes no part of it. Raises
        ValueError for what is no range, or one that another node holds."""
        network = ip_network(text)
        parts = self._overlap(network)
        for part in parts:
            if self._holders.get(part, node) != node:
                raise ValueError(f"{text} of node {node} overlaps that of node {self._holders[part]}")
        self.release(node)
        self._take(node, parts)

    def allocate(self, node: str) -> str:
        """The lowest free part; the same again for a node that has one. Raises Exhausted."""
        for part in self._parts.get(node, ()):
            return self._text(part)
        for part in range(self._count):
            if part not in self._holders:
                self._take(node, frozenset({part}))
                return self._text(part)
        raise Exhausted(f"all {self._count} ranges of {self.cluster} are taken")

    def release(self, node: str) -> bool:
        """Returns whether the node held anything."""
        parts = self._parts.pop(node, frozenset())
        for part in parts:
            del self._holders[part]
        return bool(parts)

    def _take(self, node: str, parts: frozenset[int]) -> None:
        if parts:
            self._parts[node] = parts
        for part in parts:
            self._holders[part] = node

    def _text(self, part: int) -> str:
        return f"{self.cluster.network_address + part * self._size}/{self._prefix}"

    def _overlap(self, network: Network) -> frozenset[int]:
        if network.version != self.cluster.version:
            return frozenset()
        base = int(self.cluster.network_address)
        first = (int(network.network_address) - base) // self._size
        last = (int(network.broadcast_address) - base) // self._size
        return frozenset(range(max(first, 0), min(last + 1, self._count)))
