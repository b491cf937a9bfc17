"""What the server is told by files about who may come and what he may."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from podium.api.auth.webhooks.configuration import Asked
from podium.cli import access
from podium.cli.cluster import Cluster
from podium.cli.errors import CommandError

CONFIG = """
apiVersion: apiserver.config.k8s.io/v1
kind: AuthorizationConfiguration
authorizers:
- {type: Node, name: node}
- {type: RBAC, name: rbac}
"""
ADMISSION = """
apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: PodSecurity
  path: levels.yaml
"""
LEVELS = """
apiVersion: pod-security.admission.config.k8s.io/v1
kind: PodSecurityConfiguration
defaults: {enforce: baseline, enforce-version: v1.30}
exemptions: {namespaces: [kube-system]}
"""


def test_nobody_else_is_asked_by_default() -> None:
    cluster = Cluster()
    assert access.authorization(cluster) == ["Node", "RBAC"]
    assert access.authentication(cluster).webhook is None
    assert access.pod_security(cluster) is None


def test_a_webhook_is_asked_in_its_turn() -> None:
    cluster = Cluster(
        authorization_mode="RBAC,Webhook",
        authorization_webhook_config_file="/k",
        authorization_webhook_cache_authorized_ttl=7.0,
    )
    first, second = access.authorization(cluster)
    assert first == "RBAC"
    assert isinstance(second, Asked)
    assert (second.kubeconfig, second.settings.authorized, second.settings.unauthorized) == (
        Path("/k"),
        7.0,
        30.0,
    )


@pytest.mark.parametrize(
    "cluster",
    [
        Cluster(authorization_mode="Webhook"),
        Cluster(authorization_webhook_config_file="/k"),
        Cluster(authorization_config="/none"),
        Cluster(authorization_config="/a", authorization_webhook_config_file="/k"),
    ],
)
def test_what_does_not_go_together_is_refused(cluster: Cluster) -> None:
    with pytest.raises(CommandError):
        access.authorization(cluster)


def test_files_say_the_modes_and_the_levels(tmp_path: Path) -> None:
    for name, text in (("modes.yaml", CONFIG), ("admission.yaml", ADMISSION), ("levels.yaml", LEVELS)):
        (tmp_path / name).write_text(text)
    cluster = Cluster(
        authorization_config=str(tmp_path / "modes.yaml"),
        admission_control_config_file=str(tmp_path / "admission.yaml"),
    )
    assert access.authorization(cluster) == ["Node", "RBAC"]
    found = access.pod_security(cluster)
    assert found is not None
    assert (str(found.defaults.enforce), found.namespaces) == ("baseline:v1.30", {"kube-system"})
    (tmp_path / "levels.yaml").write_text(LEVELS.replace("baseline", "strict"))
    with pytest.raises(CommandError, match=r"defaults\.enforce"):
        access.pod_security(cluster)
    broken = replace(cluster, authorization_config=str(tmp_path / "levels.yaml"))
    with pytest.raises(CommandError, match="must be a AuthorizationConfiguration"):
        access.authorization(broken)


def test_what_takes_a_quota_is_read_from_the_admission_configuration(tmp_path: Path) -> None:
    assert access.quota_limits(Cluster()) == ()
    file = tmp_path / "admission.yaml"
    plugin = """
- name: ResourceQuota
  configuration:
    apiVersion: apiserver.config.k8s.io/v1
    kind: ResourceQuotaConfiguration
    limitedResources: [{resource: pods, matchContains: [pods]}]
"""
    file.write_text(f"{ADMISSION}{plugin.removeprefix(chr(10))}".replace("\n\n", "\n"))
    (tmp_path / "levels.yaml").write_text(LEVELS)
    cluster = Cluster(admission_control_config_file=str(file))
    assert [(each.plural, each.contains) for each in access.quota_limits(cluster)] == [("pods", ("pods",))]
    file.write_text(file.read_text().replace("resource: pods", "apiGroup: x"))
    with pytest.raises(CommandError, match=r"limitedResources\[0\]\.resource: Required value"):
        access.quota_limits(cluster)
