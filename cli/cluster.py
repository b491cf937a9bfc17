"""What a cluster on this machine is made of: its folders, addresses and names, written down once when it is
first brought up."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from ipaddress import IPv4Network, ip_network
from pathlib import Path

DEFAULT_DATA_DIR = "/var/lib/podium"


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
    cluster_domain: str = "cluster.local"
    api_port: int = 6443
    node_port: int = 10250
    cgroup_root: str = ""
    dns_upstream: str = ""
    check_contract: bool = False

    @property
    def service_network(self) -> IPv4Network:
        network = ip_network(self.service_cidr)
        assert isinstance(network, IPv4Network)
        return network

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
