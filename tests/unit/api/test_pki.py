from __future__ import annotations

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

from podium.api import pki


def load(pair: pki.Pair) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pair.cert.read_bytes())


def test_a_ca_is_made_once(tmp_path: Path) -> None:
    first, second = pki.ensure_ca(tmp_path), pki.ensure_ca(tmp_path)
    assert first.cert == second.cert


def test_keys_are_their_owners_alone(tmp_path: Path) -> None:
    authority = pki.ensure_ca(tmp_path / "pki")
    pki.issue_node(authority, tmp_path / "pki", "one", ["10.89.0.1"])
    pki.ensure_signing_key(tmp_path / "pki")
    for path in (tmp_path / "pki").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "pki").stat().st_mode) == 0o700


def test_a_certificate_names_its_user_and_groups(tmp_path: Path) -> None:
    authority = pki.ensure_ca(tmp_path)
    pair = pki.issue(authority, tmp_path, "eve", common_name="eve", organizations=("a", "b"))
    subject = load(pair).subject
    assert [entry.value for entry in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["eve"]
    assert [entry.value for entry in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == ["a", "b"]


def test_a_good_certificate_is_kept(tmp_path: Path) -> None:
    authority = pki.ensure_ca(tmp_path)
    first = pki.issue_server(authority, tmp_path, "server", ["localhost", "127.0.0.1"]).cert.read_bytes()
    assert pki.issue_server(authority, tmp_path, "server", ["127.0.0.1"]).cert.read_bytes() == first


def test_a_certificate_is_made_anew_for_another_host_user_or_ca(tmp_path: Path) -> None:
    authority = pki.ensure_ca(tmp_path)

    def made(common_name: str, host: str, by: pki.Authority = authority) -> bytes:
        return pki.issue(by, tmp_path, "x", common_name=common_name, hosts=[host]).cert.read_bytes()

    kinds = [
        made("a", "one"),
        made("a", "two"),
        made("b", "two"),
        made("b", "two", pki.ensure_ca(tmp_path / "other")),
    ]
    assert len(set(kinds)) == 4


def test_a_certificate_near_its_end_is_renewed(tmp_path: Path) -> None:
    authority = pki.ensure_ca(tmp_path)
    first = pki.issue(authority, tmp_path, "x", common_name="x").cert.read_bytes()
    late = datetime.now(UTC) + pki.LEAF_LIFE - timedelta(days=1)
    assert pki.issue(authority, tmp_path, "x", common_name="x", now=late).cert.read_bytes() != first


def test_a_damaged_pair_is_made_anew(tmp_path: Path) -> None:
    authority = pki.ensure_ca(tmp_path)
    pair = pki.issue(authority, tmp_path, "x", common_name="x")
    pair.key.write_bytes(pki.issue(authority, tmp_path, "y", common_name="y").key.read_bytes())
    pki.issue(authority, tmp_path, "x", common_name="x")
    assert pki.load_key(pair.key).public_key() == load(pair).public_key()
    pair.cert.write_bytes(b"nonsense")
    pki.issue(authority, tmp_path, "x", common_name="x")
    assert pki.load_key(pair.key).public_key() == load(pair).public_key()


def test_what_is_made_satisfies_strict_verification(tmp_path: Path) -> None:
    authority = pki.ensure_ca(tmp_path)
    pair = pki.issue_node(authority, tmp_path, "one", ["127.0.0.1"])
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pair.cert, pair.key)
    server.load_verify_locations(authority.pair.cert)
    server.verify_mode = ssl.CERT_REQUIRED
    client = ssl.create_default_context(cafile=authority.pair.cert)
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    client.load_cert_chain(pair.cert, pair.key)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for end in ends * 3:
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert all(end.version() for end in ends)
