"""Pods whose users are none of the machine's (`hostUsers: false`), where containerd and runc can map ids; where
they cannot, that such pods are refused. Source: KEP-127."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.conformance.conftest import LocalCluster
from tests.conformance.kubectl import Kubectl
from tests.conformance.objects import config_map, container, pod, secret, sh
from tests.conformance.waiting import eventually

IDS = 65536
OWNERS = 'for file in $(find "$@" -type f -o -type l); do stat -L -c %u:%g $file; done | sort -u'


def handlers(kubectl: Kubectl) -> dict[str, bool]:
    """By runtime handler, whether every node says that its pods can have users of their own."""
    found: dict[str, bool] = {}
    for node in kubectl.get("nodes")["items"]:
        for each in node["status"].get("runtimeHandlers") or ():
            able = bool(each["features"].get("userNamespaces"))
            found[each["name"]] = found.get(each["name"], True) and able
    return found


@pytest.fixture
def mapping(kubectl: Kubectl) -> None:
    """Only where the machine can do it."""
    if not handlers(kubectl)[""]:
        pytest.skip("containerd or runc cannot map ids here (containerd 2.0 and runc 1.2 can)")


def own(name: str, *containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return pod(name, *containers, hostUsers=False, terminationGracePeriodSeconds=1, **spec)


def range_of(kubectl: Kubectl, name: str, kind: str = "uid") -> tuple[int, int, int]:
    """(first id inside, first id outside, how many)."""
    inside, outside, length = kubectl("exec", name, "--", "cat", f"/proc/self/{kind}_map").split()
    return int(inside), int(outside), int(length)


def owners_outside(token: str) -> set[str]:
    """As whom the machine runs the processes whose command line has the token."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if token.encode() in (folder / "cmdline").read_bytes():
                status = (folder / "status").read_text()
                found.add(next(line.split()[1] for line in status.splitlines() if line.startswith("Uid:")))
        except OSError:
            continue
    return found


@pytest.mark.usefixtures("mapping")
def test_the_root_of_a_pod_is_somebody_else_on_the_machine_and_in_every_other_pod(kubectl: Kubectl) -> None:
    token = uuid4().hex
    running = sh(f": {token}; trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done")
    kubectl.apply(own("one", running), own("two"), pod("host", container()))
    for name in ("one", "two", "host"):
        kubectl.wait(f"pod/{name}", "condition=Ready")
    inside, first, length = range_of(kubectl, "one")
    assert (inside, length, first % IDS) == (0, IDS, 0)
    assert range_of(kubectl, "one", "gid") == (0, first, IDS)
    second = range_of(kubectl, "two")
    assert second[0] == 0
    assert len({0, first, second[1]}) == 3
    assert range_of(kubectl, "host") == (0, 0, (1 << 32) - 1)
    assert kubectl("exec", "one", "--", "id", "-u").strip() == "0"
    assert owners_outside(token) == {str(first)}


@pytest.mark.usefixtures("mapping")
def test_files_of_every_volume_belong_to_the_pods_own_users(kubectl: Kubectl) -> None:
    kubectl.apply(secret("s", password="x"), config_map("c", key="x"))
    items = [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]
    sources = [{"secret": {"name": "s"}}, {"downwardAPI": {"items": items}}]
    volumes = [
        {"name": "secret", "secret": {"secretName": "s"}},
        {"name": "config", "configMap": {"name": "c"}},
        {"name": "downward", "downwardAPI": {"items": items}},
        {"name": "projected", "projected": {"sources": sources}},
    ]
    mounts = [{"name": each["name"], "mountPath": f"/v/{each['name']}"} for each in volumes]
    mounts.append({"name": "config", "mountPath": "/v/part", "subPath": "key"})
    script = f"set -- /v /etc/hosts /etc/resolv.conf /dev/termination-log; {OWNERS}"
    reader = sh(script, volumeMounts=mounts)
    kubectl.apply(
        own("root", reader, volumes=volumes, restartPolicy="Never"),
        own("group", reader, volumes=volumes, restartPolicy="Never", securityContext={"fsGroup": 200}),
    )
    for name, owners in (("root", {"0:0"}), ("group", {"0:0", "0:200"})):
        kubectl.wait(f"pod/{name}", "jsonpath={.status.phase}=Succeeded")
        assert set(kubectl("logs", name).split()) == owners


@pytest.mark.usefixtures("mapping")
def test_what_a_pod_writes_lies_on_the_volume_under_the_ids_it_knows(kubectl: Kubectl) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "32Mi"}}},
    }
    volumes: list[dict[str, Any]] = [
        {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "scratch", "emptyDir": {}},
        {"name": "memory", "emptyDir": {"medium": "Memory"}},
    ]
    mounts = [{"name": each["name"], "mountPath": f"/{each['name']}"} for each in volumes]
    user = {"runAsUser": 1000, "runAsGroup": 2000}
    kubectl.apply(
        claim,
        own(
            "writer",
            container(volumeMounts=mounts),
            container("user", securityContext=user, volumeMounts=mounts),
            volumes=volumes,
        ),
    )
    kubectl.wait("pod/writer", "condition=Ready")
    for folder in ("/data", "/scratch", "/memory"):
        write = f"umask 0; mkdir {folder}/open; echo root >{folder}/open/root"
        kubectl("exec", "writer", "-c", "main", "--", "sh", "-c", write)
        write = f"echo user >{folder}/open/user"
        kubectl("exec", "writer", "-c", "user", "--", "sh", "-c", write)
        look = ("sh", "-c", f"cd {folder}/open; stat -c %u:%g root user")
        assert kubectl("exec", "writer", "-c", "main", "--", *look).split() == ["0:0", "1000:2000"]
    kubectl("delete", "pod/writer", "--now")
    reader = sh("cd /data/open; stat -c %u:%g root user", volumeMounts=mounts[:1])
    kubectl.apply(pod("reader", reader, volumes=volumes[:1], restartPolicy="Never"))
    kubectl.wait("pod/reader", "jsonpath={.status.phase}=Succeeded")
    assert kubectl("logs", "reader").split() == ["0:0", "1000:2000"]


@pytest.mark.usefixtures("mapping")
def test_everything_that_comes_later_into_a_pod_has_its_users_too(kubectl: Kubectl, tmp_path: Path) -> None:
    kubectl.apply(own("pod", container(), container("other"), shareProcessNamespace=True))
    kubectl.wait("pod/pod", "condition=Ready")
    mapped = range_of(kubectl, "pod")
    (tmp_path / "file").write_text("copied")
    kubectl("cp", str(tmp_path / "file"), "pod:/tmp/file", "-c", "main")
    assert kubectl("exec", "pod", "-c", "main", "--", "stat", "-c", "%u:%g", "/tmp/file").strip() == "0:0"
    debugger = container("debugger", command=["sh", "-c", "cat /proc/self/uid_map; sleep 3600"])
    patch = {"spec": {"ephemeralContainers": [{**debugger, "targetContainerName": "other"}]}}
    kubectl("patch", "pod/pod", "--subresource=ephemeralcontainers", "-p", json.dumps(patch))
    seen = eventually(lambda: kubectl.run("logs", "pod", "-c", "debugger").out.split(), bool)
    assert tuple(map(int, seen)) == mapped


@pytest.mark.usefixtures("mapping")
def test_the_root_of_a_pod_may_do_in_it_what_it_must_not_do_to_the_machine(kubectl: Kubectl) -> None:
    powers = {"capabilities": {"add": ["SYS_ADMIN", "NET_ADMIN", "SYS_RESOURCE"]}}
    script = (
        "mount -t tmpfs none /mnt && echo mounts; ip link set lo mtu 1400 && echo network; "
        "(echo x >/proc/sys/kernel/domainname) 2>/dev/null || echo no kernel; "
        "mknod /tmp/disk b 8 0 2>/dev/null || echo no device"
    )
    bare = {"procMount": "Unmasked"}
    unmasked = sh("grep -c ' /proc/' /proc/self/mountinfo; true", "bare", securityContext=bare)
    kubectl.apply(own("pod", sh(script, securityContext=powers), unmasked, restartPolicy="Never"))
    kubectl.wait("pod/pod", "jsonpath={.status.phase}=Succeeded")
    printed = kubectl("logs", "pod", "-c", "main").splitlines()
    assert printed == ["mounts", "network", "no kernel", "no device"]
    assert kubectl("logs", "pod", "-c", "bare").strip() == "0"


@pytest.mark.usefixtures("mapping")
def test_a_pod_keeps_its_ids_when_the_daemon_is_killed(kubectl: Kubectl, cluster: LocalCluster) -> None:
    first = cluster.nodes()[0]
    kubectl.apply(own("pod", nodeName=first))
    kubectl.wait("pod/pod", "condition=Ready")
    before, status = range_of(kubectl, "pod"), kubectl.get("pod/pod")["status"]
    os.kill(cluster.pid("node"), signal.SIGKILL)
    done = cluster.up()
    assert done.returncode == 0, done.stderr
    kubectl.apply(own("later", nodeName=first))
    kubectl.wait("pod/later", "condition=Ready")
    assert range_of(kubectl, "pod") == before
    assert range_of(kubectl, "later")[1] != before[1]
    now = kubectl.get("pod/pod")["status"]["containerStatuses"][0]
    assert now["containerID"] == status["containerStatuses"][0]["containerID"]


def test_where_ids_cannot_be_mapped_such_a_pod_waits_and_is_told_why(kubectl: Kubectl) -> None:
    if handlers(kubectl)[""]:
        pytest.skip("containerd and runc can map ids here")
    kubectl.apply(own("pod"))
    about = ("events", "--field-selector", "involvedObject.name=pod,reason=FailedCreatePodSandBox")
    (event, *_) = eventually(lambda: kubectl.get(*about)["items"], bool)
    start, _, why = event["message"].partition("runtime does not support user namespaces: ")
    assert start.endswith("can't set `spec.hostUsers: false`, ")
    assert "cannot map the ids" in why
    assert event["type"] == "Warning"
    assert kubectl.get("pod/pod")["status"]["phase"] == "Pending"
