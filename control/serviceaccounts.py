"""A ServiceAccount `default` in every namespace, for the pods that name none."""

from __future__ import annotations

from collections.abc import Iterable

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import deleting, namespace_of
from podium.api.types.resources import NAMESPACES, SERVICE_ACCOUNTS
from podium.control.controller import Context, Controller, namespace_ends, own_key

DEFAULT = "default"


class ServiceAccountController(Controller):
    name = "serviceaccount-controller"
    workers = 2

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.namespaces = self.watch(NAMESPACES, own_key)
        self.accounts = self.watch(SERVICE_ACCOUNTS, self._account_changed, fields=f"metadata.name={DEFAULT}")

    def _account_changed(self, old: Obj | None, new: Obj | None) -> Iterable[str]:
        if new is None and old is not None:
            yield namespace_of(old)

    async def reconcile(self, key: str) -> None:
        namespace = self.namespaces.get(key)
        if namespace is None or deleting(namespace) or self.accounts.get(DEFAULT, key) is not None:
            return
        account = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": DEFAULT, "namespace": key},
        }
        try:
            await self.client.create(SERVICE_ACCOUNTS, account)
        except StatusError as error:
            # Made meanwhile, or the namespace has gone or goes: the next event tells.
            if error.code != 404 and error.reason != "AlreadyExists" and not namespace_ends(error):
                raise
