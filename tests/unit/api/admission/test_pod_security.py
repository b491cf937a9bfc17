"""What the levels of PodSecurity find in pods, and what namespaces make of it."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from podium.api.admission.podsecurity.configuration import ConfigurationError, read
from podium.api.admission.podsecurity.evaluation import findings
from podium.api.admission.podsecurity.levels import Level, Policy, policy_of
from podium.api.server import ApiServer, ServerConfig
from podium.api.types import Obj
from tests.unit.api.http.harness import CORE, STRATEGIC, Http
from tests.unit.api.http.harness import pod as plain

GOOD: Obj = {
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [
        {
            "name": "a",
            "image": "echo",
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
            },
        }
    ],
}
PREFIX = "pod-security.kubernetes.io/"


def good(**of_pod: Any) -> Obj:
    return {**copy.deepcopy(GOOD), **of_pod}


def secured(**context: Any) -> Obj:
    """A good pod whose container has more in its securityContext."""
    spec = good()
    spec["containers"][0]["securityContext"].update(context)
    return spec


def container(**fields: Any) -> Obj:
    spec = good()
    spec["containers"][0].update(fields)
    return spec


def told(level: str, spec: Obj, version: str = "latest", **meta: Any) -> str:
    return ", ".join(map(str, findings(Level(level, version), meta, spec)))


def test_a_hardened_pod_is_within_every_level() -> None:
    for version in ("latest", "v1.0", "v1.25", "v1.36", "v1.99"):
        assert told("baseline", good(), version) == told("restricted", good(), version) == ""


BASELINE = [
    (good(hostNetwork=True, hostPID=True), "host namespaces (hostNetwork=true, hostPID=true)"),
    (good(volumes=[{"name": "v", "hostPath": {"path": "/"}}]), 'hostPath volumes (volume "v")'),
    (container(ports=[{"hostPort": 80}, {"hostPort": 9}]),
     'hostPort (container "a" uses hostPorts 80, 9)'),
    (container(livenessProbe={"httpGet": {"host": "h"}}, lifecycle={"preStop": {"tcpSocket": {"host": "g"}}}),
     'probe or lifecycle host (container "a" uses probe or lifecycle hosts "g", "h")'),
    (secured(privileged=True), 'privileged (container "a" must not set securityContext.privileged=true)'),
    (secured(capabilities={"drop": ["ALL"], "add": ["NET_RAW", "CHOWN"]}),
     'non-default capabilities (container "a" must not include "NET_RAW" in '
     "securityContext.capabilities.add)"),
    (secured(procMount="Unmasked"),
     'procMount (container "a" must not set securityContext.procMount to "Unmasked")'),
    (secured(seccompProfile={"type": "Unconfined"}),
     'seccompProfile (container "a" must not set securityContext.seccompProfile.type to "Unconfined")'),
    (secured(seLinuxOptions={"type": "t", "user": "u"}),
     'seLinuxOptions (container "a" set forbidden securityContext.seLinuxOptions: type "t"; user may not be '
     "set)"),
    (secured(appArmorProfile={"type": "Unconfined"}),
     'forbidden AppArmor profile (container "a" must not set AppArmor profile type to "Unconfined")'),
    (good(securityContext={**GOOD["securityContext"], "sysctls": [{"name": "kernel.msgmax"}]}),
     "forbidden sysctls (kernel.msgmax)"),
    (good(securityContext={**GOOD["securityContext"], "windowsOptions": {"hostProcess": True}}),
     "hostProcess (pod must not set securityContext.windowsOptions.hostProcess=true)"),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "text"), BASELINE, ids=[text.split(" (")[0] for _, text in BASELINE])
def test_what_baseline_refuses(spec: Obj, text: str) -> None:
    assert told("baseline", spec) == text
    assert told("privileged", spec) == ""
    assert told("restricted", spec)


def test_annotations_of_old_are_looked_at() -> None:
    noted = {"container.apparmor.security.beta.kubernetes.io/a": "unconfined"}
    assert told("baseline", good(), annotations=noted) == (
        "forbidden AppArmor profile (annotation must not set AppArmor profile type to "
        '"container.apparmor.security.beta.kubernetes.io/a="unconfined"")'
    )
    noted = {"seccomp.security.alpha.kubernetes.io/pod": "unconfined"}
    assert "forbidden annotation" in told("baseline", good(), "v1.18", annotations=noted)
    assert told("baseline", good(), annotations=noted) == ""


RESTRICTED = [
    (secured(allowPrivilegeEscalation=None),
     'allowPrivilegeEscalation != false (container "a" must set '
     "securityContext.allowPrivilegeEscalation=false)"),
    (secured(capabilities={"add": ["CHOWN"]}),
     'unrestricted capabilities (container "a" must set securityContext.capabilities.drop=["ALL"]; container '
     '"a" must not include "CHOWN" in securityContext.capabilities.add)'),
    (good(volumes=[{"name": "n", "nfs": {}}, {"name": "v", "hostPath": {}}]),
     'restricted volume types (volumes "n", "v" use restricted volume types "hostPath", "nfs")'),
    (secured(runAsNonRoot=False),
     'runAsNonRoot != true (container "a" must not set securityContext.runAsNonRoot=false)'),
    (good(securityContext={"seccompProfile": {"type": "Localhost"}}),
     'runAsNonRoot != true (pod or container "a" must set securityContext.runAsNonRoot=true)'),
    (secured(runAsUser=0), 'runAsUser=0 (container "a" must not set runAsUser=0)'),
    (good(securityContext={"runAsNonRoot": True}),
     'seccompProfile (pod or container "a" must set securityContext.seccompProfile.type to "RuntimeDefault" '
     'or "Localhost")'),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "text"), RESTRICTED, ids=[text.split(" (")[0] for _, text in RESTRICTED])
def test_what_restricted_refuses(spec: Obj, text: str) -> None:
    assert told("restricted", spec) == text


def test_a_version_is_what_it_was_then() -> None:
    root = good(securityContext={**GOOD["securityContext"], "runAsUser": 0})
    assert told("restricted", root, "v1.22") == ""
    assert told("restricted", {**root, "hostUsers": False}) == ""
    assert told("restricted", {**root, "hostUsers": False}, "v1.34") != ""
    sysctls = [{"name": "net.ipv4.tcp_rmem"}]
    tuned = good(securityContext={**GOOD["securityContext"], "sysctls": sysctls})
    assert told("baseline", tuned, "v1.31") == "forbidden sysctls (net.ipv4.tcp_rmem)"
    assert told("baseline", tuned, "v1.32") == ""


def test_every_container_counts() -> None:
    bad = {"name": "b", "image": "echo"}
    for key in ("initContainers", "ephemeralContainers"):
        assert 'container "b"' in told("restricted", good(**{key: [bad]}))


def test_windows_has_no_capabilities() -> None:
    spec = {
        "os": {"name": "windows"},
        "containers": [{"name": "a"}],
        "securityContext": {"runAsNonRoot": True},
    }
    assert told("restricted", spec) == ""
    assert told("restricted", spec, "v1.24") != ""


def test_labels_say_which_level_counts() -> None:
    labels = {f"{PREFIX}enforce": "baseline", f"{PREFIX}enforce-version": "v1.30"}
    policy, causes = policy_of(labels, Policy())
    assert (str(policy.enforce), str(policy.audit), str(policy.warn)) == (
        "baseline:v1.30",
        "privileged:latest",
        "baseline:v1.30",
    )
    assert causes == []
    policy, causes = policy_of({f"{PREFIX}enforce": "strict", f"{PREFIX}audit-version": "1.2"}, Policy())
    assert (policy.enforce.name, policy.audit) == ("restricted", Level("privileged"))
    assert [str(cause) for cause in causes] == [
        'metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "strict": must be one of '
        "privileged, baseline, restricted",
        'metadata.labels[pod-security.kubernetes.io/audit-version]: Invalid value: "1.2": must be "latest" '
        'or "v1.x"',
    ]


def test_a_configuration_with_faults_is_refused() -> None:
    kind = {"apiVersion": "pod-security.admission.config.k8s.io/v1", "kind": "PodSecurityConfiguration"}
    assert read({**kind, "defaults": {"enforce": "baseline"}}).defaults.enforce == Level("baseline")
    for fault in ({}, {**kind, "defaults": {"enforce": "x"}}, {**kind, "defaults": {"warn-version": "2"}}):
        with pytest.raises(ConfigurationError):
            read(fault)


# --- in a server


@pytest.fixture
def config() -> ServerConfig:
    exempt = {"namespaces": ["free"], "usernames": ["root"], "runtimeClasses": []}
    kind = {"apiVersion": "pod-security.admission.config.k8s.io/v1", "kind": "PodSecurityConfiguration"}
    return ServerConfig(pod_security=read({**kind, "exemptions": exempt}))


PRIVILEGED = secured(privileged=True, allowPrivilegeEscalation=True)


async def space(http: Http, name: str, **levels: str) -> str:
    labels = {f"{PREFIX}{mode}": level for mode, level in levels.items()}
    await http.made(f"{CORE}/namespaces", {"metadata": {"name": name, "labels": labels}})
    await http.made(f"{CORE}/namespaces/{name}/serviceaccounts", {"metadata": {"name": "default"}})
    return f"{CORE}/namespaces/{name}"


async def test_a_pod_that_asks_for_too_much_is_refused(http: Http) -> None:
    pods = await space(http, "strict", enforce="restricted") + "/pods"
    refused = await http.post(pods, plain("a"))
    assert (refused.code, refused.reason) == (403, "Forbidden")
    assert refused.message == (
        'pods "a" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false '
        '(container "main" must set securityContext.allowPrivilegeEscalation=false), unrestricted '
        'capabilities (container "main" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != '
        'true (pod or container "main" must set securityContext.runAsNonRoot=true), seccompProfile (pod or '
        'container "main" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'
    )
    await http.made(pods, {"metadata": {"name": "b"}, "spec": good()})
    dry = await http.post(pods, plain("a"), dryRun="All")
    assert dry.code == 403


async def test_what_makes_such_pods_is_warned_of(http: Http) -> None:
    home = await space(http, "warned", warn="baseline")
    made = await http.post(f"{home}/pods", {"metadata": {"name": "a"}, "spec": PRIVILEGED})
    assert made.code == 201
    assert made.headers["Warning"] == (
        '299 - "would violate PodSecurity \\"baseline:latest\\": privileged (container \\"a\\" must not set '
        'securityContext.privileged=true)"'
    )
    template = {"metadata": {"labels": {"app": "a"}}, "spec": PRIVILEGED}
    body = {"metadata": {"name": "a"},
            "spec": {"selector": {"matchLabels": {"app": "a"}}, "template": template}}  # fmt: skip
    made = await http.post("/apis/apps/v1/namespaces/warned/deployments", body)
    assert made.code == 201
    assert "would violate PodSecurity" in made.headers["Warning"]


async def test_a_namespace_that_gets_stricter_hears_of_its_pods(http: Http) -> None:
    home = await space(http, "changing")
    for name in ("b", "a"):
        await http.made(f"{home}/pods", {"metadata": {"name": name}, "spec": PRIVILEGED})
    labels = {"metadata": {"labels": {f"{PREFIX}enforce": "baseline"}}}
    changed = await http.patch(home, labels)
    assert changed.code == 200
    assert changed.headers.getall("Warning") == [
        '299 - "existing pods in namespace \\"changing\\" violate the new PodSecurity enforce level '
        '\\"baseline:latest\\""',
        '299 - "a (and 1 other pod): privileged"',
    ]
    bad = await http.patch(home, {"metadata": {"labels": {f"{PREFIX}enforce": "none"}}})
    assert (bad.code, bad.reason) == (422, "Invalid")


async def test_whoever_is_exempt_is_let_through(http: Http, server: ApiServer) -> None:
    free = await space(http, "free", enforce="restricted")
    await http.made(f"{free}/pods", plain("a"))
    strict = await space(http, "strict", enforce="restricted")
    headers = {"Impersonate-User": "root", "Impersonate-Group": "system:masters"}
    assert (await http("POST", f"{strict}/pods", plain("a"), headers)).code == 201


async def test_an_update_of_what_is_not_run_is_not_judged(http: Http) -> None:
    home = await space(http, "later")
    await http.made(f"{home}/pods", plain("a"))
    await http.patch(home, {"metadata": {"labels": {f"{PREFIX}enforce": "restricted"}}})
    assert (await http.patch(f"{home}/pods/a", {"metadata": {"labels": {"x": "y"}}})).code == 200
    image = {"spec": {"containers": [{"name": "main", "image": "other"}]}}
    assert (await http.patch(f"{home}/pods/a", image, STRATEGIC)).code == 403
