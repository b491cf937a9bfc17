"""A token says who may come in, and whom to trust."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from podium.api import pki
from podium.cli import clusterinfo, jointokens
from podium.cli.cluster import Cluster
from podium.cli.errors import CommandError


def test_a_token_is_read_as_it_was_printed(tmp_path: Path) -> None:
    ca = pki.ensure_ca(tmp_path).pem
    made = jointokens.new(ca)
    assert jointokens.parse(str(made)) == made
    assert made.bearer == f"{made.ident}.{made.secret}"
    assert made.ca == jointokens.ca_hash(ca)
    assert jointokens.new(ca) != made
    assert made.ca != jointokens.ca_hash(pki.ensure_ca(tmp_path / "other").pem)


@pytest.mark.parametrize(
    "text", ["", "abcdef.0123456789abcdef", "ABCDEF.0123456789abcdef:sha256:" + "0" * 64, "x:y:z"]
)
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match=r"not of the form ID\.SECRET:sha256:HASH"):
        jointokens.parse(text)


def test_its_secret_is_one_that_the_authenticator_knows() -> None:
    token = jointokens.JoinToken("abcdef", "0123456789abcdef", "sha256:0")
    now = datetime(2026, 1, 2, 12, tzinfo=UTC)
    secret = jointokens.secret_of(token, timedelta(hours=1), now)
    values = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
    assert secret["metadata"] == {"name": "bootstrap-token-abcdef", "namespace": "kube-system"}
    assert secret["type"] == "bootstrap.kubernetes.io/token"
    assert values["expiration"] == "2026-01-02T13:00:00Z"
    assert values["usage-bootstrap-authentication"] == "true"
    assert "expiration" not in jointokens.secret_of(token, None)["data"]


def test_the_cluster_tells_its_ca_and_its_ranges() -> None:
    cluster = Cluster(cluster_cidr="10.50.0.0/16")
    document = clusterinfo.document(cluster, "CA")
    assert clusterinfo.certificate(document) == b"CA"
    assert clusterinfo.settings(document)["cluster_cidr"] == "10.50.0.0/16"
    for broken in ({}, {"data": {"kubeconfig": "a: ["}}, {"data": {"kubeconfig": "clusters: []"}}):
        with pytest.raises(CommandError, match="names no CA"):
            clusterinfo.certificate(broken)
