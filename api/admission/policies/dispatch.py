"""Which policies concern a request, and what becomes of what they say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import orjson

from podium.api.admission.answering import Answers, Decides
from podium.api.admission.conditions import ConditionError, holds
from podium.api.admission.matching import match_rules, namespace_of, selects_namespace, selects_object
from podium.api.admission.policies.evaluation import NAMES, Evaluation, visible
from podium.api.admission.policies.mutating import mutated
from podium.api.admission.policies.params import Misconfigured, Params
from podium.api.admission.policies.validating import CODES, Denial, Judgement, validate
from podium.api.admission.request import AdmissionRequest, Lookup
from podium.api.admission.reviewing import described
from podium.api.admission.versions import Versions
from podium.api.cel import CompileError, EvaluationError
from podium.api.kinds import Kind
from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.resources import NAMESPACES, Resource

FAILURE = "validation.policy.admission.k8s.io/validation_failure"
_VALIDATING = "ValidatingAdmissionPolicy"


class Policy(NamedTuple):
    """A policy with its bindings."""

    obj: Obj
    bindings: list[Obj]

    @property
    def name(self) -> str:
        return str(self.obj["metadata"]["name"])

    @property
    def spec(self) -> Obj:
        spec: Obj = self.obj["spec"]
        return spec

    @property
    def fails(self) -> bool:
        return self.spec.get("failurePolicy") != "Ignore"


def policies_of(policies: Iterable[Obj], bindings: Iterable[Obj]) -> list[Policy]:
    """Those that are bound, by name."""
    bound: dict[str, list[Obj]] = {}
    for binding in bindings:
        bound.setdefault(binding["spec"]["policyName"], []).append(binding)
    ordered = sorted(policies, key=lambda obj: str(obj["metadata"]["name"]))
    return [
        Policy(obj, sorted(bound[name], key=lambda binding: str(binding["metadata"]["name"])))
        for obj in ordered
        if (name := obj["metadata"]["name"]) in bound
    ]


class Case(NamedTuple):
    """A policy that concerns a request, by one binding and with one of its parameters."""

    policy: Policy
    binding: Obj
    as_: Resource
    param: Obj | None


class Policies:
    """Evaluates the policies that a request concerns."""

    def __init__(
        self, versions: Versions, params: Params, lookup: Lookup, decides: Decides | None = None
    ) -> None:
        self._versions = versions
        self._params = params
        self._lookup = lookup
        self._decides = decides

    async def validate(self, policies: list[Policy], request: AdmissionRequest) -> None:
        """Raises StatusError for the first denial."""
        denied: list[StatusError] = []
        annotations: dict[str, list[str]] = {}
        for case in self._cases(policies, request, _VALIDATING):
            if isinstance(case, StatusError):
                denied.append(case)
                continue
            judged = await self._judged(case, request)
            for denial in judged.denials:
                self._act(case, denial, request, denied)
            denied += [
                refusal(_VALIDATING, case.policy, case.binding, each, request) for each in judged.failures
            ]
            for key, value in judged.annotations.items():
                told = annotations.setdefault(f"{case.policy.name}/{key}", [])
                if value not in told:
                    told.append(value)
        request.annotations |= {key: ", ".join(told) for key, told in annotations.items()}
        if denied:
            raise denied[0]

    async def mutate(self, policies: list[Policy], request: AdmissionRequest) -> None:
        """Raises StatusError for a policy that fails."""
        if request.obj is None or request.operation not in ("CREATE", "UPDATE"):
            return
        for case in self._cases(policies, request, "policy"):
            if isinstance(case, StatusError):
                raise case
            key = f"policy/{case.policy.name}/{case.binding['metadata']['name']}"
            if request.reinvoking and key not in request.reinvocable:
                continue
            if await self._mutate(case, request):
                request.reinvocable |= request.invoked
                request.changed = True
            if case.policy.spec.get("reinvocationPolicy") == "IfNeeded":
                request.invoked.add(key)

    def _cases(
        self, policies: list[Policy], request: AdmissionRequest, what: str
    ) -> Iterator[Case | StatusError]:
        for policy in policies:
            as_ = self._matches(policy.spec.get("matchConstraints") or {}, request)
            if as_ is None:
                continue
            for binding in policy.bindings:
                resources = binding["spec"].get("matchResources")
                if resources and self._matches(resources, request, bound=True) is None:
                    continue
                try:
                    params = self._params.of(policy.obj, binding, _namespace(request))
                except Misconfigured as error:
                    if policy.fails:
                        denial = Denial(f"failed to configure binding: {error}")
                        yield refusal(what, policy, binding, denial, request)
                    continue
                for param in params:
                    yield Case(policy, binding, as_, param)

    def _matches(self, match: Obj, request: AdmissionRequest, *, bound: bool = False) -> Resource | None:
        """`bound` is a binding's own choice, where no rules mean no restriction."""
        if not selects_namespace(match.get("namespaceSelector"), request, self._lookup):
            return None
        if not selects_object(match.get("objectSelector"), request):
            return None
        versions = self._versions.of(request.resource)
        how = match.get("matchPolicy") or "Equivalent"
        if match_rules(match.get("excludeResourceRules") or (), request, versions, how):
            return None
        rules = match.get("resourceRules") or ()
        if bound and not rules:
            return request.resource
        return match_rules(rules, request, versions, how)

    async def _values(self, case: Case, request: AdmissionRequest, answers: Answers) -> dict[str, Any]:
        obj, old = await self._versions.both(request, case.as_)
        own = request.resource.plural == NAMESPACES.plural and not request.resource.group
        return {
            "object": obj,
            "oldObject": old,
            "request": described(request, case.as_),
            "params": case.param,
            "namespaceObject": None if own else visible(namespace_of(request, self._lookup)),
            "authorizer": answers.authorizer(request, case.as_),
        }

    async def _judged(self, case: Case, request: AdmissionRequest) -> Judgement:
        spec, answers = case.policy.spec, Answers(self._decides)
        values = await self._values(case, request, answers)

        def judge() -> Judgement:
            if not holds(spec.get("matchConditions") or [], NAMES, values):
                return Judgement()
            return validate(spec, Evaluation(spec, values))

        try:
            return await answers.settled(judge)
        except ConditionError as error:
            return Judgement([Denial(str(error))] if case.policy.fails else [])

    def _act(self, case: Case, denial: Denial, request: AdmissionRequest, denied: list[StatusError]) -> None:
        policy, binding = case.policy, case.binding
        for action in binding["spec"].get("validationActions") or ():
            if action == "Deny":
                denied.append(refusal(_VALIDATING, policy, binding, denial, request))
            elif action == "Audit":
                request.annotations.setdefault(FAILURE, _audited(policy, binding, denial))
            elif action == "Warn":
                request.warnings.append(
                    f"Validation failed for ValidatingAdmissionPolicy '{policy.name}' with binding "
                    f"'{binding['metadata']['name']}': {denial.message}"
                )

    async def _mutate(self, case: Case, request: AdmissionRequest) -> bool:
        """Gives whether the object is another one now."""
        spec, changed = case.policy.spec, False
        kind = self._versions.kind(case.as_)
        answers = Answers(self._decides)
        try:
            values = await self._values(case, request, answers)
            conditions = spec.get("matchConditions") or []
            if kind is None or not await answers.settled(partial(holds, conditions, NAMES, values)):
                return False
            for mutation in spec.get("mutations") or ():
                values = await self._values(case, request, answers)
                made = await answers.settled(partial(_mutated, mutation, spec, values, kind))
                changed |= await self._versions.replace(request, case.as_, made)
        except (CompileError, ConditionError, EvaluationError, StatusError) as error:
            if case.policy.fails:
                text = error.message if isinstance(error, StatusError) else str(error)
                raise refusal("policy", case.policy, case.binding, Denial(text), request) from None
        return changed


def _mutated(mutation: Obj, spec: Obj, values: dict[str, Any], kind: Kind) -> Obj:
    return mutated(mutation, Evaluation(spec, values), values["object"], kind)


def _audited(policy: Policy, binding: Obj, denial: Denial) -> str:
    """What the audit log notes of a request that was let through, or not."""
    failure = {
        "message": denial.message,
        "policy": policy.name,
        "binding": binding["metadata"]["name"],
        "expressionIndex": denial.place,
        "validationActions": binding["spec"].get("validationActions") or [],
    }
    return orjson.dumps([failure]).decode()


def refusal(
    what: str, policy: Policy, binding: Obj, denial: Denial, request: AdmissionRequest
) -> StatusError:
    """The answer to the client."""
    by = f"{what} '{policy.name}' with binding '{binding['metadata']['name']}'"
    message = f"{by} denied request: {denial.message}"
    error = request.refuse(message)
    error.reason = denial.reason or "Invalid"
    error.code = CODES.get(error.reason, 422)
    if error.details is not None:
        error.details = {**error.details, "causes": [{"message": message}]}
    return error


def _namespace(request: AdmissionRequest) -> str:
    return request.namespace
