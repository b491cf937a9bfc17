"""Lifecycle hooks: postStart and preStop."""

from __future__ import annotations

import asyncio

from podium.api.types import Obj
from podium.runtime.commands import Commands
from podium.runtime.containerd import ContainerdError
from podium.runtime.probes import http
from podium.runtime.probes.checks import Target


class HookError(Exception):
    """A hook failed."""


async def run(hook: Obj, target: Target, commands: Commands) -> None:
    """Returns when the hook has ended, however long it takes. Raises HookError."""
    if "exec" in hook:
        await _exec(hook["exec"].get("command") or [], target, commands)
    elif "httpGet" in hook:
        await _http(hook["httpGet"], target)
    elif "sleep" in hook:
        await asyncio.sleep(float(hook["sleep"]["seconds"]))


async def _exec(command: list[str], target: Target, commands: Commands) -> None:
    try:
        result = await commands.run(target.container_id, command, None)
    except ContainerdError as error:
        raise HookError(str(error)) from error
    if result.code:
        raise HookError(f"command '{' '.join(command)}' exited with {result.code}: {result.output}")


async def _http(action: Obj, target: Target) -> None:
    try:
        url = http.url_of(action, target.container, target.host)
        headers = {**http.headers_of(action), "User-Agent": "kube-lifecycle/1.36"}
        answer = await http.get(url, headers)
    except (OSError, ValueError, http.HttpFailure) as error:
        raise HookError(str(error)) from error
    if answer.status >= 400:
        raise HookError(f"HTTP status {answer.status}")
