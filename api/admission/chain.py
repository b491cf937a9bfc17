"""The plugins, in the order in which they see a request."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from podium.api.admission import (
    accounts,
    certificates,
    defaults,
    limits,
    namespaces,
    priorities,
    quotas,
    storage,
)
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


def plugins() -> tuple[Plugin, ...]:
    return (
        namespaces.NamespaceLifecycle(),
        limits.LimitRanger(),
        accounts.ServiceAccount(),
        priorities.Priority(),
        defaults.DefaultTolerationSeconds(),
        storage.StorageObjectInUseProtection(),
        storage.DefaultStorageClass(),
        storage.PersistentVolumeClaimResize(),
        defaults.DefaultIngressClass(),
        defaults.RuntimeClass(),
        certificates.CertificateRequestor(),
        quotas.ResourceQuota(),
    )


# Its finalizers are taken off by controllers of their own; where those do not run, nothing could be deleted.
DISABLED = frozenset({"StorageObjectInUseProtection"})


class Admission:
    """Runs every plugin over a request; the first refusal ends it. `disabled` are names of plugins to leave
    out."""

    def __init__(
        self,
        lookup: Lookup,
        every: Every,
        appears: Appears | None = None,
        disabled: Collection[str] = DISABLED,
        tally: Used | None = None,
        now: Now = utc_now,
    ) -> None:
        self._cluster = Cluster(lookup, every, appears, tally, now)
        self._plugins = tuple(plugin for plugin in plugins() if plugin.name not in disabled)

    async def mutate(self, request: AdmissionRequest) -> None:
        for plugin in self._plugins:
            await plugin.mutate(request, self._cluster)

    async def validate(self, request: AdmissionRequest) -> None:
        for plugin in self._plugins:
            await plugin.validate(request, self._cluster)
