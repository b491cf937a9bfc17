"""Watches NetworkPolicies, and pods and namespaces as soon as there is a policy, and keeps the node's rules
up to date."""

from __future__ import annotations

import asyncio
import logging

from podium.api.types import Obj
from podium.api.types.resources import NAMESPACES, NETWORK_POLICIES, PODS
from podium.client.base import Client
from podium.client.informer import Informer
from podium.netd.config import NetConfig
from podium.netd.nft import Nft, NftError, names_in
from podium.netd.policies.plan import ruleset
from podium.netd.policies.pods import PodView, view
from podium.netd.policies.ruleset import Ruleset, changes, everything, removal

log = logging.getLogger(__name__)

RETRY_SECONDS = 2.0
# How long a pod waits for its rules before it starts without them.
PATIENCE = 5.0


class PolicyEnforcer:
    """One per node. What an earlier daemon left stays in force until all is known again."""

    def __init__(self, config: NetConfig, nft: Nft, client: Client) -> None:
        self._node, self._table = config.node_name, config.policy_table
        self._nft = nft
        self._policies = Informer(client, NETWORK_POLICIES)
        self._pods = Informer(client, PODS)
        self._namespaces = Informer(client, NAMESPACES)
        self._early: dict[str, PodView] = {}
        # What the table holds, None if that is not known.
        self._installed: Ruleset | None = None
        # Whether the table is meant to be there; None until that is known.
        self._present: bool | None = None
        self._wake, self._settled = asyncio.Event(), asyncio.Event()
        self._needed = asyncio.Event()
        self._policies.add_handler(lambda old, new: self._again())
        self._namespaces.add_handler(self._namespace_changed)
        self._pods.add_handler(self._pod_changed)

    async def settled(self) -> None:
        """Waits until the rules are what is known by now."""
        await self._settled.wait()

    async def guard(self, pod: Obj, ip: str) -> None:
        """Waits until the rules for a pod that is about to start are there."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._policies.synced()
                found = view({**pod, "spec": {**pod["spec"], "nodeName": self._node}}, ip)
                if found is not None and self._policies.list():
                    self._early[found.uid] = found
                    self._again()
                    await self.settled()
        except TimeoutError:
            log.warning("pod %s starts before its network policies are there", pod["metadata"]["uid"])

    def forget(self, uid: str) -> None:
        if self._early.pop(uid, None) is not None:
            self._again()

    def rewrite(self) -> None:
        """The table was removed: if not by ourselves, it has to be written again."""
        if self._present:
            self._installed = None
            self._again()

    def _again(self) -> None:
        self._settled.clear()
        self._wake.set()

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        before, after = (view(pod) if pod is not None else None for pod in (old, new))
        if before != after:
            self._again()

    def _namespace_changed(self, old: Obj | None, new: Obj | None) -> None:
        before, after = (one and one["metadata"].get("labels") for one in (old, new))
        if old is None or new is None or before != after:
            self._again()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._policies.run())
            await self._policies.synced()
            group.create_task(self._watch_peers())
            self._wake.set()
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._once()

    async def _watch_peers(self) -> None:
        await self._needed.wait()
        await asyncio.gather(self._pods.run(), self._namespaces.run())

    async def _once(self) -> None:
        if self._policies.list():
            self._needed.set()
            await self._pods.synced()
            await self._namespaces.synced()
        try:
            await self._apply()
        except (NftError, OSError) as error:
            log.error("cannot write table %s: %s", self._table, error)
            self._installed = self._present = None
            asyncio.get_running_loop().call_later(RETRY_SECONDS, self._wake.set)
        else:
            if not self._wake.is_set():
                self._settled.set()

    async def _apply(self) -> None:
        policies = self._policies.list()
        if not policies:
            if self._present is not False:
                self._present = False
                await self._nft.apply(removal(self._table))
            return
        spaces = {
            one["metadata"]["name"]: one["metadata"].get("labels") or {} for one in self._namespaces.list()
        }
        wanted = await asyncio.to_thread(ruleset, policies, self._views(), spaces, self._node)
        if not self._present or self._installed is None:
            chains, sets = await names_in(self._nft, self._table)
            text = everything(self._table, wanted, chains, sets)
        else:
            text = changes(self._table, self._installed, wanted)
        self._present = True
        if text:
            await self._nft.apply(text)
        self._installed = wanted

    def _views(self) -> list[PodView]:
        found = {one.uid: one for one in map(view, self._pods.list()) if one is not None}
        return list({**self._early, **found}.values())
