from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from cryptography import x509

from podium.api import pki
from podium.runtime.node import identity


def _due(folder: Path, name: str) -> float:
    """The part of its life after which a new certificate is to be renewed."""
    wanted = identity.client_certificate(folder, name)
    cert = x509.load_pem_x509_certificate(wanted.cert.read_bytes())
    life = cert.not_valid_after_utc - cert.not_valid_before_utc
    due: float = (identity.renewed_at(wanted) - cert.not_valid_before_utc) / life
    return due


def test_certificates_are_renewed_at_moments_of_their_own_between_70_and_90_percent_of_their_lives(
    tmp_path: Path,
) -> None:
    authority = pki.ensure_ca(tmp_path)
    names = [f"node-{number}" for number in range(8)]
    for name in names:
        pki.issue_node(authority, tmp_path, name, ["127.0.0.1"])
    due = [_due(tmp_path, name) for name in names]
    assert all(0.7 <= each <= 0.9 for each in due)
    assert len(set(due)) > 1
    assert due == [_due(tmp_path, name) for name in names]


def test_a_daemon_that_asks_for_no_certificates_loads_nothing_to_make_them() -> None:
    look = "import sys, podium.cli.node, podium.cli.nodedaemon; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], timeout=60).returncode == 0
