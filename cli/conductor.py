"""The scheduler and the controllers of `podium server`, as its settings want them."""

from __future__ import annotations

from pathlib import Path

from podium.api.server import ApiServer
from podium.cli import numbers, scaling
from podium.cli.cluster import Cluster
from podium.cli.errors import CommandError
from podium.control.manager import ControllerManager, ManagerConfig
from podium.control.nodes import Patience
from podium.control.scheduler import ConfigError as SchedulerConfigError
from podium.control.scheduler import SchedulerConfig, read_config


def check(cluster: Cluster) -> None:
    """Raises CommandError when what the settings name cannot be used."""
    scaling.of_nodes(cluster, _scheduler_config(cluster.scheduler_config))


def manager(cluster: Cluster, server: ApiServer) -> ControllerManager:
    """Its numbers are among the server's. Raises CommandError."""
    made = ControllerManager(server.client, _config(cluster, server))
    server.collectors.append(lambda: numbers.families(made.numbers))
    return made


def _config(cluster: Cluster, server: ApiServer) -> ManagerConfig:
    return ManagerConfig(
        cluster_cidr=cluster.cluster_cidr,
        root_ca=server.ca_file.read_text(),
        secret_tokens=server.secret_token,
        patience=Patience(monitor=cluster.node_monitor_grace_period),
        ca_key=server.authority.pair.key.read_text(),
        scheduler=_scheduler_config(cluster.scheduler_config),
        autoscaling=scaling.of_pods(cluster),
        node_scaling=scaling.of_nodes(cluster, _scheduler_config(cluster.scheduler_config)),
    )


def _scheduler_config(path: str) -> SchedulerConfig:
    """Raises CommandError."""
    if not path:
        return SchedulerConfig()
    try:
        return read_config(Path(path).read_text())
    except (OSError, SchedulerConfigError) as error:
        raise CommandError(f"--scheduler-config {path}: {error}") from None
