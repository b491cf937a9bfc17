"""A node's certificates, asked for through the API: the key never leaves the node. Source: docs, "TLS
bootstrapping".

A key is written before its certificate is asked for, and the request is named after the key: a daemon that is
killed while it waits asks again for the very same.

What is done with keys is in `keys`, which is loaded when it is needed: the library behind it is large."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.resources import CERTIFICATE_SIGNING_REQUESTS
from podium.client.base import Client

log = logging.getLogger(__name__)

CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client-kubelet"
SERVING_SIGNER = "kubernetes.io/kubelet-serving"
# Seconds before a watch that broke is begun again.
AGAIN = 2.0


class Refused(Exception):
    """The request was denied, or the signer could not sign it; the message tells why."""


@dataclass(frozen=True)
class Wanted:
    """One certificate: `name` is that of its files (NAME.crt, NAME.key in `folder`), `hosts` the names and
    addresses it is for."""

    folder: Path
    name: str
    node: str
    signer: str
    usage: str
    hosts: Sequence[str] = ()

    @property
    def cert(self) -> Path:
        return self.folder / f"{self.name}.crt"

    @property
    def key(self) -> Path:
        return self.folder / f"{self.name}.key"

    @property
    def pending(self) -> Path:
        return self.folder / f"{self.name}.pending.key"


def client_certificate(folder: Path, node: str) -> Wanted:
    return Wanted(folder, f"node-{node}", node, CLIENT_SIGNER, "client auth")


def serving_certificate(folder: Path, node: str, addresses: Sequence[str]) -> Wanted:
    return Wanted(folder, f"serving-{node}", node, SERVING_SIGNER, "server auth", (node, *addresses))


def good(wanted: Wanted, now: datetime | None = None) -> bool:
    """Whether there is one that need not be renewed yet."""
    return (now or datetime.now(UTC)) < renewed_at(wanted)


def usable(wanted: Wanted, now: datetime | None = None) -> bool:
    """Whether there is one that still serves, if only to ask for the next."""
    from podium.runtime.node import keys

    return keys.usable(wanted, now or datetime.now(UTC))


def renewed_at(wanted: Wanted) -> datetime:
    """When the next one is to be asked for: at once where there is none, or one for other hosts."""
    from podium.runtime.node import keys

    return keys.renewed_at(wanted)


async def obtain(client: Client, wanted: Wanted) -> None:
    """Asks for the certificate and waits for it, for as long as it takes. Raises Refused."""
    from podium.runtime.node import keys

    csr = await asyncio.to_thread(keys.request, wanted)
    try:
        csr = await client.create(CERTIFICATE_SIGNING_REQUESTS, csr)
    except StatusError as error:
        if error.reason != "AlreadyExists":
            raise
        csr = await client.get(CERTIFICATE_SIGNING_REQUESTS, csr["metadata"]["name"])
    log.info("waiting for the certificate of request %s", csr["metadata"]["name"])
    cert = await _answer(client, csr)
    await asyncio.to_thread(keys.keep, wanted, cert)


async def _answer(client: Client, csr: Obj) -> bytes:
    """Waits for as long as it takes, across restarts of the server."""
    name = csr["metadata"]["name"]
    while True:
        try:
            if certificate := _answered(csr) or await _watched(client, csr):
                return certificate
            csr = await client.get(CERTIFICATE_SIGNING_REQUESTS, name)
        except (ConnectionError, StatusError) as error:
            if isinstance(error, StatusError) and error.code == 404:
                raise Refused(f"request {name} was deleted") from error
            log.warning("cannot watch request %s: %s", name, error)
            await asyncio.sleep(AGAIN)


async def _watched(client: Client, csr: Obj) -> bytes | None:
    """None when the watch has ended before there was an answer."""
    version, fields = csr["metadata"]["resourceVersion"], f"metadata.name={csr['metadata']['name']}"
    async for event in client.watch(CERTIFICATE_SIGNING_REQUESTS, resource_version=version, fields=fields):
        if event.type in ("ADDED", "MODIFIED") and (certificate := _answered(event.object)):
            return certificate
        if event.type == "DELETED":
            return None
    return None


def _answered(csr: Obj) -> bytes | None:
    """The certificate, None while there is neither that nor a refusal."""
    status = csr.get("status") or {}
    for condition in status.get("conditions") or ():
        if condition["type"] in ("Denied", "Failed"):
            said = condition.get("message") or condition.get("reason") or condition["type"]
            raise Refused(f"request {csr['metadata']['name']}: {said}")
    return base64.b64decode(status["certificate"]) if status.get("certificate") else None
