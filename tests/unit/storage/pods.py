"""Pods, ConfigMaps and Secrets to mount, and a way to wait for a file."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Any

from podium.api.types import Obj

from ..frozen import freeze

UID = "11111111-2222-3333-4444-555555555555"


def pod(*volumes: dict[str, Any], containers: list[dict[str, Any]] | None = None, **spec: Any) -> Obj:
    found: Obj = freeze(
        {
            "metadata": {
                "name": "p",
                "namespace": "ns",
                "uid": UID,
                "labels": {"b": "2", "a": "1"},
                "annotations": {"note": 'say "hi"\nthere'},
            },
            "spec": {
                "volumes": list(volumes),
                "containers": containers or [{"name": "c", "image": "i"}],
                "serviceAccountName": "robot",
                **spec,
            },
        }
    )
    return found


def config_map(name: str, namespace: str = "ns", **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace}, "data": data}


def secret(name: str, **data: str) -> dict[str, Any]:
    encoded = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
    return {"metadata": {"name": name, "namespace": "ns"}, "data": encoded}


async def until(condition: Callable[[], bool]) -> None:
    """Lets the loop and its threads work until the condition holds."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.to_thread(int)
