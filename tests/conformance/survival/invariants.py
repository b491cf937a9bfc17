"""What must hold once the dust has settled, asked of the API with kubectl and of the machine itself.

Each function returns what is wrong, in words; nothing means that all is well."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.conformance.conftest import LocalCluster
from tests.conformance.kubectl import Kubectl
from tests.conformance.survival.churn import Told

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


def claims(kubectl: Kubectl) -> Iterator[str]:
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
        if numbers != [str(number) for number in range(1, len(numbers) + 1)]:
            wrong = next(
                (at for at, number in enumerate(numbers, 1) if number != str(at)),
                len(numbers),
            )
            yield f"{name}: line {wrong} is followed by {numbers[wrong - 1 : wrong + 4]}"
        logged = [line for line in kubectl("logs", name).split() if line.isdigit()]
        if logged and int(logged[-1]) > int(kubectl("exec", name, "--", "tail", "-n", "1", "/data/numbers")):
            yield f"{name}: {logged[-1]} was synced and is not there"


def machine(cluster: LocalCluster, kubectl: Kubectl, cgroup: str) -> Iterator[str]:
    """No pod's namespace, mount, cgroup or address is left of pods that are gone."""
    pods = kubectl.get("pods", "--all-namespaces")["items"]
    known = {pod["metadata"]["uid"] for pod in pods}
    running = [pod for pod in pods if pod["status"]["phase"] == "Running"]
    for what, uids in (
        ("mount", mounted(cluster.root)),
        ("cgroup", grouped(cgroup)),
        ("pin", pinned(cluster.root)),
    ):
        for uid in uids - known:
            yield f"{what} of a pod that is gone: {uid}"
    addresses = Counter(pod["status"]["podIP"] for pod in running if not pod["spec"].get("hostNetwork"))
    for address, count in addresses.items():
        if count > 1:
            yield f"{count} pods have the address {address}"


def mounted(root: Path) -> set[str]:
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return {
        uid
        for mount in mounts
        if mount.startswith(f"{root}/")
        for uid in UID.findall(mount)
        if "/pods/" in mount
    }


def grouped(cgroup: str) -> set[str]:
    """The pods that have processes."""
    found: set[str] = set()
    for folder, _, _ in os.walk("/sys/fs/cgroup"):
        if f"/{cgroup}" in folder and (Path(folder) / "cgroup.procs").read_text().strip():
            found.update(uid.replace("_", "-") for uid in UID.findall(folder))
    return found


def pinned(root: Path) -> set[str]:
    return {
        uid
        for folder in root.glob("run/**/netns")
        for entry in folder.iterdir()
        for uid in UID.findall(entry.name)
    }


def is_ready(pod: dict[str, Any]) -> bool:
    return any(
        entry["type"] == "Ready" and entry["status"] == "True"
        for entry in pod["status"].get("conditions", ())
    )
