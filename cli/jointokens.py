"""What a machine needs to join a cluster, in one word: ID.SECRET:sha256:HASH. The first part lets it in for
long enough to ask for a certificate, HASH (of the CA's public key) tells it whom to trust."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import string
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from podium.api.types import Obj
from podium.api.types.meta import timestamp
from podium.cli.errors import CommandError

NAMESPACE = "kube-system"
SECRET_TYPE = "bootstrap.kubernetes.io/token"
PREFIX = "bootstrap-token-"
TTL = timedelta(hours=24)
_LETTERS = string.ascii_lowercase + string.digits
_FORM = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16}):(sha256:[0-9a-f]{64})")


class JoinToken(NamedTuple):
    ident: str
    secret: str
    ca: str

    @property
    def bearer(self) -> str:
        return f"{self.ident}.{self.secret}"

    def __str__(self) -> str:
        return f"{self.bearer}:{self.ca}"


def parse(text: str) -> JoinToken:
    """Raises CommandError for what is none."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise CommandError(
            "the token is not of the form ID.SECRET:sha256:HASH: make one with podium token create on the "
            "server"
        )
    return JoinToken(*found.groups())


def new(ca: bytes) -> JoinToken:
    """A token that nobody has had, for the cluster of this CA."""
    ident, secret = ("".join(secrets.choice(_LETTERS) for _ in range(length)) for length in (6, 16))
    return JoinToken(ident, secret, ca_hash(ca))


def ca_hash(ca: bytes) -> str:
    """Of the public key, so that a CA that is renewed with its key stays trusted. Raises ValueError for what
    is no certificate."""
    public = (
        x509.load_pem_x509_certificate(ca)
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return f"sha256:{hashlib.sha256(public).hexdigest()}"


def secret_of(token: JoinToken, ttl: timedelta | None, now: datetime | None = None) -> Obj:
    """The Secret that makes the token good, for ever when `ttl` is None."""
    values = {
        "token-id": token.ident,
        "token-secret": token.secret,
        "usage-bootstrap-authentication": "true",
        "description": "Lets machines join the cluster.",
    }
    if ttl is not None:
        values["expiration"] = timestamp((now or datetime.now(UTC)) + ttl)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"{PREFIX}{token.ident}", "namespace": NAMESPACE},
        "type": SECRET_TYPE,
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in values.items()},
    }
