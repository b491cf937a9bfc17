"""What pods are refused for beyond their names and images: every part of the spec, in upstream's words.

Source: API reference, core/v1 PodSpec.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest

from podium.api.types.resources import PODS
from tests.unit.api.groups.build import changed, container, created, faults, pod, strategy, update_faults

PODS_BELOW = "must be one of the names in pod.spec.resourceClaims"


def of(**parts: Any) -> Any:
    """A pod whose only container has these fields."""
    return pod(containers=[container(**parts)])


def with_volume(**source: Any) -> Any:
    return pod(volumes=[{"name": "v", **source}])


def init(**parts: Any) -> Any:
    return pod(initContainers=[container(name="init", **parts)])


FAULTS = [
    # --- volumes
    (with_volume(gitRepo={"directory": "/d"}),
     ["spec.volumes[0].gitRepo.repository: Required value",
      'spec.volumes[0].gitRepo.directory: Invalid value: "/d": must be a relative path']),
    (with_volume(iscsi={"targetPortal": "p", "iqn": "bad", "lun": 0}),
     ['spec.volumes[0].iscsi.iqn: Invalid value: "bad": must be valid format starting with iqn, '
       'eui, or naa']),
    (with_volume(fc={"wwids": [], "lun": 1}),
     ["spec.volumes[0].fc.targetWWNs: Required value: must specify either targetWWNs or wwids, but "
       "not both"]),
    (with_volume(flocker={"datasetName": "a/b"}),
     ["spec.volumes[0].flocker.datasetName: Invalid value: \"a/b\": must not contain '/'"]),
    (with_volume(quobyte={"registry": "r", "volume": "v"}),
     ['spec.volumes[0].quobyte.registry: Invalid value: "r": must be a host:port pair or multiple pairs '
      "separated by commas"]),
    (with_volume(flexVolume={"driver": "d", "options": {"kubernetes.io/a": "1"}}),
     ['spec.volumes[0].flexVolume.options[kubernetes.io/a]: Invalid value: "kubernetes.io/a": kubernetes.io '
      "and k8s.io namespaces are reserved"]),
    (with_volume(rbd={"monitors": [], "image": ""}),
     ["spec.volumes[0].rbd.monitors: Required value", "spec.volumes[0].rbd.image: Required value"]),
    (with_volume(cinder={"volumeID": "v", "secretRef": {}}),
     ["spec.volumes[0].cinder.secretRef.name: Required value"]),
    (with_volume(azureFile={}),
     ["spec.volumes[0].azureFile.secretName: Required value",
      "spec.volumes[0].azureFile.shareName: Required value"]),
    (with_volume(storageos={"volumeName": "a.b"}),
     ['spec.volumes[0].storageos.volumeName: Invalid value: "a.b": must not contain dots']),
    (with_volume(image={"reference": "", "pullPolicy": "Often"}),
     ["spec.volumes[0].image.reference: Required value",
      'spec.volumes[0].image.pullPolicy: Unsupported value: "Often": supported values: "Always", '
      '"IfNotPresent", "Never"']),
    (with_volume(ephemeral={"volumeClaimTemplate": {"metadata": {"name": "n"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}}),
     ["spec.volumes[0].ephemeral.volumeClaimTemplate.metadata.name: Forbidden: cannot be set"]),
    (pod(volumes=[
        {"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}}},
        {"name": "w", "persistentVolumeClaim": {"claimName": "web-v"}},
    ]),
     ['spec.volumes[1].persistentVolumeClaim.claimName: Invalid value: "web-v": must not reference '
       'a PVC that '
      "gets created for an ephemeral volume"]),
    (with_volume(emptyDir={}, cephfs={"monitors": ["m"]}),
     ["spec.volumes[0].cephFS: Forbidden: may not specify more than 1 volume type"]),
    # --- environment
    (of(env=[{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "2"}}}]),
     ['spec.containers[0].env[0].valueFrom.resourceFieldRef.divisor: Invalid value: "limits.cpu": only '
      "divisor's values 1m and 1 are supported with the cpu resource"]),
    (of(env=[{"name": "A", "valueFrom": {"fileKeyRef": {"key": "k", "volumeName": "v", "path": "p"}}}]),
     ['spec.containers[0].env[0].valueFrom.fileKeyRef.volumeName: Not found: "v"']),
    (of(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.schedulerName"}}}]),
     ['spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Unsupported value: "spec.schedulerName": '
      'supported values: "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", '
      '"spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"']),
    (of(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name['a']"}}}]),
     ['spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: "metadata.name[\'a\']": error '
      "converting fieldPath: field label does not support subscript: metadata.name['a']"]),
    # --- mounts
    (pod(volumes=[{"name": "v", "emptyDir": {}}],
         containers=[container(volumeMounts=[{"name": "v", "mountPath": "/v",
             "recursiveReadOnly": "Enabled"}])]),
     ["spec.containers[0].volumeMounts.recursiveReadOnly: Forbidden: may only be specified when readOnly is "
      "true"]),
    (pod(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}],
         containers=[container(volumeDevices=[{"name": "v", "devicePath": "/a"},
                                              {"name": "v", "devicePath": "/a"}])]),
     ['spec.containers[0].volumeDevices[1].name: Invalid value: "v": must be unique',
      'spec.containers[0].volumeDevices[1].devicePath: Invalid value: "/a": must be unique']),
    # --- restarts and resizing
    (of(restartPolicyRules=[{"action": "Restart", "exitCodes": {"operator": "In", "values": [1]}}]),
     ["spec.containers[0].restartPolicy: Required value: must specify restartPolicy when restart rules are "
      "used"]),
    (of(restartPolicy="Never", restartPolicyRules=[{"action": "Dance"}]),
     ['spec.containers[0].restartPolicyRules[0].action: Unsupported value: "Dance": supported values: '
      '"Restart", "RestartAllContainers"',
      "spec.containers[0].restartPolicyRules[0].exitCodes: Required value: must be specified"]),
    (of(resizePolicy=[{"resourceName": "disk", "restartPolicy": "NotRequired"}]),
     ['spec.containers[0].resizePolicy: Unsupported value: "disk": supported values: "cpu", "memory"']),
    (pod(restartPolicy="Never", containers=[container(
        resizePolicy=[{"resourceName": "cpu", "restartPolicy": "RestartContainer"}])]),
     ["spec.containers[0].resizePolicy: Invalid value: \"RestartContainer\": must be 'NotRequired' when pod "
      "`restartPolicy` is 'Never'"]),
    (init(resizePolicy=[{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]),
     ["spec.initContainers[0].resizePolicy[0].restartPolicy: Invalid value: \"RestartContainer\": "
       "must not be "
      "set to 'RestartContainer' for non-sidecar initContainers"]),
    # --- probes and hooks
    (of(livenessProbe={"exec": {"command": ["a"]}, "successThreshold": 2}),
     ["spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1"]),
    (of(readinessProbe={"exec": {"command": ["a"]}, "terminationGracePeriodSeconds": 5}),
     ["spec.containers[0].readinessProbe.terminationGracePeriodSeconds: Invalid value: 5: must not "
       "be set for "
      "readinessProbes"]),
    (of(lifecycle={"preStop": {"sleep": {"seconds": 31}}}),
     ["spec.containers[0].lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than "
      "terminationGracePeriodSeconds (30)"]),
    # --- resources and claims
    (of(resources={"limits": {"hugepages-2Mi": "3Mi", "cpu": "1"}}),
     ['spec.containers[0].resources.limits[hugepages-2Mi]: Invalid value: "3Mi": 3Mi is not positive integer '
      "multiple of hugepages-2Mi",
      'spec.containers[0].resources.requests[hugepages-2Mi]: Invalid value: "3Mi": 3Mi is not positive '
      "integer multiple of hugepages-2Mi"]),
    (of(resources={"claims": [{"name": "gpu"}]}),
     [f'spec.containers[0].resources.claims[0]: Not found: "gpu": {PODS_BELOW} which is empty']),
    (pod(resourceClaims=[{"name": "gpu"}]),
     ['spec.resourceClaims[0]: Invalid value: {"name":"gpu"}: must specify one of: `resourceClaimName`, '
      "`resourceClaimTemplateName`"]),
    (pod(resourceClaims=[{"name": "gpu", "resourceClaimName": "a"}, {"name": "gpu",
        "resourceClaimName": "b"}]),
     ['spec.resourceClaims[1].name: Duplicate value: "gpu"']),
    (pod(overhead={"bananas": "1"}),
     ['spec.overhead.limits[bananas]: Invalid value: "bananas": must be a standard resource type or fully '
      "qualified",
      'spec.overhead.limits[bananas]: Invalid value: "bananas": must be a standard resource for containers']),
    # --- security
    (of(securityContext={"procMount": "Unmasked"}),
     ['spec.containers[0].securityContext.procMount: Invalid value: "Unmasked": `hostUsers` must be false to '
      "use `Unmasked`"]),
    (of(securityContext={"appArmorProfile": {"type": "Localhost"}}),
     ["spec.containers[0].securityContext.appArmorProfile.localhostProfile: Required value: must be set when "
      "AppArmor type is Localhost"]),
    (pod(securityContext={"appArmorProfile": {"type": "Loud"}}),
     ['spec.securityContext.appArmorProfile.type: Unsupported value: "Loud": supported values: "Localhost", '
      '"RuntimeDefault", "Unconfined"']),
    (pod(securityContext={"seccompProfile": {"type": ""}}),
     ["spec.securityContext.seccompProfile.type: Required value: type is required when seccompProfile is "
      "set"]),
    (pod(securityContext={"seLinuxChangePolicy": "Often"}),
     ['spec.securityContext.seLinuxChangePolicy: Unsupported value: "Often": supported values: '
      '"MountOption", "Recursive"']),
    (pod(hostUsers=False, hostPID=True, hostIPC=True),
     ["spec.HostPID: Forbidden: when `hostUsers` is false",
      "spec.HostIPC: Forbidden: when `hostUsers` is false"]),
    # --- operating systems
    (pod(os={"name": "plan9"}),
     ['spec.os: Unsupported value: "plan9": supported values: "linux", "windows"']),
    (pod(os={"name": "linux"}, securityContext={"windowsOptions": {}}),
     ["spec.securityContext.windowsOptions: Forbidden: windows options cannot be set for a linux pod"]),
    (pod(os={"name": "windows"}, containers=[container(securityContext={"privileged": True})]),
     ["spec.containers[0].securityContext.privileged: Forbidden: cannot be set for a windows pod"]),
    (pod(securityContext={"windowsOptions": {"runAsUserName": "a\\b\\c"}}),
     ['spec.securityContext.windowsOptions.runAsUserName: Invalid value: "a\\\\b\\\\c": runAsUserName cannot '
      "contain more than one backslash"]),
    (pod(securityContext={"windowsOptions": {"hostProcess": True}}),
     ["spec.hostNetwork: Invalid value: false: hostNetwork must be true if pod contains any hostProcess "
      "containers"]),
    # --- the rest
    (pod(dnsConfig={"searches": ["Bad!"]}), None),
    (pod(dnsConfig={"searches": [".", "a_b.example.com."]}), []),
    (pod(hostAliases=[{"ip": "::ffff:10.0.0.1", "hostnames": ["a"]}]),
     ['spec.hostAliases[0].ip: Invalid value: "::ffff:10.0.0.1": must not be an IPv4-mapped IPv6 address']),
    (pod(ephemeralContainers=[{"name": "e", "image": "i"}]),
     ["spec.ephemeralContainers: Forbidden: cannot be set on create"]),
    (pod(nodeName="one", schedulingGates=[{"name": "a"}]),
     ["spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared"]),
]  # fmt: skip


@pytest.mark.parametrize(("obj", "expected"), FAULTS, ids=range(len(FAULTS)))
def test_a_bad_pod_is_refused_in_upstreams_words(obj: Any, expected: list[str] | None) -> None:
    if expected is None:
        assert len(faults(PODS, obj)) == 1
    else:
        assert faults(PODS, obj) == expected


ANNOTATIONS = [
    ({"controller.kubernetes.io/pod-deletion-cost": "1.5"},
     ['metadata.annotations[controller.kubernetes.io/pod-deletion-cost]: Invalid value: "1.5": must be a '
      "32bit integer"]),
    ({"kubernetes.io/config.mirror": "m"},
     ['metadata.annotations[kubernetes.io/config.mirror]: Invalid value: "m": must set spec.nodeName if '
      "mirror pod annotation is set"]),
    ({"container.apparmor.security.beta.kubernetes.io/none": "unconfined"},
     ['metadata.annotations[container.apparmor.security.beta.kubernetes.io/none]: Invalid value: "none": '
      "container not found"]),
]  # fmt: skip


@pytest.mark.parametrize(("annotations", "expected"), ANNOTATIONS)
def test_annotations_that_mean_something_are_right(annotations: Any, expected: list[str]) -> None:
    obj = pod()
    obj["metadata"]["annotations"] = annotations
    assert faults(PODS, obj) == expected


def gated(terms: list[Any]) -> Any:
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    return created(PODS, pod(schedulingGates=[{"name": "a"}], affinity={"nodeAffinity": required}))


def term(*keys: str) -> Any:
    return {"matchExpressions": [{"key": key, "operator": "Exists"} for key in keys]}


PATH = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([term("a")], [term("a", "b")], ""),
        ([term("a")], [term("b")], f"{PATH}[0]: Invalid value:"),
        ([term("a")], [term("a"), term("b")], f"{PATH}: Invalid value:"),
    ],
)
def test_a_gated_pod_can_only_ask_for_more(before: Any, after: Any, expected: str) -> None:
    found = update_faults(PODS, gated(before), gated(after))
    assert bool(found) == bool(expected)
    assert all(fault.startswith(expected) for fault in found)


def status_faults(old: Any, **status: Any) -> list[str]:
    kind = strategy(PODS)
    new = copy.deepcopy(old)
    new["status"] = {**new.get("status", {}), **status}
    kind.prepare_status(new, old)
    return [str(cause) for cause in kind.validate_status(new, old)]


def test_a_status_tells_addresses_of_each_family_once() -> None:
    old = created(PODS, pod())
    assert status_faults(old, podIPs=[{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}], podIP="10.0.0.1") == [
        'status.podIPs: Invalid value: [{"ip":"10.0.0.1"},{"ip":"10.0.0.2"}]: may specify no more '
        "than one IP "
        "for each IP family"
    ]
    assert status_faults(old, hostIPs=[{"ip": "10.0.0.1"}], hostIP="10.0.0.2") == [
        'status.hostIPs[0].ip: Invalid value: "10.0.0.1": must be equal to `hostIP`'
    ]
    assert status_faults(old, qosClass="Guaranteed") == [
        'status.qosClass: Invalid value: "Guaranteed": field is immutable'
    ]


def ran(policy: str, rules: Any = None, code: int = 1) -> Any:
    """A pod whose container has ended."""
    extra = {"restartPolicyRules": rules, "restartPolicy": policy} if rules else {}
    old = created(PODS, pod(restartPolicy=policy, containers=[container(**extra)]))
    old["status"]["containerStatuses"] = [{"name": "main", "state": {"terminated": {"exitCode": code}}}]
    return old


ON_42 = [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]
OTHERS = [{"action": "Restart", "exitCodes": {"operator": "NotIn", "values": [42]}}]
EVERYTHING = [{"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [7]}}]


@pytest.mark.parametrize(
    ("old", "stays"),
    [
        (ran("Always"), False),
        (ran("OnFailure"), False),
        (ran("OnFailure", code=0), True),
        (ran("Never"), True),
        (ran("Never", ON_42), True),
        (ran("Never", ON_42, 42), False),
        (ran("Never", OTHERS, 42), True),
        (ran("Never", OTHERS, 1), False),
        (ran("Never", EVERYTHING, 1), False),
    ],
)
def test_what_has_ended_runs_again_only_where_it_may(old: Any, stays: bool) -> None:
    found = status_faults(old, containerStatuses=[{"name": "main", "state": {"running": {}}}])
    expected = [
        "status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state"
    ]
    assert found == (expected if stays else [])


def test_a_changed_image_has_nothing_around_its_name() -> None:
    old = created(PODS, pod())
    new = changed(old, containers=[{**old["spec"]["containers"][0], "image": " nginx"}])
    assert update_faults(PODS, old, new)[0].endswith("must not have leading or trailing whitespace")
