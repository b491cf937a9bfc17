"""CertificateApproval and CertificateSigning: who may approve or sign requests may do so for each signer that
he is allowed to.

Source: docs, "Certificates and Certificate Signing Requests", authorization."""

from __future__ import annotations

from podium.api.admission.request import AdmissionRequest, Cluster
from podium.api.auth.actions import Action
from podium.api.auth.authorizer import Authorizer
from podium.api.auth.users import User
from podium.api.types import Obj
from podium.api.types.resources import CERTIFICATE_SIGNING_REQUESTS as REQUESTS


class CertificateApproval:
    name = "CertificateApproval"

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    async def mutate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        """What counts is what is going to be stored."""

    async def validate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        if (request.operation, request.resource, request.subresource) != ("UPDATE", REQUESTS, "approval"):
            return
        signer = (request.old or {})["spec"]["signerName"]
        if not await _may(self._authorizer, request, "approve", signer):
            raise request.refuse(f'user not permitted to approve requests with signerName "{signer}"')


class CertificateSigning:
    name = "CertificateSigning"

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    async def mutate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        """What counts is what is going to be stored."""

    async def validate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        if (request.operation, request.resource, request.subresource) != ("UPDATE", REQUESTS, "status"):
            return
        old, new = request.old or {}, request.obj or {}
        signer = old["spec"]["signerName"]
        if _signed(old) != _signed(new) and not await _may(self._authorizer, request, "sign", signer):
            raise request.refuse(f'user not permitted to sign requests with signerName "{signer}"')


def _signed(obj: Obj) -> tuple[object, object]:
    status = obj.get("status") or {}
    return status.get("certificate"), status.get("conditions") or []


async def _may(authorizer: Authorizer, request: AdmissionRequest, verb: str, signer: str) -> bool:
    """For that signer, or for all of its domain."""
    user = request.user
    if not isinstance(user, User):
        return True
    for name in (signer, f"{signer.partition('/')[0]}/*"):
        if await authorizer.allowed(user, Action(verb, REQUESTS.group, "signers", name=name)):
            return True
    return False
