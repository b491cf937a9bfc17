"""Watches Services and EndpointSlices and keeps Podium's nftables table up to date.

Changes are collected while a transaction is on its way, so a burst becomes one transaction and a single
change does not wait. A transaction that fails, or a table that somebody removed, is answered by writing the
whole table again, in one transaction: there is no moment without rules, and established connections do not
depend on them.
"""

from __future__ import annotations

import asyncio
import logging

from podium.api.types import Obj
from podium.api.types.meta import key_of
from podium.client.informer import Informer
from podium.netd import conntrack
from podium.netd.config import NetConfig
from podium.netd.hostports import HostPort
from podium.netd.nft import Nft, NftError, names_in
from podium.netd.services import base
from podium.netd.services.health import HealthChecks
from podium.netd.services.plan import SERVICE_NAME, Element, Plan, Planner
from podium.netd.services.table import Table

log = logging.getLogger(__name__)

BY_SERVICE = "service"
ZONE = "topology.kubernetes.io/zone"
RETRY_SECONDS = 2.0
# After so many services others get their turn on the event loop: a millisecond or two.
PLANS_AT_A_TIME = 32


def slices_by_service(slice_: Obj) -> list[str]:
    """The indexer that the EndpointSlice informer needs, under the name BY_SERVICE."""
    meta = slice_["metadata"]
    service = (meta.get("labels") or {}).get(SERVICE_NAME)
    return [f"{meta['namespace']}/{service}"] if service else []


class ServiceProxy:
    """One per node. `run` applies; everything else only notes what has to be done."""

    def __init__(self, config: NetConfig, nft: Nft, services: Informer, slices: Informer) -> None:
        self._config = config
        self._nft = nft
        self._services = services
        self._slices = slices
        self._planner = Planner(config)
        self._table = Table(config)
        self._plans: dict[str, Plan] = {}
        self._dirty: set[str] = set()
        self._host_ports: dict[str, tuple[HostPort, ...]] = {}
        self._nearby: frozenset[str] = frozenset()
        self._health = HealthChecks()
        self._stale_table = True
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._stale_udp = _StaleUdp()
        services.add_handler(self._service_changed)
        slices.add_handler(self._slice_changed)

    async def settled(self) -> None:
        """Waits until the kernel has everything that is known by now; the first time, until all services that
        were there at the start are served."""
        await self._settled.wait()

    def set_host_ports(self, uid: str, ports: tuple[HostPort, ...]) -> None:
        if ports:
            self._host_ports[uid] = ports
        else:
            self._host_ports.pop(uid, None)
        self._mark(f"pod {uid}")

    def set_near(self, addresses: frozenset[str]) -> None:
        """The nodes that share a link with this one: they see pods' own addresses."""
        self._nearby = addresses
        self._mark("nodes near")

    def node_changed(self, old: Obj | None, new: Obj | None) -> None:
        """A handler for Nodes: this node's zone decides which endpoints are near."""
        if new is None or new["metadata"]["name"] != self._config.node_name:
            return
        zone = str((new["metadata"].get("labels") or {}).get(ZONE, ""))
        if zone != self._planner.zone:
            self._planner = Planner(self._config, zone)
            for service in self._services.list():
                self._mark(key_of(service))

    def rewrite(self) -> None:
        """The table can no longer be relied on: somebody else touched it."""
        self._stale_table = True
        self._settled.clear()
        self._wake.set()

    async def install(self) -> None:
        """Writes the table with what is known so far, so that masquerading and refusal work before the API
        server answers. A table that an earlier daemon left is better than that and stays until all services
        are known."""
        if "dispatch" not in (await names_in(self._nft, self._config.table))[0]:
            await self._write_everything()

    async def run(self) -> None:
        """Applies until cancelled."""
        try:
            await self._run()
        finally:
            self._health.close()

    async def _run(self) -> None:
        await self._services.synced()
        await self._slices.synced()
        self._stale_table = True
        self._wake.set()
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._apply()
                if not self._wake.is_set():
                    self._settled.set()
            except (NftError, OSError) as error:
                log.error("cannot write table %s: %s", self._config.table, error)
                self._stale_table = True
                asyncio.get_running_loop().call_later(RETRY_SECONDS, self._wake.set)

    def _service_changed(self, old: Obj | None, new: Obj | None) -> None:
        changed = new or old
        if changed is not None:
            self._mark(key_of(changed))

    def _slice_changed(self, old: Obj | None, new: Obj | None) -> None:
        for changed in (old, new):
            for key in slices_by_service(changed) if changed is not None else ():
                self._mark(key)

    def _mark(self, owner: str) -> None:
        self._dirty.add(owner)
        self._settled.clear()
        self._wake.set()

    def _plan(self, owner: str) -> Plan | None:
        kind, _, uid = owner.partition(" ")
        if kind == "nodes":
            return Plan({Element(base.NEAR, address): "" for address in self._nearby})
        if uid:
            ports = self._host_ports.get(uid)
            return self._planner.host_ports(uid, ports) if ports else None
        namespace, _, name = kind.partition("/")
        service = self._services.get(name, namespace)
        return self._planner.service(service, self._slices.by_index(BY_SERVICE, owner)) if service else None

    async def _replan(self) -> None:
        dirty, self._dirty = self._dirty, set()
        for count, owner in enumerate(dirty, 1):
            if count % PLANS_AT_A_TIME == 0:
                await asyncio.sleep(0)
            plan = self._plan(owner)
            self._stale_udp.note(self._plans.get(owner) or Plan(), plan or Plan())
            if plan is None:
                self._plans.pop(owner, None)
            else:
                self._plans[owner] = plan
            self._table.set(owner, plan)
            self._health.set(owner, plan.health if plan else None)

    async def _apply(self) -> None:
        await self._replan()
        if self._stale_table:
            await self._write_everything()
        else:
            text = self._table.changes()
            if text:
                try:
                    await self._nft.apply(text)
                except NftError as error:
                    log.warning("writing table %s anew: %s", self._config.table, error)
                    await self._write_everything()
        await self._stale_udp.forget()
        await self._health.apply()

    async def _write_everything(self) -> None:
        self._stale_table = False
        chains, sets = await names_in(self._nft, self._config.table)
        try:
            # Only this task changes the table, so the long text may be made in a thread.
            await self._nft.apply(await asyncio.to_thread(self._table.everything, chains, sets))
        except NftError as error:
            # What is there was made by something else under our name, or by an older version of ours.
            log.warning("replacing table %s: %s", self._config.table, error)
            table = f"ip {self._config.table}"
            remove = f"add table {table}\ndelete table {table}\n"
            await self._nft.apply(remove + self._table.everything())


class _StaleUdp:
    """What connection tracking has to forget about once the table is written."""

    def __init__(self) -> None:
        self._servers: set[tuple[str, int]] = set()
        self._targets: set[tuple[str, int]] = set()
        self._ports: set[int] = set()

    def note(self, old: Plan, new: Plan) -> None:
        self._servers |= old.udp - new.udp
        if not new.udp:
            return
        for element in new.elements.keys() - old.elements.keys():
            parts = element.key.split(" . ")
            if element.set == base.SERVICES and parts[1] == "udp":
                self._targets.add((parts[0], int(parts[2])))
            elif element.set == base.NODE_PORTS and parts[0] == "udp":
                self._ports.add(int(parts[1]))

    async def forget(self) -> None:
        servers, targets, ports = self._servers, self._targets, self._ports
        if not (servers or targets or ports):
            return
        self._servers, self._targets, self._ports = set(), set(), set()
        count = await asyncio.to_thread(conntrack.forget_udp, servers, targets, ports)
        if count:
            log.debug("forgot %d UDP flows to endpoints that are gone", count)
