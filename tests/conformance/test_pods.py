"""Containers that run as their spec says, are watched over, restarted, and ended in an orderly way."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.coverage_report import covers
from tests.conformance.kubectl import Kubectl
from tests.conformance.objects import NGINX, config_map, container, pod, secret, sh
from tests.conformance.waiting import eventually


def status(kubectl: Kubectl, name: str, index: int = 0) -> dict[str, Any]:
    statuses = kubectl.get(f"pod/{name}")["status"].get("containerStatuses") or [{}]
    return dict(statuses[index])


def finished(kubectl: Kubectl, *pods: dict[str, Any]) -> list[str]:
    """The logs of pods that run to their end."""
    kubectl.apply(*pods)
    names = [item["metadata"]["name"] for item in pods]
    for name in names:
        eventually(
            lambda name=name: kubectl.get(f"pod/{name}")["status"]["phase"],
            lambda phase: phase in ("Succeeded", "Failed"),
            60,
        )
    return [kubectl("logs", name) for name in names]


@covers(
    "[sig-node] Kubelet when scheduling a busybox command in a pod should print the output to logs [NodeConformance] [Conformance]",
    "[sig-node] Containers should be able to override the image's default command and arguments [NodeConformance] [Conformance]",
)
def test_a_command_runs_and_its_output_is_the_log(kubectl: Kubectl) -> None:
    spec = container(command=["sh", "-c"], args=["echo out; echo err >&2"])
    (log,) = finished(kubectl, pod("once", spec, restartPolicy="Never"))
    assert sorted(log.split()) == ["err", "out"]
    ended = status(kubectl, "once")["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (0, "Completed")


@covers(
    "[sig-node] Variable Expansion should allow composing env vars into new env vars [NodeConformance] [Conformance]",
    "[sig-node] Variable Expansion should allow substituting values in a container's args [NodeConformance] [Conformance]",
    "[sig-node] Variable Expansion should allow substituting values in a container's command [NodeConformance] [Conformance]",
    "[sig-node] ConfigMap should be consumable via environment variable [NodeConformance] [Conformance]",
    "[sig-node] ConfigMap should be consumable via the environment [NodeConformance] [Conformance]",
    "[sig-node] Secrets should be consumable from pods in env vars [NodeConformance] [Conformance]",
    "[sig-node] Secrets should be consumable via the environment [NodeConformance] [Conformance]",
    "[sig-node] Downward API should provide pod name, namespace and IP address as env vars [NodeConformance] [Conformance]",
    "[sig-node] Downward API should provide pod UID as env vars [NodeConformance] [Conformance]",
    "[sig-node] Downward API should provide host IP as an env var [NodeConformance] [Conformance]",
)
def test_the_environment_comes_from_everywhere_it_may(kubectl: Kubectl) -> None:
    kubectl.apply(config_map("settings", COLOR="blue", SIZE="big"), secret("keys", TOKEN="hush"))

    def field(path: str) -> dict[str, Any]:
        return {"valueFrom": {"fieldRef": {"fieldPath": path}}}

    spec = container(
        command=["sh", "-c", "env; echo argument=$0", "$(GREETING)-$(UNKNOWN)"],
        env=[
            {"name": "NAME", "value": "world"},
            {"name": "GREETING", "value": "hello $(NAME) $$(NAME)"},
            {"name": "ONE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "COLOR"}}},
            {"name": "TWO", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "TOKEN"}}},
            {"name": "POD", **field("metadata.name")},
            {"name": "NS", **field("metadata.namespace")},
            {"name": "IP", **field("status.podIP")},
            {"name": "HOST", **field("status.hostIP")},
            {"name": "ID", **field("metadata.uid")},
            {"name": "CPUS", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}},
        ],
        envFrom=[{"configMapRef": {"name": "settings"}, "prefix": "P_"}, {"secretRef": {"name": "keys"}}],
        resources={"limits": {"cpu": "250m", "memory": "32Mi"}},
    )
    (log,) = finished(kubectl, pod("env", spec, restartPolicy="Never"))
    seen = dict(line.split("=", 1) for line in log.splitlines() if "=" in line)
    made = kubectl.get("pod/env")
    assert seen["GREETING"] == "hello world $(NAME)"
    assert seen["argument"] == "hello world $(NAME)-$(UNKNOWN)"
    assert (seen["ONE"], seen["TWO"], seen["P_SIZE"], seen["TOKEN"]) == ("blue", "hush", "big", "hush")
    assert (seen["POD"], seen["NS"], seen["ID"]) == ("env", kubectl.namespace, made["metadata"]["uid"])
    assert (seen["IP"], seen["HOST"]) == (made["status"]["podIP"], made["status"]["hostIP"])
    assert seen["CPUS"] == "250"
    assert seen["KUBERNETES_SERVICE_HOST"] == "10.43.0.1"
    assert seen["HOSTNAME"] == "env"


def test_a_reference_to_what_is_not_there_waits_and_names_it_until_it_is(kubectl: Kubectl) -> None:
    spec = container(envFrom=[{"configMapRef": {"name": "later"}}])
    kubectl.apply(pod("waits", spec))
    waiting = eventually(
        lambda: status(kubectl, "waits").get("state", {}).get("waiting", {}),
        lambda seen: seen.get("reason") == "CreateContainerConfigError",
    )
    assert waiting["message"] == 'configmap "later" not found'
    kubectl.apply(config_map("later", A="b"))
    kubectl.wait("pod/waits", "condition=Ready", timeout=90)


@covers(
    "[sig-node] Kubelet when scheduling a busybox command that always fails in a pod should have an terminated reason [NodeConformance] [Conformance]",
    "[sig-node] Kubelet when scheduling a busybox command that always fails in a pod should be possible to delete [NodeConformance] [Conformance]",
)
def test_what_keeps_crashing_is_restarted_more_and_more_slowly(kubectl: Kubectl) -> None:
    kubectl.apply(pod("crash", sh("echo attempt; exit 3")))
    eventually(
        lambda: status(kubectl, "crash"),
        lambda seen: (
            seen.get("restartCount", 0) >= 1
            and seen["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff"
        ),
        60,
    )
    seen = status(kubectl, "crash")
    assert seen["lastState"]["terminated"]["exitCode"] == 3
    assert (
        "back-off 10s restarting failed container=main" in seen["state"]["waiting"]["message"]
        or "back-off 20s" in seen["state"]["waiting"]["message"]
    )
    assert "CrashLoopBackOff" in kubectl("get", "pod", "crash")
    assert kubectl("logs", "crash", "--previous") == "attempt\n"
    kubectl("delete", "pod", "crash")


def test_restart_policies_decide_what_an_exit_means(kubectl: Kubectl) -> None:
    kubectl.apply(
        pod("never", sh("exit 1"), restartPolicy="Never"),
        pod("failure", sh("test -e /data/again || { touch /data/again; exit 1; }", volumeMounts=[{"name": "d", "mountPath": "/data"}]), restartPolicy="OnFailure", volumes=[{"name": "d", "emptyDir": {}}]),
    )  # fmt: skip
    kubectl.wait("pod/never", "jsonpath={.status.phase}=Failed")
    kubectl.wait("pod/failure", "jsonpath={.status.phase}=Succeeded", timeout=60)
    assert status(kubectl, "never")["restartCount"] == 0
    assert status(kubectl, "failure")["restartCount"] == 1


@covers(
    "[sig-node] Probing container should be restarted with a exec \"cat /tmp/health\" liveness probe [NodeConformance] [Conformance]",
    "[sig-node] Probing container with readiness probe that fails should never be ready and never restart [NodeConformance] [Conformance]",
)  # fmt: skip
def test_probes_restart_what_is_dead_and_hold_back_what_is_not_ready(kubectl: Kubectl) -> None:
    quick = {"periodSeconds": 1, "failureThreshold": 1}
    kubectl.apply(
        pod("dies", sh("touch /tmp/health; sleep 3; rm /tmp/health; sleep 600", livenessProbe={"exec": {"command": ["cat", "/tmp/health"]}, **quick}), terminationGracePeriodSeconds=1),
        pod("unready", container(readinessProbe={"tcpSocket": {"port": 81}, **quick})),
        pod("web", container(image=NGINX, readinessProbe={"httpGet": {"path": "/", "port": 80}, **quick}, livenessProbe={"tcpSocket": {"port": 80}, "periodSeconds": 1})),
    )  # fmt: skip
    kubectl.wait("pod/web", "condition=Ready")
    eventually(lambda: status(kubectl, "dies").get("restartCount"), lambda count: count == 1, 60)
    assert "Liveness probe failed" in kubectl("describe", "pod", "dies")
    assert "Readiness probe failed" in kubectl("describe", "pod", "unready")
    assert status(kubectl, "unready")["ready"] is False
    assert status(kubectl, "unready")["restartCount"] == status(kubectl, "web")["restartCount"] == 0


def test_a_pod_gets_its_grace_and_no_more(kubectl: Kubectl) -> None:
    kubectl.apply(
        pod("polite", sh("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 600 & wait $!; done"), restartPolicy="Never"),
        pod("deaf", sh("trap '' TERM; while :; do sleep 600; done"), terminationGracePeriodSeconds=2),
    )  # fmt: skip
    kubectl.wait("pod/polite", "condition=Ready")
    kubectl.wait("pod/deaf", "condition=Ready")
    with kubectl.background("logs", "-f", "polite") as following:
        assert following.stdout
        assert following.stdout.readline() == "ready\n"
        kubectl("delete", "pod", "polite", "deaf", "--timeout=60s")
        assert following.stdout.readline() == "bye\n"


@covers("[sig-node] PreStop should call prestop when killing a pod [Conformance]")
def test_hooks_run_after_the_start_and_before_the_stop(kubectl: Kubectl) -> None:
    hooks = {
        "postStart": {"exec": {"command": ["sh", "-c", "echo started > /hooks/start"]}},
        "preStop": {"exec": {"command": ["sh", "-c", "echo stopping > /proc/1/fd/1"]}},
    }
    script = "trap 'exit 0' TERM; echo ready; while :; do sleep 600 & wait $!; done"
    spec = sh(script, lifecycle=hooks, volumeMounts=[{"name": "hooks", "mountPath": "/hooks"}])
    kubectl.apply(pod("hooked", spec, volumes=[{"name": "hooks", "emptyDir": {}}]))
    kubectl.wait("pod/hooked", "condition=Ready")
    assert kubectl("exec", "hooked", "--", "cat", "/hooks/start") == "started\n"
    with kubectl.background("logs", "-f", "hooked") as following:
        assert following.stdout
        assert following.stdout.readline() == "ready\n"
        kubectl("delete", "pod", "hooked")
        assert following.stdout.readline() == "stopping\n"


@covers(
    "[sig-node] InitContainer [NodeConformance] should invoke init containers on a RestartNever pod [Conformance]",
)
def test_init_containers_run_first_and_in_order(kubectl: Kubectl) -> None:
    share = {"volumeMounts": [{"name": "share", "mountPath": "/share"}]}
    made = pod(
        "prepared",
        sh("cat /share/log", **share),
        restartPolicy="Never",
        initContainers=[
            sh("echo one >> /share/log", "first", **share),
            sh("echo two >> /share/log", "second", **share),
        ],
        volumes=[{"name": "share", "emptyDir": {}}],
    )
    assert finished(kubectl, made) == ["one\ntwo\n"]


def test_limits_are_the_kernels(kubectl: Kubectl) -> None:
    spec = container(resources={"requests": {"cpu": "100m"}, "limits": {"cpu": "200m", "memory": "48Mi"}})
    kubectl.apply(pod("limited", spec))
    kubectl.wait("pod/limited", "condition=Ready")
    made = kubectl.get("pod/limited")
    assert made["status"]["qosClass"] == "Burstable"
    identity = made["status"]["containerStatuses"][0]["containerID"].removeprefix("containerd://")
    found = [Path(folder) for folder, _, _ in os.walk("/sys/fs/cgroup") if identity in Path(folder).name]
    limits = {file.name: file.read_text().strip() for path in found for file in path.iterdir() if file.name in ("memory.max", "memory.limit_in_bytes", "cpu.max", "cpu.cfs_quota_us")}  # fmt: skip
    assert str(48 * 1024 * 1024) in limits.values()
    assert limits.get("cpu.max", f"{limits.get('cpu.cfs_quota_us')} 100000") == "20000 100000"


def test_a_container_that_takes_more_memory_than_its_limit_is_oom_killed(kubectl: Kubectl) -> None:
    spec = sh("tail -c 100000000 /dev/zero | wc -c; exit 1", resources={"limits": {"memory": "16Mi"}})
    spec["command"] = ["tail", "-c", "100000000", "/dev/zero"]
    kubectl.apply(pod("greedy", spec, restartPolicy="Never"))
    kubectl.wait("pod/greedy", "jsonpath={.status.phase}=Failed")
    ended = status(kubectl, "greedy")["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)


@covers(
    "[sig-node] Container Runtime blackbox test on terminated container should report termination message from log output if TerminationMessagePolicy FallbackToLogsOnError is set [NodeConformance] [Conformance]"
)
def test_last_words_come_from_the_file_or_the_log(kubectl: Kubectl) -> None:
    finished(
        kubectl,
        pod("file", sh("echo -n done > /dev/termination-log"), restartPolicy="Never"),
        pod(
            "log",
            sh("echo -n broke; exit 1", terminationMessagePolicy="FallbackToLogsOnError"),
            restartPolicy="Never",
        ),
    )
    assert status(kubectl, "file")["state"]["terminated"]["message"] == "done"
    assert status(kubectl, "log")["state"]["terminated"]["message"] == "broke"


@covers("[sig-cli] Kubectl logs logs should be able to retrieve and filter logs [Conformance]")
def test_logs_can_be_followed_cut_and_filtered(kubectl: Kubectl) -> None:
    kubectl.apply(
        pod("talks", sh("for i in 1 2 3 4 5; do echo line $i; done; exec tail -f /data/more", volumeMounts=[{"name": "d", "mountPath": "/data"}]),
            container("other"), initContainers=[sh("touch /data/more", "init", volumeMounts=[{"name": "d", "mountPath": "/data"}])],
            volumes=[{"name": "d", "emptyDir": {}}]),
    )  # fmt: skip
    kubectl.wait("pod/talks", "condition=Ready")
    assert kubectl("logs", "talks", "-c", "main", "--tail=2") == "line 4\nline 5\n"
    stamped = kubectl("logs", "talks", "-c", "main", "--timestamps", "--tail=1")
    assert stamped.endswith("Z line 5\n")
    assert kubectl("logs", "talks", "-c", "main", "--since=1h").count("line") == 5
    assert kubectl("logs", "talks", "-c", "main", "--limit-bytes=6") == "line 1"
    assert "container nothing is not valid for pod talks" in kubectl.refused("logs", "talks", "-c", "nothing")
    with kubectl.background("logs", "-f", "talks", "-c", "main", "--tail=0") as following:
        kubectl("exec", "talks", "-c", "main", "--", "sh", "-c", "echo more >> /data/more")
        assert following.stdout
        assert following.stdout.readline() == "more\n"


@covers(
    "[sig-node] Pods should support remote command execution over websockets [NodeConformance] [Conformance]"
)
def test_exec_carries_streams_and_exit_codes(kubectl: Kubectl) -> None:
    kubectl.apply(pod("shell"))
    kubectl.wait("pod/shell", "condition=Ready")
    done = kubectl.run("exec", "shell", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.code, done.out) == (7, "out\n")
    assert done.err.startswith("err\n")
    assert kubectl("exec", "-i", "shell", "--", "cat", stdin="through\n") == "through\n"
    assert "executable file not found" in kubectl.refused("exec", "shell", "--", "no-such-program")
    assert 'pods "nobody" not found' in kubectl.refused("exec", "nobody", "--", "true")


def test_a_terminal_has_the_size_of_the_users(kubectl: Kubectl) -> None:
    import pexpect

    kubectl.apply(pod("shell"))
    kubectl.wait("pod/shell", "condition=Ready")
    command = kubectl.command("exec", "-it", "shell", "--", "sh")
    terminal = pexpect.spawn(command[0], command[1:], dimensions=(33, 101), timeout=60)
    try:
        # kubectl tells the size beside what is typed, not before it. What is typed comes back, so it must not say 33.
        terminal.sendline('until [ "$(stty size)" = "$((30 + 3)) 101" ]; do sleep 0.1; done; stty size; tty')
        terminal.expect("33 101")
        terminal.expect("/dev/pts/")
        terminal.sendline("exit 5")
        terminal.expect(pexpect.EOF)
        terminal.close()
        assert terminal.exitstatus == 5
    finally:
        terminal.close(force=True)


def test_attach_joins_a_running_container(kubectl: Kubectl) -> None:
    spec = container(command=["sh", "-c", "while read line; do echo got $line; done"], stdin=True)
    kubectl.apply(pod("listens", spec))
    kubectl.wait("pod/listens", "condition=Ready")
    with kubectl.background("attach", "-i", "listens") as attached:
        assert attached.stdin
        assert attached.stdout
        attached.stdin.write("word\n")
        attached.stdin.flush()
        assert "got word" in attached.stdout.readline()


def test_files_are_copied_in_and_out_unchanged(kubectl: Kubectl, tmp_path: Path) -> None:
    kubectl.apply(pod("store"))
    kubectl.wait("pod/store", "condition=Ready")
    original = tmp_path / "original"
    original.write_bytes(os.urandom(3 * 1024 * 1024))
    kubectl("cp", str(original), "store:/tmp/copy")
    back = tmp_path / "back"
    kubectl("cp", "store:/tmp/copy", str(back))
    assert back.read_bytes() == original.read_bytes()


@covers(
    "[sig-node] KubeletManagedEtcHosts should test kubelet managed /etc/hosts file [NodeConformance] [Conformance]"
)
def test_hosts_and_resolver_are_the_clusters(kubectl: Kubectl) -> None:
    kubectl.apply(pod("names", hostAliases=[{"ip": "192.0.2.7", "hostnames": ["alias.test"]}]))
    kubectl.wait("pod/names", "condition=Ready")
    hosts = kubectl("exec", "names", "--", "cat", "/etc/hosts")
    assert hosts.startswith("# Kubernetes-managed hosts file")
    assert kubectl.get("pod/names")["status"]["podIP"] + "\tnames" in hosts
    assert "192.0.2.7\talias.test" in hosts
    resolver = kubectl("exec", "names", "--", "cat", "/etc/resolv.conf")
    assert "nameserver 10.43.0.10" in resolver
    assert f"search {kubectl.namespace}.svc.cluster.local svc.cluster.local cluster.local" in resolver
    assert "ndots:5" in resolver


@pytest.mark.parametrize(
    ("context", "script", "said"),
    [
        ({"runAsUser": 1234, "runAsGroup": 2345}, "id -u; id -g", "1234\n2345\n"),
        ({"readOnlyRootFilesystem": True}, "touch /x 2>/dev/null || echo read-only", "read-only\n"),
        ({"capabilities": {"drop": ["ALL"]}}, "grep CapEff /proc/self/status", "CapEff:\t0000000000000000\n"),
        ({"privileged": True}, "test -e /dev/kmsg && echo devices", "devices\n"),
    ],
    ids=["user", "read-only root", "capabilities", "privileged"],
)
def test_a_security_context_is_applied(
    kubectl: Kubectl, context: dict[str, Any], script: str, said: str
) -> None:
    assert finished(kubectl, pod("secure", sh(script, securityContext=context), restartPolicy="Never")) == [
        said
    ]


def test_a_pod_that_cannot_be_placed_says_why(kubectl: Kubectl) -> None:
    kubectl.apply(
        pod("elsewhere", nodeSelector={"disk": "gold"}),
        pod("huge", container(resources={"requests": {"cpu": "1000"}})),
    )
    for name, why in (
        ("elsewhere", "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector."),
        ("huge", "0/3 nodes are available: 3 Insufficient cpu."),
    ):
        made = eventually(
            lambda name=name: kubectl.get(f"pod/{name}"), lambda seen: seen["status"].get("conditions")
        )
        (scheduled,) = [entry for entry in made["status"]["conditions"] if entry["type"] == "PodScheduled"]
        assert (scheduled["status"], scheduled["reason"]) == ("False", "Unschedulable")
        assert scheduled["message"].startswith(why)
    node = json.loads(kubectl("get", "nodes", "-o", "json"))["items"][0]["metadata"]["name"]
    kubectl("label", "node", node, "disk=gold")
    try:
        kubectl.wait("pod/elsewhere", "condition=Ready")
    finally:
        kubectl("label", "node", node, "disk-")


def test_logs_are_files_in_the_cri_format(cluster: Any, kubectl: Kubectl) -> None:
    first = cluster.nodes()[0]
    (_,) = finished(kubectl, pod("writes", sh("echo hello"), restartPolicy="Never", nodeName=first))
    (file,) = (cluster.root / "pods").glob(f"{kubectl.namespace}_writes_*/main/0.log")
    when, stream, tag, text = file.read_text().rstrip("\n").split(" ", 3)
    assert (stream, tag, text) == ("stdout", "F", "hello")
    assert when.endswith("Z")
    assert subprocess.run(["date", "-d", when], capture_output=True, check=False).returncode == 0
