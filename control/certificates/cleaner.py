"""Forgets requests that have served."""

from __future__ import annotations

from podium.api.types.errors import StatusError
from podium.api.types.resources import CERTIFICATE_SIGNING_REQUESTS
from podium.control.certificates import expiry
from podium.control.controller import Context, Controller, own_key

# A timer may be early by the resolution of what is written in objects.
LATE = 1.0


class CertificateCleaner(Controller):
    name = "certificatesigningrequest-cleaner-controller"
    workers = 1

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.requests = self.watch(CERTIFICATE_SIGNING_REQUESTS, own_key)

    async def reconcile(self, key: str) -> None:
        csr = self.requests.get(key)
        end = expiry.forgotten_at(csr) if csr is not None else None
        if csr is None or end is None:
            return
        left = (end - self.context.now()).total_seconds()
        if left >= 0:
            self.queue.add_after(key, left + LATE)
            return
        try:
            await self.client.delete(CERTIFICATE_SIGNING_REQUESTS, key, uid=csr["metadata"]["uid"])
        except StatusError as error:
            if error.code not in (404, 409):
                raise
