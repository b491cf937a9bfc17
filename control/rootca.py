"""The cluster's CA certificate in every namespace, as the ConfigMap that pods trust the API server by."""

from __future__ import annotations

from collections.abc import Iterable

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import deleting, namespace_of
from podium.api.types.resources import CONFIG_MAPS, NAMESPACES
from podium.control.controller import Context, Controller, namespace_ends, own_key

NAME = "kube-root-ca.crt"
KEY = "ca.crt"
DESCRIPTION = "The CA certificate by which pods of this namespace verify the API server."


class RootCaPublisher(Controller):
    """`ca` is the certificate (or bundle) in PEM."""

    name = "root-ca-certificate-publisher"
    workers = 2

    def __init__(self, context: Context, ca: str) -> None:
        super().__init__(context)
        self._ca = ca
        self.namespaces = self.watch(NAMESPACES, own_key)
        self.config_maps = self.watch(CONFIG_MAPS, self._changed, fields=f"metadata.name={NAME}")

    def _changed(self, old: Obj | None, new: Obj | None) -> Iterable[str]:
        entry = new or old
        if entry is not None:
            yield namespace_of(entry)

    async def reconcile(self, key: str) -> None:
        namespace = self.namespaces.get(key)
        if namespace is None or deleting(namespace):
            return
        current = self.config_maps.get(NAME, key)
        data = {KEY: self._ca}
        try:
            if current is None:
                await self.client.create(CONFIG_MAPS, self._new(key, data))
            elif current.get("data") != data:
                await self.client.update(CONFIG_MAPS, {**current, "data": data})
        except StatusError as error:
            # Made meanwhile, or the namespace has gone or goes: the next event tells.
            if error.code != 404 and error.reason != "AlreadyExists" and not namespace_ends(error):
                raise

    @staticmethod
    def _new(namespace: str, data: dict[str, str]) -> Obj:
        annotations = {"kubernetes.io/description": DESCRIPTION}
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": NAME, "namespace": namespace, "annotations": annotations},
            "data": data,
        }
