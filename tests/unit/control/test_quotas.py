"""A ResourceQuota's status: what is counted, in which units, and when it is renewed."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from podium.api.types import Obj
from podium.api.types.resources import (
    CONFIG_MAPS,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    RESOURCE_QUOTAS,
    SECRETS,
    SERVICES,
    Resource,
)
from podium.api.types.scopes import in_scope
from podium.api.types.usage import counted_by, like, pod_total, usage_of
from podium.control.quotas import same_status, status_of

from . import objects
from .cluster import TestCluster

NOW = datetime(2030, 1, 1, tzinfo=UTC)
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
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
    status = status_of(quota(hard), {("pods", ""): (PODS, [hungry("a"), hungry("b")])}, NOW)
    assert status["hard"] == hard
    assert status["used"] == {
        "cpu": "1",
        "memory": "504Mi",
        "pods": "2",
        "count/widgets.example.com": "0",
    }
    assert [like(Decimal(amount), "1Gi") for amount in ("0", "1.5", str(3 << 30))] == ["0", "1500m", "3Gi"]
    assert like(Decimal(2_000_000), "10") == "2M"


def test_finished_pods_and_those_out_of_scope_use_nothing() -> None:
    done = {**hungry("done"), "status": {"phase": "Succeeded"}}
    late = objects.pod("late")
    late["metadata"] |= {"deletionTimestamp": "2029-12-31T23:00:00Z", "deletionGracePeriodSeconds": 30}
    pods = {("pods", ""): (PODS, [done, hungry("runs"), objects.pod("idle"), late])}
    assert status_of(quota({"pods": "5"}), pods, NOW)["used"] == {"pods": "2"}
    assert status_of(quota({"pods": "5"}, scopes=["BestEffort"]), pods, NOW)["used"] == {"pods": "1"}
    assert status_of(quota({"count/pods": "5"}), pods, NOW)["used"] == {"count/pods": "4"}


def affine(**term: Any) -> Obj:
    required = [{"topologyKey": "zone", **term}]
    return objects.pod("a", affinity={"podAntiAffinity": {REQUIRED: required}})


def with_attributes(name: str | None, **status: Any) -> Obj:
    return {"metadata": {"name": "c"}, "spec": {"volumeAttributesClassName": name}, "status": status}


@pytest.mark.parametrize(
    ("scope", "operator", "values", "resource", "inside", "outside"),
    [
        ("Terminating", "Exists", [], PODS, objects.pod("a", activeDeadlineSeconds=5), objects.pod("a")),
        ("NotTerminating", "Exists", [], PODS, objects.pod("a"), objects.pod("a", activeDeadlineSeconds=5)),
        ("BestEffort", "Exists", [], PODS, objects.pod("a"), hungry("a")),
        ("NotBestEffort", "Exists", [], PODS, hungry("a"), objects.pod("a")),
        (
            "PriorityClass", "In", ["high"], PODS,
            objects.pod("a", priorityClassName="high"), objects.pod("a", priorityClassName="low"),
        ),
        (
            "PriorityClass", "DoesNotExist", [], PODS,
            objects.pod("a"), objects.pod("a", priorityClassName="low"),
        ),
        ("CrossNamespacePodAffinity", "Exists", [], PODS, affine(namespaceSelector={}), affine()),
        (
            "VolumeAttributesClass", "In", ["gold"], PERSISTENT_VOLUME_CLAIMS,
            with_attributes("iron", modifyVolumeStatus={"targetVolumeAttributesClassName": "gold"}),
            with_attributes("iron"),
        ),
        (
            "VolumeAttributesClass", "NotIn", ["gold"], PERSISTENT_VOLUME_CLAIMS,
            with_attributes(None), with_attributes("iron", currentVolumeAttributesClassName="gold"),
        ),
    ],
)  # fmt: skip
def test_a_scope_holds_of_some_and_not_of_others(
    scope: str, operator: str, values: list[str], resource: Resource, inside: Obj, outside: Obj
) -> None:
    term = {"scopeName": scope, "operator": operator, "values": values}
    spec = {"scopeSelector": {"matchExpressions": [term]}}
    assert in_scope(resource, inside, spec)
    assert not in_scope(resource, outside, spec)
    assert not in_scope(SECRETS, inside, spec)


def test_sidecars_count_with_the_containers_and_with_the_init_containers_after_them() -> None:
    def asks(cpu: str, **more: Any) -> Obj:
        return {"name": "c", "resources": {"requests": {"cpu": cpu}}, **more}

    sidecar = asks("1", restartPolicy="Always")
    spec = {"containers": [asks("2")], "initContainers": [asks("3"), sidecar, asks("4")]}
    assert pod_total(spec, "requests") == {"cpu": "5"}
    assert usage_of(PODS, {"metadata": {}, "spec": {**spec, "overhead": {"cpu": "500m"}}}, NOW)[
        "requests.cpu"
    ] == Decimal("5.5")


def test_a_claim_that_was_promised_more_uses_more() -> None:
    claim = {
        "metadata": {"name": "c"},
        "spec": {"storageClassName": "gold", "resources": {"requests": {"storage": "1.5"}}},
        "status": {"allocatedResources": {"storage": "7"}},
    }
    found = usage_of(PERSISTENT_VOLUME_CLAIMS, claim, NOW)
    assert found["requests.storage"] == found["gold.storageclass.storage.k8s.io/requests.storage"] == 7


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


async def test_an_object_that_changes_its_scope_is_counted_where_it_is_now(cluster: TestCluster) -> None:
    for name, scope in (("short", "Terminating"), ("long", "NotTerminating")):
        made = quota({"pods": "5"}, scopes=[scope])
        await cluster.client.create(RESOURCE_QUOTAS, {**made, "metadata": {**made["metadata"], "name": name}})
    await cluster.client.create(PODS, objects.pod("a"))

    async def used(**wanted: str) -> None:
        for name, amount in wanted.items():
            await cluster.one(
                RESOURCE_QUOTAS,
                name,
                lambda found, amount=amount: (found.get("status") or {}).get("used") == {"pods": amount},
            )

    await used(short="0", long="1")
    await cluster.client.patch(PODS, "a", {"spec": {"activeDeadlineSeconds": 600}}, "test")
    await used(short="1", long="0")
