"""NamespaceLifecycle: nothing is made in a namespace that is not there or on its way out; three of them stay
for ever."""

from __future__ import annotations

from podium.api.admission.request import AdmissionRequest, Cluster
from podium.api.types.errors import not_found
from podium.api.types.resources import LOCAL_SUBJECT_ACCESS_REVIEWS, NAMESPACES

IMMORTAL = frozenset({"default", "kube-system", "kube-public"})


class NamespaceLifecycle:
    name = "NamespaceLifecycle"

    async def mutate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        if request.resource is NAMESPACES:
            if request.operation == "DELETE" and request.name in IMMORTAL:
                raise request.refuse("this namespace may not be deleted")
            return
        if (
            not request.namespace
            or request.operation != "CREATE"
            or request.resource is LOCAL_SUBJECT_ACCESS_REVIEWS
        ):
            return
        namespace = cluster.lookup(NAMESPACES, "", request.namespace)
        if namespace is None:
            raise not_found("namespaces", request.namespace)
        if (namespace.get("status") or {}).get("phase") == "Terminating":
            raise _terminating(request)

    async def validate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        """Nothing that `mutate` has not seen."""


def _terminating(request: AdmissionRequest) -> Exception:
    name = request.namespace
    error = request.refuse(f"unable to create new content in namespace {name} because it is being terminated")
    cause = {
        "reason": "NamespaceTerminating",
        "message": f"namespace {name} is being terminated",
        "field": "metadata.namespace",
    }
    error.details = {**(error.details or {}), "causes": [cause]}
    return error
