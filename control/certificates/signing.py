"""Signing with the cluster's CA. Pure but for the serial number and the key's own randomness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

LONGEST = timedelta(days=365)
SHORTEST = timedelta(minutes=10)
# Clocks of nodes differ: a certificate is valid from a little before it was made, and that is no part of its
# life unless it is a short one.
BACKDATE = timedelta(minutes=5)
SHORT = timedelta(hours=8)

_KEY_USAGES = {
    "signing": "digital_signature",
    "digital signature": "digital_signature",
    "content commitment": "content_commitment",
    "key encipherment": "key_encipherment",
    "key agreement": "key_agreement",
    "data encipherment": "data_encipherment",
    "cert sign": "key_cert_sign",
    "crl sign": "crl_sign",
    "encipher only": "encipher_only",
    "decipher only": "decipher_only",
}
_EXTENDED = {
    "server auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "client auth": ExtendedKeyUsageOID.CLIENT_AUTH,
}


@dataclass(frozen=True)
class Authority:
    """The CA's certificate and key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def from_pem(cls, certificate: str, key: str) -> Authority:
        """Raises ValueError for what is none, or no elliptic curve's."""
        loaded = serialization.load_pem_private_key(key.encode(), password=None)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise ValueError("the CA's key is not an elliptic curve key")
        return cls(x509.load_pem_x509_certificate(certificate.encode()), loaded)


def lifetime(seconds: int | None) -> timedelta:
    """As asked for, within bounds."""
    if seconds is None:
        return LONGEST
    return min(max(timedelta(seconds=seconds), SHORTEST), LONGEST)


def sign(
    authority: Authority,
    request: x509.CertificateSigningRequest,
    usages: Sequence[str],
    life: timedelta,
    now: datetime,
) -> bytes:
    """The certificate in PEM: subject and alternative names as asked for, never a CA's, and never longer than
    the CA's own life."""
    until = now + (life - BACKDATE if life < SHORT else life)
    key, issuer = request.public_key(), authority.key.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(request.subject)
        .issuer_name(authority.certificate.subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(min(until, authority.certificate.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(usages), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False)
    )
    if extended := _extended(usages):
        builder = builder.add_extension(x509.ExtendedKeyUsage(extended), critical=False)
    try:
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        builder = builder.add_extension(names.value, critical=names.critical)
    except x509.ExtensionNotFound:
        pass
    return builder.sign(authority.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _key_usage(usages: Sequence[str]) -> x509.KeyUsage:
    asked = {_KEY_USAGES[usage] for usage in usages if usage in _KEY_USAGES}
    return x509.KeyUsage(**{name: name in asked for name in dict.fromkeys(_KEY_USAGES.values())})


def _extended(usages: Sequence[str]) -> list[ObjectIdentifier]:
    return list(dict.fromkeys(_EXTENDED[usage] for usage in usages if usage in _EXTENDED))
