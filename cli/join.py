"""`podium node --join URL --token TOKEN`: a machine becomes a node of a cluster that runs elsewhere."""

from __future__ import annotations

import argparse
import asyncio
import socket
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.resources import CONFIG_MAPS
from podium.cli import clusterinfo, jointokens
from podium.cli.cluster import Cluster
from podium.cli.errors import CommandError
from podium.cli.jointokens import JoinToken
from podium.client import kubeconfig
from podium.client.https import HttpsClient
from podium.client.kubeconfig import Connection
from podium.runtime.node import identity


def ensure(cluster: Cluster, options: argparse.Namespace) -> Cluster:
    """The settings of a node that has joined. One that did so before with this data folder keeps what it has;
    then no token is needed. Raises CommandError."""
    server = urlsplit(options.join)
    if server.scheme != "https" or not server.hostname:
        raise CommandError(f"{options.join!r} is no address of an API server: write https://HOST:6443")
    cluster = replace(cluster, node_name=cluster.node_name or socket.gethostname().lower())
    wanted = identity.client_certificate(cluster.pki, cluster.node_name)
    if cluster.node_kubeconfig.exists() and identity.usable(wanted):
        return cluster
    token = jointokens.parse(_token(options))
    given = {name for name, value in vars(options).items() if value is not None}
    cluster = asyncio.run(_join(cluster, options.join, token, given))
    if options.token_file:
        Path(options.token_file).unlink(missing_ok=True)
    return cluster


def _token(options: argparse.Namespace) -> str:
    if options.token_file:
        return Path(options.token_file).read_text().strip()
    if not options.token:
        raise CommandError("joining needs --token: make one with podium token create on the server")
    return str(options.token)


async def _join(cluster: Cluster, url: str, token: JoinToken, given: set[str]) -> Cluster:
    ca, info = await _introduced(url, token)
    told = {key: value for key, value in clusterinfo.settings(info).items() if key not in given}
    if "node_address" not in given:
        told["node_address"] = _own_address(url)
    cluster = replace(cluster, **told)
    client = HttpsClient(Connection(server=url, ca=ca, token=token.bearer), field_manager="podium-node")
    wanted = identity.client_certificate(cluster.pki, cluster.node_name)
    try:
        await identity.obtain(client, wanted)
    except StatusError as error:
        if error.code == 401:
            raise CommandError(
                "the server does not take the token: it has expired, or was deleted; make another with "
                "podium token create"
            ) from error
        raise CommandError(f"the server refuses the request: {error}") from error
    except (identity.Refused, ConnectionError) as error:
        raise CommandError(str(error)) from error
    finally:
        await client.close()
    await asyncio.to_thread(_keep, cluster, url, ca)
    return cluster


async def _introduced(url: str, token: JoinToken) -> tuple[bytes, Obj]:
    """The CA that the token stands for, and what the server says of the cluster. Whoever answers is believed
    only once it has shown a certificate of that CA. Raises CommandError."""
    try:
        ca = clusterinfo.certificate(await _information(Connection(server=url, insecure=True)))
        if jointokens.ca_hash(ca) != token.ca:
            raise CommandError(
                f"the CA of {url} ({jointokens.ca_hash(ca)}) is not the one that the token names ({token.ca})"
            )
        return ca, await _information(Connection(server=url, ca=ca))
    except StatusError as error:
        raise CommandError(f"{url} does not say who it is: {error}") from error
    except (ConnectionError, ValueError) as error:
        raise CommandError(f"cannot reach the API server: {error}") from error


async def _information(connection: Connection) -> Obj:
    client = HttpsClient(connection)
    try:
        return await client.get(CONFIG_MAPS, clusterinfo.NAME, clusterinfo.NAMESPACE)
    finally:
        await client.close()


def _own_address(url: str) -> str:
    """The address that this machine reaches the server from."""
    server = urlsplit(url)
    with socket.create_connection((server.hostname, server.port or 443), timeout=5) as connection:
        return str(connection.getsockname()[0])


def _keep(cluster: Cluster, url: str, ca: bytes) -> None:
    pair = identity.client_certificate(cluster.pki, cluster.node_name)
    cluster.save()
    (cluster.pki / "ca.crt").write_bytes(ca)
    write_kubeconfig(cluster, url, ca, pair)


def write_kubeconfig(cluster: Cluster, url: str, ca: bytes, pair: identity.Wanted) -> None:
    """The node's own, which names its certificate by file, so that a renewed one needs no change here."""
    document = kubeconfig.document(cluster.name, url, ca, b"", b"")
    document["users"] = [
        {
            "name": cluster.name,
            "user": {"client-certificate": str(pair.cert), "client-key": str(pair.key)},
        }
    ]
    kubeconfig.write(cluster.node_kubeconfig, document)
