"""A ResourceQuota's status: what is counted, in which units, and when it is renewed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from podium.api.types import Obj
from podium.api.types.resources import CONFIG_MAPS, PODS, RESOURCE_QUOTAS, SECRETS, SERVICES
from podium.api.types.usage import counted_by
from podium.control.quotas import like, same_status, status_of

from . import objects
from .cluster import TestCluster

CPU = {"requests": {"cpu": "500m", "memory": "252Mi"}}


def quota(hard: dict[str, str], **spec: Any) -> Obj:
    return {"metadata": {"name": "q", "namespace": "test"}, "spec": {"hard": hard, **spec}}


def hungry(name: str, **spec: Any) -> Obj:
    made = objects.pod(name, **spec)
    made["spec"]["containers"][0]["resources"] = CPU
    return made


def test_a_name_in_a_quota_is_about_one_resource() -> None:
    for name, about in {
        "pods": ("pods", ""),
        "cpu": ("pods", ""),
        "limits.memory": ("pods", ""),
        "requests.example.com/gpu": ("pods", ""),
        "secrets": ("secrets", ""),
        "services.nodeports": ("services", ""),
        "requests.storage": ("persistentvolumeclaims", ""),
        "gold.storageclass.storage.k8s.io/requests.storage": ("persistentvolumeclaims", ""),
        "count/replicasets.apps": ("replicasets", "apps"),
        "count/configmaps": ("configmaps", ""),
    }.items():
        assert counted_by(name) == about, name


def test_usage_is_shown_in_the_units_of_the_limit() -> None:
    hard = {"cpu": "1", "memory": "1Gi", "pods": "5", "count/widgets.example.com": "2"}
    status = status_of(quota(hard), {("pods", ""): (PODS, [hungry("a"), hungry("b")])})
    assert status["hard"] == hard
    # The server writes them canonically: 1 and 504Mi.
    assert status["used"] == {
        "cpu": "1",
        "memory": "516096Ki",
        "pods": "2",
        "count/widgets.example.com": "0",
    }
    assert like(Decimal(0), "1Gi") == "0"


def test_finished_pods_and_those_out_of_scope_use_nothing() -> None:
    done = {**hungry("done"), "status": {"phase": "Succeeded"}}
    pods = {("pods", ""): (PODS, [done, hungry("runs"), objects.pod("idle")])}
    assert status_of(quota({"pods": "5"}), pods)["used"] == {"pods": "2"}
    assert status_of(quota({"pods": "5"}, scopes=["BestEffort"]), pods)["used"] == {"pods": "1"}


def test_statuses_are_compared_by_amount() -> None:
    one = {"hard": {"cpu": "1"}, "used": {"cpu": "500m"}}
    assert same_status(one, {"hard": {"cpu": "1000m"}, "used": {"cpu": "0.5"}})
    assert not same_status(one, {"hard": {"cpu": "1"}})


async def test_the_status_follows_what_is_in_the_namespace(cluster: TestCluster) -> None:
    hard = {"pods": "5", "cpu": "2", "secrets": "9", "services.nodeports": "1", "count/configmaps": "9"}
    await cluster.client.create(RESOURCE_QUOTAS, quota(hard))

    async def used(wanted: dict[str, str]) -> None:
        await cluster.one(
            RESOURCE_QUOTAS,
            "q",
            lambda found: wanted.items() <= ((found.get("status") or {}).get("used") or {}).items(),
        )

    # The cluster CA is in every namespace.
    await used({"pods": "0", "cpu": "0", "secrets": "0", "count/configmaps": "1"})
    meta = {"name": "x", "namespace": "test"}
    await cluster.client.create(SECRETS, {"metadata": meta})
    await cluster.client.create(CONFIG_MAPS, {"metadata": meta})
    await cluster.client.create(PODS, hungry("a"))
    await used({"pods": "1", "cpu": "500m", "secrets": "1", "count/configmaps": "2"})
    await cluster.client.delete(SECRETS, "x", "test")
    await used({"secrets": "0"})
    ports = [{"port": 80}]
    await cluster.client.create(SERVICES, {"metadata": meta, "spec": {"ports": ports}})
    await cluster.client.patch(SERVICES, "x", {"spec": {"type": "NodePort"}}, "test")
    await used({"services.nodeports": "1"})
    pod = await cluster.client.get(PODS, "a", "test")
    await cluster.kubelet.report(pod, ready=False, phase="Succeeded")
    await used({"pods": "0", "cpu": "0"})
