"""`podium token`: tokens that machines join the cluster with."""

from __future__ import annotations

import argparse
import asyncio
import base64
from collections.abc import Awaitable, Callable
from datetime import timedelta

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.resources import SECRETS
from podium.cli import jointokens
from podium.cli.administrator import administrator
from podium.cli.cluster import Cluster
from podium.cli.errors import CommandError
from podium.client.https import HttpsClient


def run(options: argparse.Namespace) -> int:
    cluster = Cluster.load(options.data_dir)
    if cluster is None or not cluster.admin_kubeconfig.exists():
        raise CommandError(
            f"there is no cluster in {options.data_dir}: tokens are made where its server runs"
        )
    try:
        asyncio.run(_act(cluster, options))
    except ConnectionError as error:
        raise CommandError(f"the API server does not answer: {error}") from error
    return 0


async def _act(cluster: Cluster, options: argparse.Namespace) -> None:
    async with administrator(cluster) as client:
        await ACTIONS[options.action](client, cluster, options)


async def _create(client: HttpsClient, cluster: Cluster, options: argparse.Namespace) -> None:
    token = jointokens.new((cluster.pki / "ca.crt").read_bytes())
    ttl = timedelta(seconds=options.ttl) if options.ttl else None
    await client.create(SECRETS, jointokens.secret_of(token, ttl))
    if options.print_join_command:
        print(f"podium node --join {cluster.advertised} --token {token}")
    else:
        print(token)


async def _list(client: HttpsClient, cluster: Cluster, options: argparse.Namespace) -> None:
    """Never the secrets."""
    found = await client.list(SECRETS, jointokens.NAMESPACE, fields=f"type={jointokens.SECRET_TYPE}")
    print(f"{'ID':<8} {'EXPIRES':<22} DESCRIPTION")
    for secret in found.items:
        print(
            f"{_value(secret, 'token-id'):<8} {_value(secret, 'expiration') or 'never':<22} "
            f"{_value(secret, 'description')}"
        )


def _value(secret: Obj, key: str) -> str:
    return base64.b64decode((secret.get("data") or {}).get(key, "")).decode(errors="replace")


async def _delete(client: HttpsClient, cluster: Cluster, options: argparse.Namespace) -> None:
    for text in options.tokens:
        ident = text.partition(".")[0]
        try:
            await client.delete(SECRETS, f"{jointokens.PREFIX}{ident}", jointokens.NAMESPACE)
        except StatusError as error:
            if error.code == 404:
                raise CommandError(f"there is no token {ident!r}") from error
            raise
        print(f"token {ident} deleted")


ACTIONS: dict[str, Callable[[HttpsClient, Cluster, argparse.Namespace], Awaitable[None]]] = {
    "create": _create,
    "list": _list,
    "delete": _delete,
}
