"""What a machine that wants to join has to know: the CA and the cluster's ranges. It is kept where everybody
may read it, the ConfigMap `cluster-info` in kube-public; whoever reads it compares the CA with the hash in
its token."""

from __future__ import annotations

import base64
import json
from typing import Any

import yaml

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.resources import CONFIG_MAPS
from podium.cli.cluster import Cluster
from podium.cli.errors import CommandError
from podium.client.base import Client

NAMESPACE, NAME = "kube-public", "cluster-info"
# What must be the same on all machines of a cluster.
SHARED = ("name", "cluster_cidr", "service_cidr", "pod_network", "cluster_domain")


def document(cluster: Cluster, ca: str) -> Obj:
    """Pure."""
    server = {
        "server": cluster.advertised,
        "certificate-authority-data": base64.b64encode(ca.encode()).decode(),
    }
    config = {"apiVersion": "v1", "kind": "Config", "clusters": [{"name": "", "cluster": server}]}
    settings = {name: getattr(cluster, name) for name in SHARED}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "data": {"kubeconfig": yaml.safe_dump(config), "settings.json": json.dumps(settings)},
    }


def certificate(found: Obj) -> bytes:
    """The CA that it names. Raises CommandError for what is no cluster-info."""
    try:
        (entry,) = yaml.safe_load(found["data"]["kubeconfig"])["clusters"]
        return base64.b64decode(entry["cluster"]["certificate-authority-data"], validate=True)
    except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise CommandError(f"{NAMESPACE}/{NAME} of the server names no CA") from error


def settings(found: Obj) -> dict[str, Any]:
    """The values of `SHARED`, as far as they are told."""
    told = json.loads((found.get("data") or {}).get("settings.json", "{}"))
    return {name: told[name] for name in SHARED if name in told}


async def publish(client: Client, cluster: Cluster, ca: str) -> None:
    """Idempotent."""
    wanted = document(cluster, ca)
    try:
        await client.create(CONFIG_MAPS, wanted)
    except StatusError as error:
        if error.reason != "AlreadyExists":
            raise
        await client.patch(CONFIG_MAPS, NAME, {"data": wanted["data"]}, NAMESPACE)
