"""The parts of a node, made from a cluster's settings."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from podium.cli import credentials
from podium.cli.cluster import Cluster
from podium.cli.errors import CommandError
from podium.client import kubeconfig
from podium.client.base import Client
from podium.netd.config import MODES, NetConfig
from podium.runtime import handlers
from podium.runtime.config import Layout, NodeConfig
from podium.runtime.eviction.thresholds import Eviction
from podium.runtime.logs import LogLimits
from podium.runtime.node import labels
from podium.runtime.pods.admission import check_unsafe
from podium.runtime.pulling.garbage import ImageGarbage
from podium.runtime.pulling.records import Verification
from podium.runtime.shutdown.plan import Shutdown, parsed
from podium.runtime.usernamespaces import subids
from podium.runtime.usernamespaces.ranges import SHARES, IdRange, share
from podium.storage.manager import VolumeManager


def user_ids(cluster: Cluster, whole: IdRange, pods: int) -> IdRange:
    """What a node's pods with users of their own are given ids from: the nodes of one machine have one
    kernel, so each of them has a share, by its place among the nodes' addresses. Pure. Raises ValueError."""
    network, address = ip_network(cluster.node_cidr), ip_address(cluster.node_address)
    number = int(address) - int(network[1]) if address in network else 0
    return share(whole, number % SHARES, pods)


def node_config(cluster: Cluster) -> NodeConfig:
    cert, key = credentials.serving_pair(cluster)
    return NodeConfig(
        node_name=cluster.node_name,
        node_address=cluster.node_address,
        data_dir=cluster.data,
        run_dir=cluster.run,
        log_dir=Path(cluster.log_dir),
        cgroup_root=cluster.cgroup_root,
        cluster_dns=(cluster.dns_address,),
        cluster_domain=cluster.cluster_domain,
        serving_cert=cert,
        serving_key=key,
        client_ca=cluster.pki / "ca.crt",
        node_port=cluster.node_port,
        lease_duration=cluster.node_lease_duration,
        cgroup_driver=cluster.cgroup_driver,
        max_pids=None if cluster.pod_max_pids < 0 else cluster.pod_max_pids,
        unsafe_sysctls=tuple(each for each in cluster.allowed_unsafe_sysctls.split(",") if each),
        max_backoff=cluster.max_container_restart_period,
        kube_reserved=cluster.kube_reserved,
        system_reserved=cluster.system_reserved,
        node_labels=labels.labels(cluster.node_labels),
        taints=labels.taints(cluster.register_with_taints),
        logs=LogLimits.parsed(cluster.container_log_max_size, cluster.container_log_max_files),
        shutdown=Shutdown(
            grace=cluster.shutdown_grace_period,
            critical=cluster.shutdown_grace_period_critical_pods,
            shares=parsed(cluster.shutdown_grace_period_by_pod_priority),
        ),
        registries=cluster.registry_config,
        images=cluster.images_folder,
        manifests=cluster.manifests_folder,
        pulls_at_once=cluster.max_parallel_image_pulls,
        pull_verification=Verification(
            cluster.image_pull_credentials_verification,
            tuple(each for each in cluster.image_pull_credentials_allowlist.split(",") if each),
        ),
        image_gc=ImageGarbage(
            high=cluster.image_gc_high_threshold,
            low=cluster.image_gc_low_threshold,
            minimum_age=cluster.minimum_image_ttl_duration,
            maximum_age=cluster.maximum_image_gc_age,
        ),
        eviction=Eviction(
            hard=cluster.eviction_hard,
            soft=cluster.eviction_soft,
            soft_grace=cluster.eviction_soft_grace_period,
            reclaim=cluster.eviction_minimum_reclaim,
            transition=cluster.eviction_pressure_transition_period,
            max_grace=cluster.eviction_max_pod_grace_period,
        ),
    )


def running_config(cluster: Cluster) -> NodeConfig:
    """With what is read from files. Raises CommandError."""
    try:
        config = node_config(cluster)
        config.shutdown.planned()
        check_unsafe(config.unsafe_sysctls)
        file = Path(cluster.runtime_handlers) if cluster.runtime_handlers else None
        ids = user_ids(cluster, subids.given(), config.max_pods)
        return replace(config, runtimes=handlers.read(file), user_ids=ids)
    except (OSError, ValueError) as error:
        raise CommandError(str(error)) from error


def net_config(cluster: Cluster) -> NetConfig:
    upstream = tuple(entry for entry in cluster.dns_upstream.split(",") if entry)
    return NetConfig(
        node_name=cluster.node_name,
        node_address=cluster.node_address,
        cluster_cidr=cluster.cluster_cidr,
        service_cidr=cluster.service_cidr,
        dns_address=cluster.dns_address,
        cluster_domain=cluster.cluster_domain,
        bridge=cluster.pod_bridge,
        node_bridge=cluster.node_bridge,
        mode=next(mode for mode in MODES if mode == cluster.pod_network),
        upstream_dns=upstream or None,
        state_dir=cluster.data / "node" / "net",
    )


def volumes(cluster: Cluster, client: Client) -> VolumeManager:
    layout = Layout.of(node_config(cluster))
    return VolumeManager(client, node_name=cluster.node_name, pods_dir=layout.pods, claims_dir=layout.claims)


async def server_reachable(cluster: Cluster, pause: float = 0.02) -> None:
    """Waits until something listens where the API server is expected: a node may start before its server."""
    place = urlsplit(kubeconfig.read(cluster.node_kubeconfig).server)
    while True:
        try:
            _, writer = await asyncio.open_connection(place.hostname, place.port or 443)
        except OSError:
            # A socket that is not there yet sends no event.
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 2.0)
            continue
        writer.close()
        return
