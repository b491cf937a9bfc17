from __future__ import annotations

from podium.api.types.meta import condition_is_true
from podium.api.types.resources import IP_ADDRESSES, SERVICE_CIDRS, SERVICES

from .cluster import TestCluster
from .objects import service


async def test_every_cluster_ip_has_a_record_that_names_its_service_and_goes_with_it(
    cluster: TestCluster,
) -> None:
    made = await cluster.client.create(SERVICES, service())
    address = made["spec"]["clusterIP"]
    found = await cluster.one(IP_ADDRESSES, address, lambda _: True, namespace="")
    assert found["metadata"]["labels"]["ipaddress.kubernetes.io/ip-family"] == "IPv4"
    assert found["spec"]["parentRef"] == {
        "group": "",
        "resource": "services",
        "namespace": "test",
        "name": "web",
    }
    await cluster.client.delete(IP_ADDRESSES, address)
    again = await cluster.one(
        IP_ADDRESSES,
        address,
        lambda seen: seen["metadata"]["uid"] != found["metadata"]["uid"],
        namespace="",
    )
    await cluster.client.delete(SERVICES, "web", "test")
    await cluster.gone(IP_ADDRESSES, again["metadata"]["name"], namespace="")


async def test_a_record_that_somebody_else_keeps_is_left_alone(cluster: TestCluster) -> None:
    parent = {"resource": "things", "name": "mine"}
    theirs = {"metadata": {"name": "192.0.2.9"}, "spec": {"parentRef": parent}}
    made = await cluster.client.create(IP_ADDRESSES, theirs)
    await cluster.client.create(SERVICES, service())
    await cluster.one(IP_ADDRESSES, "10.43.7.7", lambda _: True, namespace="")
    assert await cluster.client.get(IP_ADDRESSES, "192.0.2.9") == made
    (range_,) = (await cluster.client.list(SERVICE_CIDRS)).items
    assert condition_is_true(range_, "Ready")
