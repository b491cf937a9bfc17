"""`podium status`: exit code 0 when everything runs and is Ready, 1 when something is not."""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

from podium.api.types.errors import StatusError
from podium.api.types.meta import condition_is_true
from podium.api.types.resources import NODES
from podium.cli import daemons, nodes
from podium.cli.cluster import Cluster

# Seconds for the API server to say which nodes are Ready.
ASKING = 5.0


def run(options: argparse.Namespace) -> int:
    cluster = Cluster.load(options.data_dir)
    if cluster is None:
        print(f"There is no cluster in {options.data_dir}.")
        return 1
    found = look(cluster)
    if options.output == "json":
        print(json.dumps(found, indent=2))
    else:
        for line in lines(found):
            print(line)
    return 0 if well(found) else 1


def look(cluster: Cluster) -> dict[str, Any]:
    """`ready` of a node is None when the API server does not say."""
    server = daemons.server(cluster).pid()
    ready = asyncio.run(_ready(cluster)) if server else {}
    return {
        "name": cluster.name,
        "server": {"url": cluster.server, "pid": server},
        "nodes": [
            {
                "name": node.name,
                "address": node.address,
                "pid": node.daemon.pid(),
                "ready": ready.get(node.name),
                "dataDir": node.settings.data_dir,
                "runDir": node.settings.run_dir,
            }
            for node in nodes.everyone(cluster)
        ],
    }


async def _ready(cluster: Cluster) -> dict[str, bool]:
    from podium.client.https import HttpsClient

    client = HttpsClient.from_kubeconfig(cluster.admin_kubeconfig)
    try:
        async with asyncio.timeout(ASKING):
            found = (await client.list(NODES)).items
    except (ConnectionError, TimeoutError, StatusError):
        return {}
    finally:
        await client.close()
    return {node["metadata"]["name"]: condition_is_true(node, "Ready") for node in found}


def lines(found: dict[str, Any]) -> list[str]:
    """The same for people. Pure."""
    said = {True: "Ready", False: "NotReady", None: "unknown to the API server"}
    return [
        f"server: {_running(found['server'])}",
        *(f"node {each['name']}: {_running(each)}, {said[each['ready']]}" for each in found["nodes"]),
    ]


def _running(entry: dict[str, Any]) -> str:
    return f"running, pid {entry['pid']}" if entry["pid"] else "not running"


def well(found: dict[str, Any]) -> bool:
    return bool(found["server"]["pid"]) and all(each["pid"] and each["ready"] for each in found["nodes"])
