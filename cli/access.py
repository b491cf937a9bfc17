"""What the server is told by files about who may come and what he may: tokens, issuers, webhooks, and the
plugins of admission."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypedDict, TypeVar

import yaml

from podium.api.admission import limited, podsecurity
from podium.api.admission.podsecurity import Configuration
from podium.api.admission.quotas import ResourceQuota
from podium.api.auth.authentication import Settings
from podium.api.auth.webhooks import configuration
from podium.api.auth.webhooks.authorization import Settings as Webhook
from podium.api.auth.webhooks.configuration import Asked
from podium.cli.cluster import Cluster
from podium.cli.errors import CommandError

Read = TypeVar("Read")
ADMISSION = ("AdmissionConfiguration", "apiserver.config.k8s.io/v1")


class ServiceAccounts(TypedDict, total=False):
    """What a ServerConfig says of tokens of service accounts."""

    issuer: str
    former_issuers: list[str]
    audiences: list[str]
    service_account_keys: list[Path]


def service_accounts(cluster: Cluster) -> ServiceAccounts:
    found: ServiceAccounts = {
        "service_account_keys": [Path(file) for file in listed(cluster.service_account_key_file)]
    }
    audiences = listed(cluster.api_audiences)
    if issuers := listed(cluster.service_account_issuer):
        found |= {"issuer": issuers[0], "former_issuers": issuers[1:], "audiences": audiences or issuers}
    elif audiences:
        found["audiences"] = audiences
    return found


def authentication(cluster: Cluster) -> Settings:
    return Settings(
        token_file=_path(cluster.token_auth_file),
        configuration=_path(cluster.authentication_config),
        webhook=_path(cluster.authentication_token_webhook_config_file),
        webhook_version=cluster.authentication_token_webhook_version,
        webhook_seconds=cluster.authentication_token_webhook_cache_ttl,
        anonymous=cluster.anonymous_auth,
    )


def authorization(cluster: Cluster) -> list[str | Asked]:
    """The modes in the order in which they are asked. Raises CommandError."""
    kubeconfig = _path(cluster.authorization_webhook_config_file)
    if cluster.authorization_config:
        if kubeconfig:
            raise CommandError(
                "--authorization-config and --authorization-webhook-config-file exclude each other"
            )
        return _read("authorization-config", cluster.authorization_config, configuration.read)
    modes = cluster.authorization_mode.split(",")
    if ("Webhook" in modes) != bool(kubeconfig):
        raise CommandError(
            "--authorization-mode Webhook and --authorization-webhook-config-file need each other"
        )
    settings = Webhook(
        version=cluster.authorization_webhook_version,
        authorized=cluster.authorization_webhook_cache_authorized_ttl,
        unauthorized=cluster.authorization_webhook_cache_unauthorized_ttl,
    )
    return [
        Asked(kubeconfig, settings=settings) if mode == "Webhook" and kubeconfig else mode for mode in modes
    ]


def listed(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def pod_security(cluster: Cluster) -> Configuration | None:
    """What an AdmissionConfiguration says of PodSecurity; None where it says nothing. Raises CommandError."""
    return _of_plugin(cluster, podsecurity.PodSecurity.name, podsecurity.read)


def quota_limits(cluster: Cluster) -> tuple[limited.Limited, ...]:
    """What an AdmissionConfiguration says of ResourceQuota. Raises CommandError."""
    return _of_plugin(cluster, ResourceQuota.name, limited.read) or ()


def _of_plugin(cluster: Cluster, name: str, read: Callable[[Mapping[str, Any]], Read]) -> Read | None:
    file = cluster.admission_control_config_file
    if not file:
        return None

    def of(text: str) -> Read | None:
        given = yaml.safe_load(text)
        if not isinstance(given, dict) or (given.get("kind"), given.get("apiVersion")) != ADMISSION:
            raise ValueError(f"must be an {ADMISSION[0]} of {ADMISSION[1]}")
        for plugin in given.get("plugins") or ():
            if plugin.get("name") == name:
                return read(_configuration(plugin, Path(file).parent))
        return None

    return _read("admission-control-config-file", file, of)


def _configuration(plugin: Mapping[str, Any], base: Path) -> Mapping[str, Any]:
    """Written in the plugin's entry or in a file of its own."""
    if plugin.get("path"):
        found: Mapping[str, Any] = yaml.safe_load((base / plugin["path"]).read_text())
        return found
    return plugin.get("configuration") or {}


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _read(flag: str, file: str, read: Callable[[str], Read]) -> Read:
    try:
        return read(Path(file).read_text())
    except (OSError, ValueError, AttributeError, yaml.YAMLError) as error:
        raise CommandError(f"--{flag} {file}: {error}") from None
