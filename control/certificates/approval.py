"""Which requests are approved without anybody being asked: a node's own, after a SubjectAccessReview, and its
serving certificate for the addresses that its Node has. Pure."""

from __future__ import annotations

from typing import NamedTuple

from cryptography import x509

from podium.api.types import Obj
from podium.control.certificates.requests import (
    NODE_CLIENT,
    NODE_SERVING,
    NODE_USER,
    alternative_names,
    common_name,
    node_client_refusal,
    node_serving_refusal,
)

REASON = "AutoApproved"
SERVING_MESSAGE = "Auto approving kubelet serving certificate for the addresses of its Node."


class Claim(NamedTuple):
    """What the requester would have to be allowed to create (a subresource of signing requests), and what is
    said when he is."""

    subresource: str
    message: str


_RENEWAL = Claim(
    "selfnodeclient", "Auto approving self kubelet client certificate after SubjectAccessReview."
)
_FIRST = Claim("nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview.")


def claims(csr: Obj, request: x509.CertificateSigningRequest) -> list[Claim]:
    """Each is enough; none for a request that is no node's."""
    spec = csr["spec"]
    if spec["signerName"] != NODE_CLIENT or node_client_refusal(request, spec.get("usages") or ()):
        return []
    own = spec.get("username") == common_name(request)
    return [_RENEWAL, _FIRST] if own else [_FIRST]


def review(csr: Obj, claim: Claim) -> Obj:
    """The SubjectAccessReview of a claim."""
    spec = csr["spec"]
    attributes = {
        "group": "certificates.k8s.io",
        "resource": "certificatesigningrequests",
        "verb": "create",
        "subresource": claim.subresource,
        "version": "*",
    }
    who = {"user": spec.get("username", ""), "uid": spec.get("uid", ""), "groups": spec.get("groups") or []}
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {**who, "extra": spec.get("extra") or {}, "resourceAttributes": attributes},
    }


def serving_node(csr: Obj, request: x509.CertificateSigningRequest) -> str:
    """The node that asks for a serving certificate of its own; "" for any other request."""
    spec, name = csr["spec"], common_name(request)
    if spec["signerName"] != NODE_SERVING or spec.get("username") != name:
        return ""
    refused = node_serving_refusal(request, spec.get("usages") or ())
    return "" if refused else name.removeprefix(NODE_USER)


def serves(node: Obj, request: x509.CertificateSigningRequest) -> bool:
    """Whether every name asked for is one of the Node's."""
    addresses = (node.get("status") or {}).get("addresses") or ()
    known = {node["metadata"]["name"], *(entry["address"] for entry in addresses)}
    names = alternative_names(request)
    return {*names.dns, *names.ips} <= known


def approved(csr: Obj, message: str) -> Obj:
    """The request with the approval added."""
    status = csr.get("status") or {}
    condition = {"type": "Approved", "status": "True", "reason": REASON, "message": message}
    return {**csr, "status": {**status, "conditions": [*(status.get("conditions") or ()), condition]}}
