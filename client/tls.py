"""A TLS context for a client from PEM bytes in memory."""

from __future__ import annotations

import os
import ssl

from podium.client.kubeconfig import Connection


def client_context(connection: Connection) -> ssl.SSLContext:
    """Trusts the connection's CA alone (the system's where it names none) and shows its client
    certificate."""
    context = ssl.create_default_context(cadata=connection.ca.decode() if connection.ca else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if connection.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if connection.client_cert and connection.client_key:
        _load_pair(context, connection.client_cert, connection.client_key)
    return context


def _load_pair(context: ssl.SSLContext, cert: bytes, key: bytes) -> None:
    """OpenSSL's Python binding reads a key pair from a path only; an anonymous file keeps the key off every
    disk."""
    descriptor = os.memfd_create("client-pair", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, cert.rstrip() + b"\n" + key)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
