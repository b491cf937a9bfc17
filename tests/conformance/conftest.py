"""One real cluster for the whole folder, and a namespace of its own for each test."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client as kubernetes_client
from kubernetes import config as kubernetes_config

from podium.api.types.meta import suffix
from podium.cli.cluster import Cluster
from podium.cli.nodes import everyone
from tests.conformance.kubectl import Kubectl

ROOT = Path(__file__).parents[2]
# Named by hack/test, which removes what is left in it.
CGROUP = os.environ.get("PODIUM_TEST_CGROUP", "podium-test")
PODIUM = [str(Path(sys.executable).with_name("podium"))]


@dataclass(frozen=True)
class LocalCluster:
    """A cluster brought up by `podium up` with folders of its own, on loopback and a bridge of the test's
    network namespace."""

    root: Path
    dns_upstream: str

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    def podium(self, command: str, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*PODIUM, command, *(["load"] if command == "image" and not arguments else []), *arguments],
            capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip

    def up(self, *more: str, timeout: float = 180) -> subprocess.CompletedProcess[str]:
        return self.podium(
            "up", "--data-dir", str(self.data), "--run-dir", str(self.root / "run"), "--log-dir", str(self.root / "pods"),
            "--kubeconfig", str(self.kubeconfig), "--cgroup-root", CGROUP, "--dns-upstream", self.dns_upstream,
            *more, timeout=timeout,
        )  # fmt: skip

    def down(self, *more: str) -> subprocess.CompletedProcess[str]:
        return self.podium(
            "down", "--data-dir", str(self.data), "--kubeconfig", str(self.kubeconfig), *more, timeout=120
        )

    def pid(self, daemon: str) -> int:
        return int((self.root / "run" / f"{daemon}.pid").read_text().split()[0])

    def status(self) -> dict[str, Any]:
        """What `podium status` says of the server and the nodes."""
        found: dict[str, Any] = json.loads(
            self.podium("status", "--data-dir", str(self.data), "-o", "json").stdout
        )
        return found

    def nodes(self) -> list[str]:
        """The names of the nodes, the first one (this machine itself) first."""
        cluster = Cluster.load(str(self.data))
        assert cluster is not None
        return [node.name for node in everyone(cluster)]

    def node(self, action: str, *arguments: str, timeout: float = 120) -> str:
        """`podium node ACTION ...`: add, rm, stop, start, kill, cut, mend. Fails the test when it fails."""
        done = self.podium("node", action, *arguments, "--data-dir", str(self.data), timeout=timeout)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def inside(self, node: str, *command: str, timeout: float = 30) -> subprocess.CompletedProcess[str]:
        """Runs a command where a node's own processes are: in its network, under its host name."""
        run = self.root / "run" / "n" / node
        entered = ["nsenter", f"--net={run / 'net'}", f"--uts={run / 'uts'}"] if run.exists() else []
        return subprocess.run(
            [*entered, *command], capture_output=True, text=True, timeout=timeout, check=False
        )


@pytest.fixture(scope="session")
def dns_stub() -> Iterator[str]:
    """The only resolver the cluster knows: answers every forwarded name with NXDOMAIN, except example.test
    (192.0.2.53)."""
    from dnslib import RCODE, RR, A, DNSRecord

    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))

    def answer() -> None:
        while True:
            query, sender = server.recvfrom(4096)
            if query == b"stop":
                return
            reply = DNSRecord.parse(query).reply()
            if str(reply.q.qname) == "example.test.":
                reply.add_answer(RR("example.test.", rdata=A("192.0.2.53"), ttl=5))
            else:
                reply.header.rcode = RCODE.NXDOMAIN
            server.sendto(reply.pack(), sender)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    address, port = server.getsockname()
    yield f"{address}:{port}"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stopper:
        stopper.sendto(b"stop", (address, port))
    thread.join(5)
    server.close()


def second_runtime(root: Path) -> str:
    """A file of handlers with a runtime that tells in a file beside it what it was asked to do."""
    program = root / "second-runtime"
    program.write_text(f'#!/bin/sh\necho "$@" >> {program}.used\nexec runc "$@"\n')
    program.chmod(0o755)
    handlers = root / "handlers.json"
    handlers.write_text(json.dumps({"second": {"options": {"BinaryName": str(program)}}}))
    return str(handlers)


@pytest.fixture(scope="session")
def cluster(dns_stub: str) -> Iterator[LocalCluster]:
    # Not below pytest's own folder: the paths of unix sockets have room for 107 characters.
    local = LocalCluster(Path(tempfile.mkdtemp(prefix="cluster")), dns_stub)
    # The root of a pod with users of its own gets through to what its containers are made of.
    local.root.chmod(0o711)
    try:
        # A node that falls silent is noticed sooner than by default, which no test could wait for.
        sooner = ("--node-lease-duration", "8", "--node-monitor-grace-period", "12", "--hpa-sync-period", "2")
        more = ("--allowed-unsafe-sysctls", "net.core.*", "--runtime-handlers", second_runtime(local.root))
        done = local.up("--nodes", "3", *sooner, "--metrics-resolution", "3", *more)
        assert done.returncode == 0, done.stdout + done.stderr
        archives = sorted(str(path) for path in (ROOT / "images").glob("*.tar"))
        loaded = local.podium("image", "--data-dir", str(local.data), "load", *archives)
        assert loaded.returncode == 0, loaded.stdout + loaded.stderr
        yield local
    finally:
        done = local.down("--purge")
        shutil.rmtree(local.root, ignore_errors=True)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def victim(cluster: LocalCluster) -> Iterator[str]:
    """A node that a test may stop, kill or cut off, in any way and any number of times; it is Ready again
    afterwards, and schedulable."""
    name = cluster.nodes()[-1]
    yield name
    cluster.node("start", name)
    cluster.node("mend", name)
    everywhere = Kubectl(str(cluster.kubeconfig))
    everywhere.wait(f"node/{name}", "condition=Ready")
    everywhere("uncordon", name)


@pytest.fixture(scope="session")
def python_client(cluster: LocalCluster) -> kubernetes_client.ApiClient:
    return kubernetes_config.new_client_from_config(str(cluster.kubeconfig))


@pytest.fixture
def kubectl(cluster: LocalCluster, python_client: kubernetes_client.ApiClient) -> Iterator[Kubectl]:
    """kubectl in a namespace that lives as long as the test."""
    namespace = f"test-{suffix()}"
    # Hundreds of tests begin and end here: two processes for each would take a minute of the run.
    core = kubernetes_client.CoreV1Api(python_client)
    core.create_namespace({"metadata": {"name": namespace}})
    yield Kubectl(str(cluster.kubeconfig), namespace)
    core.delete_namespace(namespace)
