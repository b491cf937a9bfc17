"""DELETE of one object, and of a collection.

An object goes at once, unless it has a grace period (pods) or somebody's finalizers keep it; then it stays,
marked with a deletionTimestamp, and goes with the update or the DELETE that takes the last reason away."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from podium.api.ask import Ask, Made, Outcome, copied
from podium.api.core import Core, missing, presented
from podium.api.store.base import Entry, Missing, Stale
from podium.api.types import Obj
from podium.api.types.errors import Cause, StatusError, bad_request, conflict, invalid
from podium.api.types.meta import parse_time, timestamp
from podium.api.verbs.lifecycle import SHOWN_WHEN_DELETED, finalizers_after, held, terminate
from podium.api.verbs.reserved import written

POLICIES = ("Background", "Foreground", "Orphan")
# Others write to what is being deleted, often: controllers and nodes.
ATTEMPTS = 20
# Seconds of grace: a century, which is as good as any time beyond, and still has a date.
LONGEST = 100 * 365 * 24 * 3600


class DeleteOptions(NamedTuple):
    """metav1.DeleteOptions. `grace` in seconds, None for the kind's own; `policy` is "" for the kind's
    own."""

    grace: int | None = None
    policy: str = ""
    uid: str = ""
    resource_version: str = ""
    dry_run: bool = False

    def shown(self) -> Obj:
        """What is set, in the form of the API."""
        before = {"uid": self.uid, "resourceVersion": self.resource_version}
        told = {
            "gracePeriodSeconds": self.grace,
            "propagationPolicy": self.policy or None,
            "preconditions": {key: value for key, value in before.items() if value} or None,
        }
        return {key: value for key, value in told.items() if value is not None}

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> DeleteOptions:
        """From a request's body or its query. Raises 400, 422."""
        # As a parameter of a query it would be a text, which says nothing.
        before = named if isinstance(named := given.get("preconditions"), dict) else {}
        policy = given.get("propagationPolicy") or ""
        orphan = given.get("orphanDependents")
        if orphan is not None:
            if policy:
                raise _bad_option(
                    "FieldValueInvalid",
                    f'Invalid value: "{policy}": orphanDependents and deletionPropagation cannot be both set',
                    "propagationPolicy",
                )
            policy = "Orphan" if str(orphan).lower() == "true" else "Background"
        if policy and policy not in POLICIES:
            raise _bad_option(
                "FieldValueNotSupported",
                f'Unsupported value: "{policy}": supported values: "Background", "Foreground", "Orphan"',
                "propagationPolicy",
            )
        return cls(
            _seconds(given.get("gracePeriodSeconds")),
            policy,
            before.get("uid") or "",
            before.get("resourceVersion") or "",
            _is_dry_run(given.get("dryRun")),
        )


def _bad_option(reason: str, message: str, field: str) -> StatusError:
    return invalid("DeleteOptions", "", [Cause(reason, message, field)], "meta.k8s.io")


def _seconds(value: object) -> int | None:
    if value is None or value == "":
        return None
    try:
        seconds = int(str(value))
    except ValueError:
        raise bad_request(f"gracePeriodSeconds: {value!r} is no number of seconds") from None
    # What is negative means "as soon as possible, but ask".
    return min(seconds, LONGEST) if seconds >= 0 else 1


def _is_dry_run(value: object) -> bool:
    values = [value] if isinstance(value, str) else value or []
    if not isinstance(values, list) or any(entry != "All" for entry in values):
        raise _bad_option(
            "FieldValueNotSupported", f'Unsupported value: {values}: supported values: "All"', "dryRun"
        )
    return bool(values)


class Deleted(NamedTuple):
    """`gone` is false while the object stays for its grace period or its finalizers. `outcome` is its last
    state."""

    outcome: Outcome
    gone: bool


async def delete(core: Core, ask: Ask, options: DeleteOptions, *, admitted: bool = False) -> Deleted:
    """What is `admitted` already (as an eviction) is not shown to admission. Raises 403, 404, 409."""
    key = ask.kind.key(ask.namespace, ask.name)
    for _ in range(ATTEMPTS):
        entry = core.store.latest(key)
        if entry is None:
            raise missing(ask)
        check_preconditions(ask, options, entry.obj)
        ask.dry_run |= options.dry_run
        old = entry.obj
        if ask.kind.translation is not None:
            [old] = await ask.kind.translation.read([old])
        if not admitted:
            ask.options = options.shown()
            await core.mutate(ask, "DELETE", None, old)
            await core.validate(ask, "DELETE", None, old)
        try:
            outcome, gone = await _step(core, ask, options, entry)
            return Deleted(await presented(ask.kind, outcome), gone)
        except Stale:
            continue
        except Missing:
            raise missing(ask) from None
    resource = ask.kind.resource
    raise conflict(resource.plural, ask.name, "it is changed too often to be deleted", resource.group)


def check_preconditions(ask: Ask, options: DeleteOptions, obj: Obj) -> None:
    """The uid and the resourceVersion that the request names must be the object's. Raises 409."""
    resource, meta = ask.kind.resource, obj["metadata"]
    if options.uid and options.uid != meta["uid"]:
        why = (
            f"the UID in the precondition ({options.uid}) does not match the UID in record ({meta['uid']}). "
            "The object might have been deleted and then recreated"
        )
        raise conflict(resource.plural, ask.name, why, resource.group)
    if options.resource_version and options.resource_version != meta["resourceVersion"]:
        why = (
            f"the ResourceVersion in the precondition ({options.resource_version}) does not match the "
            f"ResourceVersion in record ({meta['resourceVersion']}). The object might have been modified"
        )
        raise conflict(resource.plural, ask.name, why, resource.group)


async def _step(core: Core, ask: Ask, options: DeleteOptions, entry: Entry) -> tuple[Outcome, bool]:
    decided = decide(ask, options, entry.obj, core.clock())
    if decided is None:
        return entry, False
    final, gone = decided
    if ask.dry_run or options.dry_run:
        return Made(final), gone
    if gone:
        claimed = ask.kind.strategy.reserve(None, entry.obj, False)
        return await written(claimed, core.store.delete(entry.key, final, entry.revision)), True
    if final == entry.obj:
        return entry, False
    return await core.store.update(entry.key, final, entry.revision), False


def decide(ask: Ask, options: DeleteOptions, old: Obj, now: datetime) -> tuple[Obj, bool] | None:
    """The object's next state, and whether it goes with that. None: it is on its way already, and nothing
    changes."""
    strategy, resource, meta = ask.kind.strategy, ask.kind.resource, old["metadata"]
    new = copied(old)
    if "deletionTimestamp" in meta and meta.get("deletionGracePeriodSeconds"):
        return _shorten(resource, options, new, now)
    grace = 0 if "deletionTimestamp" in meta else strategy.grace_period(old, options.grace)
    _set_finalizers(new, finalizers_after(resource, old, options.policy))
    if grace == 0 and not held(resource, new):
        return new, True
    if "deletionTimestamp" not in meta:
        _mark(new, now, grace)
        terminate(resource, new)
    return new, False


def _set_finalizers(obj: Obj, finalizers: list[str]) -> None:
    if finalizers:
        obj["metadata"]["finalizers"] = finalizers
    else:
        obj["metadata"].pop("finalizers", None)


def _mark(obj: Obj, now: datetime, grace: int) -> None:
    meta = obj["metadata"]
    meta["deletionTimestamp"] = timestamp(now + timedelta(seconds=grace))
    meta["deletionGracePeriodSeconds"] = grace
    if meta.get("generation"):
        meta["generation"] += 1


def _shorten(resource: Any, options: DeleteOptions, new: Obj, now: datetime) -> tuple[Obj, bool] | None:
    """A graceful deletion that goes on can only be made shorter."""
    meta = new["metadata"]
    present, asked = meta["deletionGracePeriodSeconds"], options.grace
    if asked is None or asked >= present:
        return None
    end = parse_time(meta["deletionTimestamp"]) + timedelta(seconds=asked - present)
    if end < now:
        # The time is over already; whoever ends it (the node) still has to be told once.
        end, asked = now, min(asked, 1)
    meta["deletionTimestamp"], meta["deletionGracePeriodSeconds"] = timestamp(end), asked
    return new, asked == 0 and not held(resource, new)


def answer(ask: Ask, deleted: Deleted) -> Outcome:
    """What the client is shown: the object while it is still there (and for the kinds that always show it),
    or a Status."""
    if not deleted.gone or ask.kind.resource in SHOWN_WHEN_DELETED:
        return deleted.outcome
    resource, meta = ask.kind.resource, deleted.outcome.obj["metadata"]
    details: Obj = {"name": meta["name"], "kind": resource.plural, "uid": meta["uid"]}
    if resource.group:
        details["group"] = resource.group
    return Made(
        {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
    )
