"""Whom the tokens of a pod's service account are for: what its volumes name, and the drivers of its claims.
Pure but for the store's memory.

Source: docs, "Admission Control", NodeRestriction; API reference, CSIDriver tokenRequests."""

from __future__ import annotations

from collections.abc import Iterator

from podium.api.admission.request import Cluster
from podium.api.types import Obj
from podium.api.types.resources import CSI_DRIVERS, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES


def named_by(pod: Obj, cluster: Cluster) -> Iterator[str]:
    """ "" stands for the API server."""
    for volume in pod["spec"].get("volumes") or ():
        for source in (volume.get("projected") or {}).get("sources") or ():
            if (token := source.get("serviceAccountToken")) is not None:
                yield token.get("audience") or ""
        if driver := _driver(pod["metadata"], volume, cluster):
            found = cluster.lookup(CSI_DRIVERS, "", driver) or {"spec": {}}
            for wanted in found["spec"].get("tokenRequests") or ():
                yield wanted.get("audience") or ""


def _driver(meta: Obj, volume: Obj, cluster: Cluster) -> str:
    if volume.get("csi"):
        return str(volume["csi"].get("driver") or "")
    name = (volume.get("persistentVolumeClaim") or {}).get("claimName", "")
    if volume.get("ephemeral"):
        name = f"{meta['name']}-{volume['name']}"
    claim = cluster.lookup(PERSISTENT_VOLUME_CLAIMS, meta["namespace"], name) if name else None
    bound = ((claim or {}).get("spec") or {}).get("volumeName")
    found = cluster.lookup(PERSISTENT_VOLUMES, "", bound) if bound else None
    return str((((found or {}).get("spec") or {}).get("csi") or {}).get("driver") or "")
