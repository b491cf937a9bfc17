"""Which pods use which claims.

Source: kubernetes.io "Ephemeral Volumes", section "PersistentVolumeClaim naming"; "Persistent Volumes",
section "Storage Object in Use Protection".
"""

from __future__ import annotations

from collections.abc import Iterator

from podium.api.types import Obj
from podium.api.types.meta import controller_of, deleting

BY_CLAIM = "claims"


def ephemeral_claim(pod: Obj, volume: Obj) -> str:
    """The name of the claim that is made for an ephemeral volume."""
    return f"{pod['metadata']['name']}-{volume['name']}"


def claims_of(pod: Obj) -> Iterator[tuple[str, bool]]:
    """(name of the claim, whether it is made for this pod) for every volume that is one."""
    for volume in pod["spec"].get("volumes") or ():
        if (source := volume.get("persistentVolumeClaim")) is not None:
            yield source.get("claimName", ""), False
        elif volume.get("ephemeral") is not None:
            yield ephemeral_claim(pod, volume), True


def by_claim(pod: Obj) -> list[str]:
    """The indexer BY_CLAIM: `namespace/name` of each claim that the pod uses."""
    return [f"{pod['metadata'].get('namespace', '')}/{name}" for name, _ in claims_of(pod)]


def is_of_pod(claim: Obj, pod: Obj) -> bool:
    """Whether the claim was made for the pod's ephemeral volume, and not by somebody for something else."""
    owner = controller_of(claim)
    return owner is not None and owner.get("uid") == pod["metadata"]["uid"]


def keeps(pod: Obj, claim: Obj) -> bool:
    """Whether the pod's use of the claim forbids its deletion. A pod on no node never gets to start with a
    claim that is being deleted. Of a pod that was let go (grace 0) the volumes are unmounted or given up."""
    if not pod["spec"].get("nodeName"):
        return False
    meta = pod["metadata"]
    let_go = deleting(pod) and meta.get("deletionGracePeriodSeconds") == 0
    return any(
        name == claim["metadata"]["name"] and (not own or (not let_go and is_of_pod(claim, pod)))
        for name, own in claims_of(pod)
    )
