"""What a node daemon is told, and where it keeps things. Nothing here reads the environment or global
files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from podium.api.types import Obj


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """One node. `containerd_socket` is None for a containerd of the daemon's own. `cgroup_root` is a path
    below the cgroup file systems' roots. `resolv_conf` is what pods with dnsPolicy Default get. `taints` are
    given at registration only. `lease_duration` is in seconds; the lease is renewed four times as often."""

    node_name: str
    node_address: str
    data_dir: Path = Path("/var/lib/podium")
    run_dir: Path = Path("/run/podium")
    log_dir: Path = Path("/var/log/pods")
    containerd_socket: str | None = None
    cgroup_root: str = ""
    node_labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Obj] = ()
    cluster_dns: Sequence[str] = ("10.43.0.10",)
    cluster_domain: str = "cluster.local"
    max_pods: int = 110
    resolv_conf: Path = Path("/etc/resolv.conf")
    serving_cert: Path | None = None
    serving_key: Path | None = None
    client_ca: Path | None = None
    node_port: int = 10250
    image_gc_high: int = 85
    lease_duration: float = 40.0


@dataclass(frozen=True, slots=True)
class Layout:
    """Where one node's files lie. What is below `run_dir` does not outlive a reboot: pins of namespaces,
    FIFOs."""

    data_dir: Path
    run_dir: Path
    log_dir: Path

    @classmethod
    def of(cls, config: NodeConfig) -> Layout:
        return cls(config.data_dir / "node", config.run_dir, config.log_dir)

    @property
    def netns_dir(self) -> Path:
        return self.run_dir / "netns"

    @property
    def sandboxes(self) -> Path:
        return self.run_dir / "pods"

    @property
    def pods(self) -> Path:
        return self.data_dir / "pods"

    @property
    def claims(self) -> Path:
        """The volumes of the built-in provisioner."""
        return self.data_dir / "claims"

    def netns(self, uid: str) -> Path:
        return self.netns_dir / uid

    def sandbox(self, uid: str) -> Path:
        """The pod's pins, shared memory and FIFOs."""
        return self.sandboxes / uid

    def pod(self, uid: str) -> Path:
        """The pod's files: hosts, resolv.conf, hostname, termination messages."""
        return self.pods / uid

    def fifos(self, uid: str, container_id: str) -> Path:
        return self.sandbox(uid) / "io" / container_id

    def termination_log(self, uid: str, container: str, attempt: int) -> Path:
        return self.pod(uid) / "containers" / container / f"termination-{attempt}"

    def logs(self, namespace: str, name: str, uid: str) -> Path:
        return self.log_dir / f"{namespace}_{name}_{uid}"

    def log(self, namespace: str, name: str, uid: str, container: str, attempt: int) -> Path:
        """The place that log shippers know: NAMESPACE_POD_UID/CONTAINER/ATTEMPT.log."""
        return self.logs(namespace, name, uid) / container / f"{attempt}.log"
