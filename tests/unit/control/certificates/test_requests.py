"""Who gets a certificate unasked, what signers refuse, what they sign, and when a request is forgotten."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from podium.api import pki
from podium.api.types import Obj
from podium.api.types.meta import timestamp
from podium.control.certificates import approval, expiry, requests
from podium.control.certificates import signing as signing_
from tests.unit import signing
from tests.unit.signing import CLIENT_USAGES, SERVER_USAGES

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
NODE = ["system:nodes"]


def csr(request: bytes, signer: str, usages: Any = CLIENT_USAGES, **spec: Any) -> Obj:
    return signing.request("r", request, signer, usages, **spec)


def claims(obj: Obj) -> list[str]:
    return [claim.subresource for claim in approval.claims(obj, requests.parse(obj))]


def test_a_machine_that_becomes_a_node_needs_the_right_to() -> None:
    obj = csr(signing.pem("system:node:a", NODE), requests.NODE_CLIENT, username="system:bootstrap:abcdef")
    assert claims(obj) == ["nodeclient"]
    review = approval.review(obj, approval.claims(obj, requests.parse(obj))[0])
    assert review["spec"]["user"] == "system:bootstrap:abcdef"
    assert review["spec"]["resourceAttributes"]["subresource"] == "nodeclient"


def test_a_node_that_renews_its_own_needs_less() -> None:
    obj = csr(signing.pem("system:node:a", NODE), requests.NODE_CLIENT, username="system:node:a")
    assert claims(obj) == ["selfnodeclient", "nodeclient"]


@pytest.mark.parametrize(
    ("request_", "signer", "usages"),
    [
        (signing.pem("bob", NODE), requests.NODE_CLIENT, CLIENT_USAGES),
        (signing.pem("system:node:a"), requests.NODE_CLIENT, CLIENT_USAGES),
        (signing.pem("system:node:a", [*NODE, "system:masters"]), requests.NODE_CLIENT, CLIENT_USAGES),
        (signing.pem("system:node:a", NODE, dns=["a"]), requests.NODE_CLIENT, CLIENT_USAGES),
        (signing.pem("system:node:a", NODE), requests.NODE_CLIENT, SERVER_USAGES),
        (signing.pem("system:node:a", NODE), requests.CLIENT, CLIENT_USAGES),
    ],
)
def test_nobody_else_is_approved_unseen(request_: bytes, signer: str, usages: Any) -> None:
    assert claims(csr(request_, signer, usages, username="system:node:a")) == []


def node(name: str, *addresses: str) -> Obj:
    listed = [{"type": "InternalIP", "address": address} for address in addresses]
    return {"metadata": {"name": name}, "status": {"addresses": listed}}


def test_a_node_gets_a_serving_certificate_for_its_own_addresses_only() -> None:
    asked = signing.pem("system:node:a", NODE, ["a"], ["10.89.0.2"])
    own = csr(asked, requests.NODE_SERVING, SERVER_USAGES, username="system:node:a")
    parsed = requests.parse(own)
    assert approval.serving_node(own, parsed) == "a"
    assert approval.serves(node("a", "10.89.0.2"), parsed)
    assert not approval.serves(node("a", "10.89.0.3"), parsed)
    other = csr(asked, requests.NODE_SERVING, SERVER_USAGES, username="system:node:b")
    assert approval.serving_node(other, requests.parse(other)) == ""


@pytest.mark.parametrize(
    ("request_", "signer", "usages", "why"),
    [
        (signing.pem("x"), requests.CLIENT, CLIENT_USAGES, ""),
        (signing.pem("x"), requests.CLIENT, ["digital signature"],
         "missing required usage for client certificate: client auth"),
        (signing.pem("x"), requests.CLIENT, SERVER_USAGES,
         "invalid usage for client certificate: server auth"),
        (signing.pem("system:node:a", NODE), requests.NODE_CLIENT, CLIENT_USAGES, ""),
        (signing.pem("system:node:a"), requests.NODE_CLIENT, CLIENT_USAGES,
         "subject organization is not system:nodes"),
        (signing.pem("a", NODE), requests.NODE_CLIENT, CLIENT_USAGES,
         "subject common name does not begin with system:node:"),
        (signing.pem("system:node:a", NODE, ips=["10.0.0.1"]), requests.NODE_CLIENT, CLIENT_USAGES,
         "IP subjectAltNames are not allowed"),
        (signing.pem("system:node:a", NODE), requests.NODE_CLIENT, SERVER_USAGES,
         "usages did not match [client auth digital signature key encipherment]"),
        (signing.pem("system:node:a", NODE, ["a"]), requests.NODE_SERVING, SERVER_USAGES, ""),
        (signing.pem("system:node:a", NODE), requests.NODE_SERVING, SERVER_USAGES,
         "DNS or IP subjectAltName is required"),
    ],
)  # fmt: skip
def test_a_signer_says_what_it_does_not_sign(request_: bytes, signer: str, usages: Any, why: str) -> None:
    obj = csr(request_, signer, usages)
    assert requests.refusal(obj, requests.parse(obj)) == why


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> signing_.Authority:
    made = pki.ensure_ca(tmp_path_factory.mktemp("pki"))
    return signing_.Authority.from_pem(made.pair.cert.read_text(), made.pair.key.read_text())


def test_what_is_signed_is_what_was_asked_for_and_no_more(authority: signing_.Authority) -> None:
    request = x509.load_pem_x509_csr(signing.pem("system:node:a", NODE, ["a"], ["10.0.0.1"]))
    made = signing_.sign(authority, request, SERVER_USAGES, timedelta(days=30), NOW)
    cert = x509.load_pem_x509_certificate(made)
    cert.verify_directly_issued_by(authority.certificate)
    assert cert.subject == request.subject
    assert cert.public_key() == request.public_key()
    assert cert.not_valid_after_utc == NOW + timedelta(days=30)
    extensions = cert.extensions
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usages = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a"]


def test_a_short_life_includes_the_time_before_now(authority: signing_.Authority) -> None:
    request = x509.load_pem_x509_csr(signing.pem("x"))
    cert = x509.load_pem_x509_certificate(
        signing_.sign(authority, request, CLIENT_USAGES, timedelta(hours=1), NOW)
    )
    assert cert.not_valid_after_utc - cert.not_valid_before_utc == timedelta(hours=1)


def test_nothing_outlives_the_ca(authority: signing_.Authority) -> None:
    request = x509.load_pem_x509_csr(signing.pem("x"))
    end = authority.certificate.not_valid_after_utc
    cert = x509.load_pem_x509_certificate(
        signing_.sign(authority, request, CLIENT_USAGES, timedelta(days=365), end - timedelta(days=1))
    )
    assert cert.not_valid_after_utc == end


@pytest.mark.parametrize(
    ("asked", "given"),
    [(None, timedelta(days=365)), (600, timedelta(minutes=10)), (10**9, timedelta(days=365))],
)
def test_a_life_is_as_asked_for_within_bounds(asked: int | None, given: timedelta) -> None:
    assert signing_.lifetime(asked) == given


def condition(kind: str, ago: timedelta) -> Obj:
    return {"type": kind, "status": "True", "lastUpdateTime": timestamp(NOW - ago)}


@pytest.mark.parametrize(
    ("conditions", "left"),
    [
        ([], timedelta(hours=24)),
        ([condition("Denied", timedelta(minutes=10))], timedelta(minutes=50)),
        ([condition("Approved", timedelta(hours=1))], timedelta(hours=23)),
        ([condition("Approved", timedelta()), condition("Failed", timedelta())], timedelta(hours=1)),
    ],
)
def test_a_request_is_forgotten_in_time(conditions: list[Obj], left: timedelta) -> None:
    obj = {
        "metadata": {"name": "r", "creationTimestamp": timestamp(NOW)},
        "spec": {},
        "status": {"conditions": conditions},
    }
    assert expiry.forgotten_at(obj) == NOW + left


def test_a_request_is_forgotten_with_its_certificate(authority: signing_.Authority) -> None:
    request = x509.load_pem_x509_csr(signing.pem("x"))
    made = signing_.sign(authority, request, CLIENT_USAGES, timedelta(minutes=10), NOW)
    obj = {
        "metadata": {"name": "r", "creationTimestamp": timestamp(NOW)},
        "status": {
            "conditions": [condition("Approved", timedelta())],
            "certificate": base64.b64encode(made).decode(),
        },
    }
    assert expiry.forgotten_at(obj) == NOW + timedelta(minutes=5)


@pytest.mark.parametrize(
    ("expiration", "end"),
    [("", None), ("2026-01-02T13:00:00Z", NOW + timedelta(hours=1)), ("tomorrow", NOW)],
)
def test_a_token_that_nobody_can_read_the_end_of_is_over(expiration: str, end: datetime | None) -> None:
    secret = {"metadata": {}, "data": {"expiration": base64.b64encode(expiration.encode()).decode()}}
    assert expiry.token_ends(secret, NOW) == end


def test_a_ca_of_another_kind_of_key_is_refused(authority: signing_.Authority) -> None:
    from cryptography.hazmat.primitives.asymmetric import ed25519

    key = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(ValueError, match="not an elliptic curve key"):
        signing_.Authority.from_pem(
            authority.certificate.public_bytes(serialization.Encoding.PEM).decode(), key.decode()
        )
