"""Bad days: what was asked for comes in the end, events tell why it takes so long, and nothing is orphaned."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from typing import Any

import pytest

from tests.conformance.conftest import LocalCluster
from tests.conformance.kubectl import Kubectl
from tests.conformance.objects import (
    ECHO_V1,
    ECHO_V2,
    Obj,
    config_map,
    container,
    deployment,
    pod,
    stateful_set,
)
from tests.conformance.waiting import eventually

NOBODY = "podium.io/none:v0"
# Counts for the quota of pods that ask for nothing only where it is left out.
MODEST: Obj = {"resources": {"requests": {"cpu": "1m"}}}


def alive(kubectl: Kubectl, app: str) -> list[Obj]:
    found: list[Obj] = kubectl.get("pods", "-l", f"app={app}")["items"]
    return [item for item in found if "deletionTimestamp" not in item["metadata"]]


def images(kubectl: Kubectl, app: str) -> list[str]:
    return sorted(item["spec"]["containers"][0]["image"] for item in alive(kubectl, app))


def told(kubectl: Kubectl, reason: str) -> str:
    path = "jsonpath={range .items[*]}{.involvedObject.name}: {.message}{'\\n'}{end}"
    return kubectl("get", "events", f"--field-selector=reason={reason}", "-o", path)


def web(name: str, replicas: int, image: str = ECHO_V1) -> Obj:
    return deployment(name, replicas, container("c", image, **MODEST))


def job(name: str, script: str, **spec: Any) -> Obj:
    once = container("c", command=["sh", "-c", script], **MODEST)
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"restartPolicy": "Never", "containers": [once]},
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {**spec, "template": template},
    }


def claim(name: str, size: str = "32Mi", mode: str = "ReadWriteOnce", **spec: Any) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {"accessModes": [mode], "resources": {"requests": {"storage": size}}, **spec},
    }


def user(name: str, **spec: Any) -> Obj:
    """A pod with the claim of its name at /data."""
    return pod(
        name,
        container(volumeMounts=[{"name": "data", "mountPath": "/data"}]),
        volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": name}}],
        **{"terminationGracePeriodSeconds": 0, **spec},
    )


def replica_set(name: str, app: str) -> Obj:
    made = deployment(name, 2, container("c", **MODEST))
    for labels in (made["spec"]["selector"]["matchLabels"], made["spec"]["template"]["metadata"]["labels"]):
        labels["app"] = app
    return {**made, "kind": "ReplicaSet"}


def volumes_of(kubectl: Kubectl) -> list[str]:
    """The volumes that belong to claims of the test."""
    found = kubectl.get("pv")["items"]
    return [
        item["metadata"]["name"]
        for item in found
        if item["spec"]["claimRef"]["namespace"] == kubectl.namespace
    ]


def owned_by_each_other(kubectl: Kubectl) -> None:
    """Two objects that are each other's owner, and that keep each other from being deleted first."""
    kubectl.apply(config_map("one"), config_map("two"))
    uid = {name: kubectl.get("configmap", name)["metadata"]["uid"] for name in ("one", "two")}
    for name, owner in (("one", "two"), ("two", "one")):
        reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": uid[owner]}
        patch = {"metadata": {"ownerReferences": [{**reference, "blockOwnerDeletion": True}]}}
        kubectl("patch", "configmap", name, "-p", json.dumps(patch))


def test_a_server_killed_in_the_middle_of_everything_ends_what_was_begun(
    cluster: LocalCluster, kubectl: Kubectl
) -> None:
    few = {"hard": {"pods": "2"}, "scopes": ["BestEffort"]}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}, "spec": few}
    kubectl.apply(quota, web("rolls", 3), web("breaks", 2), web("grows", 0), web("goes", 2))
    for name in ("rolls", "breaks", "goes"):
        kubectl("rollout", "status", f"deploy/{name}", "--timeout=60s")
    owned_by_each_other(kubectl)
    mounted = container("c", volumeMounts=[{"name": "data", "mountPath": "/data"}], **MODEST)
    template = {"metadata": {"name": "data"}, "spec": claim("data")["spec"]}
    kubectl.apply(
        stateful_set("keeps", 2, mounted, volumeClaimTemplates=[template], podManagementPolicy="Parallel"),
        job("counts", "sleep 0.2", completions=6, parallelism=3),
        job("fails", "exit 3", backoffLimit=1),
        deployment("crowd", 3),
        replica_set("left", "overlap"),
        replica_set("right", "overlap"),
        web("rolls", 3, ECHO_V2),
        web("breaks", 2, NOBODY),
        web("grows", 4),
    )
    kubectl("delete", "deploy/goes", "--wait=false")
    kubectl("delete", "configmap/one", "--cascade=foreground", "--wait=false")
    os.kill(cluster.pid("server"), signal.SIGKILL)
    back = cluster.up()
    assert back.returncode == 0, back.stdout + back.stderr

    for name in ("deploy/rolls", "deploy/grows", "sts/keeps"):
        kubectl("rollout", "status", name, "--timeout=60s", timeout=70)
    eventually(lambda: images(kubectl, "rolls"), lambda seen: seen == [ECHO_V2] * 3)
    eventually(lambda: images(kubectl, "breaks"), lambda seen: seen == sorted([NOBODY] + [ECHO_V1] * 2))
    assert kubectl.get("deploy/breaks")["status"]["availableReplicas"] == 2
    eventually(lambda: told(kubectl, "Failed"), lambda seen: f'Failed to pull image "{NOBODY}"' in seen)
    kubectl.wait("job/counts", "condition=Complete")
    assert kubectl.get("job/counts")["status"]["succeeded"] == 6
    assert len(alive(kubectl, "counts")) == 6
    kubectl.wait("job/fails", "condition=Failed")
    assert kubectl.get("job/fails")["status"]["failed"] == 2
    assert "Job has reached the specified backoff limit" in told(kubectl, "BackoffLimitExceeded")
    kubectl.wait("deploy/crowd", "condition=ReplicaFailure")
    kubectl.wait("deploy/crowd", "jsonpath={.status.readyReplicas}=2")
    assert "exceeded quota: few, requested: pods=1, used: pods=2, limited: pods=2" in told(
        kubectl, "FailedCreate"
    )
    kubectl("delete", "quota", "few")
    kubectl.wait("deploy/crowd", "jsonpath={.status.readyReplicas}=3")
    for name in ("one", "two"):
        kubectl.wait(f"configmap/{name}", "delete")
    eventually(lambda: kubectl.get("pods,rs", "-l", "app=goes")["items"], lambda left: not left)
    claims = kubectl.get("pvc")["items"]
    assert sorted(item["metadata"]["name"] for item in claims) == ["data-keeps-0", "data-keeps-1"]
    assert sorted(volumes_of(kubectl)) == sorted(item["spec"]["volumeName"] for item in claims)
    owners = [item["metadata"]["ownerReferences"][0]["name"] for item in alive(kubectl, "overlap")]
    assert sorted(owners) == ["left", "left", "right", "right"]
    known = {item["metadata"]["uid"] for item in kubectl.get("deploy,rs,sts,jobs")["items"]}
    left = [item["metadata"] for item in kubectl.get("pods,rs")["items"]]
    assert not [
        item["name"]
        for item in left
        for owner in item.get("ownerReferences", ())
        if owner["uid"] not in known
    ]


def test_a_node_that_flaps_keeps_its_pods(cluster: LocalCluster, kubectl: Kubectl, victim: str) -> None:
    kinds = ("node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready")
    impatient = [
        {"key": kind, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 10} for kind in kinds
    ]
    steady = web("steady", 3)
    steady["spec"]["template"]["spec"] |= {"tolerations": impatient, "nodeName": victim}
    kubectl.apply(steady)
    kubectl("rollout", "status", "deploy/steady", "--timeout=60s")
    before = {item["metadata"]["uid"] for item in alive(kubectl, "steady")}
    for action in ("cut", "mend", "cut", "mend"):
        cluster.node(action, victim)
        # Every five seconds it is there and gone again.
        time.sleep(2.5)
    kubectl.wait(f"node/{victim}", "condition=Ready")
    after = kubectl.get("pods", "-l", "app=steady")["items"]
    assert {item["metadata"]["uid"] for item in after} == before
    assert not any(item["status"]["containerStatuses"][0]["restartCount"] for item in after)
    assert not told(kubectl, "TaintManagerEviction")
    kubectl.wait("deploy/steady", "jsonpath={.status.readyReplicas}=3")


def test_claims_that_no_class_can_satisfy_say_why_and_hold_up_nobody_else(kubectl: Kubectl) -> None:
    foreign = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": kubectl.namespace},
        "provisioner": "disks.example.com",
    }
    kubectl.apply(
        foreign,
        claim("huge", "100Ti"),
        claim("shared", mode="ReadWriteMany"),
        claim("foreign", storageClassName=kubectl.namespace),
        claim("modest"),
        *(user(name) for name in ("huge", "shared", "foreign", "modest")),
    )
    kubectl.wait("pod/modest", "condition=Ready")
    eventually(
        lambda: told(kubectl, "ProvisioningFailed"),
        lambda seen: (
            "ResourceExhausted" in seen
            and "InvalidArgument: access mode ReadWriteMany is not supported" in seen
        ),
    )
    said = eventually(lambda: told(kubectl, "ExternalProvisioning"), lambda seen: "disks.example.com" in seen)
    assert "foreign: Waiting for a volume to be created either by the external provisioner" in said
    waiting = {
        item["metadata"]["name"]
        for item in kubectl.get("pods", "--field-selector=status.phase=Pending")["items"]
    }
    assert waiting == {"huge", "shared", "foreign"}
    assert len(volumes_of(kubectl)) == 1
    kubectl("delete", "pod,pvc", "huge")
    kubectl.apply(claim("huge"), user("huge"))
    kubectl.wait("pod/huge", "condition=Ready")
    kubectl("delete", "pod,pvc", "--all", "--timeout=60s")
    eventually(lambda: volumes_of(kubectl), lambda left: not left)
    kubectl("delete", "storageclass", kubectl.namespace)


def test_a_full_volume_is_full_for_its_own_pod_alone(cluster: LocalCluster, kubectl: Kubectl) -> None:
    here = {"nodeSelector": {"kubernetes.io/hostname": cluster.nodes()[0]}}
    kubectl.apply(claim("fills"), claim("writes"), user("fills", **here), user("writes", **here))
    for name in ("fills", "writes"):
        kubectl.wait(f"pod/{name}", "condition=Ready")
    full = kubectl.run("exec", "fills", "--", "dd", "if=/dev/zero", "of=/data/all", "bs=1M", "count=64")
    assert full.code != 0
    assert "No space left on device" in full.err
    kubectl("exec", "writes", "--", "sh", "-c", "dd if=/dev/zero of=/data/some bs=1M count=16 && sync")
    for name in ("fills", "writes"):
        status = kubectl.get(f"pod/{name}")["status"]
        assert (status["phase"], status["containerStatuses"][0]["restartCount"]) == ("Running", 0)
    kubectl("delete", "pod", "fills")
    kubectl.apply(user("fills", **here))
    kubectl.wait("pod/fills", "condition=Ready")
    kubectl("exec", "fills", "--", "sh", "-c", "rm /data/all && echo again > /data/some")
    node = kubectl.get("node", cluster.nodes()[0])
    pressure = next(entry for entry in node["status"]["conditions"] if entry["type"] == "DiskPressure")
    assert pressure["status"] == "False"


@pytest.mark.parametrize("whole", [False, True], ids=["its image", "its folder"])
def test_a_volume_deleted_under_its_pod_is_told_to_the_next_one_and_can_be_given_up(
    cluster: LocalCluster, kubectl: Kubectl, whole: bool
) -> None:
    here = {"nodeSelector": {"kubernetes.io/hostname": cluster.nodes()[0]}}
    kubectl.apply(claim("lost"), user("lost", **here))
    kubectl.wait("pod/lost", "condition=Ready")
    kubectl("exec", "lost", "--", "sh", "-c", "echo kept > /data/file && sync")
    volume = kubectl.get("pvc/lost")["spec"]["volumeName"]
    folder = cluster.data / "node" / "claims" / volume
    (folder / "image").unlink()
    assert (
        kubectl("exec", "lost", "--", "sh", "-c", "echo more >> /data/file && sync && cat /data/file")
        == "kept\nmore\n"
    )
    kubectl("delete", "pod", "lost")
    if whole:
        eventually(lambda: os.path.ismount(folder / "mount"), lambda mounted: not mounted)
        shutil.rmtree(folder)
    kubectl.apply(user("lost", **here))
    eventually(
        lambda: told(kubectl, "FailedMount"),
        lambda seen: f"the image of volume {volume} is not on this node" in seen,
    )
    assert kubectl.get("pod/lost")["status"]["phase"] == "Pending"
    assert not (folder / "image").exists()
    kubectl("delete", "pod,pvc", "lost", "--timeout=60s")
    eventually(lambda: volumes_of(kubectl), lambda left: not left)
    assert not folder.exists()
