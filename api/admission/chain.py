"""The plugins, in the order in which they see a request."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from podium.api.admission import (
    accounts,
    certificates,
    defaults,
    limits,
    namespaces,
    nodes,
    priorities,
    quotas,
    resizes,
    storage,
)
from podium.api.admission.podsecurity import Configuration, PodSecurity
from podium.api.admission.request import (
    AdmissionRequest,
    Appears,
    Cluster,
    Every,
    Lookup,
    Now,
    Used,
    utc_now,
)


class Plugin(Protocol):
    """`mutate` may change the object in place; `validate` sees the final one. Both raise a StatusError to
    refuse it."""

    name: str

    async def mutate(self, request: AdmissionRequest, cluster: Cluster) -> None: ...

    async def validate(self, request: AdmissionRequest, cluster: Cluster) -> None: ...


def plugins(pod_security: Configuration | None = None) -> tuple[Plugin, ...]:
    return (
        namespaces.NamespaceLifecycle(),
        limits.LimitRanger(),
        accounts.ServiceAccount(),
        nodes.TaintNodesByCondition(),
        PodSecurity(pod_security),
        priorities.Priority(),
        defaults.DefaultTolerationSeconds(),
        storage.StorageObjectInUseProtection(),
        storage.DefaultStorageClass(),
        storage.PersistentVolumeClaimResize(),
        defaults.DefaultIngressClass(),
        defaults.RuntimeClass(),
        certificates.CertificateRequestor(),
        certificates.CertificateSubjectRestriction(),
        nodes.PodTopologyLabels(),
        resizes.PodResizeValidator(),
        quotas.ResourceQuota(),
    )


# What they add is taken off by controllers of their own; where those do not run, nothing could be deleted
# and no node be used.
PROTECTION, TAINT = "StorageObjectInUseProtection", "TaintNodesByCondition"
DISABLED = frozenset({PROTECTION, TAINT})
QUOTAS = quotas.ResourceQuota.name


class Admission:
    """Runs every plugin over a request; the first refusal ends it. `disabled` are names of plugins to leave
    out; `dynamic` is what asks webhooks and policies; `guards` see a request before the
    others do."""

    def __init__(
        self,
        lookup: Lookup,
        every: Every,
        appears: Appears | None = None,
        disabled: Collection[str] = DISABLED,
        tally: Used | None = None,
        now: Now = utc_now,
        dynamic: Plugin | None = None,
        guards: Sequence[Plugin] = (),
        pod_security: Configuration | None = None,
    ) -> None:
        self._cluster = Cluster(lookup, every, appears, tally, now)
        built_in = (*guards, *plugins(pod_security))
        own = [plugin for plugin in built_in if plugin.name not in disabled]
        if dynamic is not None:
            # Quotas are charged last, for what all others let pass.
            last = bool(own) and own[-1].name == QUOTAS
            own.insert(len(own) - last, dynamic)
        self._plugins: tuple[Plugin, ...] = (*own,)

    async def mutate(self, request: AdmissionRequest) -> None:
        """Once more, when somebody from outside changed the object: what is built in has to see that."""
        await self._mutate(request)
        if request.changed:
            request.reinvoking = True
            await self._mutate(request)

    async def _mutate(self, request: AdmissionRequest) -> None:
        for plugin in self._plugins:
            await plugin.mutate(request, self._cluster)

    async def validate(self, request: AdmissionRequest) -> None:
        for plugin in self._plugins:
            await plugin.validate(request, self._cluster)
