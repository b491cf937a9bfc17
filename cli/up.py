"""`podium up`: from an installed machine to Ready nodes."""

from __future__ import annotations

import argparse
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from podium.cli import credentials, daemons, launch, nodes, preflight
from podium.cli.cluster import Cluster
from podium.cli.lock import alone
from podium.cli.main import cluster_of
from podium.cli.parts import net_config
from podium.netd import host, nodelinks
from podium.runtime import volatile

STOP_TIMEOUT = 20.0


def run(options: argparse.Namespace) -> int:
    preflight.root()
    with alone(Path(options.data_dir), lambda: _progress("==> Waiting for another podium command")):
        return _bring_up(options)


def _bring_up(options: argparse.Namespace) -> int:
    started = time.monotonic()
    cluster = cluster_of(options)
    if not cluster.node_name:
        cluster = replace(cluster, node_name=socket.gethostname().lower())
    stored = Cluster.load(options.data_dir)
    if stored is not None and stored.max_nodes != cluster.max_nodes:
        # The server is told at its start how many nodes there may be.
        daemons.server(cluster).stop(STOP_TIMEOUT)
    existing = nodes.everyone(cluster)
    missing = daemons.missing(cluster)
    off = [node for node in existing if node.daemon.pid() is None]
    path = daemons.user_kubeconfig(options.kubeconfig)
    if not missing and not off and len(existing) >= cluster.min_nodes:
        # The command that started them may have been interrupted before it came to this.
        merge_kubeconfig(cluster, str(path))
        replace(stored or cluster, nodes=cluster.nodes).save()
        if options.images:
            _import_images(cluster, _silent if options.quiet else _progress)
        print(f"The cluster is up already; nothing to do. Try: kubectl --context {cluster.name} get nodes")
        return 0
    say = _silent if options.quiet else _progress
    preflight.check(cluster, [daemon.name for daemon in missing])
    say("==> Preparing certificates and network")
    cluster.save()
    credentials.ensure(cluster)
    prepare_host(cluster)
    off += [nodes.register(cluster) for _ in range(len(existing), cluster.min_nodes)]
    launch.bring_up(cluster, off, say)
    merge_kubeconfig(cluster, str(path))
    say(f"==> Ready after {time.monotonic() - started:.1f} s; context {cluster.name!r} is in {path}")
    if cluster.images:
        # The nodes have begun already: this waits until they are through.
        _import_images(cluster, say)
    if not options.quiet:
        print(NEXT.format(name=cluster.name))
    return 0


def _import_images(cluster: Cluster, say: Callable[[str], None]) -> None:
    """What is in the folder comes into every node that runs."""
    from podium.cli import image
    from podium.runtime.imagefolder import archives

    say("==> Importing images")
    image.load_archives(
        nodes.everyone(cluster), [str(archive) for archive in archives(cluster.images_folder)]
    )


NEXT = """
The cluster is up. What to do next:
  kubectl get nodes
  kubectl apply -f examples/guestbook.yaml
  kubectl rollout status deploy/web
"""


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _silent(_text: str) -> None:
    """Nothing."""


def prepare_host(cluster: Cluster) -> None:
    """The address that servers listen on, and the refusal of pod and service addresses that nothing claims:
    both before anything could use them. And a folder that a reboot empties."""
    volatile.ensure(cluster.run)
    host.claim_ranges(net_config(cluster))
    prefix = cluster.node_cidr.partition("/")[2]
    host.ensure_node_bridge(f"{cluster.bridge_address}/{prefix}", cluster.node_bridge)
    ports = [port for address, port in nodes.upstream(cluster) if nodes.is_loopback(address)]
    nodelinks.lead_to_loopback(cluster.node_bridge, cluster.bridge_address, ports)


def merge_kubeconfig(cluster: Cluster, path: str) -> None:
    from podium.client import kubeconfig

    def pem(name: str) -> bytes:
        return (cluster.pki / name).read_bytes()

    kubeconfig.merge_context(
        path, cluster.name, cluster.server, pem("ca.crt"), pem("admin.crt"), pem("admin.key")
    )
