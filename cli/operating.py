"""What the server is told by files: how objects are encrypted at rest, what is recorded of requests."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from podium.api.audit import Audit
from podium.api.audit.log import AuditLog
from podium.api.audit.policy import PolicyError, read_policy
from podium.api.audit.sinks import Several, Sink
from podium.api.audit.webhook import AuditWebhook, Batching
from podium.api.auth.configuration import ConfigError as RemoteConfigError
from podium.api.auth.webhooks.remote import place_of
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


def flags(cluster: Cluster) -> dict[str, str]:
    """What the server goes by, by the names of its options."""
    given = dataclasses.asdict(cluster)
    return {
        name.replace("_", "-"): str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in given.items()
        if isinstance(value, (bool, int, float, str, Path))
    }


def audit(cluster: Cluster) -> Audit | None:
    """None where nothing is recorded. Raises CommandError."""
    path, log, webhook = cluster.audit_policy_file, cluster.audit_log_path, cluster.audit_webhook_config_file
    if not path and not log and not webhook:
        return None
    if not path or not (log or webhook):
        raise CommandError(
            "--audit-policy-file needs --audit-log-path or --audit-webhook-config-file, and they need it"
        )
    try:
        policy = read_policy(Path(path).read_text())
    except (OSError, UnicodeDecodeError, PolicyError) as error:
        raise CommandError(f"--audit-policy-file {path}: {error}") from None
    sinks: list[Sink] = []
    if webhook:
        sinks.append(_audit_webhook(cluster))
    if log:
        sinks.append(_audit_log(cluster))
    return Audit(policy, Several(sinks))


def _audit_log(cluster: Cluster) -> AuditLog:
    log = cluster.audit_log_path
    try:
        return AuditLog(
            log,
            max_bytes=cluster.audit_log_maxsize << 20,
            backups=cluster.audit_log_maxbackup,
            days=cluster.audit_log_maxage,
        )
    except OSError as error:
        raise CommandError(f"--audit-log-path {log}: {error}") from None


def _audit_webhook(cluster: Cluster) -> AuditWebhook:
    batching = Batching(
        buffer=cluster.audit_webhook_batch_buffer_size,
        most=cluster.audit_webhook_batch_max_size,
        wait=cluster.audit_webhook_batch_max_wait,
        qps=cluster.audit_webhook_batch_throttle_qps,
        burst=cluster.audit_webhook_batch_throttle_burst,
        backoff=cluster.audit_webhook_initial_backoff,
    )
    try:
        return AuditWebhook(place_of(Path(cluster.audit_webhook_config_file)), batching)
    except RemoteConfigError as error:
        raise CommandError(f"--audit-webhook-config-file {error}") from None


def _own(path: Path) -> Path:
    """Made once: without its key, what it encrypted is lost."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path
    with os.fdopen(descriptor, "w") as file:
        file.write(template(ENCRYPTED))
    return path
