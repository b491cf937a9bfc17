"""The certificates of a node that has joined: asked for, and asked for again before they end. The machine
with the CA needs none of this: `podium up` sees to its own."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

from podium.api.types.errors import StatusError
from podium.cli import credentials
from podium.cli.cluster import Cluster
from podium.cli.parts import server_reachable
from podium.client import kubeconfig
from podium.client.https import HttpsClient
from podium.runtime.node import identity
from podium.runtime.nodeapi.server import NodeServer

log = logging.getLogger(__name__)

# Seconds until the next try when one failed; at most so long until the next look, since clocks jump.
AGAIN = 60.0
SOON = 1.0
LOOK = 6 * 3600.0


async def certified(cluster: Cluster, client: HttpsClient) -> None:
    """Returns when the node API has a certificate that serves; a node gets its first one when its Node is
    known to have the address."""
    wanted = credentials.serving(cluster)
    if wanted is None or await asyncio.to_thread(identity.usable, wanted):
        return
    await server_reachable(cluster)
    await identity.obtain(client, wanted)


async def keep(cluster: Cluster, client: HttpsClient, api: NodeServer) -> None:
    """Until cancelled."""
    serving = credentials.serving(cluster)
    if serving is None:
        return
    own = identity.client_certificate(cluster.pki, cluster.node_name)
    while True:
        failed = False
        for wanted in (own, serving):
            if await asyncio.to_thread(identity.good, wanted):
                continue
            try:
                await identity.obtain(client, wanted)
            except (ConnectionError, StatusError, identity.Refused) as error:
                log.warning("cannot renew %s: %s", wanted.cert, error)
                failed = True
                continue
            log.info("%s is renewed", wanted.cert)
            if wanted is own:
                await client.renew(await asyncio.to_thread(kubeconfig.read, cluster.node_kubeconfig))
            else:
                api.renew()
        await asyncio.sleep(AGAIN if failed else _pause(own, serving))


def _pause(*wanted: identity.Wanted) -> float:
    """Seconds until the next look."""
    due = min(identity.renewed_at(each) for each in wanted)
    return min(max((due - datetime.now(UTC)).total_seconds(), SOON), LOOK)
