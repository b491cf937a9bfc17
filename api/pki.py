"""The cluster's certificates: a CA, and server and client certificates signed by it. ECDSA P-256 throughout.

Everything here can be called again at every start: what exists, is signed by the present CA, names what was
asked for and is not near its end is kept, and only what is not is made anew. Private keys are readable by
their owner only, and a file is replaced whole or not at all."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import tempfile
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_LIFE = timedelta(days=3650)
LEAF_LIFE = timedelta(days=365)
# Renewed at the first start within this time of the end.
RENEWAL = timedelta(days=60)
# Clocks of nodes differ; a certificate is valid from a little before it was made.
SKEW = timedelta(minutes=5)

SERVER = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


class Pair(NamedTuple):
    """A certificate and its private key, both PEM files."""

    cert: Path
    key: Path


class Authority(NamedTuple):
    """A certificate authority that can sign."""

    cert: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    pair: Pair

    @property
    def pem(self) -> bytes:
        return self.cert.public_bytes(serialization.Encoding.PEM)


def ensure_ca(directory: Path, name: str = "ca", common_name: str = "podium-ca") -> Authority:
    """The CA of `directory` (`ca.crt`, `ca.key`), made if there is none. A CA is never renewed: what it
    signed would no longer be trusted."""
    pair = _pair(directory, name)
    if pair.cert.exists() and pair.key.exists():
        return Authority(x509.load_pem_x509_certificate(pair.cert.read_bytes()), load_key(pair.key), pair)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = (
        _builder(subject, subject, key.public_key(), CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    cert = builder.sign(key, hashes.SHA256())
    _write_pair(pair, cert, key)
    return Authority(cert, key, pair)


def issue(
    authority: Authority,
    directory: Path,
    name: str,
    *,
    common_name: str,
    organizations: Sequence[str] = (),
    hosts: Iterable[str] = (),
    usages: Sequence[x509.ObjectIdentifier] = (CLIENT,),
    now: datetime | None = None,
) -> Pair:
    """The certificate `NAME.crt` and key `NAME.key` in `directory`, made or renewed if need be.

    For a client, `common_name` is the user's name and `organizations` its groups. `hosts` are DNS names and
    addresses; a certificate that covers more than was asked for is kept."""
    pair = _pair(directory, name)
    wanted = list(dict.fromkeys(hosts))
    if _still_good(authority, pair, _subject(common_name, organizations), wanted, now or datetime.now(UTC)):
        return pair
    key = ec.generate_private_key(ec.SECP256R1())
    cert = _sign(authority, key.public_key(), _subject(common_name, organizations), wanted, usages)
    _write_pair(pair, cert, key)
    return pair


def issue_server(authority: Authority, directory: Path, name: str, hosts: Iterable[str]) -> Pair:
    """The API server's serving certificate, for the names and addresses it is reached by."""
    return issue(authority, directory, name, common_name="podium-apiserver", hosts=hosts, usages=(SERVER,))


def issue_node(authority: Authority, directory: Path, node: str, hosts: Iterable[str]) -> Pair:
    """A node's one certificate: client of the API server (`system:node:NAME` in `system:nodes`) and server
    of the node API at `hosts`."""
    return issue(
        authority,
        directory,
        f"node-{node}",
        common_name=f"system:node:{node}",
        organizations=("system:nodes",),
        hosts=[node, *hosts],
        usages=(SERVER, CLIENT),
    )


def ensure_signing_key(directory: Path, name: str = "sa") -> Path:
    """The key that service account tokens are signed with (`sa.key`)."""
    path = directory / f"{name}.key"
    if not path.exists():
        _write(path, _key_pem(ec.generate_private_key(ec.SECP256R1())))
    return path


def load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{path}: not an elliptic curve key")
    return key


def _pair(directory: Path, name: str) -> Pair:
    return Pair(directory / f"{name}.crt", directory / f"{name}.key")


def _subject(common_name: str, organizations: Sequence[str]) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, name) for name in organizations]
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, life: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + life)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _sign(
    authority: Authority,
    key: ec.EllipticCurvePublicKey,
    subject: x509.Name,
    hosts: Sequence[str],
    usages: Sequence[x509.ObjectIdentifier],
) -> x509.Certificate:
    issuer_key = authority.key.public_key()
    builder = (
        _builder(subject, authority.cert.subject, key, LEAF_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )
    if hosts:
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(authority.key, hashes.SHA256())


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _still_good(
    authority: Authority, pair: Pair, subject: x509.Name, hosts: Sequence[str], now: datetime
) -> bool:
    try:
        cert = x509.load_pem_x509_certificate(pair.cert.read_bytes())
        cert.verify_directly_issued_by(authority.cert)
        matches = load_key(pair.key).public_key() == cert.public_key()
    except (OSError, ValueError, TypeError, InvalidSignature):
        return False
    return (
        matches
        and cert.subject == subject
        and cert.not_valid_after_utc - now > RENEWAL
        and {_general_name(host) for host in hosts} <= _names_of(cert)
    )


def _names_of(cert: x509.Certificate) -> set[x509.GeneralName]:
    try:
        return set(cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return set()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write_pair(pair: Pair, cert: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    # The key first: a pair that a crash cut in two does not match, and is made anew.
    _write(pair.key, _key_pem(key))
    _write(pair.cert, cert.public_bytes(serialization.Encoding.PEM))


def _write(path: Path, data: bytes) -> None:
    """Atomically, 0600, in a directory only its owner may enter."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
