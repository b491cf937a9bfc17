"""CertificateRequestor: a signing request says who made it, in the server's words.
CertificateSubjectRestriction: nobody gets a client's certificate for the group that may do everything."""

from __future__ import annotations

import base64

from cryptography import x509

from podium.api.admission.request import AdmissionRequest, Cluster
from podium.api.auth.users import MASTERS
from podium.api.types.resources import CERTIFICATE_SIGNING_REQUESTS

CLIENT = "kubernetes.io/kube-apiserver-client"
_FIELDS = ("username", "uid", "groups", "extra")


class CertificateRequestor:
    name = "CertificateRequestor"

    async def mutate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        obj = request.creates(CERTIFICATE_SIGNING_REQUESTS)
        if obj is None or request.user is None:
            return
        spec = {key: value for key, value in (obj.get("spec") or {}).items() if key not in _FIELDS}
        obj["spec"] = {**spec, **request.user.info()}

    async def validate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        """Whoever may ask may ask."""


class CertificateSubjectRestriction:
    name = "CertificateSubjectRestriction"

    async def mutate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        """What counts is what is going to be stored."""

    async def validate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        csr = request.obj
        if not request.concerns(CERTIFICATE_SIGNING_REQUESTS) or csr is None:
            return
        if csr["spec"].get("signerName") != CLIENT:
            return
        try:
            asked = x509.load_pem_x509_csr(base64.b64decode(csr["spec"].get("request") or ""))
        except ValueError as error:
            raise request.refuse(f"failed to parse CSR: {error}") from None
        groups = asked.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)
        if any(group.value == MASTERS for group in groups):
            raise request.refuse(f"use of {CLIENT} signer with {MASTERS} group is not allowed")
