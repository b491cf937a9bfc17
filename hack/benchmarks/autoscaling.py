"""How soon a horizontal pod autoscaler answers load."""

from __future__ import annotations

import asyncio
import time

from cluster import IMAGE, NAMESPACE

from podium.api.types import Obj
from podium.api.types import resources as r
from podium.client.base import Client

# Seconds that a workload idles first: metrics count once a whole window of them was taken after its start.
IDLE = 60
TIMEOUT = 120


async def reaction(client: Client) -> Obj:
    """Seconds from the moment that a pod begins to take a whole processor until its Deployment is scaled
    up, with the autoscaler's default behaviour."""
    begin = int(time.time()) + IDLE
    script = f"while [ $(date +%s) -lt {begin} ]; do sleep 0.1; done; while :; do :; done"
    await client.create(r.DEPLOYMENTS, _deployment(script))
    await client.create(r.HORIZONTAL_POD_AUTOSCALERS, _autoscaler())
    found = await client.list(r.DEPLOYMENTS, NAMESPACE)
    async with asyncio.timeout(IDLE + TIMEOUT):
        async for event in client.watch(
            r.DEPLOYMENTS, NAMESPACE, resource_version=found.resource_version, bookmarks=False
        ):
            if event.object["spec"]["replicas"] > 1:
                return {"load to rescale, s": round(time.time() - begin, 1)}
    raise ConnectionError("the watch ended")


def _deployment(script: str) -> Obj:
    container = {
        "name": "main",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", script],
        "resources": {"requests": {"cpu": "500m"}},
    }
    labels = {"app": "burn"}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "burn", "namespace": NAMESPACE},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
    }


def _autoscaler() -> Obj:
    target = {"type": "Utilization", "averageUtilization": 50}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "burn", "namespace": NAMESPACE},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "burn"},
            "maxReplicas": 3,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
    }
