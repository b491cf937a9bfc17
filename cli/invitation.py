"""How local nodes come to their certificates: as every machine does, by a token, which is theirs alone and
good for as long as they need to join."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta

from podium.api.types.errors import StatusError
from podium.api.types.resources import SECRETS
from podium.cli import jointokens
from podium.cli.administrator import administrator
from podium.cli.cluster import Cluster
from podium.cli.jointokens import JoinToken
from podium.cli.nodes import LocalNode
from podium.runtime.node import identity

TTL = timedelta(minutes=10)


def has_joined(node: LocalNode) -> bool:
    wanted = identity.client_certificate(node.settings.pki, node.name)
    return node.settings.node_kubeconfig.exists() and identity.usable(wanted)


@contextmanager
def invited(cluster: Cluster, strangers: Sequence[LocalNode]) -> Iterator[None]:
    """The token is good inside of the block. Nodes may be started there and have to be ready before its
    end."""
    token = jointokens.new((cluster.pki / "ca.crt").read_bytes())
    asyncio.run(_put(cluster, token))
    try:
        for node in strangers:
            node.settings.pki.mkdir(parents=True, exist_ok=True, mode=0o700)
            with os.fdopen(
                os.open(node.token_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w"
            ) as file:
                file.write(str(token))
        yield
    finally:
        for node in strangers:
            node.token_file.unlink(missing_ok=True)
        # Sooner than it would expire; where that fails, it still does.
        with suppress(ConnectionError, StatusError):
            asyncio.run(_forget(cluster, token))


async def _put(cluster: Cluster, token: JoinToken) -> None:
    async with administrator(cluster) as client:
        await client.create(SECRETS, jointokens.secret_of(token, TTL))


async def _forget(cluster: Cluster, token: JoinToken) -> None:
    async with administrator(cluster) as client:
        await client.delete(SECRETS, f"{jointokens.PREFIX}{token.ident}", jointokens.NAMESPACE)
