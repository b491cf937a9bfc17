"""What a node daemon is told, and where it keeps things. Nothing here reads the environment or global
files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from podium.api.types import Obj
from podium.runtime.eviction.thresholds import Eviction
from podium.runtime.handlers import DEFAULT, Runtime
from podium.runtime.logs.file import LogLimits
from podium.runtime.pulling.garbage import ImageGarbage
from podium.runtime.pulling.records import Verification
from podium.runtime.shutdown.plan import Shutdown
from podium.runtime.usernamespaces.ranges import EVERYTHING, IdRange


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """One node. `containerd_socket` is None for a containerd of the daemon's own. `cgroup_root` is a path
    below the cgroup file systems' roots. `resolv_conf` is what pods with dnsPolicy Default get. `taints` are
    given at registration only. `kube_reserved` and `system_reserved` (`cpu=100m,memory=1Gi`) are kept from
    pods. `cgroup_driver` is cgroupfs, systemd or auto. `max_pids` is how many processes a pod may have.
    `registries` holds what containerd is to know about registries (`HOST/hosts.toml`). From the folder
    `images` archives are imported, and the static pods of the folder `manifests` are run, whenever some come.
    `lease_duration` is in seconds; the lease is renewed four times as often. `runtimes` are containerd's, by
    what RuntimeClasses call them. `unsafe_sysctls` are names, or beginnings of names before a `*`, that pods
    may set although they reach beyond them. `max_backoff` is how many seconds a container that ends again and
    again waits at most. `user_ids` are what pods with users of their own are given ids from."""

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
    image_gc: ImageGarbage = field(default_factory=ImageGarbage)
    pulls_at_once: int = 5
    pull_verification: Verification = field(default_factory=Verification)
    registries: str = "/etc/containerd/certs.d"
    images: Path | None = None
    manifests: Path | None = None
    lease_duration: float = 40.0
    cgroup_driver: str = "cgroupfs"
    max_pids: int | None = None
    kube_reserved: str = ""
    system_reserved: str = ""
    logs: LogLimits = field(default_factory=LogLimits)
    shutdown: Shutdown = field(default_factory=Shutdown)
    eviction: Eviction = field(default_factory=Eviction)
    runtimes: Mapping[str, Runtime] = field(default_factory=lambda: dict(DEFAULT))
    unsafe_sysctls: Sequence[str] = ()
    max_backoff: int = 300
    user_ids: IdRange = EVERYTHING

    @property
    def manifests_folder(self) -> Path:
        return self.manifests or self.data_dir / "manifests"


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
    def seccomp(self) -> Path:
        """Profiles that pods name with `localhostProfile`."""
        return self.data_dir.parent / "seccomp"

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
