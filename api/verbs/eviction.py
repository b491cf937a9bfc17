"""pods/eviction: a deletion that asks first whether the pod's disruption budget allows it."""

from __future__ import annotations

from podium.api.ask import Ask, Made, Outcome, copied
from podium.api.core import Core
from podium.api.types import Obj
from podium.api.types.errors import StatusError, bad_request, internal, too_many_requests
from podium.api.types.meta import timestamp
from podium.api.types.resources import POD_DISRUPTION_BUDGETS
from podium.api.types.selectors import from_label_selector
from podium.api.verbs.delete import DeleteOptions, delete
from podium.api.verbs.metadata import metadata_of
from podium.api.verbs.update import Rule, change

EVICTED = Made({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})
OVER = ("Succeeded", "Failed")


async def evict(core: Core, ask: Ask, eviction: Obj) -> Outcome:
    """Raises 400, 404, 409; 429 while the budget is spent."""
    named = metadata_of(eviction).get("name") or ask.name
    if named != ask.name:
        raise bad_request(f"name in URL does not match name in Eviction object: {ask.name} != {named}")
    given = eviction.get("deleteOptions") or {}
    options = DeleteOptions.parse(given)
    ask.dry_run = ask.dry_run or options.dry_run
    pod = core.found(ask).obj
    if _needs_budget(pod):
        await _spend(core, ask, pod)
    await delete(core, Ask(ask.kind, ask.namespace, ask.name, user=ask.user, dry_run=ask.dry_run), options)
    return EVICTED


def _needs_budget(pod: Obj) -> bool:
    phase = (pod.get("status") or {}).get("phase")
    return phase not in (*OVER, "Pending") and "deletionTimestamp" not in pod["metadata"]


async def _spend(core: Core, ask: Ask, pod: Obj) -> None:
    """Takes one disruption from the budget that covers the pod, if there is one."""
    budget = _budget_of(core, pod)
    if budget is None:
        return
    now = timestamp(core.clock())

    def spent(old: Obj) -> Obj:
        _check(old)
        new = copied(old)
        status = new["status"]
        status["disruptionsAllowed"] -= 1
        status.setdefault("disruptedPods", {})[ask.name] = now
        return new

    kind, name = core.kinds.of(POD_DISRUPTION_BUDGETS), budget["metadata"]["name"]
    own = Ask(kind, ask.namespace, name, "status", user=ask.user, dry_run=ask.dry_run)
    await change(core, own, Rule(lambda new, old: None, lambda new, old: []), spent)


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
    meta, status = budget["metadata"], budget.get("status") or {}
    if status.get("observedGeneration", 0) < meta.get("generation", 0):
        raise _refused(f"The disruption budget {meta['name']} is still being processed by the server.", 10)
    if status.get("disruptionsAllowed", 0) > 0:
        return
    desired, healthy = status.get("desiredHealthy", 0), status.get("currentHealthy", 0)
    raise _refused(
        f"The disruption budget {meta['name']} needs {desired} healthy pods and has {healthy} currently", 0
    )


def _refused(why: str, retry_after: int) -> StatusError:
    """Both what clients look for: 429, and the cause that says it is the budget."""
    error = too_many_requests(
        "Cannot evict pod as it would violate the pod's disruption budget.", retry_after
    )
    error.details = {"causes": [{"reason": "DisruptionBudget", "message": why}]}
    if retry_after:
        error.details["retryAfterSeconds"] = retry_after
    return error
