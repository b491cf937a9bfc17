"""Service addresses and node ports: given once, given back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from podium.api.allocators import ServiceAllocators
from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.resources import SERVICES
from podium.api.verbs.reserved import written
from tests.unit.api.groups.build import created, service


def of(**spec: Any) -> Obj:
    return created(SERVICES, service(**spec))


def taken(allocators: ServiceAllocators, **spec: Any) -> Obj:
    obj = of(**spec)
    with allocators.claim(obj, None):
        return obj


def test_a_service_gets_an_address_of_the_range() -> None:
    spec = taken(ServiceAllocators("10.43.0.0/16"))["spec"]
    assert spec["clusterIPs"] == [spec["clusterIP"]]
    assert spec["clusterIP"].startswith("10.43.")


def test_no_two_services_get_the_same_until_the_range_is_full() -> None:
    allocators = ServiceAllocators("10.43.0.0/29")
    addresses = {taken(allocators)["spec"]["clusterIP"] for _ in range(6)}
    assert addresses == {f"10.43.0.{last}" for last in range(1, 7)}
    with pytest.raises(StatusError, match="range is full") as raised:
        taken(allocators)
    assert raised.value.code == 500


def test_addresses_at_the_start_are_left_for_those_who_ask_for_one() -> None:
    allocators = ServiceAllocators("10.43.0.0/24")
    given = [int(taken(allocators)["spec"]["clusterIP"].rpartition(".")[2]) for _ in range(50)]
    assert min(given) > 16


def test_an_address_that_is_held_is_refused_with_its_field() -> None:
    allocators = ServiceAllocators()
    taken(allocators, clusterIP="10.43.0.10")
    with pytest.raises(StatusError) as raised:
        taken(allocators, clusterIP="10.43.0.10")
    assert raised.value.code == 422
    assert raised.value.message == (
        'Service "web" is invalid: spec.clusterIPs: Invalid value: ["10.43.0.10"]: '
        "failed to allocate IP 10.43.0.10: provided IP is already allocated"
    )


def test_an_address_outside_the_range_is_refused() -> None:
    with pytest.raises(StatusError, match=r"not in the valid range. The range of valid IPs is 10.43.0.0/16"):
        taken(ServiceAllocators(), clusterIP="192.168.0.1")


@pytest.mark.parametrize("spec", [{"clusterIP": "None"}, {"type": "ExternalName", "externalName": "x.org"}])
def test_some_services_have_no_address(spec: Any) -> None:
    allocators = ServiceAllocators("10.43.0.0/30")
    for _ in range(5):
        taken(allocators, **spec)


def test_node_ports_are_given_and_those_asked_for_are_refused_when_held() -> None:
    allocators = ServiceAllocators()
    port = taken(allocators, type="NodePort")["spec"]["ports"][0]["nodePort"]
    assert 30000 <= port <= 32767
    with pytest.raises(
        StatusError, match=r"spec.ports\[0\].nodePort: Invalid value: .*provided port is already"
    ):
        taken(allocators, type="NodePort", ports=[{"port": 80, "nodePort": port}])
    with pytest.raises(StatusError, match="The range of valid ports is 30000-32767"):
        taken(allocators, type="NodePort", ports=[{"port": 80, "nodePort": 80}])


def test_one_port_number_in_two_protocols_shares_its_node_port() -> None:
    ports = [{"name": "t", "port": 53}, {"name": "u", "port": 53, "protocol": "UDP"}]
    given = taken(ServiceAllocators(), type="NodePort", ports=ports)["spec"]["ports"]
    assert given[0]["nodePort"] == given[1]["nodePort"]


def test_what_a_failed_write_claimed_is_free_again() -> None:
    allocators = ServiceAllocators("10.43.0.0/30")

    def write() -> None:
        with allocators.claim(of(clusterIP="10.43.0.1"), None):
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        write()
    assert taken(allocators, clusterIP="10.43.0.1")


def test_a_claim_that_is_refused_halfway_holds_nothing() -> None:
    allocators = ServiceAllocators("10.43.0.0/30")
    taken(allocators, type="NodePort", clusterIP="10.43.0.1", ports=[{"port": 80, "nodePort": 30080}])
    with pytest.raises(StatusError):
        taken(allocators, type="NodePort", clusterIP="10.43.0.2", ports=[{"port": 80, "nodePort": 30080}])
    assert taken(allocators, clusterIP="10.43.0.2")


def test_a_dry_run_shows_what_it_would_get_and_claims_nothing() -> None:
    allocators = ServiceAllocators("10.43.0.0/30")
    for _ in range(4):
        obj = of()
        with allocators.claim(obj, None, True):
            assert obj["spec"]["clusterIP"]


def test_a_deleted_service_gives_back_what_it_held() -> None:
    allocators = ServiceAllocators("10.43.0.0/30")
    old = taken(allocators, type="NodePort", clusterIP="10.43.0.1", ports=[{"port": 80, "nodePort": 30080}])
    with allocators.claim(None, old):
        pass
    assert taken(allocators, type="NodePort", clusterIP="10.43.0.1", ports=[{"port": 80, "nodePort": 30080}])


def test_an_update_keeps_takes_and_releases() -> None:
    allocators = ServiceAllocators()
    old = taken(allocators, type="NodePort", ports=[{"port": 80, "nodePort": 30080}])
    new = of(type="NodePort", clusterIP=old["spec"]["clusterIP"], ports=[{"port": 80, "nodePort": 30081}])
    with allocators.claim(new, old):
        pass
    assert taken(allocators, type="NodePort", ports=[{"port": 80, "nodePort": 30080}])
    with pytest.raises(StatusError):
        taken(allocators, type="NodePort", ports=[{"port": 80, "nodePort": 30081}])


def test_a_failed_update_leaves_the_former_holdings() -> None:
    allocators = ServiceAllocators()
    old = taken(allocators, type="NodePort", ports=[{"port": 80, "nodePort": 30080}])
    new = of(type="ClusterIP", clusterIP=old["spec"]["clusterIP"])
    claim = allocators.claim(new, old)
    claim.rollback()
    with pytest.raises(StatusError):
        taken(allocators, type="NodePort", ports=[{"port": 80, "nodePort": 30080}])
    with pytest.raises(StatusError):
        taken(allocators, clusterIP=old["spec"]["clusterIP"])


def test_what_stored_services_hold_is_known_after_a_start() -> None:
    before = taken(ServiceAllocators(), type="NodePort")
    after = ServiceAllocators()
    after.seed([before])
    with pytest.raises(StatusError, match="already allocated"):
        taken(after, clusterIP=before["spec"]["clusterIP"])


def test_a_local_load_balancer_gets_a_port_for_health_checks() -> None:
    spec = taken(ServiceAllocators(), type="LoadBalancer", externalTrafficPolicy="Local")["spec"]
    assert spec["healthCheckNodePort"] != spec["ports"][0]["nodePort"]


@pytest.mark.parametrize("durable", [True, False])
async def test_what_a_write_claimed_is_nobody_elses_until_its_end_is_known(durable: bool) -> None:
    allocators = ServiceAllocators()
    end: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def write() -> Any:
        return await end

    claimed = allocators.claim(of(clusterIP="10.43.0.9"), None)
    request = asyncio.create_task(written(claimed, write()))
    await asyncio.sleep(0)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    with pytest.raises(StatusError):
        taken(allocators, clusterIP="10.43.0.9")
    if durable:
        end.set_result(None)
    else:
        end.set_exception(OSError("the disk is full"))
    await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})  # type: ignore[operator]
    if durable:
        with pytest.raises(StatusError):
            taken(allocators, clusterIP="10.43.0.9")
    else:
        taken(allocators, clusterIP="10.43.0.9")
