"""What happens to a namespace's pods, seen through a watch, for tests that strike at a certain moment."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from tests.conformance.kubectl import Kubectl
from tests.conformance.objects import Obj

ORDER = {"Pending": 0, "Running": 1, "Succeeded": 2, "Failed": 2}


class Progress:
    """Counts what the watch tells, and notes what must never be told."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self._changes = 0
        self._last: dict[str, tuple[int, dict[str, int]]] = {}
        self._told = threading.Condition()

    def hear(self, pod: Obj) -> None:
        """Phases never go backwards, and no restart is forgotten."""
        uid, status = pod["metadata"]["uid"], pod.get("status", {})
        phase = ORDER[status.get("phase", "Pending")]
        restarts = {each["name"]: each["restartCount"] for each in status.get("containerStatuses", ())}
        before, counted = self._last.get(uid, (0, {}))
        if phase < before:
            self.wrong.append(f"{pod['metadata']['name']} went back to {status['phase']}")
        for name, count in counted.items():
            if restarts.get(name, count) < count:
                self.wrong.append(f"{pod['metadata']['name']}/{name} had {count} restarts: {status}")
        self._last[uid] = (max(phase, before), counted | restarts)
        with self._told:
            self._changes += 1
            self._told.notify_all()

    def after(self, changes: int, timeout: float = 20) -> None:
        """Returns when that many more changes were told, or none comes any more."""
        deadline = time.monotonic() + timeout
        with self._told:
            goal = self._changes + changes
            while self._changes < goal and self._told.wait(min(2, deadline - time.monotonic())):
                pass


@contextmanager
def following(kubectl: Kubectl) -> Iterator[Progress]:
    """The namespace's pods from now on."""
    progress = Progress()

    def follow(stream: IO[str]) -> None:
        decoder, text = json.JSONDecoder(), ""
        for line in stream:
            text += line
            if line == "}\n":
                progress.hear(decoder.decode(text))
                text = ""

    with kubectl.background("get", "pods", "--watch", "-o", "json") as process:
        assert process.stdout
        reader = threading.Thread(target=follow, args=(process.stdout,), daemon=True)
        reader.start()
        yield progress
    reader.join(10)
