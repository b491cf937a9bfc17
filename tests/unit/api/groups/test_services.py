"""Services: defaults, what they are refused for, what an update keeps."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from podium.api.allocators import ServiceAllocators
from podium.api.groups.core.services import Services
from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.resources import SERVICES
from tests.unit.api.groups.build import changed, created, faults, meta, row, service, strategy, update_faults


def test_a_bare_service_gets_every_default() -> None:
    assert created(SERVICES, service())["spec"] == {
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
        "type": "ClusterIP",
        "sessionAffinity": "None",
        "internalTrafficPolicy": "Cluster",
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
    }


def test_a_service_that_is_reached_from_outside_says_how() -> None:
    assert created(SERVICES, service(type="NodePort"))["spec"]["externalTrafficPolicy"] == "Cluster"
    balanced = created(SERVICES, service(type="LoadBalancer"))["spec"]
    assert balanced["allocateLoadBalancerNodePorts"] is True


def test_affinity_lasts_three_hours_unless_it_says_otherwise() -> None:
    spec = created(SERVICES, service(sessionAffinity="ClientIP"))["spec"]
    assert spec["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 10800}}


def test_a_headless_service_without_selector_is_open_to_both_families() -> None:
    spec = created(SERVICES, service(clusterIP="None"))["spec"]
    assert (spec["ipFamilies"], spec["ipFamilyPolicy"]) == (["IPv4", "IPv6"], "RequireDualStack")
    assert spec["clusterIPs"] == ["None"]


FAULTS = [
    (service(ports=[]), ["spec.ports: Required value"]),
    (
        service(ports=[{"port": 0}]),
        [
            "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
            "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
        ],
    ),
    (service(ports=[{"port": 1}, {"port": 2, "name": "b"}]), ["spec.ports[0].name: Required value"]),
    (
        service(ports=[{"port": 1, "name": "a"}, {"port": 2, "name": "a"}]),
        ['spec.ports[1].name: Duplicate value: "a"'],
    ),
    (
        service(ports=[{"port": 1, "name": "a"}, {"port": 1, "name": "b"}]),
        [
            'spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":1,'
            '"TargetPort":0,"NodePort":0}'
        ],
    ),
    (
        service(ports=[{"port": 1, "nodePort": 30000}]),
        ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
    ),
    (
        service(type="Other"),
        [
            'spec.type: Unsupported value: "Other": '
            'supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"'
        ],
    ),
    (service(type="ExternalName"), ["spec.externalName: Required value"]),
    (
        service(clusterIP="10.43.0.300"),
        [
            'spec.clusterIPs[0]: Invalid value: "10.43.0.300": '
            "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        ],
    ),
    (
        service(type="NodePort", clusterIP="None"),
        ["spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services"],
    ),
    (
        service(ipFamilies=["IPv6"]),
        ['spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster'],
    ),
    (
        service(ipFamilyPolicy="RequireDualStack"),
        [
            'spec.ipFamilyPolicy: Invalid value: "RequireDualStack": '
            "this cluster is not configured for dual-stack services"
        ],
    ),
    (
        service(externalTrafficPolicy="Local"),
        [
            'spec.externalTrafficPolicy: Invalid value: "Local": '
            "may only be set for externally-accessible services"
        ],
    ),
    (
        service(externalIPs=["127.0.0.1"]),
        [
            'spec.externalIPs[0]: Invalid value: "127.0.0.1": '
            "may not be in the loopback range (127.0.0.0/8, ::1/128)"
        ],
    ),
    (
        {**service(), "metadata": meta("web.")},
        [
            'metadata.name: Invalid value: "web.": a lowercase RFC 1123 label must consist of lower case '
            "alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. "
            "'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
        ],
    ),
]


@pytest.mark.parametrize(
    ("obj", "expected"), FAULTS, ids=lambda value: value[0] if isinstance(value, list) else ""
)
def test_a_faulty_service_is_refused_in_upstreams_words(obj: Any, expected: list[str]) -> None:
    assert faults(SERVICES, obj) == expected


def stored(**spec: Any) -> Obj:
    obj = created(SERVICES, service(**spec))
    with ServiceAllocators().claim(obj, None):
        return obj


def test_an_update_that_leaves_out_what_was_allocated_keeps_it() -> None:
    old = stored(type="NodePort")
    new = service(type="NodePort", selector={"a": "b"})
    assert update_faults(SERVICES, old, new) == []
    assert new["spec"]["clusterIPs"] == [new["spec"]["clusterIP"]] == old["spec"]["clusterIPs"]
    assert new["spec"]["ports"][0]["nodePort"] == old["spec"]["ports"][0]["nodePort"]


def test_the_cluster_address_never_changes() -> None:
    old = stored()
    new = changed(old, clusterIP="10.43.9.9")
    assert update_faults(SERVICES, old, new) == [
        'spec.clusterIPs[0]: Invalid value: ["10.43.9.9"]: may not change once set'
    ]


def test_what_a_load_balancer_was_made_by_and_is_probed_at_never_changes() -> None:
    old = stored(type="LoadBalancer", externalTrafficPolicy="Local", loadBalancerClass="a.io/x")
    other = changed(old, loadBalancerClass="a.io/y", healthCheckNodePort=30999)
    assert update_faults(SERVICES, old, other) == [
        'spec.loadBalancerClass: Invalid value: "a.io/y": may not change once set',
        "spec.healthCheckNodePort: Forbidden: field is immutable",
    ]
    silent = changed(old)
    del silent["spec"]["healthCheckNodePort"]
    assert update_faults(SERVICES, old, silent) == []
    assert silent["spec"]["healthCheckNodePort"] == old["spec"]["healthCheckNodePort"]


@pytest.mark.parametrize(
    ("kind", "entry", "fault"),
    [
        ("LoadBalancer", {"ip": "9.9.9.9", "ipMode": "VIP"}, []),
        ("LoadBalancer", {"hostname": "a.example.com"}, []),
        (
            "NodePort",
            {"ip": "9.9.9.9", "ipMode": "VIP"},
            [": Forbidden: may only be used when `spec.type` is 'LoadBalancer'"],
        ),
        (
            "LoadBalancer",
            {"hostname": "a", "ipMode": "VIP"},
            ["[0].ipMode: Forbidden: may not be specified when `ip` is not set"],
        ),
        (
            "LoadBalancer",
            {"ip": "9.9.9.9", "ipMode": "x"},
            ['[0].ipMode: Unsupported value: "x": supported values: "Proxy", "VIP"'],
        ),
    ],
)
def test_a_load_balancers_status_is_checked(kind: str, entry: Obj, fault: list[str]) -> None:
    obj = stored(type=kind)
    new = {**obj, "status": {"loadBalancer": {"ingress": [entry]}}}
    found = strategy(SERVICES).check_status(new, obj)
    assert [str(cause) for cause in found] == [f"status.loadBalancer.ingress{text}" for text in fault]


def test_a_change_of_type_drops_what_the_new_one_cannot_have() -> None:
    old = stored(type="NodePort")
    new = changed(copy.deepcopy(old), type="ClusterIP")
    assert update_faults(SERVICES, old, new) == []
    assert "nodePort" not in new["spec"]["ports"][0]
    assert "externalTrafficPolicy" not in new["spec"]
    gone = changed(copy.deepcopy(old), type="ExternalName", externalName="example.com")
    assert update_faults(SERVICES, old, gone) == []
    assert not gone["spec"].keys() & {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"}


@pytest.mark.parametrize(
    ("spec", "status", "external", "ports"),
    [
        ({}, {}, "<none>", "80/TCP"),
        ({"externalIPs": ["1.2.3.4"]}, {}, "1.2.3.4", "80/TCP"),
        ({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]}, {}, "<none>", "80:30080/TCP"),
        ({"type": "LoadBalancer"}, {}, "<pending>", "80/TCP"),
        (
            {"type": "LoadBalancer"},
            {"loadBalancer": {"ingress": [{"ip": "9.9.9.9"}, {"hostname": "lb"}]}},
            "9.9.9.9,lb",
            "80/TCP",
        ),
        ({"type": "ExternalName", "externalName": "x.org", "ports": []}, {}, "x.org", "<none>"),
    ],
)
def test_a_service_in_a_table(spec: Any, status: Any, external: str, ports: str) -> None:
    obj = created(SERVICES, service(**spec))
    obj["status"] = status
    cells = row(SERVICES, obj)
    assert (cells["External-IP"], cells["Port(s)"], cells["Cluster-IP"]) == (external, ports, "<none>")


def test_services_are_selected_by_type_and_address() -> None:
    assert {"spec.type", "spec.clusterIP"} <= strategy(SERVICES).field_labels


def test_the_strategy_claims_through_its_allocators() -> None:
    kind = Services(SERVICES, ServiceAllocators("10.43.0.0/29"))
    obj = created(SERVICES, service(clusterIP="10.43.0.2"))
    with kind.reserve(obj, None, False):
        pass
    with pytest.raises(StatusError, match="provided IP is already allocated"):
        kind.reserve(created(SERVICES, service(clusterIP="10.43.0.2")), None, False)
