"""CertificateRequestor: a signing request says who made it, in the server's words."""

from __future__ import annotations

from podium.api.admission.request import AdmissionRequest, Cluster
from podium.api.types.resources import CERTIFICATE_SIGNING_REQUESTS

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
