from __future__ import annotations

from typing import Any

import pytest

from podium.api.types import Obj
from podium.control.endpoints import slices
from podium.control.endpoints.endpoints_controller import OVER_CAPACITY, build
from podium.control.endpoints.selection import target_port
from podium.control.endpoints.subsets import subsets, truncated

from ..frozen import freeze
from . import objects

NODES = {"n1": {"metadata": {"name": "n1", "labels": {slices.ZONE: "z1"}}}}


def service(**spec: Any) -> Obj:
    made = objects.service(**spec)
    made["metadata"]["uid"] = "service"
    return freeze(made)  # type: ignore[no-any-return]


def pod(number: int, *, ready: bool = True, port: int = 8080, deleting: bool = False, **status: Any) -> Obj:
    made = objects.pod(f"p{number}", nodeName="n1")
    made["metadata"] |= {"uid": f"p{number}"} | ({"deletionTimestamp": "x"} if deleting else {})
    made["spec"]["containers"][0]["ports"][0]["containerPort"] = port
    address = f"10.42.{number // 250}.{number % 250 + 2}"
    made["status"] = {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": [{"type": "Ready", "status": str(ready)}],
        **status,
    }
    return freeze(made)  # type: ignore[no-any-return]


class Api:
    """Applies plans as the API server would."""

    def __init__(self, **spec: Any) -> None:
        self.service = service(**spec)
        self.slices: list[Obj] = []
        self.made = 0

    def reconcile(self, pods: list[Obj]) -> slices.Plan:
        plan = slices.plan(self.service, pods, NODES.get, self.slices)
        kept = {entry["metadata"]["name"]: entry for entry in self.slices}
        for entry in plan.delete:
            del kept[entry["metadata"]["name"]]
        for entry in plan.update:
            kept[entry["metadata"]["name"]] = freeze(entry)
        for entry in plan.create:
            self.made += 1
            name = f"web-{self.made}"
            kept[name] = freeze({**entry, "metadata": {**entry["metadata"], "name": name}})
        self.slices = list(kept.values())
        return plan

    @property
    def sizes(self) -> list[int]:
        return [len(entry["endpoints"]) for entry in self.slices]


def counts(plan: slices.Plan) -> tuple[int, int, int]:
    return len(plan.create), len(plan.update), len(plan.delete)


def test_a_plan_carried_out_leaves_nothing_to_do() -> None:
    api = Api()
    pods = [pod(number) for number in range(250)]
    assert counts(api.reconcile(pods)) == (3, 0, 0)
    assert api.sizes == [100, 100, 50]
    assert counts(api.reconcile(pods)) == (0, 0, 0)


def test_one_pod_more_changes_one_slice_and_the_rest_stay() -> None:
    api = Api()
    pods = [pod(number) for number in range(250)]
    api.reconcile(pods)
    assert counts(api.reconcile([*pods, pod(999)])) == (0, 1, 0)
    assert api.sizes == [100, 100, 51]


def test_a_replaced_pod_takes_the_place_that_was_freed() -> None:
    api = Api()
    pods = [pod(number) for number in range(150)]
    api.reconcile(pods)
    assert counts(api.reconcile([*pods[1:], pod(999)])) == (0, 1, 0)
    assert api.sizes == [100, 50]


def test_slices_left_empty_go_but_the_last_one_stays_to_say_that_nobody_answers() -> None:
    api = Api()
    api.reconcile([pod(number) for number in range(150)])
    assert counts(api.reconcile([pod(number) for number in range(100)])) == (0, 0, 1)
    plan = api.reconcile([])
    assert counts(plan) == (0, 1, 0)
    assert (api.sizes, api.slices[0]["ports"]) == ([0], [])
    assert counts(api.reconcile([])) == (0, 0, 0)


def test_pods_with_another_number_behind_the_ports_name_have_their_own_slice() -> None:
    api = Api()
    api.reconcile([pod(1), pod(2, port=9090)])
    assert sorted(entry["ports"][0]["port"] for entry in api.slices) == [8080, 9090]
    plan = api.reconcile([pod(1, port=7070), pod(2, port=7070)])
    assert counts(plan) == (0, 1, 1)
    assert (api.sizes, api.slices[0]["ports"][0]["port"]) == ([2], 7070)


@pytest.mark.parametrize(
    ("entry", "tolerant", "expected"),
    [
        (pod(1), False, {"ready": True, "serving": True, "terminating": False}),
        (pod(1, ready=False), False, {"ready": False, "serving": False, "terminating": False}),
        (pod(1, deleting=True), False, {"ready": False, "serving": True, "terminating": True}),
        (pod(1, ready=False), True, {"ready": True, "serving": False, "terminating": False}),
        (pod(1, ready=False, deleting=True), True, {"ready": True, "serving": False, "terminating": True}),
    ],
)
def test_an_endpoints_conditions_tell_ready_serving_and_terminating_apart(
    entry: Obj, tolerant: bool, expected: Obj
) -> None:
    api = Api(publishNotReadyAddresses=tolerant)
    api.reconcile([entry])
    assert api.slices[0]["endpoints"][0]["conditions"] == expected


def test_pods_that_finished_or_have_no_address_or_whose_node_is_gone_are_no_endpoints() -> None:
    api = Api()
    lost = pod(3)
    lost = freeze({**lost, "spec": {**lost["spec"], "nodeName": "gone"}})
    api.reconcile([pod(1, phase="Succeeded"), pod(2, podIP="", podIPs=[]), lost])
    assert api.sizes == [0]


def test_each_address_family_has_slices_of_its_own() -> None:
    api = Api(ipFamilies=["IPv4", "IPv6"])
    api.reconcile([pod(1, podIPs=[{"ip": "10.42.0.9"}, {"ip": "fd00::9"}])])
    found = {entry["addressType"]: entry["endpoints"][0]["addresses"] for entry in api.slices}
    assert found == {"IPv4": ["10.42.0.9"], "IPv6": ["fd00::9"]}


def test_slices_of_an_earlier_service_of_that_name_are_deleted() -> None:
    api = Api()
    api.reconcile([pod(1)])
    api.service = freeze({**api.service, "metadata": {**api.service["metadata"], "uid": "other"}})
    assert counts(api.reconcile([pod(1)])) == (1, 0, 1)


def test_traffic_distribution_becomes_hints_for_zone_and_node() -> None:
    api = Api(trafficDistribution="PreferSameNode")
    api.reconcile([pod(1), pod(2, ready=False)])
    one, two = api.slices[0]["endpoints"]
    assert one["hints"] == {"forZones": [{"name": "z1"}], "forNodes": [{"name": "n1"}]}
    assert "hints" not in two


def test_a_services_labels_are_copied_except_those_that_are_the_slices_own() -> None:
    api = Api()
    labels = {"tier": "front", slices.SERVICE_NAME: "forged", slices.MANAGED_BY: "forged"}
    api.service = freeze({**api.service, "metadata": {**api.service["metadata"], "labels": labels}})
    api.reconcile([pod(1)])
    assert api.slices[0]["metadata"]["labels"] == {
        "tier": "front",
        slices.SERVICE_NAME: "web",
        slices.MANAGED_BY: slices.MANAGER,
    }


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        ({"port": 80}, 80),
        ({"port": 80, "targetPort": 0}, 80),
        ({"port": 80, "targetPort": 9}, 9),
        ({"port": 80, "targetPort": "http"}, 8080),
        ({"port": 80, "targetPort": "http", "protocol": "UDP"}, None),
        ({"port": 80, "targetPort": "other"}, None),
    ],
)
def test_a_services_port_is_a_number_or_a_pods_name_for_one(port: Obj, expected: int | None) -> None:
    assert target_port(pod(1), port) == expected


def test_subsets_hold_the_addresses_with_the_same_ports_ready_and_not() -> None:
    ports = [{"name": "a", "port": 80, "targetPort": "http"}, {"name": "b", "port": 81}]
    found = subsets(service(ports=ports), [pod(2), pod(1), pod(3, ready=False), pod(4, port=9090)])
    assert [[port["port"] for port in entry["ports"]] for entry in found] == [[8080, 81], [9090, 81]]
    assert [address["ip"] for address in found[0]["addresses"]] == ["10.42.0.3", "10.42.0.4"]
    assert [address["ip"] for address in found[0]["notReadyAddresses"]] == ["10.42.0.5"]


def test_a_terminating_pod_has_no_place_among_the_subsets_unless_unready_ones_are_wanted() -> None:
    assert subsets(service(), [pod(1, deleting=True)]) == []
    tolerant = subsets(service(publishNotReadyAddresses=True), [pod(1, ready=False, deleting=True)])
    assert len(tolerant[0]["addresses"]) == 1


def test_more_than_a_thousand_addresses_are_cut_ready_ones_kept_first() -> None:
    pods = [pod(number, ready=number % 2 == 0) for number in range(1600)]
    kept, over = truncated(subsets(service(), pods))
    assert over
    assert (len(kept[0]["addresses"]), len(kept[0]["notReadyAddresses"])) == (800, 200)
    made = build(service(), subsets(service(), pods), None)
    assert made["metadata"]["annotations"] == {OVER_CAPACITY: "truncated"}


def test_what_others_wrote_on_endpoints_stays() -> None:
    current = {
        "metadata": {"name": "web", "resourceVersion": "5", "annotations": {"note": "x", OVER_CAPACITY: "t"}}
    }
    made = build(service(), [], current)
    assert made["metadata"]["annotations"] == {"note": "x"}
    assert made["metadata"]["resourceVersion"] == "5"
