"""When requests and bootstrap tokens are forgotten. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from datetime import datetime, timedelta

from cryptography import x509

from podium.api.types import Obj
from podium.api.types.meta import parse_time
from podium.control.certificates.requests import conditions, has, issued

ANSWERED = timedelta(hours=1)
UNANSWERED = timedelta(hours=24)
TOKEN_TYPE = "bootstrap.kubernetes.io/token"


def forgotten_at(csr: Obj) -> datetime | None:
    """When a request is to be deleted, as it is now: an hour after it was answered, a day after nobody did,
    or when its certificate has expired. None for one whose conditions tell nothing of the kind."""
    if not conditions(csr):
        return parse_time(csr["metadata"]["creationTimestamp"]) + UNANSWERED
    return min(_ends(csr), default=None)


def _ends(csr: Obj) -> Iterator[datetime]:
    for each in conditions(csr):
        written = each.get("lastUpdateTime")
        if written and each["type"] in ("Denied", "Failed"):
            yield parse_time(written) + ANSWERED
        elif written and each["type"] == "Approved":
            yield parse_time(written) + (ANSWERED if issued(csr) else UNANSWERED)
    if issued(csr) and has(csr, "Approved"):
        yield from _expiration(csr)


def _expiration(csr: Obj) -> Iterator[datetime]:
    """None for what is no certificate, which some other signer may have written."""
    try:
        yield x509.load_pem_x509_certificate(
            base64.b64decode(csr["status"]["certificate"])
        ).not_valid_after_utc
    except ValueError:
        return


def is_token(secret: Obj) -> bool:
    return secret.get("type") == TOKEN_TYPE and secret["metadata"].get("namespace") == "kube-system"


def token_ends(secret: Obj, now: datetime) -> datetime | None:
    """When a bootstrap token expires: None for never, `now` for a time that cannot be read."""
    try:
        text = base64.b64decode((secret.get("data") or {}).get("expiration", "")).decode()
        return parse_time(text) if text else None
    except (binascii.Error, ValueError):
        return now
