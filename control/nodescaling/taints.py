"""The taints of nodes that are to go: soft while they are only unneeded, hard once they are being
emptied."""

from __future__ import annotations

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.resources import NODES
from podium.client.base import Client

DELETED = "ToBeDeletedByClusterAutoscaler"
CANDIDATE = "DeletionCandidateOfClusterAutoscaler"
_EFFECTS = {DELETED: "NoSchedule", CANDIDATE: "PreferNoSchedule"}
ATTEMPTS = 5


def has(node: Obj, key: str) -> bool:
    return any(taint["key"] == key for taint in (node.get("spec") or {}).get("taints") or ())


async def put(client: Client, name: str, key: str, now: float) -> None:
    """`now`, in seconds since the epoch, is the taint's value. Raises StatusError, ConnectionError."""
    taint = {"key": key, "value": str(int(now)), "effect": _EFFECTS[key]}
    await _change(client, name, key, taint)


async def drop(client: Client, name: str, key: str) -> None:
    """Raises StatusError, ConnectionError."""
    await _change(client, name, key, None)


async def _change(client: Client, name: str, key: str, taint: Obj | None) -> None:
    """Taints are a list without keys for patches: replaced as a whole, on top of what is there."""
    for left in reversed(range(ATTEMPTS)):
        try:
            node = await client.get(NODES, name)
            taints = (node.get("spec") or {}).get("taints") or []
            if any(each["key"] == key for each in taints) == (taint is not None):
                return
            wanted = [each for each in taints if each["key"] != key] + ([taint] if taint else [])
            await client.update(NODES, {**node, "spec": {**(node.get("spec") or {}), "taints": wanted}})
            return
        except StatusError as error:
            if error.code == 404:
                return
            if error.code != 409 or not left:
                raise
