"""What the server is told by files: how objects are encrypted at rest, what is recorded of requests."""

from __future__ import annotations

import os
from pathlib import Path

from podium.api.audit import Audit
from podium.api.audit.log import AuditLog
from podium.api.audit.policy import PolicyError, read_policy
from podium.api.encryption import ConfigError, Encryption, read_config, template
from podium.cli.cluster import Cluster
from podium.cli.errors import CommandError

ENCRYPTED = ["secrets"]


def encryption_file(cluster: Cluster) -> Path | None:
    """Where it is said how objects are encrypted; made where the cluster has a file of its own."""
    if path := cluster.encryption_provider_config:
        return Path(path)
    return _own(cluster.pki / "encryption.yaml") if cluster.encrypt_secrets else None


def encryption(cluster: Cluster) -> Encryption | None:
    """None where objects lie on the disk as they are. Raises CommandError."""
    path = encryption_file(cluster)
    if path is None:
        return None
    try:
        return read_config(path.read_text())
    except (OSError, UnicodeDecodeError, ConfigError) as error:
        raise CommandError(f"--encryption-provider-config {path}: {error}") from None


def audit(cluster: Cluster) -> Audit | None:
    """None where nothing is recorded. Raises CommandError."""
    path, log = cluster.audit_policy_file, cluster.audit_log_path
    if not path and not log:
        return None
    if not path or not log:
        raise CommandError("--audit-policy-file and --audit-log-path need each other")
    try:
        policy = read_policy(Path(path).read_text())
    except (OSError, UnicodeDecodeError, PolicyError) as error:
        raise CommandError(f"--audit-policy-file {path}: {error}") from None
    try:
        sink = AuditLog(
            log,
            max_bytes=cluster.audit_log_maxsize << 20,
            backups=cluster.audit_log_maxbackup,
            days=cluster.audit_log_maxage,
        )
    except OSError as error:
        raise CommandError(f"--audit-log-path {log}: {error}") from None
    return Audit(policy, sink)


def _own(path: Path) -> Path:
    """Made once: without its key, what it encrypted is lost."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path
    with os.fdopen(descriptor, "w") as file:
        file.write(template(ENCRYPTED))
    return path
