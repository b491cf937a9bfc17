"""A node's keys and certificates on its disk: when one ends, and what the next one is asked for with."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from podium.api.types import Obj
from podium.runtime.node.identity import Wanted

RENEWED_AFTER = 0.7
SPREAD = 0.2
"""A certificate is renewed when that part of its life is over, each one at a moment of its own within the
spread: nodes that joined together do not all ask together."""


def usable(wanted: Wanted, now: datetime) -> bool:
    cert = _held(wanted)
    return cert is not None and now < cert.not_valid_after_utc


def renewed_at(wanted: Wanted) -> datetime:
    """When the next one is to be asked for: at once where there is none, or one for other hosts."""
    cert = _held(wanted)
    if cert is None or not _covers(cert, wanted.hosts):
        return datetime.min.replace(tzinfo=UTC)
    life = cert.not_valid_after_utc - cert.not_valid_before_utc
    drawn = cert.fingerprint(hashes.SHA256())[0] / 256
    return cert.not_valid_before_utc + life * (RENEWED_AFTER + SPREAD * drawn)


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


def request(wanted: Wanted) -> Obj:
    """The CertificateSigningRequest, of a key that is on the disk from then on."""
    key = _pending_key(wanted.pending)
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


def keep(wanted: Wanted, cert: bytes) -> None:
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
