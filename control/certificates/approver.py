"""Approves what nobody needs to look at."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from podium.api.types import Obj
from podium.api.types.resources import CERTIFICATE_SIGNING_REQUESTS, NODES, SUBJECT_ACCESS_REVIEWS
from podium.control.certificates import approval, requests
from podium.control.controller import Context, Controller, own_key

log = logging.getLogger(__name__)


class CertificateApprover(Controller):
    name = "certificatesigningrequest-approving-controller"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.requests = self.watch(CERTIFICATE_SIGNING_REQUESTS, own_key)
        self.nodes = self.watch(NODES, self._node_changed)

    def _node_changed(self, old: Obj | None, new: Obj | None) -> Iterable[str]:
        """A node may ask before its addresses are known here."""
        if new is None or (old is not None and _addresses(old) == _addresses(new)):
            return ()
        user = f"{requests.NODE_USER}{new['metadata']['name']}"
        return [
            csr["metadata"]["name"]
            for csr in self.requests.list()
            if csr["spec"].get("username") == user and not requests.decided(csr)
        ]

    async def reconcile(self, key: str) -> None:
        csr = self.requests.get(key)
        if csr is None or requests.issued(csr) or requests.decided(csr):
            return
        message = await self._message(csr)
        if message:
            await self.client.update(
                CERTIFICATE_SIGNING_REQUESTS, approval.approved(csr, message), subresource="approval"
            )

    async def _message(self, csr: Obj) -> str:
        """Why it is approved; "" when it is not, or not yet."""
        request = requests.parse(csr)
        claims = approval.claims(csr, request)
        for claim in claims:
            answer = await self.client.create(SUBJECT_ACCESS_REVIEWS, approval.review(csr, claim))
            if (answer.get("status") or {}).get("allowed"):
                return claim.message
        if claims:
            log.info("%s asks for a node's certificate and may not", csr["spec"].get("username"))
        name = approval.serving_node(csr, request)
        node = self.nodes.get(name) if name else None
        return approval.SERVING_MESSAGE if node is not None and approval.serves(node, request) else ""


def _addresses(node: Obj) -> object:
    return (node.get("status") or {}).get("addresses")
