"""pods/binding: the scheduler's decision, the one way to set a pod's spec.nodeName."""

from __future__ import annotations

from podium.api.ask import Ask, Made, Outcome, copied
from podium.api.core import Core
from podium.api.types import Obj
from podium.api.types.errors import Cause, bad_request, conflict, invalid
from podium.api.types.meta import timestamp
from podium.api.verbs.metadata import metadata_of
from podium.api.verbs.update import Rule, change

CREATED = Made({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})


async def bind(core: Core, ask: Ask, binding: Obj) -> Outcome:
    """Binds the pod `ask` names. Raises 400, 404, 409, 422."""
    named = metadata_of(binding).get("name") or ask.name
    if named != ask.name:
        raise bad_request(f"the name of the object ({named}) does not match the name on the URL ({ask.name})")
    binding |= {"apiVersion": "v1", "kind": "Binding"}
    await core.mutate(ask, "CREATE", binding, None)
    node = _target(ask, binding)
    await core.validate(ask, "CREATE", binding, None)
    now = timestamp(core.clock())

    def bound(old: Obj) -> Obj:
        _check(ask, old)
        return _bound(old, binding, node, now)

    await change(core, ask, Rule(lambda new, old: None, lambda new, old: [], admitted=True), bound)
    return CREATED


def _target(ask: Ask, binding: Obj) -> str:
    target = binding.get("target") or {}
    causes = []
    if target.get("kind") not in (None, "", "Node"):
        text = f'Unsupported value: "{target["kind"]}": supported values: "Node", "<empty>"'
        causes.append(Cause("FieldValueNotSupported", text, "target.kind"))
    if not target.get("name"):
        causes.append(Cause("FieldValueRequired", "Required value", "target.name"))
    if causes:
        raise invalid("Binding", ask.name, causes)
    return str(target["name"])


def _check(ask: Ask, pod: Obj) -> None:
    plural = ask.kind.resource.plural
    if "deletionTimestamp" in pod["metadata"]:
        why = f"pod {ask.name} is being deleted, cannot be assigned to a host"
        raise conflict(f"{plural}/binding", ask.name, why)
    if node := pod["spec"].get("nodeName"):
        why = f'pod {ask.name} is already assigned to node "{node}"'
        raise conflict(f"{plural}/binding", ask.name, why)
    if pod["spec"].get("schedulingGates"):
        raise conflict(f"{plural}/binding", ask.name, f"pod {ask.name} has non-empty .spec.schedulingGates")


def _bound(old: Obj, binding: Obj, node: str, now: str) -> Obj:
    pod = copied(old)
    given = metadata_of(binding)
    if uid := given.get("uid"):
        pod["metadata"]["uid"] = uid
    if annotations := given.get("annotations"):
        pod["metadata"]["annotations"] = {**(pod["metadata"].get("annotations") or {}), **annotations}
    if labels := given.get("labels"):
        pod["metadata"]["labels"] = {**(pod["metadata"].get("labels") or {}), **labels}
    pod["spec"]["nodeName"] = node
    status = pod.setdefault("status", {})
    # What was expected has come true, or something else has.
    status.pop("nominatedNodeName", None)
    others = [entry for entry in status.get("conditions") or () if entry.get("type") != "PodScheduled"]
    status["conditions"] = [*others, {"type": "PodScheduled", "status": "True", "lastTransitionTime": now}]
    return pod
