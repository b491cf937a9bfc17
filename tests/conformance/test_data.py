"""Data: what is written stays, whatever is killed; what was asked for is what there is; it grows in use."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.conftest import LocalCluster
from tests.conformance.kubectl import Kubectl
from tests.conformance.objects import Obj, container, pod, sh
from tests.conformance.waiting import eventually

DATABASE = ["redis-server", "--dir", "/data", "--appendonly", "yes", "--appendfsync", "always", "--save", ""]


def claim(name: str = "data", size: str = "64Mi", mode: str = "ReadWriteOnce", **spec: Any) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {"accessModes": [mode], "resources": {"requests": {"storage": size}}, **spec},
    }


def claimed(claim_name: str = "data", name: str = "v", **more: Any) -> Obj:
    return {"name": name, "persistentVolumeClaim": {"claimName": claim_name, **more}}


def mounts(path: str = "/data", name: str = "v", **more: Any) -> dict[str, Any]:
    return {"volumeMounts": [{"name": name, "mountPath": path, **more}]}


def on(node: str) -> dict[str, Any]:
    return {"nodeSelector": {"kubernetes.io/hostname": node}, "terminationGracePeriodSeconds": 0}


def user(name: str = "user", node: str = "", **more: Any) -> Obj:
    """A pod that has the claim at /data."""
    where = on(node) if node else {"terminationGracePeriodSeconds": 0}
    return pod(name, container(**mounts()), volumes=[claimed()], **where, **more)


def inside(kubectl: Kubectl, script: str, name: str = "user") -> str:
    return kubectl("exec", name, "--", "sh", "-c", script)


def kill_containerd(cluster: LocalCluster) -> None:
    """That of the first node."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_text().split("\0")
        except OSError:
            continue
        if Path(command[0]).name == "containerd" and str(cluster.data / "containerd") in " ".join(command):
            os.kill(int(entry.name), signal.SIGKILL)
            return
    raise AssertionError(f"no containerd of {cluster.data}")


def restart_node(cluster: LocalCluster) -> None:
    os.kill(cluster.pid("node"), signal.SIGKILL)
    done = cluster.up()
    assert done.returncode == 0, done.stderr


def stop_and_start(cluster: LocalCluster) -> None:
    done = cluster.down()
    assert done.returncode == 0, done.stdout + done.stderr
    assert str(cluster.root) not in Path("/proc/self/mounts").read_text()
    backing = Path("/sys/block").glob("loop*/loop/backing_file")
    assert not [path for path in backing if str(cluster.root) in path.read_text()]
    done = cluster.up()
    assert done.returncode == 0, done.stderr


@pytest.fixture
def first(cluster: LocalCluster) -> str:
    """The node that `cluster.pid("node")` is the daemon of."""
    return cluster.nodes()[0]


def test_a_database_keeps_every_answered_write_whatever_is_killed(
    cluster: LocalCluster, kubectl: Kubectl, first: str
) -> None:
    database = pod(
        "db",
        container(image="redis:latest", command=DATABASE, name="db", **mounts()),
        container("cache", **mounts("/cache", "cache")),
        volumes=[claimed(), {"name": "cache", "emptyDir": {}}],
        **on(first),
    )
    kubectl.apply(claim(), database)
    kubectl.wait("pod/db", "condition=Ready")

    def redis(*words: str) -> str:
        done = kubectl.run("exec", "db", "-c", "db", "--", "redis-cli", *words)
        return done.out.strip() if done.code == 0 else ""

    def power_off() -> None:
        """The pod is the same before and after: so is what it keeps beside its claim."""
        kubectl("exec", "db", "-c", "cache", "--", "sh", "-c", "echo warm > /cache/file")
        stop_and_start(cluster)
        warm = ("exec", "db", "-c", "cache", "--", "cat", "/cache/file")
        eventually(lambda: kubectl.run(*warm).out, lambda said: said == "warm\n", 60)

    def delete_pod() -> None:
        kubectl("delete", "pod", "db", "--grace-period=0", "--force")
        kubectl.apply(database)

    calamities: list[Callable[[], None]] = [
        delete_pod,
        lambda: restart_node(cluster),
        lambda: kill_containerd(cluster),
        power_off,
    ]
    for number, calamity in enumerate(calamities):
        key = f"key-{number}"
        eventually(lambda key=key: redis("SET", key, "kept"), lambda said: said == "OK", 60)
        calamity()
        eventually(lambda: redis("PING"), lambda said: said == "PONG", 60)
        assert int(eventually(lambda: redis("DBSIZE"), lambda said: said.isdigit(), 60)) == number + 1


def test_a_claim_has_the_size_that_was_asked_for_and_grows_under_its_pod(kubectl: Kubectl) -> None:
    kubectl.apply(claim(), user())
    kubectl.wait("pod/user", "condition=Ready")
    full = kubectl.run("exec", "user", "--", "sh", "-c", "dd if=/dev/zero of=/data/big bs=1M count=80")
    assert full.code != 0
    assert "No space left on device" in full.err
    assert 40 << 20 < int(inside(kubectl, "stat -c %s /data/big")) <= 64 << 20
    sized = "df -k /data | tail -n 1"
    before = int(inside(kubectl, sized).split()[1])
    assert before <= 64 << 10
    kubectl("patch", "pvc", "data", "-p", '{"spec":{"resources":{"requests":{"storage":"128Mi"}}}}')
    kubectl.wait("pvc/data", "jsonpath={.status.capacity.storage}=128Mi")
    assert int(inside(kubectl, sized).split()[1]) > before * 1.8
    assert (
        inside(kubectl, "dd if=/dev/zero of=/data/more bs=1M count=40 2>/dev/null && echo fits") == "fits\n"
    )
    found = kubectl.get("pvc/data")
    assert not found["status"].get("conditions")
    volume = kubectl.get(f"pv/{found['spec']['volumeName']}")
    assert volume["spec"]["capacity"]["storage"] == "128Mi"
    status = kubectl.get("pod/user")["status"]["containerStatuses"][0]
    assert status["restartCount"] == 0
    eventually(lambda: kubectl("get", "events"), lambda seen: "FileSystemResizeSuccessful" in seen)


def test_a_killed_daemon_loses_no_byte_that_was_synced(
    cluster: LocalCluster, kubectl: Kubectl, first: str
) -> None:
    script = (
        "n=0; while :; do n=$((n+1)); dd if=/dev/urandom of=/data/$n bs=64k count=1 conv=fsync 2>/dev/null;"
        "md5sum /data/$n >> /data/sums; sync /data/sums; echo $n; done"
    )
    writer = pod("writer", sh(script, **mounts()), volumes=[claimed()], **on(first))
    kubectl.apply(claim(size="512Mi"), writer)
    kubectl.wait("pod/writer", "condition=Ready")

    def acknowledged() -> int:
        return len(kubectl("logs", "writer").split())

    before = eventually(acknowledged, lambda lines: lines > 5)
    restart_node(cluster)
    last = eventually(acknowledged, lambda lines: lines > before)
    assert kubectl.get("pod/writer")["status"]["containerStatuses"][0]["restartCount"] == 0
    kubectl("delete", "pod", "writer", "--now")
    kubectl.apply(user(node=first))
    kubectl.wait("pod/user", "condition=Ready")
    checked = inside(kubectl, "md5sum -c /data/sums; true").strip().splitlines()
    assert len(checked) >= last
    assert all(line.endswith(": OK") for line in checked[:last])


def test_a_node_that_was_killed_has_its_claims_data_when_it_returns(
    cluster: LocalCluster, kubectl: Kubectl, victim: str
) -> None:
    counting = "while :; do n=$((n+1)); echo $n >> /data/file; sync /data/file; echo $n; sleep 0.05; done"
    made = pod(
        "counts",
        sh(f"n=$(cat /data/file 2>/dev/null | wc -l); {counting}", **mounts()),
        volumes=[claimed()],
        **on(victim),
    )
    kubectl.apply(claim(), made)
    kubectl.wait("pod/counts", "condition=Ready")
    told = eventually(lambda: kubectl("logs", "counts").split(), lambda lines: len(lines) > 3)
    cluster.node("kill", victim)
    assert f"{cluster.data}/nodes/{victim}/" not in Path("/proc/self/mounts").read_text()
    cluster.node("start", victim)
    eventually(
        lambda: kubectl.get("pod/counts")["status"]["containerStatuses"][0],
        lambda status: status["restartCount"] == 1 and status["ready"],
        60,
    )
    written = inside(kubectl, "cat /data/file", "counts").split()
    assert written[: len(told)] == told
    assert written == [str(number) for number in range(1, len(written) + 1)]


def test_a_block_volume_is_a_device_that_keeps_what_is_written(kubectl: Kubectl) -> None:
    device = {"volumeDevices": [{"name": "v", "devicePath": "/dev/xda"}]}
    made = pod("raw", container(**device), volumes=[claimed()], terminationGracePeriodSeconds=0)
    kubectl.apply(claim(size="8Mi", volumeMode="Block"), made)
    kubectl.wait("pod/raw", "condition=Ready")
    inside(kubectl, "echo hello | dd of=/dev/xda bs=512 count=1 conv=sync,fsync 2>/dev/null", "raw")
    assert inside(kubectl, "stat -c %F /dev/xda", "raw") == "block special file\n"
    assert inside(kubectl, "dd if=/dev/zero of=/dev/xda bs=1M seek=1 2>&1; true", "raw").count("7+0") == 1
    kubectl("delete", "pod", "raw", "--now")
    kubectl.apply(made)
    kubectl.wait("pod/raw", "condition=Ready")
    assert inside(kubectl, "head -c 5 /dev/xda", "raw") == "hello"


def test_a_claim_for_one_pod_is_not_given_to_a_second(kubectl: Kubectl, first: str) -> None:
    """Not even to one that is put past the scheduler."""
    kubectl.apply(claim(mode="ReadWriteOncePod"), user(node=first))
    kubectl.wait("pod/user", "condition=Ready")
    kubectl.apply(user("second", nodeName=first))
    eventually(
        lambda: kubectl("describe", "pod", "second"),
        lambda seen: (
            "volume uses the ReadWriteOncePod access mode and is already in use by another pod" in seen
        ),
    )
    kubectl("delete", "pod", "user", "--now")
    kubectl.wait("pod/second", "condition=Ready")


def test_parts_of_a_claim_are_shared_as_the_mounts_say(kubectl: Kubectl) -> None:
    several = [
        {"name": "v", "mountPath": "/all"},
        {"name": "v", "mountPath": "/part", "subPath": "a/b"},
        {"name": "v", "mountPath": "/mine", "subPathExpr": "of/$(NAME)"},
        {"name": "v", "mountPath": "/looked-at", "subPath": "a", "readOnly": True},
        {"name": "r", "mountPath": "/fixed"},
    ]
    env = [{"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    made = pod(
        "user",
        container(volumeMounts=several, env=env),
        volumes=[claimed(), claimed(name="r", readOnly=True)],
        securityContext={"fsGroup": 4321},
        terminationGracePeriodSeconds=0,
    )
    kubectl.apply(claim(), made)
    kubectl.wait("pod/user", "condition=Ready")
    inside(kubectl, "echo x > /part/file; echo y > /mine/file")
    assert (
        inside(kubectl, "cat /all/a/b/file /looked-at/b/file /all/of/user/file /fixed/a/b/file")
        == "x\nx\ny\nx\n"
    )
    assert inside(kubectl, "stat -c %g /all").strip() == "4321"
    for place in ("/looked-at/b/file", "/fixed/a/b/file"):
        assert "Read-only file system" in kubectl.run("exec", "user", "--", "touch", place).err


def test_lost_data_is_told_and_never_replaced_by_an_empty_volume(
    cluster: LocalCluster, kubectl: Kubectl, first: str
) -> None:
    kubectl.apply(claim(), user(node=first))
    kubectl.wait("pod/user", "condition=Ready")
    name = kubectl.get("pvc/data")["spec"]["volumeName"]
    kubectl("delete", "pod", "user", "--now")
    image = cluster.data / "node" / "claims" / name / "image"
    aside = image.with_name("aside")
    image.rename(aside)
    kubectl.apply(user(node=first))
    eventually(
        lambda: kubectl("describe", "pod", "user"),
        lambda seen: f"the image of volume {name} is not on this node: {image} is missing" in seen,
    )
    assert not image.exists()
    aside.rename(image)
    kubectl.wait("pod/user", "condition=Ready")


def test_a_volume_that_a_user_made_is_bound_and_mounted_where_it_is(
    kubectl: Kubectl, first: str, tmp_path: Path
) -> None:
    (tmp_path / "there").write_text("before\n")
    term = {"key": "kubernetes.io/hostname", "operator": "In", "values": [first]}
    name = f"local-{kubectl.namespace}"
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": name,
            "local": {"path": str(tmp_path)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [term]}]}},
        },
    }
    kubectl.apply(volume, claim(storageClassName=name), user())
    try:
        kubectl.wait("pod/user", "condition=Ready")
        assert kubectl.get("pod/user")["spec"]["nodeName"] == first
        assert inside(kubectl, "cat /data/there; echo after > /data/there") == "before\n"
        assert (tmp_path / "there").read_text() == "after\n"
    finally:
        kubectl("delete", "pod", "user", "--now")
        kubectl("delete", "pvc", "data")
        kubectl("delete", "pv", name)
    assert (tmp_path / "there").exists()


def test_pods_that_take_more_of_the_disk_than_they_may_are_evicted(kubectl: Kubectl) -> None:
    grows = "dd if=/dev/zero of={} bs=1M count=3 2>/dev/null; sleep 600"
    cache = pod(
        "cache",
        sh(grows.format("/data/big"), **mounts()),
        volumes=[{"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}],
    )
    limits = {"resources": {"limits": {"ephemeral-storage": "2Mi"}}}
    other = {"resources": {"limits": {"ephemeral-storage": "50Mi"}}}
    layer = pod("layer", sh(grows.format("/big"), "c", **limits), container("other", **other))
    kubectl.apply(cache, layer)
    for name in ("cache", "layer"):
        kubectl.wait(f"pod/{name}", "jsonpath={.status.reason}=Evicted")
    said = {name: kubectl.get(f"pod/{name}")["status"]["message"] for name in ("cache", "layer")}
    assert said == {
        "cache": 'Usage of EmptyDir volume "v" exceeds the limit "1Mi". ',
        "layer": 'Container c exceeded its local ephemeral storage limit "2Mi". ',
    }


def test_an_image_is_a_volume_too(kubectl: Kubectl) -> None:
    volume = {"name": "v", "image": {"reference": "redis:latest", "pullPolicy": "IfNotPresent"}}
    several = [{"name": "v", "mountPath": "/image"}, {"name": "v", "mountPath": "/part", "subPath": "etc"}]
    kubectl.apply(pod("user", container(volumeMounts=several), volumes=[volume]))
    kubectl.wait("pod/user", "condition=Ready")
    assert "redis-server" in inside(kubectl, "ls /image/usr/bin /image/usr/local/bin 2>/dev/null; true")
    assert inside(kubectl, "cat /part/passwd") == inside(kubectl, "cat /image/etc/passwd")
    assert "Read-only file system" in kubectl.run("exec", "user", "--", "touch", "/image/x").err


def test_the_node_tells_what_is_in_use_and_how_full_it_is(kubectl: Kubectl, first: str) -> None:
    kubectl.apply(claim(), user(node=first))
    kubectl.wait("pod/user", "condition=Ready")
    inside(kubectl, "dd if=/dev/zero of=/data/file bs=1M count=20 conv=fsync 2>/dev/null")
    document = json.loads(kubectl("get", "--raw", f"/api/v1/nodes/{first}/proxy/stats/summary"))
    volumes = {
        each["name"]: each
        for entry in document["pods"]
        if entry["podRef"]["namespace"] == kubectl.namespace
        for each in entry["volume"]
    }
    assert volumes["v"]["pvcRef"] == {"name": "data", "namespace": kubectl.namespace}
    assert volumes["v"]["usedBytes"] > 20 << 20
    assert volumes["v"]["capacityBytes"] <= 64 << 20
    handle = kubectl.get("pvc/data")["spec"]["volumeName"]
    eventually(
        lambda: kubectl.get(f"node/{first}")["status"].get("volumesInUse") or [],
        lambda names: f"kubernetes.io/csi/local.podium.io^{handle}" in names,
    )
