"""What pods are refused for, in the words of upstream's API server."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from podium.api.types.resources import PODS
from tests.unit.api.groups.build import (
    changed,
    container,
    created,
    faults,
    meta,
    pod,
    strategy,
    update_faults,
)

LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start "
    "and end with an "
    "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and "
    "must start and end "
    "with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)


def of(**parts: Any) -> Any:
    """A pod whose only container has these fields."""
    return pod(containers=[container(**parts)])


FAULTS = [
    (
        pod(hostnameOverride="a", setHostnameAsFQDN=True, hostNetwork=True),
        [
            "spec.hostnameOverride: Forbidden: may not be specified when setHostnameAsFQDN is true",
            "spec.hostnameOverride: Forbidden: may not be specified when hostNetwork is true",
        ],
    ),
    (
        pod(hostnameOverride="Not-A-Name"),
        [f'spec.hostnameOverride: Invalid value: "Not-A-Name": {SUBDOMAIN_RULE}'],
    ),
    (
        pod(hostnameOverride="a" * 65),
        ["spec.hostnameOverride: Too long: may not be more than 64 bytes"],
    ),
    (pod(containers=[]), ["spec.containers: Required value"]),
    (pod(containers=[{"name": "c"}]), ["spec.containers[0].image: Required value"]),
    (pod(containers=[{"image": "i"}]), ["spec.containers[0].name: Required value"]),
    (of(name="Main"), [f'spec.containers[0].name: Invalid value: "Main": {LABEL_RULE}']),
    (of(name="a.b"), ['spec.containers[0].name: Invalid value: "a.b": must not contain dots']),
    (
        of(image=" nginx"),
        ['spec.containers[0].image: Invalid value: " nginx": must not have leading or trailing whitespace'],
    ),
    (
        pod(containers=[container(), container()]),
        ['spec.containers[1].name: Duplicate value: "main"'],
    ),
    (
        pod(initContainers=[container()]),
        ['spec.initContainers[0].name: Duplicate value: "main"'],
    ),
    (
        of(ports=[{"containerPort": 0}]),
        ["spec.containers[0].ports[0].containerPort: Required value"],
    ),
    (
        of(ports=[{"containerPort": 65536}]),
        [
            "spec.containers[0].ports[0].containerPort: Invalid value: 65536: "
            "must be between 1 and 65535, inclusive"
        ],
    ),
    (
        of(ports=[{"containerPort": 80, "protocol": "tcp"}]),
        [
            'spec.containers[0].ports[0].protocol: Unsupported value: "tcp": '
            'supported values: "SCTP", "TCP", "UDP"'
        ],
    ),
    (
        of(ports=[{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}]),
        ['spec.containers[0].ports[1].name: Duplicate value: "a"'],
    ),
    (
        of(ports=[{"containerPort": 1, "hostPort": 1}, {"containerPort": 2, "hostPort": 1}]),
        ['spec.containers[0].ports[1].hostPort: Duplicate value: "TCP//1"'],
    ),
    (of(env=[{"value": "x"}]), ["spec.containers[0].env[0].name: Required value"]),
    (
        of(env=[{"name": "A=B"}]),
        [
            'spec.containers[0].env[0].name: Invalid value: "A=B": a valid environment variable name must '
            "consist only "
            "of printable ASCII characters other than '='"
        ],
    ),
    (
        of(env=[{"name": "A", "value": "x", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]),
        [
            'spec.containers[0].env[0].valueFrom: Invalid value: "": '
            "may not be specified when `value` is not empty"
        ],
    ),
    (
        of(env=[{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "s"}}}]),
        ["spec.containers[0].env[0].valueFrom.configMapKeyRef.key: Required value"],
    ),
    (
        of(envFrom=[{}]),
        ['spec.containers[0].envFrom: Invalid value: "": must specify one of: `configMapRef` or `secretRef`'],
    ),
    (
        of(volumeMounts=[{"name": "v", "mountPath": "/x"}]),
        ['spec.containers[0].volumeMounts[0].name: Not found: "v"'],
    ),
    (
        pod(
            containers=[
                container(volumeMounts=[{"name": "v", "mountPath": "/x"}, {"name": "v", "mountPath": "/x"}])
            ],
            volumes=[{"name": "v"}],
        ),
        ['spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/x": must be unique'],
    ),
    (
        of(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}),
        [
            'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu '
            "limit of 1"
        ],
    ),
    (
        of(resources={"requests": {"cpu": "-1"}}),
        [
            'spec.containers[0].resources.requests[cpu]: Invalid value: "-1": '
            "must be greater than or equal to 0"
        ],
    ),
    (
        of(resources={"requests": {"gpu": "1"}}),
        [
            'spec.containers[0].resources.requests[gpu]: Invalid value: "gpu": '
            "must be a standard resource type or fully qualified",
            'spec.containers[0].resources.requests[gpu]: Invalid value: "gpu": '
            "must be a standard resource for containers",
        ],
    ),
    (
        of(resources={"requests": {"example.com/gpu": "1"}}),
        [
            "spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable "
            "resources"
        ],
    ),
    (of(livenessProbe={}), ["spec.containers[0].livenessProbe: Required value: must specify a handler type"]),
    (
        of(readinessProbe={"exec": {"command": ["x"]}, "tcpSocket": {"port": 1}}),
        ["spec.containers[0].readinessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type"],
    ),
    (
        of(livenessProbe={"tcpSocket": {"port": 1}, "successThreshold": 2}),
        ["spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1"],
    ),
    (
        of(livenessProbe={"tcpSocket": {"port": 1}, "periodSeconds": -1}),
        [
            "spec.containers[0].livenessProbe.periodSeconds: Invalid value: -1: "
            "must be greater than or equal to 0"
        ],
    ),
    (
        of(imagePullPolicy="Sometimes"),
        [
            'spec.containers[0].imagePullPolicy: Unsupported value: "Sometimes": '
            'supported values: "Always", "IfNotPresent", "Never"'
        ],
    ),
    (
        of(securityContext={"privileged": True, "allowPrivilegeEscalation": False}),
        [
            "spec.containers[0].securityContext: Invalid value: "
            '{"privileged":true,"allowPrivilegeEscalation":false}: '
            "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
        ],
    ),
    (
        pod(restartPolicy="Sometimes"),
        [
            'spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", '
            '"Never"',
        ],
    ),
    (
        pod(dnsPolicy="None"),
        ["spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"],
    ),
    (
        pod(volumes=[{"name": "v", "emptyDir": {}, "hostPath": {"path": "/x"}}]),
        ["spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"],
    ),
    (pod(volumes=[{"name": "v", "secret": {}}]), ["spec.volumes[0].secret.secretName: Required value"]),
    (
        pod(volumes=[{"name": "v"}, {"name": "v"}]),
        ['spec.volumes[1].name: Duplicate value: "v"'],
    ),
    (
        pod(volumes=[{"name": "v", "hostPath": {"path": "/a/../b"}}]),
        ["spec.volumes[0].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'"],
    ),
    (
        pod(activeDeadlineSeconds=0),
        ["spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"],
    ),
    (pod(serviceAccountName="A"), [f'spec.serviceAccountName: Invalid value: "A": {SUBDOMAIN_RULE}']),
    (
        pod(tolerations=[{"key": "a", "operator": "Exists", "value": "x"}]),
        [
            'spec.tolerations[0].operator: Invalid value: "x": value must be empty when `operator` is '
            "'Exists'"
        ],
    ),
    (
        pod(initContainers=[container(name="i", readinessProbe={"tcpSocket": {"port": 1}})]),
        [
            "spec.initContainers[0].readinessProbe: Forbidden: "
            "may not be set for init containers without restartPolicy=Always"
        ],
    ),
    (
        pod(topologySpreadConstraints=[{"maxSkew": 0, "topologyKey": "", "whenUnsatisfiable": "Maybe"}]),
        [
            "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
            "spec.topologySpreadConstraints[0].topologyKey: Required value: can not be empty",
            'spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: "Maybe": '
            'supported values: "DoNotSchedule", "ScheduleAnyway"',
        ],
    ),
]


@pytest.mark.parametrize(
    ("obj", "expected"), FAULTS, ids=lambda value: value[0] if isinstance(value, list) else ""
)
def test_a_faulty_pod_is_refused_in_upstreams_words(obj: Any, expected: list[str]) -> None:
    assert faults(PODS, obj) == expected


def test_a_pod_with_everything_in_order_passes() -> None:
    obj = pod(
        volumes=[
            {"name": "data"},
            {"name": "conf", "configMap": {"name": "c", "items": [{"key": "k", "path": "p"}]}},
        ],
        initContainers=[
            container(name="init", restartPolicy="Always", startupProbe={"exec": {"command": ["true"]}})
        ],
        containers=[
            container(
                ports=[{"name": "http", "containerPort": 80}],
                env=[{"name": "MY-NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}}],
                volumeMounts=[{"name": "data", "mountPath": "/data", "subPath": "a/b"}],
                lifecycle={"preStop": {"sleep": {"seconds": 3}}},
            )
        ],
        tolerations=[{"operator": "Exists"}],
        affinity={
            "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [
                    {"labelSelector": {"matchLabels": {"a": "b"}}, "topologyKey": "kubernetes.io/hostname"}
                ]
            }
        },
    )
    assert faults(PODS, obj) == []


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        (meta(""), ["metadata.name: Required value: name or generateName is required"]),
        (meta("Bad_Name"), [f'metadata.name: Invalid value: "Bad_Name": {SUBDOMAIN_RULE}']),
        (
            meta(labels={"a": "b c"}),
            [
                'metadata.labels: Invalid value: "b c": a valid label must be an empty string or consist of '
                "alphanumeric "
                "characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. "
                "'MyValue',  or "
                "'my_value',  or '12345', regex used for validation is "
                "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
            ],
        ),
        (
            meta(labels={"a" * 64: "b"}),
            [f'metadata.labels: Invalid value: "{"a" * 64}": name part must be no more than 63 bytes'],
        ),
        (
            meta(annotations={"a": "x" * 262144}),
            ["metadata.annotations: Too long: may not be more than 262144 bytes"],
        ),
        (
            meta(ownerReferences=[{"apiVersion": "v1", "kind": "Pod", "name": "", "uid": "u"}]),
            ['metadata.ownerReferences.name: Invalid value: "": must not be empty'],
        ),
    ],
)
def test_faulty_metadata_is_refused(metadata: Any, expected: list[str]) -> None:
    assert faults(PODS, {**pod(), "metadata": metadata}) == expected


CHANGEABLE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def test_images_deadline_and_more_tolerations_may_change() -> None:
    old = created(PODS, pod())
    new = changed(
        old,
        containers=[container(image="nginx:2")],
        activeDeadlineSeconds=5,
        tolerations=[{"operator": "Exists"}],
    )
    assert update_faults(PODS, old, new) == []
    assert new["metadata"]["generation"] == 2


def test_other_fields_of_a_pod_may_not_change_and_the_message_shows_what_did() -> None:
    old = created(PODS, pod())
    [fault] = update_faults(PODS, old, changed(old, hostname="other"))
    assert fault == f'spec: Forbidden: {CHANGEABLE}\n+ spec.hostname: "other"'


def test_containers_may_not_be_added() -> None:
    old = created(PODS, pod())
    new = changed(old, containers=[container(), container(name="b")])
    assert update_faults(PODS, old, new) == [
        "spec.containers: Forbidden: pod updates may not add or remove containers"
    ]


def test_tolerations_may_not_go() -> None:
    old = created(PODS, pod(tolerations=[{"key": "a", "operator": "Exists"}]))
    assert update_faults(PODS, old, changed(old, tolerations=[])) == [
        "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"
    ]


def test_a_deadline_may_only_become_shorter() -> None:
    old = created(PODS, pod(activeDeadlineSeconds=10))
    assert update_faults(PODS, old, changed(old, activeDeadlineSeconds=11)) == [
        "spec.activeDeadlineSeconds: Invalid value: 11: must be less than or equal to previous value"
    ]


def test_an_update_of_the_status_leaves_the_spec_and_the_owners() -> None:
    old = created(PODS, pod())
    new = copy.deepcopy(old)
    new["spec"]["hostname"] = "x"
    new["metadata"]["ownerReferences"] = [{"name": "x"}]
    new["status"] = {"phase": "Running", "podIP": "10.42.0.5"}
    kind = strategy(PODS)
    kind.default(new)
    kind.prepare_status(new, old)
    assert new["spec"] == old["spec"]
    assert "ownerReferences" not in new["metadata"]
    assert new["status"] == {
        "phase": "Running", "podIP": "10.42.0.5", "podIPs": [{"ip": "10.42.0.5"}], "qosClass": "BestEffort",
    }  # fmt: skip
    assert kind.validate_status(new, old) == []


def test_a_container_that_may_not_restart_stays_terminated() -> None:
    old = created(PODS, pod(restartPolicy="Never"))
    old["status"]["containerStatuses"] = [{"name": "main", "state": {"terminated": {"exitCode": 0}}}]
    new = copy.deepcopy(old)
    new["status"]["containerStatuses"] = [{"name": "main", "state": {"running": {}}}]
    assert [str(cause) for cause in strategy(PODS).validate_status(new, old)] == [
        "status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state"
    ]


@pytest.mark.parametrize(
    ("spec", "phase", "requested", "expected"),
    [
        ({"nodeName": "n"}, "Running", None, 30),
        ({"nodeName": "n"}, "Running", 5, 5),
        ({"nodeName": "n"}, "Running", 0, 0),
        ({"nodeName": "n", "terminationGracePeriodSeconds": 7}, "Running", None, 7),
        ({"nodeName": "n", "terminationGracePeriodSeconds": -1}, "Running", None, 1),
        ({}, "Pending", None, 0),
        ({"nodeName": "n"}, "Succeeded", 20, 0),
        ({"nodeName": "n"}, "Failed", None, 0),
    ],
)
def test_how_long_a_pod_is_given_to_end(spec: Any, phase: str, requested: int | None, expected: int) -> None:
    obj = created(PODS, pod(**spec))
    obj["status"]["phase"] = phase
    assert strategy(PODS).grace_period(obj, requested) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("metadata.name", "web"),
        ("metadata.namespace", "default"),
        ("spec.nodeName", ""),
        ("spec.restartPolicy", "Always"),
        ("spec.hostNetwork", "false"),
        ("status.phase", "Pending"),
    ],
)
def test_fields_that_pods_are_selected_by(path: str, expected: str) -> None:
    assert path in strategy(PODS).field_labels
    assert strategy(PODS).field(created(PODS, pod()), path) == expected


def test_a_name_that_is_no_host_name_is_warned_of() -> None:
    [warning] = strategy(PODS).warnings({**pod(), "metadata": meta("a.b")})
    assert warning.startswith("metadata.name: this is used in the Pod's hostname")


def test_ephemeral_containers_are_added_and_stay() -> None:
    old = created(PODS, pod())
    debug = {"name": "debug", "image": "busybox:1"}
    new = changed(old, ephemeralContainers=[debug])
    kind = strategy(PODS)
    kind.default(new)
    assert kind.validate_status(new, old) == []
    bad = changed(old, ephemeralContainers=[{**debug, "name": "main"}])
    kind.default(bad)
    assert [str(cause) for cause in kind.validate_status(bad, old)] == [
        'spec.ephemeralContainers[0].name: Duplicate value: "main"'
    ]
    assert [str(cause) for cause in kind.validate_status(old, new)] == [
        'spec.ephemeralContainers: Forbidden: existing ephemeral containers "debug" may not be removed\n'
    ]


def spreading(**more: Any) -> dict[str, Any]:
    base = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    return {"topologySpreadConstraints": [{**base, **more}]}


def repelled(**term: Any) -> dict[str, Any]:
    required = [{"topologyKey": "zone", **term}]
    return {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}}


def labelled(**spec: Any) -> dict[str, Any]:
    made = pod(**spec)
    made["metadata"]["labels"] = {"app": "web", "hash": "7"}
    return made


def test_label_keys_become_part_of_a_new_pods_selectors() -> None:
    chosen = {"labelSelector": {"matchLabels": {"app": "web"}}}
    spec = created(PODS, labelled(**spreading(matchLabelKeys=["hash", "none"], **chosen)))["spec"]
    same = {"key": "hash", "operator": "In", "values": ["7"]}
    assert spec["topologySpreadConstraints"][0]["labelSelector"]["matchExpressions"] == [same]
    keys = {"matchLabelKeys": ["hash"], "mismatchLabelKeys": ["app"]}
    [term] = created(PODS, labelled(**repelled(**keys, labelSelector={})))["spec"]["affinity"][
        "podAntiAffinity"
    ]["requiredDuringSchedulingIgnoredDuringExecution"]
    other = {"key": "app", "operator": "NotIn", "values": ["web"]}
    assert term["labelSelector"]["matchExpressions"] == [same, other]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (
            {"matchLabelKeys": ["hash"]},
            "matchLabelKeys: Forbidden: must not be specified when labelSelector is not set",
        ),
        (
            {"matchLabelKeys": ["hash"], "labelSelector": {"matchLabels": {"hash": "1"}}},
            '[0]: Invalid value: "hash": exists in both matchLabelKeys and labelSelector',
        ),
        (
            {"matchLabelKeys": ["hash"], "mismatchLabelKeys": ["hash"], "labelSelector": {}},
            'matchLabelKeys[0]: Invalid value: "hash": exists in both matchLabelKeys and mismatchLabelKeys',
        ),
    ],
)
def test_label_keys_say_nothing_that_the_selector_says(part: dict[str, Any], expected: str) -> None:
    assert any(fault.endswith(expected) for fault in faults(PODS, labelled(**repelled(**part))))
