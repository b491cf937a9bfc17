"""What containers may do, seen from inside of them; what a node cannot enforce is refused, and says so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance.conftest import LocalCluster
from tests.conformance.coverage_report import covers
from tests.conformance.kubectl import Kubectl
from tests.conformance.objects import BUSYBOX, container, pod, sh
from tests.conformance.waiting import eventually

STATUS = "grep -E '^(Seccomp|CapEff|CapBnd|NoNewPrivs|Uid|Gid):' /proc/self/status"


def finished(kubectl: Kubectl, *pods: dict[str, Any]) -> list[dict[str, str]]:
    """What each container of pods that run to their end has printed, as `NAME: VALUE` lines."""
    kubectl.apply(*pods)
    found = []
    for item in pods:
        name = item["metadata"]["name"]
        phase = eventually(
            lambda name=name: kubectl.get(f"pod/{name}")["status"].get("phase"),
            lambda phase: phase in ("Succeeded", "Failed"),
            60,
        )
        assert phase == "Succeeded", kubectl("describe", f"pod/{name}")
        for each in item["spec"]["containers"]:
            lines = kubectl("logs", name, "-c", each["name"]).splitlines()
            found.append({key: value.strip() for key, _, value in (line.partition(":") for line in lines)})
    return found


def waiting(kubectl: Kubectl, name: str, reason: str, index: int = 0) -> str:
    """The message with which a container waits for that reason."""

    def look() -> dict[str, Any]:
        statuses = kubectl.get(f"pod/{name}")["status"].get("containerStatuses") or [{}]
        return dict((statuses[index].get("state") or {}).get("waiting") or {})

    return str(eventually(look, lambda seen: seen.get("reason") == reason).get("message"))


def warning(kubectl: Kubectl, name: str, reason: str) -> str:
    """The message of an event about a pod."""
    about = ("events", "--field-selector", f"involvedObject.name={name},reason={reason}")
    found = eventually(lambda: kubectl.get(*about)["items"], bool)
    assert found[0]["type"] == "Warning"
    return str(found[0]["message"])


@covers(
    "[sig-node] Security Context when creating containers with AllowPrivilegeEscalation should not allow privilege escalation when false [LinuxOnly] [NodeConformance] [Conformance]",
)
def test_a_container_has_the_capabilities_filters_and_ids_that_it_asked_for(kubectl: Kubectl) -> None:
    confined = {"seccompProfile": {"type": "RuntimeDefault"}, "allowPrivilegeEscalation": False}
    drops = {"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}
    plain, default, bare, other, strong = finished(
        kubectl,
        pod(
            "inside",
            sh(STATUS, "plain"),
            sh(STATUS, "default", securityContext=confined),
            sh(STATUS, "bare", securityContext=drops),
            sh(
                f"{STATUS}; echo groups: $(id -G)",
                "other",
                securityContext={"runAsUser": 1234, "runAsGroup": 99},
            ),
            sh(
                STATUS,
                "strong",
                securityContext={"privileged": True, "seccompProfile": {"type": "RuntimeDefault"}},
            ),
            securityContext={
                "supplementalGroups": [7, 8],
                "fsGroup": 9,
                "supplementalGroupsPolicy": "Strict",
            },
            restartPolicy="Never",
        ),
    )
    assert (plain["Seccomp"], plain["NoNewPrivs"], plain["CapEff"]) == ("0", "0", "00000000a80425fb")
    assert (default["Seccomp"], default["NoNewPrivs"]) == ("2", "1")
    assert int(bare["CapBnd"], 16) == int(bare["CapEff"], 16) == 1 << 10
    assert (other["Uid"].split()[0], other["Gid"].split()[0], other["groups"]) == ("1234", "99", "99 7 8 9")
    assert int(other["CapEff"], 16) == 0
    assert strong["Seccomp"] == "0"
    assert int(strong["CapEff"], 16) & 1 << 21


def test_the_default_profile_lets_a_capability_open_what_it_is_for(kubectl: Kubectl) -> None:
    script = "unshare -m true 2>/dev/null && echo unshare: yes || echo unshare: no; echo > /dev/null && echo works: yes"
    profile = {"seccompProfile": {"type": "RuntimeDefault"}}
    admin = {"capabilities": {"add": ["SYS_ADMIN"]}}
    shut, opened = finished(
        kubectl,
        pod(
            "calls",
            sh(script, "shut"),
            sh(script, "open", securityContext=admin),
            securityContext=profile,
            restartPolicy="Never",
        ),
    )
    assert shut == {"unshare": "no", "works": "yes"}
    assert opened == {"unshare": "yes", "works": "yes"}


def test_a_profile_of_the_node_is_applied_and_one_that_is_not_there_or_none_is_refused(
    cluster: LocalCluster, kubectl: Kubectl
) -> None:
    first = cluster.nodes()[0]
    folder = cluster.data / "seccomp"
    folder.mkdir(exist_ok=True)
    rules = [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]
    (folder / "no-folders.json").write_text(
        json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules})
    )
    (folder / "none.json").write_text('{"syscalls": []}')

    def local(name: str, script: str) -> dict[str, Any]:
        profile = {"type": "Localhost", "localhostProfile": name}
        context = {"seccompProfile": profile}
        return sh(script, name.partition(".")[0], securityContext=context)

    good = pod(
        "local",
        local("no-folders.json", "mkdir /x || echo refused: yes"),
        restartPolicy="Never",
        nodeName=first,
    )
    (seen,) = finished(kubectl, good)
    assert seen["refused"] == "yes"
    kubectl.apply(pod("bad", local("missing.json", "true"), local("none.json", "true"), nodeName=first))
    message = waiting(kubectl, "bad", "CreateContainerError", 0)
    assert message.startswith(f'cannot load seccomp profile "{folder}/missing.json": open')
    assert message.endswith("no such file or directory")
    assert waiting(kubectl, "bad", "CreateContainerError", 1).startswith("decoding seccomp profile failed")


def test_a_pod_that_wants_what_the_kernel_or_the_runtime_lacks_is_refused(kubectl: Kubectl) -> None:
    armoured = pod("armoured", container(), securityContext={"appArmorProfile": {"type": "RuntimeDefault"}})
    noted = pod("noted", container())
    noted["metadata"]["annotations"] = {
        "container.apparmor.security.beta.kubernetes.io/main": "runtime/default"
    }
    kubectl.apply(armoured, noted)
    kubectl.apply(pod("long", container(), hostname="h" * 63, subdomain="s" * 63, setHostnameAsFQDN=True))
    kubectl.apply(pod("claims", container(), resourceClaims=[{"name": "gpu", "resourceClaimName": "none"}]))
    if not apparmor_is_there():
        for name in ("armoured", "noted"):
            status = eventually(
                lambda name=name: kubectl.get(f"pod/{name}")["status"],
                lambda seen: seen.get("phase") == "Failed",
            )
            assert status["reason"] == "AppArmor"
            assert status["message"].endswith("Cannot enforce AppArmor: AppArmor is not enabled on the host")
    assert "(64 characters is the max, " in warning(kubectl, "long", "FailedCreatePodSandBox")
    message = warning(kubectl, "claims", "FailedPrepareDynamicResources")
    assert message.startswith("Failed to prepare dynamic resources: resource claims gpu")


def apparmor_is_there() -> bool:
    try:
        with open("/sys/module/apparmor/parameters/enabled", encoding="ascii") as state:
            return state.read().strip() == "Y"
    except OSError:
        return False


@covers(
    "[sig-node] Sysctls [LinuxOnly] [NodeConformance] should support sysctls [MinimumKubeletVersion:1.21] [Conformance]",
)
def test_sysctls_are_set_when_they_are_safe_or_allowed_and_refused_otherwise(kubectl: Kubectl) -> None:
    def setting(**sysctls: str) -> dict[str, Any]:
        named = [{"name": name.replace("__", "."), "value": value} for name, value in sysctls.items()]
        return {"sysctls": named}

    wanted = setting(net__ipv4__ip_unprivileged_port_start="555", net__core__somaxconn="333")
    script = "cd /proc/sys/net; echo port: $(cat ipv4/ip_unprivileged_port_start); echo queue: $(cat core/somaxconn)"
    (seen,) = finished(kubectl, pod("tuned", sh(script), securityContext=wanted, restartPolicy="Never"))
    assert seen == {"port": "555", "queue": "333"}
    kubectl.apply(pod("reaching", container(), securityContext=setting(kernel__msgmax="9000")))
    status = eventually(
        lambda: kubectl.get("pod/reaching")["status"], lambda seen: seen.get("phase") == "Failed"
    )
    assert status["reason"] == "SysctlForbidden"
    assert status["message"] == 'Pod was rejected: forbidden sysctl: "kernel.msgmax" not allowlisted'


def test_a_runtime_class_picks_the_runtime_and_an_unknown_handler_is_refused(
    cluster: LocalCluster, kubectl: Kubectl
) -> None:
    used = cluster.root / "second-runtime.used"
    names = {f"{kubectl.namespace}-{handler}": handler for handler in ("second", "unheard-of")}
    for name, handler in names.items():
        kubectl.apply(
            {
                "apiVersion": "node.k8s.io/v1",
                "kind": "RuntimeClass",
                "metadata": {"name": name},
                "handler": handler,
            }
        )
    second, unknown = names
    try:
        kubectl.apply(
            pod("second", sh("echo ran: yes"), runtimeClassName=second, restartPolicy="Never"),
            pod("unknown", container(), runtimeClassName=unknown),
        )
        eventually(lambda: kubectl.get("pod/second")["status"]["phase"], lambda phase: phase == "Succeeded")
        assert kubectl("logs", "second").strip() == "ran: yes"
        (status,) = kubectl.get("pod/second")["status"]["containerStatuses"]
        assert status["containerID"].removeprefix("containerd://") in used.read_text()
        message = warning(kubectl, "unknown", "FailedCreatePodSandBox")
        assert 'no runtime for "unheard-of" is configured' in message
        handlers = kubectl.get(f"node/{cluster.nodes()[0]}")["status"]["runtimeHandlers"]
        assert {each["name"] for each in handlers} == {"", "runc", "second"}
    finally:
        kubectl("delete", "runtimeclass", *names)


def test_a_container_may_have_all_others_begin_again_in_the_same_pod(kubectl: Kubectl) -> None:
    once = "if [ -f /mark/been ]; then echo again; sleep 1000; fi; touch /mark/been; exit 42"
    rules = [{"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [42]}}]
    mount = [{"name": "mark", "mountPath": "/mark"}]
    kubectl.apply(
        pod(
            "anew",
            sh(once, "source", restartPolicy="Never", restartPolicyRules=rules, volumeMounts=mount),
            container("other"),
            initContainers=[sh("true", "first"), {**container("beside"), "restartPolicy": "Always"}],
            volumes=[{"name": "mark", "emptyDir": {}}],
            restartPolicy="Never",
            terminationGracePeriodSeconds=1,
        )
    )

    def counts() -> dict[str, int]:
        status = kubectl.get("pod/anew")["status"]
        everyone = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
        return {each["name"]: each["restartCount"] for each in everyone if each["state"].keys() - {"waiting"}}

    wanted = {"first": 1, "beside": 1, "source": 1, "other": 1}
    eventually(counts, lambda seen: seen == wanted, 60)
    status = kubectl.get("pod/anew")["status"]
    assert status["phase"] == "Running"
    assert status["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 42
    conditions = {each["type"]: each["status"] for each in status["conditions"]}
    assert (conditions["AllContainersRestarting"], conditions["Initialized"]) == ("False", "True")


def test_variables_come_from_files_of_other_containers_and_limits_from_the_pod(kubectl: Kubectl) -> None:
    def key(name: str, **more: Any) -> dict[str, Any]:
        reference = {"volumeName": "left", "path": "some.env", "key": name, **more}
        return {"name": name, "valueFrom": {"fileKeyRef": reference}}

    writes = sh("printf \"ONE='1 and 2' # said\\nTWO='x\\ny'\\n\" > /left/some.env", "writes")
    writes["volumeMounts"] = [{"name": "left", "mountPath": "/left"}]
    most = {"name": "MOST", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}}
    reads = sh('echo "one: $ONE"; echo "three: $THREE"; echo "most: $MOST"')
    reads["env"] = [key("ONE"), key("THREE", optional=True), most]
    shared = {
        "initContainers": [writes],
        "volumes": [{"name": "left", "emptyDir": {}}],
        "restartPolicy": "Never",
    }
    (seen,) = finished(kubectl, pod("files", reads, **shared, resources={"limits": {"cpu": "700m"}}))
    assert seen == {"one": "1 and 2", "three": "", "most": "700"}
    lacking = {**container(), "env": [key("FOUR")]}
    kubectl.apply(pod("lacking", lacking, **shared))
    assert "FOUR" in waiting(kubectl, "lacking", "CreateContainerConfigError")


@pytest.mark.parametrize(
    ("profile", "wanted"),
    [("general", 1 << 19), ("baseline", 0), ("restricted", 0), ("netadmin", 1 << 12), ("sysadmin", 1 << 21)],
)
def test_kubectl_debug_looks_into_a_running_pod(kubectl: Kubectl, profile: str, wanted: int) -> None:
    kubectl.apply(pod("watched", container()))
    kubectl.wait("pod/watched", "condition=Ready")
    script = "tr '\\0' ' ' < /proc/1/cmdline; grep CapBnd /proc/self/status"
    context = () if profile != "restricted" else ("--custom=/dev/stdin",)
    kubectl(
        "debug", "watched", f"--image={BUSYBOX}", "--image-pull-policy=IfNotPresent", f"--profile={profile}",
        "--target=main", "-c", "look", *context, "--", "sh", "-c", script,
        stdin='{"securityContext": {"runAsUser": 1000}}',
    )  # fmt: skip

    def ended() -> bool:
        statuses = kubectl.get("pod/watched")["status"].get("ephemeralContainerStatuses") or [{}]
        return "terminated" in (statuses[0].get("state") or {})

    eventually(ended, bool)
    log = kubectl("logs", "watched", "-c", "look")
    assert "trap" in log, "it sees the processes of its target"
    bounding = int(log.split("CapBnd:")[1].split()[0], 16)
    assert bounding & wanted == wanted
    assert profile != "restricted" or bounding == 0
