"""What is told of a node in events, when its status changes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from podium.api.types import Obj


class News(NamedTuple):
    type: str
    reason: str
    message: str


_OF = {
    ("MemoryPressure", "True"): "NodeHasInsufficientMemory",
    ("MemoryPressure", "False"): "NodeHasSufficientMemory",
    ("DiskPressure", "True"): "NodeHasDiskPressure",
    ("DiskPressure", "False"): "NodeHasNoDiskPressure",
    ("PIDPressure", "True"): "NodeHasInsufficientPID",
    ("PIDPressure", "False"): "NodeHasSufficientPID",
    ("Ready", "True"): "NodeReady",
    ("Ready", "False"): "NodeNotReady",
}


def of_conditions(name: str, old: Sequence[Obj], new: Sequence[Obj]) -> Iterator[News]:
    """A node that was never Ready before says nothing of that."""
    before = {each["type"]: each["status"] for each in old}
    for each in new:
        kind, status = each["type"], each["status"]
        if before.get(kind) == status or (kind == "Ready" and kind not in before):
            continue
        if reason := _OF.get((kind, status)):
            yield _status(name, reason)


def of_reboot(name: str, old: Obj | None, boot_id: str) -> Iterator[News]:
    """`old` is the nodeInfo that the API server had."""
    before = (old or {}).get("bootID")
    if before and before != boot_id:
        yield News("Warning", "Rebooted", f"Node {name} has been rebooted, boot id: {boot_id}")


def of_cordon(name: str, old: Obj, new: Obj) -> Iterator[News]:
    before, after = (bool(node["spec"].get("unschedulable")) for node in (old, new))
    if before != after:
        yield _status(name, "NodeNotSchedulable" if after else "NodeSchedulable")


def _status(name: str, reason: str) -> News:
    return News("Normal", reason, f"Node {name} status is now: {reason}")
