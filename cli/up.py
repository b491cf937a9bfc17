"""`podium up`: from an installed machine to a Ready node."""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from podium.cli import credentials, daemons, preflight
from podium.cli.cluster import Cluster
from podium.cli.lock import alone
from podium.cli.main import cluster_of
from podium.cli.process import Daemon, Notify

SERVER_TIMEOUT = 60.0
NODE_TIMEOUT = 120.0


def run(options: argparse.Namespace) -> int:
    preflight.root()
    with alone(Path(options.data_dir), lambda: _progress("==> Waiting for another podium command")):
        return _bring_up(options)


def _bring_up(options: argparse.Namespace) -> int:
    started = time.monotonic()
    cluster = cluster_of(options)
    if not cluster.node_name:
        cluster = replace(cluster, node_name=socket.gethostname().lower())
    missing = daemons.missing(cluster)
    path = daemons.user_kubeconfig(options.kubeconfig)
    if not missing:
        # The command that started them may have been interrupted before it came to this.
        merge_kubeconfig(cluster, str(path))
        print(f"The cluster is up already; nothing to do. Try: kubectl --context {cluster.name} get nodes")
        return 0
    say = _silent if options.quiet else _progress
    preflight.check(cluster, [daemon.name for daemon in missing])
    say("==> Preparing certificates and network")
    cluster.save()
    credentials.ensure(cluster)
    prepare_host(cluster)
    _start(cluster, missing, say)
    merge_kubeconfig(cluster, str(path))
    say(f"==> Ready after {time.monotonic() - started:.1f} s; context {cluster.name!r} is in {path}")
    if options.images:
        from podium.cli.image import load_archives

        say("==> Importing images")
        load_archives(cluster, sorted(str(archive) for archive in Path(options.images).glob("*.tar")))
    if not options.quiet:
        print(NEXT.format(name=cluster.name))
    return 0


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
    both before anything could use them."""
    from podium.cli.parts import net_config
    from podium.netd import host

    host.claim_ranges(net_config(cluster))
    prefix = cluster.node_cidr.partition("/")[2]
    host.ensure_node_bridge(f"{cluster.node_address}/{prefix}", cluster.node_bridge)


def _start(cluster: Cluster, missing: list[Daemon], say: Callable[[str], None]) -> None:
    """All at once: the node's containerd starts while the API server does. What does not come up, or is
    interrupted on the way, is stopped again."""
    waiting: list[tuple[Daemon, subprocess.Popen[bytes], Notify]] = []
    try:
        for daemon in missing:
            notify = Notify(cluster.run, daemon.name)
            say(f"==> Starting the {daemon.name}")
            waiting.append((daemon, daemon.start(daemons.command(cluster, daemon), notify), notify))
        for daemon, process, notify in waiting:
            notify.wait(daemon, process, NODE_TIMEOUT if daemon.name == "node" else SERVER_TIMEOUT)
    except BaseException:
        for daemon, _, _ in reversed(waiting):
            daemon.stop(10)
        raise
    finally:
        for _, _, notify in waiting:
            notify.close()


def merge_kubeconfig(cluster: Cluster, path: str) -> None:
    from podium.client import kubeconfig

    def pem(name: str) -> bytes:
        return (cluster.pki / name).read_bytes()

    kubeconfig.merge_context(
        path, cluster.name, cluster.server, pem("ca.crt"), pem("admin.crt"), pem("admin.key")
    )
