"""What a node's network is made of. Every name and range is here, so that two clusters can live in two
namespaces."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

# How packets get to the pods of other nodes: by routes where the nodes share a link and by a tunnel
# otherwise, or always by one of them.
Mode: TypeAlias = Literal["auto", "routes", "vxlan"]
MODES: tuple[Mode, ...] = ("auto", "routes", "vxlan")


@dataclass(frozen=True)
class NetConfig:
    """`node_address` is the node's InternalIP. `upstream_dns` are the resolvers that names outside of the
    cluster are asked from, "ADDRESS" or "ADDRESS:PORT"; None means those of /etc/resolv.conf. `state_dir`
    keeps what the kernel has no place for (the host ports of pods)."""

    node_name: str
    node_address: str
    cluster_cidr: str = "10.42.0.0/16"
    service_cidr: str = "10.43.0.0/16"
    dns_address: str = "10.43.0.10"
    cluster_domain: str = "cluster.local"
    bridge: str = "podium0"
    table: str = "podium"
    node_bridge: str = "podium-nodes"
    tunnel: str = "podium-vxlan"
    mode: Mode = "auto"
    upstream_dns: tuple[str, ...] | None = None
    resolv_conf: Path = field(default=Path("/etc/resolv.conf"))
    state_dir: Path = field(default=Path("/var/lib/podium/node/net"))

    @property
    def policy_table(self) -> str:
        return f"{self.table}-policy"
