"""What the cluster's users have to say to a write: webhooks and policies, as a plugin of the chain."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from podium.api.admission.matching import ADMISSION_GROUP, is_exempt
from podium.api.admission.policies.dispatch import Policies, Policy, policies_of
from podium.api.admission.request import AdmissionRequest, Cluster
from podium.api.admission.webhooks.dispatch import Hook, Webhooks, hooks_of
from podium.api.types import Obj
from podium.api.types.resources import (
    MUTATING_ADMISSION_POLICIES,
    MUTATING_ADMISSION_POLICY_BINDINGS,
    MUTATING_WEBHOOK_CONFIGURATIONS,
    VALIDATING_ADMISSION_POLICIES,
    VALIDATING_ADMISSION_POLICY_BINDINGS,
    VALIDATING_WEBHOOK_CONFIGURATIONS,
    Resource,
)

PREFIX = f"/registry/{ADMISSION_GROUP}/"


class Stored(Protocol):
    @property
    def key(self) -> str: ...

    @property
    def revision(self) -> int: ...

    @property
    def obj(self) -> Obj: ...


class Reads(Protocol):
    """The store's memory."""

    def list(self, prefix: str) -> Iterable[Stored]: ...


class Present(NamedTuple):
    """Everything that is configured, in the form in which it is asked."""

    mutating: list[Hook]
    validating: list[Hook]
    mutating_policies: list[Policy]
    validating_policies: list[Policy]


class DynamicAdmission:
    """A server without any webhook and policy pays for one look into an empty range."""

    name = "DynamicAdmission"

    def __init__(self, store: Reads, webhooks: Webhooks, policies: Policies) -> None:
        self._store = store
        self._webhooks = webhooks
        self._policies = policies
        self._seen: list[tuple[str, int]] = []
        self._present: Present | None = None

    async def mutate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        present = self._configured(request)
        if present and present.mutating_policies:
            await self._policies.mutate(present.mutating_policies, request)
        if present and present.mutating:
            await self._webhooks.mutate(present.mutating, request)

    async def validate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        present = self._configured(request)
        if present and present.validating_policies:
            await self._policies.validate(present.validating_policies, request)
        if present and present.validating:
            await self._webhooks.validate(present.validating, request)

    def _configured(self, request: AdmissionRequest) -> Present | None:
        entries = [*self._store.list(PREFIX)]
        if not entries or is_exempt(request):
            return None
        seen = [(entry.key, entry.revision) for entry in entries]
        if seen != self._seen or self._present is None:
            self._seen, self._present = seen, _present(entries)
        return self._present


def _present(entries: list[Stored]) -> Present:
    def of(resource: Resource) -> list[Obj]:
        return [entry.obj for entry in entries if entry.key.startswith(f"{PREFIX}{resource.plural}/")]

    return Present(
        hooks_of(of(MUTATING_WEBHOOK_CONFIGURATIONS)),
        hooks_of(of(VALIDATING_WEBHOOK_CONFIGURATIONS)),
        policies_of(of(MUTATING_ADMISSION_POLICIES), of(MUTATING_ADMISSION_POLICY_BINDINGS)),
        policies_of(of(VALIDATING_ADMISSION_POLICIES), of(VALIDATING_ADMISSION_POLICY_BINDINGS)),
    )
