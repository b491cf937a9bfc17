"""Signs what is approved, for the signers that are the cluster's own."""

from __future__ import annotations

import base64

from podium.api.types import Obj
from podium.api.types.resources import CERTIFICATE_SIGNING_REQUESTS
from podium.control.certificates import requests, signing
from podium.control.certificates.signing import Authority
from podium.control.controller import Context, Controller, own_key

SIGNERS = (requests.CLIENT, requests.NODE_CLIENT, requests.NODE_SERVING)


class CertificateSigner(Controller):
    name = "certificatesigningrequest-signing-controller"

    def __init__(self, context: Context, authority: Authority) -> None:
        super().__init__(context)
        self._authority = authority
        self.requests = self.watch(CERTIFICATE_SIGNING_REQUESTS, own_key)

    async def reconcile(self, key: str) -> None:
        csr = self.requests.get(key)
        if csr is None or csr["spec"]["signerName"] not in SIGNERS or not _to_sign(csr):
            return
        await self.client.update(CERTIFICATE_SIGNING_REQUESTS, self._answered(csr), subresource="status")

    def _answered(self, csr: Obj) -> Obj:
        """With its certificate, or with why there is none."""
        spec, status = csr["spec"], csr.get("status") or {}
        request = requests.parse(csr)
        if refusal := requests.refusal(csr, request):
            failed = {
                "type": "Failed",
                "status": "True",
                "reason": "SignerValidationFailure",
                "message": refusal,
            }
            return {**csr, "status": {**status, "conditions": [*requests.conditions(csr), failed]}}
        life = signing.lifetime(spec.get("expirationSeconds"))
        made = signing.sign(self._authority, request, spec["usages"], life, self.context.now())
        return {**csr, "status": {**status, "certificate": base64.b64encode(made).decode()}}


def _to_sign(csr: Obj) -> bool:
    undecided = not requests.has(csr, "Approved") or requests.has(csr, "Denied")
    return not undecided and not requests.has(csr, "Failed") and not requests.issued(csr)
