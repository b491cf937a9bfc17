"""The two background processes of a local cluster, and the commands that start them."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path

from podium.cli.cluster import Cluster
from podium.cli.process import Daemon

_MODULE = "podium.cli.main"


def server(cluster: Cluster) -> Daemon:
    return _daemon("server", cluster)


def node(cluster: Cluster) -> Daemon:
    return _daemon("node", cluster)


def _daemon(name: str, cluster: Cluster) -> Daemon:
    marks = (_MODULE, name, f"--data-dir={cluster.data_dir}")
    return Daemon(name, cluster.run, cluster.data / "logs" / f"{name}.log", marks)


def missing(cluster: Cluster) -> list[Daemon]:
    """Those that do not run."""
    return [daemon for daemon in (server(cluster), node(cluster)) if daemon.pid() is None]


def command(cluster: Cluster, daemon: Daemon) -> list[str]:
    """`podium server ...` or `podium node ...` with every setting spelled out, so that `ps` shows what
    runs."""
    settings = [
        f"--{field.name.replace('_', '-')}={getattr(cluster, field.name)}" for field in fields(Cluster)
    ]
    return [
        sys.executable,
        "-m",
        _MODULE,
        daemon.name,
        *[entry for entry in settings if not entry.endswith("=")],
    ]


def user_kubeconfig(given: str) -> Path:
    """The file that kubectl would write to: what was given, the first of $KUBECONFIG, or ~/.kube/config."""
    import os

    if given:
        return Path(given)
    listed = [entry for entry in os.environ.get("KUBECONFIG", "").split(os.pathsep) if entry]
    return Path(listed[0]) if listed else Path.home() / ".kube" / "config"
