"""Pods on real containers, from the API object to the end."""

from __future__ import annotations

import os
import signal

import pytest

from podium.api.types import Obj
from podium.api.types.resources import CONFIG_MAPS, LEASES, NODES, PODS
from podium.runtime.config import Layout
from podium.runtime.sandbox import COMPLETE
from tests.unit.runtime.conftest import needs_root
from tests.unit.runtime.making import container, pod
from tests.unit.runtime.world import World, ready, state, waits_for

pytestmark = needs_root

FOREVER = ("sleep", "1000")


def status_of(obj: Obj, place: int = 0) -> Obj:
    return dict(obj["status"]["containerStatuses"][place])


async def test_a_pod_runs_and_says_who_it_is(world: World) -> None:
    script = "hostname; cat /etc/hosts; echo $KUBERNETES_SERVICE_PORT"
    await world.run("who", "sh", "-c", script, spec={"restartPolicy": "Never"})
    obj = await world.until("who", lambda obj: obj["status"]["phase"] == "Succeeded")
    said = await world.log("who", "\n443\n")
    assert said.startswith("who\n# Kubernetes-managed hosts file.\n")
    assert "192.0.2.7\twho\n" in said
    assert obj["status"]["podIP"] == "192.0.2.7"
    assert state(obj)["terminated"]["reason"] == "Completed"
    assert status_of(obj)["imageID"].startswith("sha256:")


async def test_a_container_that_fails_is_restarted_then_waits(world: World) -> None:
    await world.run("fail", "sh", "-c", "echo -n why > /dev/termination-log; exit 3")
    obj = await world.until("fail", waits_for("CrashLoopBackOff"))
    status = status_of(obj)
    assert status["restartCount"] == 1
    assert status["lastState"]["terminated"]["exitCode"] == 3
    assert status["lastState"]["terminated"]["message"] == "why"
    message = await world.until_event("fail", "BackOff")
    assert message.startswith("Back-off restarting failed container c in pod fail_default(")


async def test_a_killed_container_is_restarted_at_once(world: World) -> None:
    await world.run("web", *FOREVER)
    before = status_of(await world.until("web", ready))
    os.kill(world.container("web").pid, signal.SIGKILL)
    obj = await world.until("web", lambda obj: ready(obj) and status_of(obj)["restartCount"] == 1)
    after = status_of(obj)
    assert after["containerID"] != before["containerID"]
    assert after["lastState"]["terminated"]["exitCode"] == 137
    assert world.container("web", previous=True).id in before["containerID"]


async def test_the_end_of_the_log_is_the_message_where_asked_for(world: World) -> None:
    policy = {"terminationMessagePolicy": "FallbackToLogsOnError"}
    await world.run("log", "sh", "-c", "echo oops; exit 1", spec={"restartPolicy": "Never"}, **policy)
    obj = await world.until("log", lambda obj: obj["status"]["phase"] == "Failed")
    assert state(obj)["terminated"]["message"] == "oops\n"


async def test_a_container_that_takes_too_much_memory_is_oom_killed(world: World) -> None:
    limits = {"limits": {"memory": "24Mi"}}
    command = ("dd", "if=/dev/zero", "of=/dev/null", "bs=100M", "count=1")
    await world.run("oom", *command, spec={"restartPolicy": "Never"}, resources=limits)
    obj = await world.until("oom", lambda obj: obj["status"]["phase"] == "Failed")
    assert state(obj)["terminated"]["reason"] == "OOMKilled"
    assert obj["status"]["qosClass"] == "Burstable"


async def test_a_command_that_does_not_exist_is_named(world: World) -> None:
    await world.run("nope", "/nope")
    obj = await world.until("nope", waits_for("RunContainerError"))
    assert 'exec: "/nope": stat /nope: no such file or directory' in state(obj)["waiting"]["message"]
    obj = await world.until("nope", lambda obj: status_of(obj)["restartCount"] == 1)
    assert status_of(obj)["lastState"]["terminated"]["reason"] == "StartError"


async def test_a_missing_config_map_is_waited_for(world: World) -> None:
    source = {"configMapKeyRef": {"name": "late", "key": "k"}}
    variable = {"name": "A", "valueFrom": source}
    await world.run("late", "sh", "-c", "echo $A; exec sleep 1000", env=[variable])
    obj = await world.until("late", waits_for("CreateContainerConfigError"))
    assert state(obj)["waiting"]["message"] == 'configmap "late" not found'
    late = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late"}, "data": {"k": "v"}}
    await world.client.create(CONFIG_MAPS, late, "default")
    await world.until("late", ready)
    assert await world.log("late", "\n") == "v\n"


@pytest.mark.parametrize(
    ("image", "policy", "reason"),
    [
        ("127.0.0.1:1/none:1", "IfNotPresent", "ErrImagePull"),
        ("absent", "Never", "ErrImageNeverPull"),
        ("Bad", "IfNotPresent", "InvalidImageName"),
    ],
)
async def test_an_image_that_cannot_be_had_is_the_reason_to_wait(
    world: World, image: str, policy: str, reason: str
) -> None:
    await world.run("img", image=image, imagePullPolicy=policy)
    obj = await world.until("img", waits_for(reason))
    assert image in state(obj)["waiting"]["message"]
    assert obj["status"]["phase"] == "Pending"


async def test_init_containers_prepare_and_sidecars_accompany(world: World) -> None:
    mount = [{"name": "v", "mountPath": "/v"}]
    init = [
        container("first", command=["sh", "-c", "echo made > /v/x"], volumeMounts=mount),
        container("side", command=list(FOREVER), restartPolicy="Always"),
    ]
    parts = [*mount, {"name": "v", "mountPath": "/part", "subPath": "x"}]
    main = container(command=["sh", "-c", "cat /v/x /part; exec sleep 1000"], volumeMounts=parts)
    volumes = [{"name": "v", "emptyDir": {}}]
    spec = {"nodeName": "n1", "terminationGracePeriodSeconds": 1, "volumes": volumes}
    await world.create(pod(main, name="init", initContainers=init, **spec))
    obj = await world.until("init", ready)
    assert await world.log("init", "made\nmade\n") == "made\nmade\n"
    first, side = obj["status"]["initContainerStatuses"]
    assert first["state"]["terminated"]["exitCode"] == 0
    assert (side["ready"], side["started"]) == (True, True)


async def test_a_pod_is_ready_when_its_probe_says_so(world: World) -> None:
    probe = {"exec": {"command": ["cat", "/tmp/ok"]}, "periodSeconds": 1}
    command = ("sh", "-c", "cat /tmp/go; touch /tmp/ok; exec sleep 1000")
    await world.run("probe", *command, readinessProbe=probe)
    obj = await world.until("probe", ready)
    assert status_of(obj)["started"] is True


async def test_a_container_that_fails_its_liveness_probe_is_restarted(world: World) -> None:
    probe = {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 1}
    script = "trap 'exit 7' TERM; while true; do sleep 0.05; done"
    await world.run("live", "sh", "-c", script, livenessProbe=probe)
    obj = await world.until("live", lambda obj: status_of(obj)["restartCount"] >= 1)
    assert status_of(obj)["lastState"]["terminated"]["exitCode"] == 7
    assert await world.until_event("live", "Killing") == (
        "Container c failed liveness probe, will be restarted"
    )


async def test_hooks_run_after_the_start_and_before_the_end(world: World) -> None:
    hooks = {
        "postStart": {"exec": {"command": ["sh", "-c", "echo started > /v/post"]}},
        "preStop": {"exec": {"command": ["sh", "-c", "echo stopping > /v/pre"]}},
    }
    end = "cat /v/post /v/pre > /dev/termination-log; exit 0"
    script = f"trap '{end}' TERM; echo on; while true; do sleep 0.05; done"
    mounts = [{"name": "v", "mountPath": "/v"}]
    spec = {"volumes": [{"name": "v", "emptyDir": {}}]}
    await world.run("hooks", "sh", "-c", script, spec=spec, lifecycle=hooks, volumeMounts=mounts)
    await world.until("hooks", ready)
    await world.log("hooks", "on\n")
    await world.delete("hooks")
    seen = await world.until_gone("hooks")
    ends = [state(obj)["terminated"]["message"] for obj in seen if "terminated" in state(obj)]
    assert ends[-1] == "started\nstopping\n"


async def test_a_deleted_pod_ends_in_order_and_leaves_nothing(world: World) -> None:
    script = "trap 'exit 0' TERM; echo on; while true; do sleep 0.05; done"
    await world.run("bye", "sh", "-c", script)
    await world.until("bye", ready)
    # Started is not yet running: until then a signal ends runc's own process.
    await world.log("bye", "on\n")
    await world.delete("bye")
    seen = await world.until_gone("bye")
    assert seen[-2]["status"]["phase"] == "Succeeded"
    await world.until_forgotten("bye")
    assert world.left() == []
    assert await world.daemon.containerd.containers.list() == []
    assert await world.daemon.containerd.tasks.list() == {}


async def test_the_next_daemon_removes_what_is_left_of_a_pod_that_is_gone(
    world: World,
) -> None:
    script = "trap 'exit 0' TERM; echo on; while true; do sleep 0.05; done"
    await world.run("bye", "sh", "-c", script)
    uid = (await world.until("bye", ready))["metadata"]["uid"]
    await world.log("bye", "on\n")
    with world.daemon.rush.pressing():
        await world.delete("bye")
        await world.until_gone("bye")
        # Nothing has an effect any more: what is left are records and files.
        assert [entry for entry in world.left() if uid in entry] == [str(Layout.of(world.config).pod(uid))]
        [record] = await world.daemon.containerd.containers.list()
        await world.stop()
    await world.start()
    await world.run("next", "true", spec={"restartPolicy": "Never"})
    await world.until("next", lambda obj: obj["status"]["phase"] == "Succeeded")
    await world.until_forgotten("bye")
    assert not [entry for entry in world.left() if uid in entry]
    assert record.id not in {each.id for each in await world.daemon.containerd.containers.list()}
    assert record.id not in await world.daemon.containerd.tasks.list()


async def test_a_container_that_does_not_listen_is_killed_after_its_grace(world: World) -> None:
    await world.run("deaf", "sh", "-c", "echo on; exec sleep 1000")
    await world.until("deaf", ready)
    await world.log("deaf", "on\n")
    await world.delete("deaf", grace=1)
    seen = await world.until_gone("deaf")
    assert state(seen[-2])["terminated"]["exitCode"] == 137
    assert seen[-2]["status"]["phase"] == "Failed"


async def test_containers_of_a_pod_share_processes_where_asked_for(world: World) -> None:
    script = "cat /proc/1/cmdline > /dev/termination-log"
    spec = {"shareProcessNamespace": True, "restartPolicy": "Never"}
    await world.run("shared", "sh", "-c", script, spec=spec)
    obj = await world.until("shared", lambda obj: obj["status"]["phase"] == "Succeeded")
    assert "infinity" in state(obj)["terminated"]["message"]
    await world.delete("shared")
    await world.until_gone("shared")
    await world.until_forgotten("shared")
    assert world.left() == []


async def test_an_ephemeral_container_looks_into_a_running_one(world: World) -> None:
    await world.run("broken", "sleep", "1234")
    await world.until("broken", ready)
    script = "cat /proc/1/cmdline > /dev/termination-log"
    added = {**container("debug", command=["sh", "-c", script]), "targetContainerName": "c"}
    patch = {"spec": {"ephemeralContainers": [added]}}
    await world.client.patch(PODS, "broken", patch, "default", subresource="ephemeralcontainers")

    def ended(obj: Obj) -> bool:
        shown = obj["status"].get("ephemeralContainerStatuses") or [{}]
        return "terminated" in shown[0].get("state", {})

    obj = await world.until("broken", ended)
    [shown] = obj["status"]["ephemeralContainerStatuses"]
    assert "1234" in shown["state"]["terminated"]["message"]
    assert (obj["status"]["phase"], ready(obj)) == ("Running", True)


async def test_a_restricted_container_runs_restricted(world: World) -> None:
    context = {
        "runAsUser": 1234,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    script = "id -u; id -g; touch /x; cat /proc/self/status"
    await world.run("meek", "sh", "-c", script, spec={"restartPolicy": "Never"}, securityContext=context)
    await world.until("meek", lambda obj: obj["status"]["phase"] == "Succeeded")
    said = await world.log("meek", "")
    for line in (
        "1234",
        "2345",
        "touch: /x: Read-only file system",
        "CapEff:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
    ):
        assert f"{line}\n" in said


async def test_a_restarted_daemon_goes_on_with_what_runs(world: World) -> None:
    script = "trap 'exit 0' TERM; echo one; while true; do sleep 0.05; done"
    for name in ("stays", "dies", "leaves"):
        await world.run(name, "sh", "-c", script)
    before = {name: await world.until(name, ready) for name in ("stays", "dies", "leaves")}
    victim = world.container("dies").pid
    await world.stop()
    os.kill(victim, signal.SIGKILL)
    await world.delete("leaves", grace=0)
    await world.start()
    died = await world.until("dies", lambda obj: ready(obj) and status_of(obj)["restartCount"] == 1)
    assert status_of(died)["lastState"]["terminated"]["exitCode"] == 137
    stayed = await world.until("stays", ready)
    assert stayed["status"] == before["stays"]["status"]
    await world.until_forgotten("leaves")
    ids = {record.id for record in await world.daemon.containerd.containers.list()}
    assert not any(each in status_of(before["leaves"])["containerID"] for each in ids)


async def test_a_sandbox_that_was_half_made_when_the_daemon_died_is_finished(world: World) -> None:
    await world.run("half", *FOREVER)
    before = await world.until("half", ready)
    uid, victim = before["metadata"]["uid"], world.container("half").pid
    layout = Layout.of(world.config)
    await world.stop()
    (layout.sandbox(uid) / COMPLETE).unlink()
    (layout.pod(uid) / "hosts").unlink()
    os.kill(victim, signal.SIGKILL)
    await world.start()
    after = await world.until("half", lambda obj: ready(obj) and status_of(obj)["restartCount"] == 1)
    assert status_of(after)["lastState"]["terminated"]["exitCode"] == 137
    assert "half" in (layout.pod(uid) / "hosts").read_text()


async def test_the_logs_of_a_pod_go_even_if_the_next_daemon_knows_no_more_than_its_uid(world: World) -> None:
    await world.run("gone", *FOREVER)
    uid = (await world.until("gone", ready))["metadata"]["uid"]
    container_id = world.container("gone").id
    await world.stop()
    await world.end(container_id)
    await world.delete("gone", grace=0)
    await world.start()
    await world.run("next", "true", spec={"restartPolicy": "Never"})
    await world.until("next", lambda obj: obj["status"]["phase"] == "Succeeded")
    await world.until_forgotten(uid)
    assert not [entry for entry in world.left() if uid in entry]
    assert not list((world.folder / "log" / "pods").glob(f"*_{uid}"))


async def test_names_that_are_too_long_for_a_link_to_the_log_are_cut(world: World) -> None:
    pod_name, container_name = ".".join(["a" * 60] * 3), "c" * 63
    long = pod(container(container_name, command=list(FOREVER)), name=pod_name, nodeName="n1")
    await world.create(long)
    obj = await world.until(pod_name, ready)
    links = list((world.folder / "log" / "containers").iterdir())
    assert [len(link.name) for link in links] == [255]
    assert links[0].resolve() == (world.folder / "log/pods").resolve() / (
        f"default_{pod_name}_{obj['metadata']['uid']}/{container_name}/0.log"
    )
    await world.delete(pod_name, grace=0)
    await world.until_forgotten(pod_name)
    assert not list((world.folder / "log" / "containers").iterdir())


async def test_nothing_of_a_node_is_left_after_it_was_taken_down(world: World) -> None:
    await world.run("some", *FOREVER)
    await world.until("some", ready)
    await world.stop()
    await world.clear()
    assert world.left() == []
    assert not list((world.folder / "log").rglob("*.log"))


async def test_pods_come_back_after_the_node_was_taken_down(world: World) -> None:
    await world.run("back", *FOREVER)
    await world.until("back", ready)
    await world.stop()
    await world.clear()
    await world.start()
    obj = await world.until("back", lambda obj: ready(obj) and status_of(obj)["restartCount"] == 1)
    assert status_of(obj)["lastState"]["terminated"]["reason"] == "ContainerStatusUnknown"


async def test_the_node_is_registered_with_what_it_has(world: World) -> None:
    node = await world.client.get(NODES, "n1")
    status = node["status"]
    assert status["capacity"]["pods"] == "110"
    assert int(status["capacity"]["cpu"]) >= 1
    assert status["nodeInfo"]["containerRuntimeVersion"].startswith("containerd://")
    assert status["daemonEndpoints"]["kubeletEndpoint"]["Port"] == 10250
    assert node["metadata"]["labels"]["kubernetes.io/hostname"] == "n1"
    lease = await world.client.get(LEASES, "n1", "kube-node-lease")
    assert lease["spec"]["holderIdentity"] == "n1"


async def test_a_pod_that_does_not_fit_its_node_fails_and_leaves_its_place_to_others(world: World) -> None:
    node = await world.client.get(NODES, "n1")
    cpus = int(node["status"]["allocatable"]["cpu"])
    half = {"requests": {"cpu": f"{cpus * 600}m"}}
    forever = {"spec": {"terminationGracePeriodSeconds": 0}, "resources": half}
    await world.run("first", *FOREVER, **forever)
    await world.until("first", ready)
    await world.run("second", *FOREVER, **forever)
    obj = await world.until("second", lambda obj: obj["status"]["phase"] == "Failed")
    assert obj["status"]["reason"] == "OutOfcpu"
    assert "containerStatuses" not in obj["status"]
    numbers = f"requested: {cpus * 600}, used: {cpus * 600}, capacity: {cpus * 1000}"
    assert obj["status"]["message"].endswith(f"Node didn't have enough resource: cpu, {numbers}")
    assert (await world.until_event("second", "OutOfcpu")).startswith("Node didn't have enough resource")
    await world.delete("first")
    await world.until_gone("first")
    await world.run("third", *FOREVER, **forever)
    await world.until("third", ready)


async def test_a_running_pod_is_not_asked_again_whether_it_fits(world: World) -> None:
    await world.run("stays", *FOREVER, spec={"nodeSelector": {"kubernetes.io/os": "linux"}})
    await world.until("stays", ready)
    taint = {"key": "k", "value": "", "effect": "NoExecute"}
    await world.client.patch(NODES, "n1", {"spec": {"taints": [taint]}})
    await world.stop()
    await world.start()
    await world.run("late", *FOREVER)
    obj = await world.until("late", lambda obj: obj["status"]["phase"] == "Failed")
    assert obj["status"]["reason"] == "TaintToleration"
    await world.until("stays", ready)
