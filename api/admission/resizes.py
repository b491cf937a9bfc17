"""PodResizeValidator: a pod cannot be resized beyond what its node has."""

from __future__ import annotations

from podium.api.admission.request import AdmissionRequest, Cluster
from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.requests import amounts, pod_requests
from podium.api.types.resources import NODES, PODS

_OS = "kubernetes.io/os"


class PodResizeValidator:
    name = "PodResizeValidator"

    async def mutate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        """A resize is taken or refused as it is."""

    async def validate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        if request.resource is not PODS or request.subresource != "resize" or request.operation != "UPDATE":
            return
        pod, old = request.obj, request.old
        node_name = pod["spec"].get("nodeName") if pod is not None else None
        if pod is None or old is None or not node_name or pod["spec"] == old["spec"]:
            return
        node = cluster.lookup(NODES, "", node_name)
        if node is None:
            raise request.refuse(f'node "{node_name}" not found')
        system = (node["metadata"].get("labels") or {}).get(_OS, "linux")
        if system != "linux":
            text = f'pod resize is only supported on linux nodes, node "{node_name}" is "{system}"'
            raise _because(request, text, "UnsupportedPlatform")
        if lacking := _lacking(pod, node):
            text = f"node didn't have enough allocatable resources: {'; '.join(lacking)}"
            raise _because(request, text, "NodeCapacity")


def _lacking(pod: Obj, node: Obj) -> list[str]:
    room = amounts((node.get("status") or {}).get("allocatable"))
    wanted = pod_requests(pod["spec"])
    return [
        f"{name}, requested: {wanted[name]}, allocatable: {room.get(name, 0)}"
        for name in ("cpu", "memory")
        if wanted.get(name, 0) > room.get(name, 0)
    ]


def _because(request: AdmissionRequest, text: str, reason: str) -> StatusError:
    error = request.refuse(text)
    error.details = {**(error.details or {}), "causes": [{"reason": reason}]}
    return error
