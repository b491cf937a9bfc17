"""Defaults of pods, as the API reference promises them."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from podium.api.types.resources import PODS, REPLICA_SETS
from tests.unit.api.groups.build import container, created, pod, strategy, workload


def test_a_bare_pod_gets_every_default_that_clients_rely_on() -> None:
    spec = created(PODS, pod())["spec"]
    assert {key: spec[key] for key in spec if key != "containers"} == {
        "dnsPolicy": "ClusterFirst",
        "restartPolicy": "Always",
        "securityContext": {},
        "terminationGracePeriodSeconds": 30,
        "schedulerName": "default-scheduler",
        "enableServiceLinks": True,
    }
    assert spec["containers"] == [
        {
            "name": "main",
            "image": "nginx:1.27",
            "imagePullPolicy": "IfNotPresent",
            "resources": {},
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
        }
    ]


def test_a_new_pod_is_pending_whatever_status_its_client_sent() -> None:
    sent = {**pod(), "status": {"phase": "Running", "podIP": "10.0.0.1"}}
    obj = created(PODS, sent)
    assert obj["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
    assert obj["metadata"]["generation"] == 1


def test_a_gated_pod_says_so() -> None:
    status = created(PODS, pod(schedulingGates=[{"name": "example.com/quota"}]))["status"]
    assert status["conditions"][0]["reason"] == "SchedulingGated"


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1.27", "IfNotPresent"),
        ("registry:5000/nginx", "Always"),
        ("registry:5000/team/nginx:2", "IfNotPresent"),
        ("nginx@sha256:" + "a" * 64, "IfNotPresent"),
        ("nginx:latest@sha256:" + "a" * 64, "IfNotPresent"),
    ],
)
def test_the_pull_policy_follows_the_tag(image: str, policy: str) -> None:
    obj = created(PODS, pod(containers=[container(image=image)]))
    assert obj["spec"]["containers"][0]["imagePullPolicy"] == policy


@pytest.mark.parametrize(
    ("field", "given", "defaulted"),
    [
        (
            "readinessProbe",
            {"httpGet": {"port": 80}},
            {
                "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
                "timeoutSeconds": 1,
                "periodSeconds": 10,
                "successThreshold": 1,
                "failureThreshold": 3,
            },
        ),
        ("ports", [{"containerPort": 80}], [{"containerPort": 80, "protocol": "TCP"}]),
        (
            "env",
            [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
            [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name", "apiVersion": "v1"}}}],
        ),
        (
            "resources",
            {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m"}},
            {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m", "memory": "1Gi"}},
        ),
    ],
)
def test_parts_of_a_container_are_completed(field: str, given: Any, defaulted: Any) -> None:
    obj = created(PODS, pod(containers=[container(**{field: given})]))
    assert obj["spec"]["containers"][0][field] == defaulted


@pytest.mark.parametrize(
    ("given", "defaulted"),
    [
        ({}, {"emptyDir": {}}),
        ({"secret": {"secretName": "s"}}, {"secret": {"secretName": "s", "defaultMode": 420}}),
        ({"configMap": {"name": "c"}}, {"configMap": {"name": "c", "defaultMode": 420}}),
        ({"hostPath": {"path": "/x"}}, {"hostPath": {"path": "/x", "type": ""}}),
        (
            {"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
            {
                "projected": {
                    "sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}],
                    "defaultMode": 420,
                }
            },
        ),
    ],
)
def test_volumes_are_completed(given: Any, defaulted: Any) -> None:
    obj = created(PODS, pod(volumes=[{"name": "v", **given}]))
    assert obj["spec"]["volumes"] == [{"name": "v", **defaulted}]


def test_the_deprecated_name_of_the_account_follows_the_other() -> None:
    assert created(PODS, pod(serviceAccountName="a"))["spec"]["serviceAccount"] == "a"
    assert created(PODS, pod(serviceAccount="b"))["spec"]["serviceAccountName"] == "b"


def test_on_the_hosts_network_ports_are_the_hosts() -> None:
    obj = created(PODS, pod(hostNetwork=True, containers=[container(ports=[{"containerPort": 80}])]))
    assert obj["spec"]["containers"][0]["ports"] == [{"containerPort": 80, "protocol": "TCP", "hostPort": 80}]


def test_templates_get_what_pods_get_but_for_what_only_pods_have() -> None:
    limited = container(resources={"limits": {"cpu": "1"}})
    spec = created(REPLICA_SETS, workload(REPLICA_SETS, template={"spec": {"containers": [limited]}}))["spec"]
    inner = spec["template"]["spec"]
    assert inner["restartPolicy"] == "Always"
    assert "enableServiceLinks" not in inner
    assert "requests" not in inner["containers"][0]["resources"]


def test_defaults_are_the_same_the_second_time() -> None:
    obj = created(
        PODS, pod(volumes=[{"name": "v"}], containers=[container(livenessProbe={"tcpSocket": {"port": 1}})])
    )
    again = copy.deepcopy(obj)
    strategy(PODS).default(again)
    assert again == obj


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        (
            {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1024Mi"}},
            "Guaranteed",
        ),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}, "Burstable"),
        ({"limits": {"example.com/gpu": "1"}}, "BestEffort"),
    ],
)
def test_the_class_of_service_follows_requests_and_limits(resources: Any, expected: str) -> None:
    obj = created(PODS, pod(containers=[container(resources=resources)]))
    assert obj["status"]["qosClass"] == expected
