from __future__ import annotations

import pytest

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import condition, deleting
from podium.api.types.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    NAMESPACES,
    PODS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
)
from podium.control.rootca import NAME as ROOT_CA_NAME

from .cluster import ROOT_CA, TestCluster
from .objects import config_map, deployment, pod, service


def named(name: str, objects: list[Obj]) -> list[Obj]:
    return [obj for obj in objects if obj["metadata"]["name"] == name]


async def test_a_namespace_has_a_default_service_account_and_the_root_certificate(
    cluster: TestCluster,
) -> None:
    account = await cluster.one(SERVICE_ACCOUNTS, "default", bool)
    bundle = await cluster.one(CONFIG_MAPS, ROOT_CA_NAME, bool)
    assert bundle["data"] == {"ca.crt": ROOT_CA}
    await cluster.client.delete(SERVICE_ACCOUNTS, "default", "test")
    await cluster.one(
        SERVICE_ACCOUNTS, "default", lambda obj: obj["metadata"]["uid"] != account["metadata"]["uid"]
    )
    await cluster.client.patch(CONFIG_MAPS, ROOT_CA_NAME, {"data": {"ca.crt": "forged"}}, "test")
    await cluster.one(CONFIG_MAPS, ROOT_CA_NAME, lambda obj: obj["data"] == {"ca.crt": ROOT_CA})


async def test_a_deleted_namespace_goes_with_all_that_is_in_it(cluster: TestCluster) -> None:
    await cluster.client.create(DEPLOYMENTS, deployment(3))
    await cluster.client.create(SERVICES, service())
    await cluster.client.create(CONFIG_MAPS, config_map("one"))
    await cluster.until(PODS, lambda pods: len(pods) == 3)
    await cluster.client.delete(NAMESPACES, "test")
    await cluster.gone(NAMESPACES, "test", "")
    for resource in (PODS, DEPLOYMENTS, SERVICES, CONFIG_MAPS, SERVICE_ACCOUNTS):
        assert (await cluster.client.list(resource, "test")).items == []


async def test_pods_end_before_what_they_use_is_deleted(cluster: TestCluster) -> None:
    await cluster.client.create(PODS, pod("web"))
    await cluster.client.create(SECRETS, {"metadata": {"name": "one", "namespace": "test"}})
    await cluster.until(PODS, lambda pods: bool((pods[0].get("status") or {}).get("podIP")))
    cluster.kubelet.hold = True
    await cluster.client.delete(NAMESPACES, "test")
    found = await cluster.one(
        NAMESPACES, "test", lambda obj: condition(obj, "NamespaceContentRemaining") is not None, ""
    )
    assert found["status"]["phase"] == "Terminating"
    remaining = condition(found, "NamespaceContentRemaining") or {}
    assert remaining["message"] == "Some resources are remaining: pods. has 1 resource instances"
    assert not deleting(await cluster.client.get(SECRETS, "one", "test"))
    cluster.kubelet.release()
    await cluster.gone(NAMESPACES, "test", "")


async def test_a_finalizer_in_a_namespace_is_named_and_waited_for(cluster: TestCluster) -> None:
    held = config_map("held", finalizers=["example.com/keep"])
    await cluster.client.create(CONFIG_MAPS, held)
    await cluster.client.delete(NAMESPACES, "test")
    found = await cluster.one(
        NAMESPACES,
        "test",
        lambda obj: (condition(obj, "NamespaceFinalizersRemaining") or {}).get("status") == "True",
        "",
    )
    finalizers = condition(found, "NamespaceFinalizersRemaining") or {}
    assert finalizers["reason"] == "SomeFinalizersRemain"
    assert finalizers["message"] == (
        "Some content in the namespace has finalizers remaining: example.com/keep in 1 resource instances"
    )
    assert (condition(found, "NamespaceDeletionContentFailure") or {})["status"] == "False"
    with pytest.raises(StatusError, match="being terminated"):
        await cluster.client.create(CONFIG_MAPS, config_map("late"))
    await cluster.client.patch(CONFIG_MAPS, "held", {"metadata": {"finalizers": None}}, "test")
    await cluster.gone(NAMESPACES, "test", "")
