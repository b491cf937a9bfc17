"""What must hold before anything is started; each check names what is wrong and what to do about it."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Collection

from podium.cli.cluster import Cluster
from podium.cli.errors import CommandError

NEEDED_PROGRAMS = {"containerd": "containerd", "runc": "runc", "nft": "nftables"}
IP_FREEBIND = 15  # ip(7); Python's socket module has no name for it
NEEDED_BYTES = 512 * 1024 * 1024


def check(cluster: Cluster, missing: Collection[str]) -> None:
    """Raises CommandError for the first thing that would keep the daemons of these names from running."""
    root()
    programs()
    space(cluster)
    if "server" in missing:
        for address in ("127.0.0.1", cluster.node_address):
            port_free(address, cluster.api_port, "--api-port")
    if "node" in missing:
        port_free(cluster.node_address, cluster.node_port, "--node-port")


def root() -> None:
    if os.geteuid() != 0:
        raise CommandError("containers and networks need root: run it with sudo")


def programs() -> None:
    missing = [program for program in NEEDED_PROGRAMS if not shutil.which(program)]
    if missing:
        packages = " ".join(NEEDED_PROGRAMS[program] for program in missing)
        raise CommandError(
            f"not found on PATH: {', '.join(missing)}; install with: apt-get install {packages}"
        )


def space(cluster: Cluster) -> None:
    place = next(path for path in (cluster.data, *cluster.data.parents) if path.exists())
    free = shutil.disk_usage(place).free
    if free < NEEDED_BYTES:
        raise CommandError(
            f"{cluster.data_dir} has {free >> 20} MiB free, at least {NEEDED_BYTES >> 20} MiB are needed: "
            "make room, or name another place with --data-dir"
        )


def port_free(address: str, port: int, option: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # The node's address may not be on a link yet.
        probe.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise CommandError(
                f"port {port} on {address} is busy ({error.strerror}): choose another with {option}"
            ) from error
