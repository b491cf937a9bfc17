"""What the autoscaler says about itself, in the ConfigMap kube-system/cluster-autoscaler-status. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import yaml

from podium.api.types import Obj

NAMESPACE, NAME = "kube-system", "cluster-autoscaler-status"
UPDATED = "cluster-autoscaler.kubernetes.io/last-updated"
REFERENCE: Obj = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": NAME, "namespace": NAMESPACE},
}


class GroupState(NamedTuple):
    name: str
    least: int
    most: int
    ready: int
    unready: int
    coming: int
    target: int
    candidates: int
    backoff: bool

    def document(self) -> Obj:
        growing = "Backoff" if self.backoff else "InProgress" if self.coming else "NoActivity"
        return {
            "name": self.name,
            "health": {
                "status": "Healthy",
                "nodeCounts": _counts(self.ready, self.unready, self.coming),
                "cloudProviderTarget": self.target,
                "minSize": self.least,
                "maxSize": self.most,
            },
            "scaleUp": {"status": growing},
            "scaleDown": _shrinking(self.candidates),
        }


def document(ready: int, unready: int, groups: Sequence[GroupState], problem: str = "") -> Obj:
    """Without times: it changes when something has changed."""
    coming, candidates = sum(group.coming for group in groups), sum(group.candidates for group in groups)
    found: Obj = {
        "autoscalerStatus": "Running",
        "clusterWide": {
            "health": {"status": "Healthy", "nodeCounts": _counts(ready, unready, coming)},
            "scaleUp": {"status": "InProgress" if coming else "NoActivity"},
            "scaleDown": _shrinking(candidates),
        },
        "nodeGroups": [group.document() for group in groups],
    }
    if problem:
        found |= {"autoscalerStatus": "Failing", "message": problem}
    return found


def _counts(ready: int, unready: int, coming: int) -> Obj:
    registered = {"total": ready + unready, "ready": ready, "notReady": unready}
    return {"registered": registered, "unregistered": coming}


def _shrinking(candidates: int) -> Obj:
    if not candidates:
        return {"status": "NoCandidates"}
    return {"status": "CandidatesPresent", "candidates": candidates}


def config_map(shown: Obj, now: str) -> Obj:
    text = yaml.safe_dump({"time": now, **shown}, sort_keys=False)
    meta = {"name": NAME, "namespace": NAMESPACE, "annotations": {UPDATED: now}}
    return {"metadata": meta, "data": {"status": text}}
