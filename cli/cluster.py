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
AUTHORIZATION_MODES = ("Node", "RBAC", "AlwaysAllow", "Webhook")
# What nodes may have in another way than their cluster.
OF_NODE = (
    "eviction_hard", "eviction_soft", "eviction_soft_grace_period", "eviction_minimum_reclaim",
    "eviction_pressure_transition_period", "eviction_max_pod_grace_period", "kube_reserved",
    "system_reserved", "cgroup_driver", "pod_max_pids", "node_labels", "register_with_taints",
    "container_log_max_size", "container_log_max_files", "shutdown_grace_period",
    "shutdown_grace_period_critical_pods", "shutdown_grace_period_by_pod_priority",
    "pod_manifest_path", "max_parallel_image_pulls",
    "image_pull_credentials_verification", "image_pull_credentials_allowlist", "image_gc_high_threshold",
    "image_gc_low_threshold", "minimum_image_ttl_duration", "maximum_image_gc_age",
    "allowed_unsafe_sysctls", "runtime_handlers", "max_container_restart_period",
)  # fmt: skip
# As `podium.runtime.pulling.records` has them.
PULL_VERIFICATIONS = (
    "NeverVerify", "NeverVerifyPreloadedImages", "NeverVerifyAllowlistedImages", "AlwaysVerify",
)  # fmt: skip
CGROUP_DRIVERS = ("cgroupfs", "systemd", "auto")
# As `podium.runtime.eviction.thresholds` has it.
DEFAULT_EVICTION_HARD = (
    "memory.available<100Mi,nodefs.available<10%,nodefs.inodesFree<5%,"
    "imagefs.available<15%,imagefs.inodesFree<5%"
)
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
    audit_webhook_config_file: str = ""
    audit_webhook_batch_buffer_size: int = 10_000
    audit_webhook_batch_max_size: int = 400
    audit_webhook_batch_max_wait: float = 30.0
    audit_webhook_batch_throttle_qps: float = 10.0
    audit_webhook_batch_throttle_burst: int = 15
    audit_webhook_initial_backoff: float = 10.0
    shutdown_delay_duration: float = 0.0
    request_timeout: float = 60.0
    max_requests_inflight: int = 400
    max_mutating_requests_inflight: int = 200
    logging_format: str = "text"
    service_account_issuer: str = ""
    service_account_key_file: str = ""
    api_audiences: str = ""
    token_auth_file: str = ""
    anonymous_auth: bool = True
    authentication_config: str = ""
    authentication_token_webhook_config_file: str = ""
    authentication_token_webhook_version: str = "v1"
    authentication_token_webhook_cache_ttl: float = 120.0
    authorization_mode: str = "Node,RBAC"
    authorization_config: str = ""
    authorization_webhook_config_file: str = ""
    authorization_webhook_version: str = "v1"
    authorization_webhook_cache_authorized_ttl: float = 300.0
    authorization_webhook_cache_unauthorized_ttl: float = 30.0
    enable_admission_plugins: str = ""
    disable_admission_plugins: str = ""
    admission_control_config_file: str = ""
    scheduler_config: str = ""
    nodes: str = "1"
    node_lease_duration: float = 40.0
    eviction_hard: str = DEFAULT_EVICTION_HARD
    eviction_soft: str = ""
    eviction_soft_grace_period: str = ""
    eviction_minimum_reclaim: str = ""
    eviction_pressure_transition_period: float = 300.0
    eviction_max_pod_grace_period: int = 0
    kube_reserved: str = ""
    system_reserved: str = ""
    cgroup_driver: str = "cgroupfs"
    pod_max_pids: int = -1
    node_labels: str = ""
    register_with_taints: str = ""
    container_log_max_size: str = "10Mi"
    container_log_max_files: int = 5
    shutdown_grace_period: float = 0.0
    shutdown_grace_period_critical_pods: float = 0.0
    shutdown_grace_period_by_pod_priority: str = ""
    allowed_unsafe_sysctls: str = ""
    runtime_handlers: str = ""
    max_container_restart_period: int = 300
    registry_config: str = "/etc/containerd/certs.d"
    images: str = ""
    pod_manifest_path: str = ""
    max_parallel_image_pulls: int = 5
    image_pull_credentials_verification: str = "NeverVerifyPreloadedImages"
    image_pull_credentials_allowlist: str = ""
    image_gc_high_threshold: int = 85
    image_gc_low_threshold: int = 80
    minimum_image_ttl_duration: float = 120.0
    maximum_image_gc_age: float = 0.0
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
    def images_folder(self) -> Path:
        """Whatever image archives come here, the nodes of this machine import."""
        return Path(self.images) if self.images else self.data / "images"

    @property
    def manifests_folder(self) -> Path:
        """The static pods of this node."""
        return Path(self.pod_manifest_path) if self.pod_manifest_path else self.data / "manifests"

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
