"""The plugins, in the order in which they see a request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from time import perf_counter
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
from podium.api.admission.limited import Limited
from podium.api.admission.numbers import ADMIT, VALIDATE, Numbers, Steps
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
from podium.api.types.errors import StatusError
from podium.api.types.resources import (
    CERTIFICATE_SIGNING_REQUESTS,
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    INGRESSES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    PRIORITY_CLASSES,
    ROLE_BINDINGS,
    ROLES,
    Resource,
)

Look = Callable[[AdmissionRequest, Cluster], Awaitable[None]]


class Plugin(Protocol):
    """`mutate` may change the object in place; `validate` sees the final one. Both raise a StatusError to
    refuse it."""

    name: str

    async def mutate(self, request: AdmissionRequest, cluster: Cluster) -> None: ...

    async def validate(self, request: AdmissionRequest, cluster: Cluster) -> None: ...


def plugins(
    pod_security: Configuration | None = None, quota_limits: Sequence[Limited] = ()
) -> tuple[Plugin, ...]:
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
        quotas.ResourceQuota(quota_limits),
    )


# What they add is taken off by controllers of their own; where those do not run, nothing could be deleted
# and no node be used.
PROTECTION, TAINT = "StorageObjectInUseProtection", "TaintNodesByCondition"
DISABLED = frozenset({PROTECTION, TAINT})
QUOTAS = quotas.ResourceQuota.name
# Seconds between two passes that are measured.
PAUSE = 0.01

# Which resources, with their subresources, a plugin looks at at all in a round; who is not named looks at
# every one. A write would else go through dozens of steps that have nothing to do with it.
Concern = Mapping[str, tuple[Resource, ...]]
MUTATES: Concern = {
    "LimitRanger": (PODS,),
    "ServiceAccount": (PODS,),
    "TaintNodesByCondition": (NODES,),
    "PodSecurity": (),
    "Priority": (PODS,),
    "DefaultTolerationSeconds": (PODS,),
    "StorageObjectInUseProtection": tuple(resource for resource, _ in storage.FINALIZERS),
    "DefaultStorageClass": (PERSISTENT_VOLUME_CLAIMS,),
    "PersistentVolumeClaimResize": (),
    "DefaultIngressClass": (INGRESSES,),
    "RuntimeClass": (PODS,),
    "CertificateRequestor": (CERTIFICATE_SIGNING_REQUESTS,),
    "CertificateSubjectRestriction": (),
    "PodTopologyLabels": (PODS,),
    "PodResizeValidator": (),
    "ResourceQuota": (),
    "OwnerReferencesPermissionEnforcement": (),
    "RBACEscalation": (),
    "CertificateApproval": (),
    "CertificateSigning": (),
}
VALIDATES: Concern = {
    "NamespaceLifecycle": (),
    "LimitRanger": (PODS, PERSISTENT_VOLUME_CLAIMS),
    "ServiceAccount": (PODS,),
    "TaintNodesByCondition": (),
    "Priority": (PRIORITY_CLASSES,),
    "DefaultTolerationSeconds": (),
    "StorageObjectInUseProtection": (),
    "DefaultStorageClass": (),
    "PersistentVolumeClaimResize": (PERSISTENT_VOLUME_CLAIMS,),
    "DefaultIngressClass": (),
    "RuntimeClass": (PODS,),
    "CertificateRequestor": (),
    "CertificateSubjectRestriction": (CERTIFICATE_SIGNING_REQUESTS,),
    "PodTopologyLabels": (),
    "PodResizeValidator": (PODS,),
    "NodeRestriction": (),
    "RBACEscalation": (ROLES, CLUSTER_ROLES, ROLE_BINDINGS, CLUSTER_ROLE_BINDINGS),
    "CertificateApproval": (CERTIFICATE_SIGNING_REQUESTS,),
    "CertificateSigning": (CERTIFICATE_SIGNING_REQUESTS,),
}


# What a plugin looks at, where that is not every operation.
_CREATES, _WRITES = ("CREATE",), ("CREATE", "UPDATE")
OPERATIONS: Mapping[str, tuple[str, ...]] = {
    "NamespaceLifecycle": ("CREATE", "DELETE"),
    "LimitRanger": _WRITES,
    "ServiceAccount": _CREATES,
    "TaintNodesByCondition": _CREATES,
    "PodSecurity": _WRITES,
    "Priority": _WRITES,
    "DefaultTolerationSeconds": _WRITES,
    "StorageObjectInUseProtection": _CREATES,
    "DefaultStorageClass": _CREATES,
    "PersistentVolumeClaimResize": ("UPDATE",),
    "DefaultIngressClass": _CREATES,
    "RuntimeClass": _CREATES,
    "CertificateRequestor": _CREATES,
    "PodTopologyLabels": _CREATES,
    "PodResizeValidator": ("UPDATE",),
    "ResourceQuota": _WRITES,
}
_ALL = ("CREATE", "UPDATE", "DELETE", "CONNECT")


class Round:
    """One of the two rounds: the steps of each operation for each of the resources that some plugin is made
    for, and those for all other ones. Measuring takes as long as most of them do: so under load not every
    pass is measured, and one that is stands for those before it that were not."""

    def __init__(self, steps: Sequence[tuple[str, Look, Steps]], concern: Concern) -> None:
        self._others = {
            operation: [
                (look, step)
                for name, look, step in steps
                if name not in concern and operation in OPERATIONS.get(name, _ALL)
            ]
            for operation in _ALL
        }
        self._steps = {
            (resource.group, resource.plural, operation): [
                (look, step)
                for name, look, step in steps
                if resource in concern.get(name, (resource,)) and operation in OPERATIONS.get(name, _ALL)
            ]
            for resource in {resource for resources in concern.values() for resource in resources}
            for operation in _ALL
        }
        self._due = 0.0
        # Passes that were not measured, by the steps (their identity).
        self._left_out: dict[int, int] = {}

    def of(self, resource: Resource, operation: str) -> Sequence[tuple[Look, Steps]]:
        steps = self._steps.get((resource.group, resource.plural, operation))
        return self._others[operation] if steps is None else steps

    def measured(self, steps: Sequence[tuple[Look, Steps]], now: float) -> int:
        """For how many passes this one stands; 0 for one that is not measured."""
        key = id(steps)
        if now < self._due:
            self._left_out[key] = self._left_out.get(key, 0) + 1
            return 0
        self._due = now + PAUSE
        return 1 + self._left_out.pop(key, 0)


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
        numbers: Numbers | None = None,
        quota_limits: Sequence[Limited] = (),
    ) -> None:
        self._cluster = Cluster(lookup, every, appears, tally, now)
        built_in = (*guards, *plugins(pod_security, quota_limits))
        own = [plugin for plugin in built_in if plugin.name not in disabled]
        if dynamic is not None:
            # Quotas are charged last, for what all others let pass.
            last = bool(own) and own[-1].name == QUOTAS
            own.insert(len(own) - last, dynamic)
        numbers = numbers or Numbers()
        self._mutating = Round(
            [(plugin.name, plugin.mutate, numbers.plugin(plugin.name, ADMIT)) for plugin in own], MUTATES
        )
        self._validating = Round(
            [(plugin.name, plugin.validate, numbers.plugin(plugin.name, VALIDATE)) for plugin in own],
            VALIDATES,
        )

    async def mutate(self, request: AdmissionRequest) -> None:
        """Once more, when somebody from outside changed the object: what is built in has to see that."""
        await self._pass(self._mutating, request)
        if request.changed:
            request.reinvoking = True
            await self._pass(self._mutating, request)

    async def validate(self, request: AdmissionRequest) -> None:
        await self._pass(self._validating, request)

    async def _pass(self, round: Round, request: AdmissionRequest) -> None:
        cluster, operation, began = self._cluster, request.operation, perf_counter()
        steps = round.of(request.resource, operation)
        times = round.measured(steps, began)
        for look, step in steps:
            try:
                await look(request, cluster)
            except StatusError:
                step.refused(operation, perf_counter() - began)
                raise
            if times:
                ended = perf_counter()
                step.passed(operation, ended - began, times)
                began = ended
