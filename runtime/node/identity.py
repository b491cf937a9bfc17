"""A node's certificates, asked for through the API: the key never leaves the node. Source: docs, "TLS
bootstrapping".

A key is written before its certificate is asked for, and the request is named after the key: a daemon that is
killed while it waits asks again for the very same."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ipaddress
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.resources import CERTIFICATE_SIGNING_REQUESTS
from podium.client.base import Client

log = logging.getLogger(__name__)

CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client-kubelet"
SERVING_SIGNER = "kubernetes.io/kubelet-serving"
# A certificate is renewed when this part of its life is over.
RENEWED_AFTER = 0.7
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
    cert = _held(wanted)
    return cert is not None and (now or datetime.now(UTC)) < cert.not_valid_after_utc


def renewed_at(wanted: Wanted) -> datetime:
    """When the next one is to be asked for: at once where there is none, or one for other hosts."""
    cert = _held(wanted)
    if cert is None or not _covers(cert, wanted.hosts):
        return datetime.min.replace(tzinfo=UTC)
    life = cert.not_valid_after_utc - cert.not_valid_before_utc
    return cert.not_valid_before_utc + life * RENEWED_AFTER


def _held(wanted: Wanted) -> x509.Certificate | None:
    """The certificate that fits its key."""
    try:
        cert = x509.load_pem_x509_certificate(wanted.cert.read_bytes())
        return cert if _load(wanted.key).public_key() == cert.public_key() else None
    except (OSError, ValueError):
        return None


def _covers(cert: x509.Certificate, hosts: Sequence[str]) -> bool:
    if not hosts:
        return True
    names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {_general_name(host) for host in hosts} <= set(names)


async def obtain(client: Client, wanted: Wanted) -> None:
    """Asks for the certificate and waits for it, for as long as it takes. Raises Refused."""
    key = await asyncio.to_thread(_pending_key, wanted.pending)
    csr = _request(wanted, key)
    try:
        csr = await client.create(CERTIFICATE_SIGNING_REQUESTS, csr)
    except StatusError as error:
        if error.reason != "AlreadyExists":
            raise
        csr = await client.get(CERTIFICATE_SIGNING_REQUESTS, csr["metadata"]["name"])
    log.info("waiting for the certificate of request %s", csr["metadata"]["name"])
    cert = await _answer(client, csr)
    await asyncio.to_thread(_keep, wanted, cert)


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


def _request(wanted: Wanted, key: ec.EllipticCurvePrivateKey) -> Obj:
    pem = _signed(wanted, key)
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    digest = hashlib.sha256(public + "\n".join((wanted.signer, *wanted.hosts)).encode()).hexdigest()
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": f"node-csr-{digest[:43]}"},
        "spec": {
            "request": base64.b64encode(pem).decode(),
            "signerName": wanted.signer,
            "usages": ["digital signature", wanted.usage],
        },
    }


def _signed(wanted: Wanted, key: ec.EllipticCurvePrivateKey) -> bytes:
    subject = [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
        x509.NameAttribute(NameOID.COMMON_NAME, f"system:node:{wanted.node}"),
    ]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    if wanted.hosts:
        names = x509.SubjectAlternativeName([_general_name(host) for host in wanted.hosts])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pending_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The key of a request that is under way, or a new one."""
    try:
        return _load(path)
    except (OSError, ValueError):
        key = ec.generate_private_key(ec.SECP256R1())
        encoded = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        _write(path, encoded)
        return key


def _load(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{path}: not an elliptic curve key")
    return key


def _keep(wanted: Wanted, cert: bytes) -> None:
    """The key first: a pair that a crash cut in two does not match, and is asked for again."""
    os.replace(wanted.pending, wanted.key)
    _write(wanted.cert, cert)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = path.with_name(f".{path.name}")
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(scratch, path)
