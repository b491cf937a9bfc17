"""What senders are told about objects that are accepted, and about field selectors that are not."""

from __future__ import annotations

from typing import Any

import pytest

from podium.api.types import resources as of
from podium.api.types.resources import Resource
from tests.unit.api.groups.build import container, created, pod, service, strategy, workload

NO_SELECTOR = "a null labelSelector results in matching no pod"
ZONE = 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead'


def ports(*given: Any) -> Any:
    return pod(containers=[container(name=f"c{index}", ports=[port]) for index, port in enumerate(given)])


PODS = [
    (pod(), []),
    (pod(nodeSelector={"beta.kubernetes.io/os": "linux"}),
     ['spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead']),
    (pod(topologySpreadConstraints=[{"maxSkew": 1, "topologyKey": "failure-domain.beta.kubernetes.io/zone",
                                     "whenUnsatisfiable": "DoNotSchedule"}]),
     [f"spec.topologySpreadConstraints[0].topologyKey: failure-domain.beta.kubernetes.io/zone is {ZONE}",
      f"spec.topologySpreadConstraints[0].labelSelector: {NO_SELECTOR}"]),
    (pod(volumes=[{"name": "v", "gitRepo": {"repository": "r"}}]),
     ["spec.volumes[0].gitRepo: deprecated in v1.11, and disabled by default in v1.33+"]),
    (pod(hostAliases=[{"ip": "10.0.0.1"}, {"ip": "10.0.0.1"}]),
     ['spec.hostAliases[1].ip: duplicate ip "10.0.0.1"']),
    (pod(imagePullSecrets=[{}]), ['spec.imagePullSecrets[0].name: invalid empty name ""']),
    (pod(containers=[container(resources={"requests": {"memory": "100m"}})]),
     ['spec.containers[0].resources.requests[memory]: fractional byte value "100m" is invalid, must be an '
      "integer"]),
    (pod(containers=[container(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}])]),
     ['spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply']),
    (pod(containers=[container(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "$(A)2"}])]), []),
    (ports({"containerPort": 80}, {"containerPort": 80}),
     ["spec.containers[1].ports[0]: duplicate port definition with spec.containers[0].ports[0]"]),
    (ports({"containerPort": 80, "hostPort": 80}, {"containerPort": 80}),
     ["spec.containers[1].ports[0]: overlapping port definition with spec.containers[0].ports[0]"]),
    (ports({"containerPort": 80, "hostPort": 80, "hostIP": "10.0.0.1"}, {"containerPort": 80,
        "hostPort": 80}),
     ["spec.containers[1].ports[0]: dangerously ambiguous port definition with "
      "spec.containers[0].ports[0]"]),
    (ports({"containerPort": 80, "name": "web"}, {"containerPort": 81, "name": "web"}),
     ['spec.containers[1].ports[0]: duplicate port name "web" with spec.containers[0].ports[0], services and '
      "probes that select ports by name will use spec.containers[0].ports[0]"]),
    (pod(terminationGracePeriodSeconds=-1),
     ["spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as "
      "1"]),
]  # fmt: skip


@pytest.mark.parametrize(("obj", "expected"), PODS, ids=range(len(PODS)))
def test_the_sender_of_a_pod_is_told_what_is_odd_about_it(obj: Any, expected: list[str]) -> None:
    assert strategy(of.PODS).warnings(created(of.PODS, obj)) == expected


@pytest.mark.parametrize("kind", [of.DEPLOYMENTS, of.STATEFUL_SETS, of.DAEMON_SETS, of.JOBS])
def test_so_is_the_sender_of_a_template(kind: Resource) -> None:
    obj = workload(kind)
    obj["spec"]["template"]["spec"]["nodeSelector"] = {"node-role.kubernetes.io/master": ""}
    assert strategy(kind).warnings(created(kind, obj)) == [
        "spec.template.spec.nodeSelector[node-role.kubernetes.io/master]: use "
        '"node-role.kubernetes.io/control-plane" instead'
    ]


def test_the_sender_of_a_service_is_told_what_has_no_effect() -> None:
    obj = created(of.SERVICES, service(clusterIP="None", sessionAffinity="ClientIP", externalName="a.b"))
    assert strategy(of.SERVICES).warnings(obj) == [
        "spec.SessionAffinity is ignored for headless services",
        'spec.externalName is ignored when spec.type is not "ExternalName"',
    ]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (of.CONFIG_MAPS, '"a" is not a known field selector: only "metadata.name", "metadata.namespace"'),
        (of.REPLICA_SETS, '"a" is not a known field selector: only "metadata.name", "metadata.namespace"'),
        (of.PODS, "field label not supported: a"),
        (of.JOBS, 'field label "a" not supported for Job'),
        (of.RESOURCE_SLICES, "field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: a"),
    ],
)
def test_a_field_that_cannot_be_selected_by_is_named(kind: Resource, message: str) -> None:
    assert strategy(kind).unknown_label("a") == message


SELECTABLE = {
    of.PODS: {
        "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
        "spec.hostNetwork", "status.phase", "status.podIP", "status.podIPs", "status.nominatedNodeName",
    },
    of.NODES: {"spec.unschedulable"},
    of.REPLICATION_CONTROLLERS: {"status.replicas"},
    of.NAMESPACES: {"status.phase"},
    of.SECRETS: {"type"},
    of.SERVICES: {"spec.clusterIP", "spec.type"},
    of.JOBS: {"status.successful"},
    of.CERTIFICATE_SIGNING_REQUESTS: {"spec.signerName"},
    of.RESOURCE_SLICES: {"spec.nodeName", "spec.driver"},
    of.EVENTS: {
        *(f"involvedObject.{key}" for key in ("kind", "namespace", "name", "uid", "apiVersion",
                                              "resourceVersion", "fieldPath")),
        "reason", "reportingComponent", "source", "type",
    },
    of.EVENTS_V1: {
        *(f"regarding.{key}" for key in ("kind", "namespace", "name", "uid", "apiVersion",
                                         "resourceVersion", "fieldPath")),
        "reason", "reportingController", "type",
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", of.BUILT_IN, ids=lambda entry: f"{entry.plural}.{entry.group}")
def test_a_kind_can_be_selected_by_what_upstream_allows(kind: Resource) -> None:
    own = strategy(kind).field_labels - {"metadata.name", "metadata.namespace"}
    assert own == SELECTABLE.get(kind, set())
