"""The AdmissionReview that a webhook is sent. Pure."""

from __future__ import annotations

from podium.api.admission.request import AdmissionRequest
from podium.api.types import Obj
from podium.api.types.resources import Resource

OPTIONS = {
    "CREATE": ("meta.k8s.io/v1", "CreateOptions"),
    "UPDATE": ("meta.k8s.io/v1", "UpdateOptions"),
    "DELETE": ("meta.k8s.io/v1", "DeleteOptions"),
}


def review(
    request: AdmissionRequest, as_: Resource, uid: str, version: str, obj: Obj | None, old: Obj | None
) -> Obj:
    """`obj` and `old` in the version of the resource `as_`, as which the webhook wants to see the request."""
    return {
        "kind": "AdmissionReview",
        "apiVersion": f"admission.k8s.io/{version}",
        "request": {"uid": uid, **described(request, as_), "object": obj, "oldObject": old},
    }


def described(request: AdmissionRequest, as_: Resource) -> Obj:
    """What is said of a request besides its objects; CEL knows it as `request`, too."""
    own = request.resource
    found: Obj = {"kind": _kind(as_, request), "resource": _resource(as_)}
    if request.subresource:
        found["subResource"] = request.subresource
    found |= {"requestKind": _kind(own, request), "requestResource": _resource(own)}
    if request.subresource:
        found["requestSubResource"] = request.subresource
    if request.name:
        found["name"] = request.name
    if request.namespace:
        found["namespace"] = request.namespace
    return found | {
        "operation": request.operation,
        "userInfo": request.user.info() if request.user else {},
        "dryRun": request.dry_run,
        "options": _options(request),
    }


def _kind(resource: Resource, request: AdmissionRequest) -> Obj:
    if (shown := request.stand_in) is not None:
        group, _, version = shown["apiVersion"].rpartition("/")
        return {"group": group, "version": version, "kind": shown["kind"]}
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _resource(resource: Resource) -> Obj:
    return {"group": resource.group, "version": resource.version, "resource": resource.plural}


def _options(request: AdmissionRequest) -> Obj | None:
    if request.operation not in OPTIONS:
        return None
    version, kind = OPTIONS[request.operation]
    found: Obj = {"kind": kind, "apiVersion": version, **request.options}
    if request.dry_run:
        found["dryRun"] = ["All"]
    return found
