"""What a cluster on this machine is made of: its folders, addresses and names, written down once when it is
first brought up."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from ipaddress import IPv4Network, ip_address, ip_network
from pathlib import Path

DEFAULT_DATA_DIR = "/var/lib/podium"
# As `podium.netd.config` has them, which starting a command need not import.
AUTHORIZATION_MODES = ("Node", "RBAC", "AlwaysAllow")
POD_NETWORKS = ("auto", "routes", "vxlan")


@dataclass(frozen=True)
class Cluster:
    """A local cluster's settings. Two clusters can share a machine when they share no folder, link or address
    (for instance in two network namespaces, with two data folders)."""

    name: str = "podium"
    data_dir: str = DEFAULT_DATA_DIR
    run_dir: str = "/run/podium"
    log_dir: str = "/var/log/pods"
    node_name: str = ""
    node_address: str = "10.89.0.1"
    node_cidr: str = "10.89.0.0/24"
    node_bridge: str = "podium-nodes"
    pod_bridge: str = "podium0"
    cluster_cidr: str = "10.42.0.0/16"
    service_cidr: str = "10.43.0.0/16"
    pod_network: str = "auto"
    cluster_domain: str = "cluster.local"
    api_port: int = 6443
    node_port: int = 10250
    cgroup_root: str = ""
    dns_upstream: str = ""
    check_contract: bool = False
    encryption_provider_config: str = ""
    encrypt_secrets: bool = False
    audit_policy_file: str = ""
    audit_log_path: str = ""
    audit_log_maxsize: int = 100
    audit_log_maxbackup: int = 10
    audit_log_maxage: int = 0
    shutdown_delay_duration: float = 0.0
    authorization_mode: str = "Node,RBAC"
    scheduler_config: str = ""
    nodes: str = "1"
    node_lease_duration: float = 40.0
    node_monitor_grace_period: float = 50.0
    hpa_sync_period: float = 5.0
    metrics_resolution: float = 10.0
    node_provider: str = ""
    node_scan_interval: float = 10.0
    node_provision_timeout: float = 900.0
    scale_down_unneeded_time: float = 600.0
    scale_down_delay_after_add: float = 600.0

    @property
    def service_network(self) -> IPv4Network:
        network = ip_network(self.service_cidr)
        assert isinstance(network, IPv4Network)
        return network

    @property
    def min_nodes(self) -> int:
        """How many nodes `podium up` brings up on this machine."""
        return int(self.nodes.partition(":")[0])

    @property
    def max_nodes(self) -> int:
        """How many there may be; more than `min_nodes` lets the node autoscaler add and remove some."""
        return int(self.nodes.rpartition(":")[2])

    @property
    def api_service_address(self) -> str:
        """The first address of the service range: the Service `kubernetes`."""
        return str(self.service_network[1])

    @property
    def dns_address(self) -> str:
        return str(self.service_network[10])

    @property
    def server(self) -> str:
        """The URL that kubeconfigs on this machine name."""
        return f"https://127.0.0.1:{self.api_port}"

    @property
    def bridge_address(self) -> str:
        """This machine's address on the bridge of its nodes: the node's own, unless that is on some other
        link, where other machines reach it."""
        network = ip_network(self.node_cidr)
        return self.node_address if ip_address(self.node_address) in network else str(network[1])

    @property
    def advertised(self) -> str:
        """The URL that other nodes and machines reach the API server at."""
        return f"https://{self.node_address}:{self.api_port}"

    @property
    def data(self) -> Path:
        return Path(self.data_dir)

    @property
    def run(self) -> Path:
        return Path(self.run_dir)

    @property
    def pki(self) -> Path:
        return self.data / "pki"

    @property
    def containerd_socket(self) -> str:
        return str(self.run / "containerd" / "containerd.sock")

    @property
    def admin_kubeconfig(self) -> Path:
        return self.pki / "admin.kubeconfig"

    @property
    def node_kubeconfig(self) -> Path:
        return self.pki / "node.kubeconfig"

    def save(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True, mode=0o755)
        path = self.data / "cluster.json"
        scratch = path.with_suffix(".tmp")
        scratch.write_text(json.dumps(asdict(self), indent=2) + "\n")
        os.replace(scratch, path)

    @classmethod
    def load(cls, data_dir: str) -> Cluster | None:
        """The settings of the cluster in `data_dir`; None when there is none."""
        try:
            stored = json.loads((Path(data_dir) / "cluster.json").read_text())
        except FileNotFoundError:
            return None
        known = {field.name for field in fields(cls)}
        return cls(**{key: value for key, value in stored.items() if key in known})
