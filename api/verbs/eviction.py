"""pods/eviction: a deletion that asks first whether the pod's disruption budget allows it."""

from __future__ import annotations

from podium.api.ask import Ask, Made, Outcome, copied
from podium.api.core import Core
from podium.api.types import Obj
from podium.api.types.errors import StatusError, bad_request, forbidden, internal, too_many_requests
from podium.api.types.meta import condition, condition_is_true, timestamp
from podium.api.types.resources import POD_DISRUPTION_BUDGETS
from podium.api.types.selectors import from_label_selector
from podium.api.verbs.delete import DeleteOptions, check_preconditions, delete
from podium.api.verbs.metadata import metadata_of
from podium.api.verbs.update import Rule, change

EVICTED = Made({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})
OVER = ("Succeeded", "Failed")
MOST_DISRUPTED = 2000  # pods that a budget may wait for at once


async def evict(core: Core, ask: Ask, eviction: Obj) -> Outcome:
    """Raises 400, 404, 409; 429 while the budget is spent."""
    named = metadata_of(eviction).get("name") or ask.name
    if named != ask.name:
        raise bad_request(f"name in URL does not match name in Eviction object: {ask.name} != {named}")
    core.found(ask)
    eviction |= {"apiVersion": "policy/v1", "kind": "Eviction"}
    await core.mutate(ask, "CREATE", eviction, None)
    await core.validate(ask, "CREATE", eviction, None)
    given = eviction.get("deleteOptions") or {}
    options = DeleteOptions.parse(given)
    ask.dry_run = ask.dry_run or options.dry_run
    pod = core.found(ask).obj
    own = Ask(ask.kind, ask.namespace, ask.name, user=ask.user, dry_run=ask.dry_run)
    budget = _budget_of(core, pod) if _needs_budget(pod) else None
    if budget is not None and _is_free(budget, pod):
        await _evict_unhealthy(core, own, options, pod, budget)
        return EVICTED
    if budget is not None:
        await _spend(core, ask, budget)
    await _go(core, own, options)
    return EVICTED


async def _go(core: Core, own: Ask, options: DeleteOptions) -> None:
    if not own.dry_run:
        options = await _announce(core, own, options)
    await delete(core, own, options, admitted=True)


async def _evict_unhealthy(core: Core, own: Ask, options: DeleteOptions, pod: Obj, budget: Obj) -> None:
    """Only while the pod is as it was seen: it may have become ready meanwhile."""
    pinned = options._replace(resource_version=pod["metadata"]["resourceVersion"])
    try:
        await _go(core, own, options if options.resource_version else pinned)
    except StatusError as error:
        if error.reason != "Conflict" or options.resource_version:
            raise
        raise _refused(_unprocessed(budget), 10) from None


async def _announce(core: Core, ask: Ask, options: DeleteOptions) -> DeleteOptions:
    """Says in the pod that it is disrupted on purpose, for whoever judges its end (a Job's failure policy).
    The options for the deletion that follows. Raises 404, 409."""
    now = timestamp(core.clock())
    announced = {
        "type": "DisruptionTarget",
        "status": "True",
        "lastTransitionTime": now,
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
    }

    def marked(old: Obj) -> Obj:
        check_preconditions(ask, options, old)
        new = copied(old)
        status = new.setdefault("status", {})
        others = [entry for entry in status.get("conditions") or () if entry["type"] != announced["type"]]
        status["conditions"] = [*others, announced]
        return new

    rule = Rule(lambda new, old: None, lambda new, old: [], admitted=True)
    status = Ask(ask.kind, ask.namespace, ask.name, "status", user=ask.user)
    outcome = await change(core, status, rule, marked)
    version = outcome.obj["metadata"]["resourceVersion"]
    return options._replace(resource_version=version) if options.resource_version else options


def _needs_budget(pod: Obj) -> bool:
    phase = (pod.get("status") or {}).get("phase")
    return phase not in (*OVER, "Pending") and "deletionTimestamp" not in pod["metadata"]


def _is_free(budget: Obj, pod: Obj) -> bool:
    """Whether evicting the pod costs the budget nothing: it serves nobody, and the policy allows it always,
    or as long as enough others do."""
    if condition_is_true(pod, "Ready"):
        return False
    if budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    status = budget.get("status") or {}
    return bool(status.get("currentHealthy", 0) >= status.get("desiredHealthy", 0) > 0)


async def _spend(core: Core, ask: Ask, budget: Obj) -> None:
    """Takes one disruption from the budget."""
    now = timestamp(core.clock())

    def spent(old: Obj) -> Obj:
        _check(old)
        new = copied(old)
        status = new["status"]
        status["disruptionsAllowed"] -= 1
        if not status["disruptionsAllowed"]:
            status["conditions"] = [_exhausted(entry, now) for entry in status.get("conditions") or ()]
        status.setdefault("disruptedPods", {})[ask.name] = now
        return new

    kind, name = core.kinds.of(POD_DISRUPTION_BUDGETS), budget["metadata"]["name"]
    own = Ask(kind, ask.namespace, name, "status", user=ask.user, dry_run=ask.dry_run)
    await change(core, own, Rule(lambda new, old: None, lambda new, old: []), spent)


def _exhausted(entry: Obj, now: str) -> Obj:
    """A condition of a budget that has just been spent."""
    if entry["type"] != "DisruptionAllowed" or entry["status"] == "False":
        return entry
    told = {"status": "False", "reason": "InsufficientPods", "message": ""}
    return {**entry, **told, "lastTransitionTime": now}


def _budget_of(core: Core, pod: Obj) -> Obj | None:
    meta = pod["metadata"]
    budgets = [
        budget
        for budget in core.every(POD_DISRUPTION_BUDGETS, meta["namespace"])
        if from_label_selector(budget["spec"].get("selector")).matches(meta.get("labels"))
    ]
    if len(budgets) > 1:
        raise internal(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        )
    return budgets[0] if budgets else None


def _check(budget: Obj) -> None:
    """Raises 429 while the budget allows no disruption, 403 where its status is not to be trusted."""
    meta, status = budget["metadata"], budget.get("status") or {}
    if status.get("observedGeneration", 0) < meta.get("generation", 0):
        raise _refused(_unprocessed(budget), 10)
    allowed = status.get("disruptionsAllowed", 0)
    if allowed < 0:
        raise forbidden("poddisruptionbudget", meta["name"], "pdb disruptions allowed is negative", "policy")
    if len(status.get("disruptedPods") or ()) > MOST_DISRUPTED:
        why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
        raise forbidden("poddisruptionbudget", meta["name"], why, "policy")
    if not allowed:
        raise _refused(_why_not(budget), 0)


def _unprocessed(budget: Obj) -> str:
    return f"The disruption budget {budget['metadata']['name']} is still being processed by the server."


def _why_not(budget: Obj) -> str:
    name, status = budget["metadata"]["name"], budget.get("status") or {}
    found = condition(budget, "DisruptionAllowed") or {}
    message = found.get("message") if found.get("status") == "False" else ""
    if message and found["reason"] == "SyncFailed":
        return (
            f"The disruption budget {name} does not allow evicting pods currently because it failed sync: "
            f"{message}"
        )
    desired, healthy = status.get("desiredHealthy", 0), status.get("currentHealthy", 0)
    if healthy <= desired:
        return f"The disruption budget {name} needs {desired} healthy pods and has {healthy} currently"
    if message:
        return (
            f"The disruption budget {name} does not allow evicting pods currently ({found['reason']}): "
            f"{message}"
        )
    return f"The disruption budget {name} does not allow evicting pods currently"


def _refused(why: str, retry_after: int) -> StatusError:
    """Both what clients look for: 429, and the cause that says it is the budget."""
    error = too_many_requests(
        "Cannot evict pod as it would violate the pod's disruption budget.", retry_after
    )
    error.details = {"causes": [{"reason": "DisruptionBudget", "message": why}]}
    if retry_after:
        error.details["retryAfterSeconds"] = retry_after
    return error
