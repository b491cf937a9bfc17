"""The certificates and kubeconfigs of a local cluster, made on the machine where both sides run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from podium.cli.cluster import Cluster
from podium.client import kubeconfig
from podium.runtime.node import identity

if TYPE_CHECKING:
    from podium.api.pki import Pair


def ensure(cluster: Cluster) -> None:
    """Makes what is missing or near its end; keeps the rest."""
    # Large, and of no use to the daemons, who find everything made.
    from podium.api import pki

    cluster.pki.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority = pki.ensure_ca(cluster.pki)
    admin = pki.issue(
        authority, cluster.pki, "admin", common_name="kubernetes-admin", organizations=("system:masters",)
    )
    node = pki.issue_node(authority, cluster.pki, cluster.node_name, [cluster.node_address, "127.0.0.1"])
    _kubeconfig(cluster, cluster.admin_kubeconfig, authority.pair.cert, admin)
    _kubeconfig(cluster, cluster.node_kubeconfig, authority.pair.cert, node)


def serving(cluster: Cluster) -> identity.Wanted | None:
    """The certificate of the node API, where it is asked for through the API: None on the machine that has
    the CA, whose one certificate serves for everything."""
    if (cluster.pki / "ca.key").exists():
        return None
    return identity.serving_certificate(cluster.pki, cluster.node_name, [cluster.node_address])


def serving_pair(cluster: Cluster) -> tuple[Path, Path]:
    """What the node API shows: certificate and key."""
    wanted = serving(cluster)
    if wanted is not None:
        return wanted.cert, wanted.key
    return cluster.pki / f"node-{cluster.node_name}.crt", cluster.pki / f"node-{cluster.node_name}.key"


def _kubeconfig(cluster: Cluster, path: Path, ca: Path, pair: Pair) -> None:
    document = kubeconfig.document(
        cluster.name, cluster.server, ca.read_bytes(), pair.cert.read_bytes(), pair.key.read_bytes()
    )
    kubeconfig.write(path, document)
