"""Containers that crash all the time: is every end counted, and every line of every attempt in its log?

Each container keeps its own count in a volume that outlives its attempts, says it in every line it prints,
and leaves the last line without an end. What the API tells is held against that."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from typing import Any

from cluster import IMAGE, NAMESPACE

from podium.api.types import Obj
from podium.api.types import resources as r
from podium.api.types.errors import StatusError
from podium.client.https import HttpsClient

LINES = 50
CONTAINERS = ("left", "right")
EXPECTED = 3
"""Ends of one container that are waited for: at once, at once again, after 10 s."""
BACK_OFFS = 10.0

SCRIPT = f"""
n=$(($(cat /count/$NAME 2>/dev/null || echo -1) + 1)); echo $n > /count/$NAME
i=0; while [ $i -lt {LINES} ]; do echo "attempt $n line $i"; i=$((i + 1)); done
printf 'attempt %s end' $n; exit 1
"""


def _pod(number: int, node: str) -> Obj:
    def container(name: str) -> Obj:
        return {
            "name": name,
            "image": IMAGE,
            "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-c", SCRIPT],
            "env": [{"name": "NAME", "value": name}],
            "volumeMounts": [{"name": "count", "mountPath": "/count"}],
        }

    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"crash-{number}", "namespace": NAMESPACE},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "nodeSelector": {"kubernetes.io/hostname": node},
            "volumes": [{"name": "count", "emptyDir": {}}],
            "containers": [container(name) for name in CONTAINERS],
        },
    }


def _text(attempt: int) -> bytes:
    lines = "".join(f"attempt {attempt} line {number}\n" for number in range(LINES))
    return f"{lines}attempt {attempt} end".encode()


class Tally:
    """What was seen of each container's ends, and what was wrong with it."""

    def __init__(self, client: HttpsClient) -> None:
        self._client = client
        self.ends: dict[tuple[str, str], int] = defaultdict(int)
        self.faults: list[str] = []
        self.logs = 0
        self.tasks: set[asyncio.Task[None]] = set()

    def see(self, pod: Obj) -> None:
        """The ends that a pod's status counts: each one's log is read before the next attempt ends. One
        status may tell of two: the first restart waits for nothing."""
        name = pod["metadata"]["name"]
        for status in (pod.get("status") or {}).get("containerStatuses") or ():
            key = (name, status["name"])
            count = status["restartCount"] + (bool(status["state"].get("terminated")) or _waits(status))
            if count < self.ends[key]:
                self.faults.append(f"{key} counts {count} ends after {self.ends[key]}")
            if count > self.ends[key]:
                self._check_start(key, status)
            for attempt in range(self.ends[key], count):
                self._read(key, attempt)
            self.ends[key] = max(count, self.ends[key])

    def _check_start(self, key: tuple[str, str], status: Obj) -> None:
        """An attempt that got no process has nothing to say."""
        for state in ("state", "lastState"):
            end = status[state].get("terminated") or {}
            if end.get("reason", "Error") != "Error":
                self.faults.append(f"{key} {end['reason']}: {end.get('message', '')[:200]}")

    def _read(self, key: tuple[str, str], attempt: int) -> None:
        task = asyncio.create_task(self._compare(key, attempt))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _compare(self, key: tuple[str, str], attempt: int) -> None:
        """The attempt's log, whichever of the two it is by now."""
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{key[0]}/log"
        wanted, seen = _text(attempt), []
        for which in ("false", "true"):
            try:
                seen.append(await self._client.raw("GET", path, {"container": key[1], "previous": which}))
            except StatusError as error:
                seen.append(str(error).encode())
            if seen[-1] == wanted:
                self.logs += 1
                return
        told = " and ".join(f"{len(each)} bytes that end in {each[-60:]!r}" for each in seen)
        self.faults.append(f"{key} attempt {attempt}: {told}")


def _waits(status: Obj) -> bool:
    """For its back-off: the attempt that restartCount is the number of has ended."""
    return (status["state"].get("waiting") or {}).get("reason") == "CrashLoopBackOff"


async def measure(client: HttpsClient, node: str, pods: int, seconds: float) -> dict[str, Any]:
    """Two containers each that crash at once, begun evenly over `seconds` less the last back-off."""
    tally = Tally(client)
    done = asyncio.Event()
    goal = EXPECTED * len(CONTAINERS) * pods
    watching = asyncio.create_task(_watch(client, tally, goal, done))
    started = time.perf_counter()
    for number in range(pods):
        begin = started + number * max(0.0, seconds - BACK_OFFS) / pods
        await asyncio.sleep(max(0.0, begin - time.perf_counter()))
        await client.create(r.PODS, _pod(number, node))
    try:
        async with asyncio.timeout(4 * seconds + 60):
            await done.wait()
    except TimeoutError:
        tally.faults.append(f"{goal} ends were expected")
    took = time.perf_counter() - started
    watching.cancel()
    await asyncio.gather(*tally.tasks, watching, return_exceptions=True)
    ends = sum(tally.ends.values())
    await asyncio.gather(
        *(client.delete(r.PODS, f"crash-{number}", NAMESPACE, grace_seconds=0) for number in range(pods))
    )
    return {
        "ends": ends,
        "seconds": round(took, 1),
        "per_second": round(ends / took, 1),
        "whole_logs": tally.logs,
        "faults": len(tally.faults),
        **({"first_faults": tally.faults[:5]} if tally.faults else {}),
    }


async def _watch(client: HttpsClient, tally: Tally, goal: int, done: asyncio.Event) -> None:
    first = await client.list(r.PODS, NAMESPACE)
    async for event in client.watch(r.PODS, NAMESPACE, resource_version=first.resource_version):
        if event.type in ("ADDED", "MODIFIED"):
            tally.see(event.object)
        if sum(tally.ends.values()) >= goal:
            done.set()
