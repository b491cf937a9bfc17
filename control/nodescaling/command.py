"""The provider that is a user's program, for clouds and machine rooms. Its protocol is described in
docs/node-autoscaler.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from podium.control.nodescaling.commands import run
from podium.control.nodescaling.provider import Group, ProviderError, Template

ASKING, DOING = 60.0, 900.0  # seconds


class CommandProvider:
    """Runs `command` once per question."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)

    async def groups(self) -> Sequence[Group]:
        answer = await self._ask("list", ASKING)
        try:
            return [_group(entry) for entry in answer["groups"]]
        except (KeyError, TypeError, ValueError) as error:
            raise ProviderError(f"{self._command[0]} list: bad answer: {error!r}") from None

    async def template(self, group: str) -> Template | None:
        answer = await self._ask("template", ASKING, group=group)
        if not answer:
            return None
        allocatable = answer.get("allocatable") or answer.get("capacity")
        if not isinstance(allocatable, dict):
            raise ProviderError(f"{self._command[0]} template: neither capacity nor allocatable")
        amounts = {str(key): str(value) for key, value in allocatable.items()}
        return Template(answer.get("labels") or {}, answer.get("taints") or [], amounts)

    async def add(self, group: str, count: int) -> Sequence[str]:
        answer = await self._ask("add", DOING, group=group, count=count)
        return [str(name) for name in answer.get("nodes") or ()]

    async def remove(self, group: str, node: str) -> None:
        await self._ask("remove", DOING, group=group, node=node)

    async def _ask(self, verb: str, limit: float, **arguments: Any) -> Any:
        return await run([*self._command, verb], {"verb": verb, **arguments}, limit)


def _group(entry: Any) -> Group:
    least, most = int(entry.get("min", 0)), int(entry["max"])
    if not 0 <= least <= most:
        raise ValueError(f"min {least}, max {most}")
    return Group(str(entry["name"]), least, most, tuple(str(name) for name in entry.get("nodes") or ()))
