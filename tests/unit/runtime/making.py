"""Pods, attempts and the like for tests, with what they do not care about filled in."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from podium.api.types import Obj
from podium.runtime.images import Image
from podium.runtime.pods import rules
from podium.runtime.pods.model import Attempt, Observed

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

IMAGE = Image(
    name="docker.io/library/busybox:latest",
    id="sha256:1",
    digests=(),
    snapshot="sha256:2",
    entrypoint=(),
    command=("sh",),
    env=("PATH=/bin",),
    working_dir="",
    user="",
    stop_signal="",
    volumes=(),
    size=1,
)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def container(name: str = "c", **more: Any) -> Obj:
    return {"name": name, "image": "busybox", "imagePullPolicy": "IfNotPresent", **more}


def pod(*containers: Obj, name: str = "p", meta: Obj | None = None, **spec: Any) -> Obj:
    metadata = {"name": name, "namespace": "default", "uid": f"uid-{name}", "generation": 1, **(meta or {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": list(containers) or [container()], **spec},
        "status": {},
    }


def attempt(of: Obj, number: int = 0, **more: Any) -> Attempt:
    """An attempt that was made just now."""
    made = Attempt(
        id=f"{of['name']}-{number}",
        name=of["name"],
        number=number,
        created_at=NOW,
        sandbox="s",
        spec_hash=rules.spec_hash(of),
        image="docker.io/library/busybox:latest",
        image_id="sha256:1",
    )
    return replace(made, **more)


def running(of: Obj, number: int = 0, **more: Any) -> Attempt:
    return attempt(of, number, **more).running(42, NOW)


def ended(of: Obj, code: int, number: int = 0, *, at: datetime = NOW, **more: Any) -> Attempt:
    return running(of, number, **more).exited(code, at, "Completed" if code == 0 else "Error")


def observed(*attempts: Attempt, **more: Any) -> Observed:
    """A pod that is set up, with every image here."""
    made = Observed(sandbox="s", ips=("10.42.0.5",), volumes=True, **more)
    for each in attempts:
        made.put(each)
    return made


def with_images(known: Observed, *names: str) -> Observed:
    known.images.update(dict.fromkeys(names, IMAGE))
    return known
