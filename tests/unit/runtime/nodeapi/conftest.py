"""A node API on real containers: a containerd of the tests' own, busybox for a root file system,
certificates of a real CA."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from podium.api import pki
from podium.runtime.cgroups import Cgroups
from podium.runtime.containerd.client import Containerd
from podium.runtime.containerd.process import OwnContainerd, Paths
from podium.runtime.logs import Outputs
from podium.runtime.nodeapi import Node, NodeApiConfig, NodeServer
from tests.unit.runtime.nodeapi.bench import Bench, Pods

CGROUP = f"{os.environ.get('PODIUM_TEST_CGROUP', 'podium-test')}/nodeapi-{os.getpid()}"


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("pki")
    authority = pki.ensure_ca(directory)
    pki.issue_node(authority, directory, "n1", ["127.0.0.1"])
    pki.issue(authority, directory, "admin", common_name="admin", organizations=("system:masters",))
    pki.issue(authority, directory, "apiserver", common_name="kube-apiserver-kubelet-client")
    pki.issue(authority, directory, "stranger", common_name="stranger", organizations=("system:nodes",))
    return directory


def client_tls(certificates: Path, name: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(certificates / "ca.crt"))
    if name:
        context.load_cert_chain(certificates / f"{name}.crt", certificates / f"{name}.key")
    return context


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("rootfs")
    for name in ("bin", "proc", "dev", "tmp", "etc"):
        (root / name).mkdir()
    shutil.copy(shutil.which("busybox") or "/bin/busybox", root / "bin" / "busybox")
    subprocess.run(["chroot", str(root), "/bin/busybox", "--install", "-s", "/bin"], check=True)
    return root


@pytest.fixture(scope="session")
def containerd_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("cd")
    own = OwnContainerd(Paths(directory / "root", directory / "run"))
    asyncio.run(own.ensure())
    yield own.paths.socket
    asyncio.run(own.stop())
    # Of no other tree: what others have running comes and goes while one looks.
    for hierarchy in (Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir()):
        for folder, _, _ in os.walk(hierarchy / CGROUP, topdown=False):
            os.rmdir(folder)


@pytest.fixture
async def bench(
    containerd_socket: str, rootfs: Path, certificates: Path, tmp_path: Path
) -> AsyncIterator[Bench]:
    """A node API that listens, and a place to run containers."""
    containerd = Containerd(containerd_socket)
    await containerd.ensure_namespace()
    config = NodeApiConfig(
        node_name="n1",
        host="127.0.0.1",
        port=0,
        certificate=str(certificates / "node-n1.crt"),
        key=str(certificates / "node-n1.key"),
        client_ca=str(certificates / "ca.crt"),
        run_dir=str(tmp_path / "exec"),
    )
    node = Node(config, Pods(), Outputs(), containerd, Cgroups(CGROUP))
    server = NodeServer(node)
    await server.start()
    url = f"https://127.0.0.1:{server.port}"
    async with aiohttp.ClientSession(
        url,
        connector=aiohttp.TCPConnector(ssl=client_tls(certificates, "apiserver")),
        timeout=aiohttp.ClientTimeout(total=30),
    ) as client:
        bench = Bench(node, client, url, rootfs, tmp_path)
        try:
            yield bench
        finally:
            await bench.clean()
            await server.stop()
            await containerd.close()
