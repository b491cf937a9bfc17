"""An IPAddress for every cluster IP, which says what Service has it. It only records: the server gives the
addresses away by what the Services hold."""

from __future__ import annotations

from collections.abc import Iterable

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import deleting, namespace_of
from podium.api.types.resources import IP_ADDRESSES, SERVICES
from podium.control.controller import Context, Controller, own_key

MANAGED_BY, MANAGER = "ipaddress.kubernetes.io/managed-by", "ipallocator.k8s.io"
FAMILY = "ipaddress.kubernetes.io/ip-family"
BY_ADDRESS = "address"


def addresses_of(service: Obj) -> Iterable[str]:
    """The indexer BY_ADDRESS of Services."""
    return [address for address in service["spec"].get("clusterIPs") or () if address != "None"]


def record(address: str, service: Obj) -> Obj:
    """The IPAddress of one cluster IP. Pure."""
    family = "IPv6" if ":" in address else "IPv4"
    parent = {
        "group": "",
        "resource": "services",
        "namespace": namespace_of(service),
        "name": service["metadata"]["name"],
    }
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IPAddress",
        "metadata": {"name": address, "labels": {FAMILY: family, MANAGED_BY: MANAGER}},
        "spec": {"parentRef": parent},
    }


class AddressRecords(Controller):
    """Keys are addresses."""

    name = "service-address-recorder"
    workers = 2

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.services = self.watch(SERVICES, self._service_changed, {BY_ADDRESS: addresses_of})
        self.records = self.watch(IP_ADDRESSES, own_key)

    def _service_changed(self, old: Obj | None, new: Obj | None) -> Iterable[str]:
        before, after = (set(addresses_of(one)) if one is not None else set() for one in (old, new))
        return before ^ after

    async def reconcile(self, key: str) -> None:
        holder = next(iter(self.services.by_index(BY_ADDRESS, key)), None)
        found = self.records.get(key)
        if found is not None and (found["metadata"].get("labels") or {}).get(MANAGED_BY) != MANAGER:
            return
        wanted = record(key, holder) if holder is not None else None
        if found is not None and not deleting(found) and (wanted is None or not _says(found, wanted)):
            await self._delete(found)
        elif found is None and wanted is not None:
            await self.client.create(IP_ADDRESSES, wanted)

    async def _delete(self, found: Obj) -> None:
        """What it says of its Service cannot be changed; its going brings the key back."""
        meta = found["metadata"]
        try:
            await self.client.delete(IP_ADDRESSES, meta["name"], uid=meta["uid"])
        except StatusError as error:
            if error.code not in (404, 409):
                raise


def _says(found: Obj, wanted: Obj) -> bool:
    parent, other = found["spec"].get("parentRef") or {}, wanted["spec"]["parentRef"]
    return all(parent.get(key, "") == value for key, value in other.items())
