"""What people do to a cluster all day, at random: scale, roll out, run jobs, make and delete namespaces.

Everything that was acknowledged is remembered, for the invariants; what was refused or got no answer may have
happened or not.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from tests.conformance.kubectl import Kubectl, Result
from tests.conformance.objects import BUSYBOX, Obj, config_map, container, deployment, service, sh

# Continues with the number after the last one in the file: two writers at once, or a lost line, would show.
COUNT = """
trap 'exit 0' TERM
file=/data/numbers
last=$(tail -n 1 $file 2>/dev/null)
while :; do
    last=$((${last:-0} + 1))
    echo $last >>$file && sync $file && echo $last
    sleep 0.2 & wait $!
done
"""
IMAGES = ("v1", "v2")


@dataclass
class Told:
    """What the cluster has acknowledged."""

    notes: dict[str, str] = field(default_factory=dict)
    deployments: dict[str, int] = field(default_factory=dict)
    stateful: int = 0
    jobs: dict[str, int] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    """By pod, what it has synced."""
    deleted_namespaces: set[str] = field(default_factory=set)


def counting_set(replicas: int) -> Obj:
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "count"},
        "spec": {
            "serviceName": "count",
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "count"}},
            "template": {
                "metadata": {"labels": {"app": "count"}},
                "spec": {
                    "terminationGracePeriodSeconds": 2,
                    "containers": [
                        sh(COUNT, "count", volumeMounts=[{"name": "data", "mountPath": "/data"}]),
                    ],
                },
            },
            "volumeClaimTemplates": [
                {
                    "metadata": {"name": "data"},
                    "spec": {
                        "accessModes": ["ReadWriteOnce"],
                        "resources": {"requests": {"storage": "32Mi"}},
                    },
                }
            ],
        },
    }


def job(name: str, completions: int) -> Obj:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {
            "completions": completions,
            "parallelism": 3,
            "completionMode": "Indexed",
            "backoffLimit": 1000,
            "template": {
                "spec": {
                    "restartPolicy": "Never",
                    "terminationGracePeriodSeconds": 1,
                    "containers": [container(image=BUSYBOX, command=["sh", "-c", "sleep 1"])],
                }
            },
        },
    }


class Churn(threading.Thread):
    """Stirs until it is told to stop. `told` may be read once it has ended."""

    def __init__(self, kubectl: Kubectl, random: Random) -> None:
        super().__init__(name="churn")
        self.told = Told()
        self.refused: list[str] = []
        self._kubectl, self._random, self._stop_it = kubectl, random, threading.Event()
        self._number = 0

    def prepare(self) -> None:
        """The things that live through it all."""
        self._kubectl.apply(counting_set(2))
        self.told.stateful = 2
        for name in ("web", "api"):
            self._kubectl.apply(
                deployment(name, 3, container(image="podium.io/echo:v1", command=None)), service(name)
            )
            self.told.deployments[name] = 3
        self._kubectl("rollout", "status", "statefulset/count", "--timeout=120s", timeout=130)

    def stop(self) -> None:
        """Waits for the deed in hand. Every claim there ever was is read again at the end."""
        self._stop_it.set()
        self.join()
        self._kubectl("scale", "statefulset/count", "--replicas=3")
        self.told.stateful = 3

    def run(self) -> None:
        deeds: list[Callable[[], None]] = [
            self._note, self._note, self._scale, self._roll, self._scale_set, self._job, self._namespace,
            self._lose_a_pod, self._read_numbers,
        ]  # fmt: skip
        while not self._stop_it.wait(self._random.uniform(0.1, 0.6)):
            self._random.choice(deeds)()

    def _ask(self, *arguments: str, stdin: str | None = None) -> Result:
        try:
            return self._kubectl.run(*arguments, stdin=stdin, timeout=30)
        except subprocess.TimeoutExpired:
            return Result(1, "", f"no answer: {arguments}")

    def _try(self, *arguments: str, stdin: str | None = None) -> bool:
        """Whether it was acknowledged."""
        result = self._ask(*arguments, stdin=stdin)
        if result.code != 0:
            self.refused.append(result.err.strip()[:200])
        return result.code == 0

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _apply(self, *objects: Obj) -> bool:
        return self._try("apply", "-f", "-", stdin="\n".join(json.dumps(entry) for entry in objects))

    def _note(self) -> None:
        name, text = f"note-{self._random.randrange(20)}", str(self._next())
        if self._apply(config_map(name, text=text)):
            self.told.notes[name] = text
        else:
            self.told.notes.pop(name, None)  # either text is right now

    def _scale(self) -> None:
        name, replicas = self._random.choice(sorted(self.told.deployments)), self._random.randint(1, 6)
        self.told.deployments[name] = -1
        while not self._try("scale", f"deployment/{name}", f"--replicas={replicas}"):
            if self._stop_it.wait(1):
                return
        self.told.deployments[name] = replicas

    def _roll(self) -> None:
        name = self._random.choice(sorted(self.told.deployments))
        self._try("set", "image", f"deployment/{name}", f"main=podium.io/echo:{self._random.choice(IMAGES)}")

    def _scale_set(self) -> None:
        replicas = self._random.randint(1, 3)
        if self._try("scale", "statefulset/count", f"--replicas={replicas}"):
            self.told.stateful = replicas
        else:
            self.told.stateful = -1

    def _job(self) -> None:
        name, completions = f"job-{self._next()}", self._random.randint(1, 4)
        if len(self.told.jobs) < 25 and self._apply(job(name, completions)):
            self.told.jobs[name] = completions

    def _namespace(self) -> None:
        name = f"passing-{self._next()}"
        if not self._try("create", "namespace", name):
            return
        self._try(
            "--namespace", name, "create", "deployment", "short", "--image=busybox", "--", "sleep", "1000"
        )
        if self._try("delete", "namespace", name, "--wait=false"):
            self.told.deleted_namespaces.add(name)

    def _read_numbers(self) -> None:
        name = f"count-{self._random.randrange(3)}"
        result = self._ask("logs", name, "--tail=1")
        if result.code == 0 and result.out.strip().isdigit():
            self.told.numbers[name] = max(self.told.numbers.get(name, 0), int(result.out))

    def _lose_a_pod(self) -> None:
        result = self._ask("get", "pods", "-o", "name")
        names = result.out.split()
        if result.code == 0 and names:
            self._try("delete", self._random.choice(names), "--wait=false")
