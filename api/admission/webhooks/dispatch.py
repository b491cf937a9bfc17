"""Who is asked about a request, in which order, and what follows."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Iterable
from time import perf_counter
from typing import NamedTuple

from podium.api.admission.answering import Answers, Decides
from podium.api.admission.conditions import ConditionError, matches_all
from podium.api.admission.matching import match_rules, selects_namespace, selects_object
from podium.api.admission.numbers import ADMIT, FAILED, REFUSED, VALIDATING, Numbers
from podium.api.admission.request import AdmissionRequest, Lookup
from podium.api.admission.reviewing import review
from podium.api.admission.versions import Versions
from podium.api.admission.webhooks.client import WebhookClient
from podium.api.admission.webhooks.responses import CallFailed, Verdict, denial, patched, verdict
from podium.api.types import Obj
from podium.api.types.errors import StatusError, bad_request, internal
from podium.api.types.resources import Resource

log = logging.getLogger(__name__)

WITHOUT_SIDE_EFFECTS = ("None", "NoneOnDryRun")
# What AdmissionReviews there are, the best first.
VERSIONS = ("v1", "v1beta1")


class Hook(NamedTuple):
    """One webhook of a configuration; `id` tells it from all others."""

    id: str
    spec: Obj

    @property
    def name(self) -> str:
        return str(self.spec["name"])

    @property
    def ignores_failures(self) -> bool:
        return self.spec.get("failurePolicy") == "Ignore"


def hooks_of(configurations: Iterable[Obj]) -> list[Hook]:
    """In the order in which they are called: by the names of their configurations, and as these list them."""
    ordered = sorted(configurations, key=lambda obj: str(obj["metadata"]["name"]))
    return [
        Hook(f"{obj['metadata']['name']}/{hook['name']}", hook)
        for obj in ordered
        for hook in obj.get("webhooks") or ()
    ]


class Webhooks:
    """Asks the webhooks that a request concerns."""

    def __init__(
        self,
        client: WebhookClient,
        versions: Versions,
        lookup: Lookup,
        decides: Decides | None = None,
        numbers: Numbers | None = None,
    ) -> None:
        self._client = client
        self._versions = versions
        self._lookup = lookup
        self._decides = decides
        self._numbers = numbers or Numbers()

    async def mutate(self, hooks: list[Hook], request: AdmissionRequest) -> None:
        """One after the other, each sees what those before it made of the object. Those that want to be asked
        again, when others changed it after them, are noted in the request. Raises StatusError."""
        for hook in hooks:
            if request.reinvoking and hook.id not in request.reinvocable:
                continue
            as_ = await self._concerned(hook, request)
            if as_ is None:
                continue
            found = await self._ask(hook, request, as_, mutating=True)
            if found is not None and found.patch and await self._patch(hook, request, as_, found.patch):
                request.reinvocable |= request.invoked
                request.changed = True
            if hook.spec.get("reinvocationPolicy") == "IfNeeded":
                request.invoked.add(hook.id)

    async def validate(self, hooks: list[Hook], request: AdmissionRequest) -> None:
        """All at once; the first refusal in their order is the answer. Raises StatusError."""
        concerned = [
            (hook, as_) for hook in hooks if (as_ := await self._concerned(hook, request)) is not None
        ]
        if not concerned:
            return
        asked = (self._ask(hook, request, as_, mutating=False) for hook, as_ in concerned)
        for outcome in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def _concerned(self, hook: Hook, request: AdmissionRequest) -> Resource | None:
        """The resource as which the webhook sees the request; None where it does not."""
        spec = hook.spec
        if not selects_namespace(spec.get("namespaceSelector"), request, self._lookup):
            return None
        if not selects_object(spec.get("objectSelector"), request):
            return None
        policy = spec.get("matchPolicy") or "Equivalent"
        as_ = match_rules(spec.get("rules") or (), request, self._versions.of(request.resource), policy)
        conditions = spec.get("matchConditions")
        if as_ is None or not conditions:
            return as_
        try:
            objects = await self._versions.both(request, as_)
            answers = Answers(self._decides)
            return as_ if await matches_all(conditions, request, as_, objects, answers) else None
        except ConditionError as error:
            if hook.ignores_failures:
                return None
            raise request.refuse(str(error)) from None

    async def _ask(
        self, hook: Hook, request: AdmissionRequest, as_: Resource, *, mutating: bool
    ) -> Verdict | None:
        """None for a webhook that failed and may."""
        spec = hook.spec
        if request.dry_run and spec.get("sideEffects") not in WITHOUT_SIDE_EFFECTS:
            raise bad_request(f'admission webhook "{hook.name}" does not support dry run')
        kind, began = ADMIT if mutating else VALIDATING, perf_counter()
        try:
            found = await self._called(hook, request, as_, mutating)
        except CallFailed as error:
            taken, why = perf_counter() - began, "" if hook.ignores_failures else FAILED
            self._numbers.webhook(hook.name, request.operation, kind, taken, 0, why)
            if not why:
                self._numbers.failed_open(hook.name, kind)
            self._forgiven(hook, error)
            return None
        refusal = None if found.allowed else denial(hook.name, found.status)
        taken, code = perf_counter() - began, refusal.code if refusal is not None else 200
        why = REFUSED if refusal is not None else ""
        self._numbers.webhook(hook.name, request.operation, kind, taken, code, why)
        request.warnings += found.warnings
        request.annotations |= {f"{hook.name}/{key}": text for key, text in found.annotations.items()}
        if refusal is not None:
            raise refusal
        return found

    def _forgiven(self, hook: Hook, error: CallFailed) -> None:
        """Raises 500 where the webhook must not fail."""
        message = f'failed calling webhook "{hook.name}": {error}'
        if not hook.ignores_failures:
            raise internal(message)
        log.warning("went on without it: %s", message)

    async def _called(self, hook: Hook, request: AdmissionRequest, as_: Resource, mutating: bool) -> Verdict:
        known = hook.spec.get("admissionReviewVersions") or VERSIONS
        version = next((each for each in known if each in VERSIONS), None)
        if version is None:
            why = "webhook does not accept known AdmissionReview versions (v1, v1beta1)"
            raise CallFailed(f"could not create admission objects: {why}")
        uid = str(uuid.uuid4())
        obj, old = await self._versions.both(request, as_)
        body = review(request, as_, uid, version, obj, old)
        seconds = int(hook.spec.get("timeoutSeconds") or 10)
        answer = await self._client.call(hook.spec["clientConfig"], body, seconds)
        return verdict(answer, uid, version, mutating=mutating)

    async def _patch(
        self, hook: Hook, request: AdmissionRequest, as_: Resource, operations: list[Obj]
    ) -> bool:
        """Applies the patch to the request's object, in place; gives whether that changed it."""
        if request.obj is None or request.operation == "CONNECT":
            raise internal(
                f'admission webhook "{hook.name}" attempted to modify the object, '
                "which is not supported for this operation"
            )
        try:
            made = patched(await self._versions.shown(request.obj, request, as_), operations)
            return await self._versions.replace(request, as_, made)
        except CallFailed as error:
            self._forgiven(hook, error)
            return False
        except StatusError as error:
            raise internal(error.message) from None
