"""What must hold once the dust has settled, asked of the API with kubectl and of the machine itself.

Each function returns what is wrong, in words; nothing means that all is well."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from podium.runtime.containerd import Containerd
from podium.runtime.containerd.tasks import TaskState
from podium.runtime.pods.records import FILTER, Record, parse
from tests.conformance.conftest import LocalCluster
from tests.conformance.kubectl import Kubectl
from tests.conformance.survival.churn import Told
from tests.conformance.survival.processes import children, run_dir, shims

UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def workloads(kubectl: Kubectl, told: Told) -> Iterator[str]:
    """Replica counts, no duplicate or orphaned pod, jobs that counted right, no namespace that stays."""
    pods = kubectl.get("pods")["items"]
    for name, replicas in told.deployments.items():
        wanted = replicas if replicas >= 0 else kubectl.get("deployment", name)["spec"]["replicas"]
        status = kubectl.get("deployment", name).get("status", {})
        if status.get("readyReplicas", 0) != wanted or status.get("replicas", 0) != wanted:
            yield f"deployment {name}: wanted {wanted}, status {status}"
        if (found := sum(1 for pod in pods if pod["metadata"]["labels"].get("app") == name)) != wanted:
            yield f"deployment {name}: wanted {wanted}, {found} pods"
    wanted = kubectl.get("statefulset", "count")["spec"]["replicas"]
    if told.stateful not in (-1, wanted):
        yield f"statefulset count: acknowledged {told.stateful}, has {wanted}"
    ready = sorted(
        pod["metadata"]["name"]
        for pod in pods
        if pod["metadata"]["labels"].get("app") == "count" and is_ready(pod)
    )
    if ready != [f"count-{ordinal}" for ordinal in range(wanted)]:
        yield f"statefulset count: wanted {wanted}, ready are {ready}"
    owners = {
        item["metadata"]["uid"] for item in kubectl.get("deployments,replicasets,statefulsets,jobs")["items"]
    }
    for pod in pods:
        for owner in pod["metadata"].get("ownerReferences", ()):
            if owner["uid"] not in owners:
                yield f"pod {pod['metadata']['name']}: its {owner['kind']} {owner['name']} is gone"
    for name, completions in told.jobs.items():
        status = kubectl.get("job", name)["status"]
        if status.get("succeeded") != completions or not status.get("completionTime"):
            yield f"job {name}: wanted {completions}, status {status}"
        if status.get("uncountedTerminatedPods"):
            yield f"job {name}: uncounted {status['uncountedTerminatedPods']}"
    left = {item["metadata"]["name"] for item in kubectl.get("namespaces")["items"]} & told.deleted_namespaces
    if left:
        yield f"namespaces stay: {sorted(left)}"


def memory(kubectl: Kubectl, told: Told) -> Iterator[str]:
    """Nothing acknowledged is lost."""
    notes = {item["metadata"]["name"]: item["data"] for item in kubectl.get("configmaps")["items"]}
    for name, text in told.notes.items():
        if notes.get(name, {}).get("text") != text:
            yield f"{name}: acknowledged {text}, found {notes.get(name)}"


def claims(kubectl: Kubectl, told: Told) -> Iterator[str]:
    """Each claim has one volume, each volume one claim, and what was synced is there, written by one writer at
    a time."""
    found = kubectl.get("persistentvolumeclaims")["items"]
    volumes = {item["metadata"]["name"]: item for item in kubectl.get("persistentvolumes")["items"]}
    for claim in found:
        name, volume = claim["metadata"]["name"], volumes.get(claim["spec"].get("volumeName", ""))
        if claim["status"]["phase"] != "Bound" or volume is None:
            yield f"claim {name}: {claim['status']['phase']}, volume {claim['spec'].get('volumeName')}"
        elif volume["spec"]["claimRef"]["uid"] != claim["metadata"]["uid"]:
            yield f"claim {name}: its volume belongs to {volume['spec']['claimRef']}"
    here = [item for item in volumes.values() if item["spec"]["claimRef"]["namespace"] == kubectl.namespace]
    if len(here) != len(found):
        yield f"{len(found)} claims, {len(here)} volumes"
    for pod in kubectl.get("pods", "-l", "app=count")["items"]:
        name = pod["metadata"]["name"]
        numbers = kubectl("exec", name, "--", "cat", "/data/numbers").split()
        if len(numbers) < told.numbers.get(name, 0):
            yield f"{name}: {told.numbers[name]} was synced, its file ends with {len(numbers)}"
        if numbers != [str(number) for number in range(1, len(numbers) + 1)]:
            wrong = next(
                (at for at, number in enumerate(numbers, 1) if number != str(at)),
                len(numbers),
            )
            yield f"{name}: line {wrong} is followed by {numbers[wrong - 1 : wrong + 4]}"


def machine(cluster: LocalCluster, kubectl: Kubectl, cgroup: str) -> Iterator[str]:
    """No pod's container, process, namespace, mount, link or address is left of pods that are gone, and no
    container runs twice."""
    pods = kubectl.get("pods", "--all-namespaces")["items"]
    known = {pod["metadata"]["uid"] for pod in pods}
    running = [pod for pod in pods if pod["status"]["phase"] == "Running"]
    for what, traces in (
        ("mount", mounted(cluster.root)),
        ("cgroup", grouped(cgroup)),
        ("pin", pinned(cluster.root)),
    ):
        for trace in traces:
            if not known & set(UID.findall(trace)):
                yield f"{what} of a pod that is gone: {trace}"
    volumes = Counter(UID.findall(mount)[-1] for mount in mounted(cluster.root) if "/pvc-" in mount)
    for volume, count in volumes.items():
        if count > 1:
            yield f"claim {volume} is mounted {count} times"
    known_claims = {item["metadata"]["uid"] for item in kubectl.get("pvc", "--all-namespaces")["items"]}
    for backing in looped(cluster.root):
        if not known_claims & set(UID.findall(backing)):
            yield f"loop device of a claim that is gone: {backing}"
    addresses = Counter(pod["status"]["podIP"] for pod in running if not pod["spec"].get("hostNetwork"))
    for address, count in addresses.items():
        if count > 1:
            yield f"{count} pods have the address {address}"
    names = cluster.nodes()
    for name in names:
        here = {pod["metadata"]["uid"] for pod in running if pod["spec"]["nodeName"] == name}
        yield from node(cluster, name, run_dir(cluster, names, name), known, here)


def node(cluster: LocalCluster, name: str, run: Path, known: set[str], running: set[str]) -> Iterator[str]:
    """What is left on one node, or runs there and should not."""
    socket = run / "containerd" / "containerd.sock"
    tasks: Counter[tuple[str, str]] = Counter()
    for record, alive in asyncio.run(recorded(socket)):
        if record.uid not in known:
            yield f"{name} has a container of a pod that is gone: {record.pod}/{record.attempt.name}"
        if alive:
            tasks[record.uid, record.attempt.name] += 1
            if record.uid not in running:
                yield f"{name} runs {record.pod}/{record.attempt.name} of a pod that does not run there"
    for key, count in tasks.items():
        if count > 1:
            yield f"{name} runs container {key} {count} times"
    if idle := [pid for pid in shims(socket) if not children(pid)]:
        yield f"{name} has shims of nothing: {idle}"
    links = [
        line for line in cluster.inside(name, "ip", "-o", "link").stdout.splitlines() if re.match(r"\d+: pod[0-9a-f]+@", line)
    ]  # fmt: skip
    pins = list((run / "netns").iterdir())
    if len(links) != len(pins):
        yield f"{name} has {len(links)} links for {len(pins)} pods' network namespaces"


async def recorded(socket: Path) -> list[tuple[Record, bool]]:
    """What containerd keeps of pods, and whether each has a task that runs."""
    containerd = Containerd(str(socket))
    try:
        found = [parse(raw) for raw in await containerd.containers.list(FILTER)]
        tasks = await containerd.tasks.list()
    finally:
        await containerd.close()
    return [(record, alive(tasks.get(record.attempt.id))) for record in found if record is not None]


def alive(task: TaskState | None) -> bool:
    return task is not None and task.exit is None


def mounted(root: Path) -> list[str]:
    """Where something is mounted for a pod."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [mount for mount in mounts if mount.startswith(f"{root}/") and "/pods/" in mount]


def looped(root: Path) -> list[str]:
    """The files behind the loop devices."""
    found = [entry.read_text().strip() for entry in Path("/sys/block").glob("loop*/loop/backing_file")]
    return [backing for backing in found if backing.startswith(f"{root}/")]


def grouped(cgroup: str) -> list[str]:
    """The control groups of pods that have processes."""
    found = []
    for folder, _, _ in os.walk("/sys/fs/cgroup"):
        if f"/{cgroup}/" in folder and UID.search(folder.replace("_", "-")):
            with contextlib.suppress(FileNotFoundError, OSError):
                if (Path(folder) / "cgroup.procs").read_text().strip():
                    found.append(folder.replace("_", "-"))
    return found


def pinned(root: Path) -> list[str]:
    return [str(entry) for folder in root.glob("run/**/netns") for entry in folder.iterdir()]


def is_ready(pod: dict[str, Any]) -> bool:
    return any(
        entry["type"] == "Ready" and entry["status"] == "True"
        for entry in pod["status"].get("conditions", ())
    )
