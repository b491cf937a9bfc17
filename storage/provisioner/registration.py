"""The CSINode, by which the cluster knows that a node has the built-in driver."""

from __future__ import annotations

import asyncio
import logging

from podium.api.types import Obj
from podium.api.types import storage as words
from podium.api.types.errors import StatusError
from podium.api.types.resources import CSI_NODES, NODES
from podium.client.base import Client

log = logging.getLogger(__name__)


async def register(client: Client, node_name: str) -> None:
    """Returns when the server has it; tries until then."""
    delay = 0.1
    while True:
        try:
            await _write(client, node_name)
            return
        except (StatusError, ConnectionError) as error:
            log.info("cannot write the CSINode yet: %s", error)
        await asyncio.sleep(delay)
        delay = min(delay * 2, 5.0)


async def _write(client: Client, name: str) -> None:
    """Beside what other drivers have written. It goes with its Node."""
    driver = {"name": words.PROVISIONER, "nodeID": name, "topologyKeys": [words.HOSTNAME]}
    node = await client.get(NODES, name)
    owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": node["metadata"]["uid"]}
    wanted: Obj = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSINode",
        "metadata": {"name": name, "ownerReferences": [owner]},
        "spec": {"drivers": [driver]},
    }
    try:
        found = await client.get(CSI_NODES, name)
    except StatusError as error:
        if error.code != 404:
            raise
        await client.create(CSI_NODES, wanted)
        return
    drivers = found["spec"].get("drivers") or []
    others = [each for each in drivers if each["name"] != words.PROVISIONER]
    if len(others) == len(drivers) or _owner(found) != owner["uid"]:
        patch = {"metadata": {"ownerReferences": [owner]}, "spec": {"drivers": [*others, driver]}}
        await client.patch(CSI_NODES, name, patch)


def _owner(obj: Obj) -> str:
    return next((str(each["uid"]) for each in obj["metadata"].get("ownerReferences") or ()), "")
