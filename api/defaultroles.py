"""Puts the roles and bindings that every cluster has in place, at every start.

What is missing is added, what somebody has added stays. Whoever wants to change one for good sets its
annotation `rbac.authorization.kubernetes.io/autoupdate` to "false". Source: docs, "Using RBAC Authorization",
auto-reconciliation."""

from __future__ import annotations

import asyncio

from podium.api.ask import Ask, copied
from podium.api.auth.covering import uncovered
from podium.api.auth.policy import Default, defaults
from podium.api.auth.policy.defaults import AUTOUPDATE
from podium.api.auth.rules import compiled
from podium.api.core import Core
from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.verbs.create import create
from podium.api.verbs.delete import DeleteOptions, delete
from podium.api.verbs.subresources import rule_of
from podium.api.verbs.update import change


async def ensure(core: Core) -> None:
    """Idempotent."""
    await asyncio.gather(*(_ensure(core, default) for default in defaults()))


async def _ensure(core: Core, default: Default) -> None:
    kind, name = core.kinds.of(default.resource), default.obj["metadata"]["name"]
    entry = core.store.latest(kind.key(default.namespace, name))
    ask = Ask(kind, default.namespace, name)
    try:
        if entry is not None and _refers_elsewhere(entry.obj, default.obj):
            # What a binding refers to cannot be changed.
            await delete(core, ask, DeleteOptions())
            entry = None
        if entry is None:
            await create(core, Ask(kind, default.namespace), copied(default.obj))
        elif completed(entry.obj, default.obj) != entry.obj:
            await change(core, ask, rule_of(kind, ""), lambda old: copied(completed(old, default.obj)))
    except StatusError as error:
        # Another server of the same cluster was faster.
        if error.code not in (404, 409):
            raise


def completed(old: Obj, wanted: Obj) -> Obj:
    """`old` with what it lacks of `wanted`. Pure."""
    meta = old["metadata"]
    if (meta.get("annotations") or {}).get(AUTOUPDATE) == "false":
        return old
    new = {**old, "metadata": {**meta}}
    for key in ("labels", "annotations"):
        new["metadata"][key] = {**wanted["metadata"][key], **(meta.get(key) or {})}
    for key in ("subjects", "aggregationRule"):
        if key in wanted:
            new |= _extended(old, wanted, key)
    # Nearly always they are the very same, and there is nothing to reckon.
    if "rules" in wanted and "aggregationRule" not in wanted and old.get("rules") != wanted["rules"]:
        own = list(compiled(old.get("rules") or ()))
        lacking = [rule for rule in wanted["rules"] if uncovered(own, [rule])]
        if lacking:
            new["rules"] = [*(old.get("rules") or ()), *lacking]
    return new


def _extended(old: Obj, wanted: Obj, key: str) -> Obj:
    if key == "aggregationRule":
        have = (old.get(key) or {}).get("clusterRoleSelectors") or []
        lacking = [each for each in wanted[key]["clusterRoleSelectors"] if each not in have]
        return {key: {"clusterRoleSelectors": [*have, *lacking]}} if lacking else {}
    have = old.get(key) or []
    lacking = [each for each in wanted[key] if each not in have]
    return {key: [*have, *lacking]} if lacking else {}


def _refers_elsewhere(old: Obj, wanted: Obj) -> bool:
    if (old["metadata"].get("annotations") or {}).get(AUTOUPDATE) == "false":
        return False
    return bool(old.get("roleRef") != wanted.get("roleRef"))
