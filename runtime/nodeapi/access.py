"""Who may use the node API. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ADMINISTRATORS = "system:masters"
API_SERVERS = frozenset({"kube-apiserver-kubelet-client", "system:kube-apiserver"})


def allowed(certificate: Mapping[str, Any] | None) -> bool:
    """Whether a client certificate, as `ssl.SSLSocket.getpeercert` gives it after verification, is an
    administrator's or an API server's. The common name is the user and the organizations are its groups, as
    for the API itself."""
    if not certificate:
        return False
    names: list[tuple[str, str]] = [pair for part in certificate.get("subject", ()) for pair in part]
    if ("organizationName", ADMINISTRATORS) in names:
        return True
    return any(kind == "commonName" and name in API_SERVERS for kind, name in names)
