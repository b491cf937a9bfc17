"""The autoscalers' configuration, from a cluster's settings."""

from __future__ import annotations

import shlex
import sys

from podium.cli.cluster import Cluster
from podium.control.autoscaling.controller import AutoscalingConfig
from podium.control.nodescaling import NodeScalingConfig
from podium.control.nodescaling.command import CommandProvider
from podium.control.nodescaling.local import LocalProvider
from podium.control.nodescaling.provider import Provider
from podium.control.scheduler.profiles import SchedulerConfig


def of_pods(cluster: Cluster) -> AutoscalingConfig:
    return AutoscalingConfig(sync_period=cluster.hpa_sync_period)


def of_nodes(cluster: Cluster, scheduler: SchedulerConfig) -> NodeScalingConfig | None:
    """None where the number of nodes is nobody's business."""
    provider = _provider(cluster)
    if provider is None:
        return None
    return NodeScalingConfig(
        provider,
        scan_interval=cluster.node_scan_interval,
        provision_timeout=cluster.node_provision_timeout,
        unneeded_time=cluster.scale_down_unneeded_time,
        delay_after_add=cluster.scale_down_delay_after_add,
        scheduler=scheduler,
    )


def _provider(cluster: Cluster) -> Provider | None:
    if cluster.node_provider:
        return CommandProvider(shlex.split(cluster.node_provider))
    if cluster.max_nodes <= cluster.min_nodes:
        return None
    command = [sys.executable, "-m", "podium.cli.main"]
    options = ["--data-dir", cluster.data_dir]
    folder = cluster.data / "nodes"
    return LocalProvider(command, options, folder, cluster.node_name, cluster.min_nodes, cluster.max_nodes)
