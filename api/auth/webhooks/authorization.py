"""What another server decides: it is sent a SubjectAccessReview.

Source: docs, "Webhook Mode", "Configuring the API Server using an Authorization Config File"; API reference,
authorization.k8s.io/v1 SubjectAccessReview."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import orjson

from podium.api.auth.actions import Action, Verdict
from podium.api.auth.remembering import Remembered
from podium.api.auth.selecting import described
from podium.api.auth.users import User
from podium.api.auth.webhooks.remote import Remote, RemoteError
from podium.api.cel import EvaluationError, Program
from podium.api.types import Obj

log = logging.getLogger(__name__)

# Characters that what a client sent may make a question long by and still be remembered.
LONGEST = 10_000


class Settings(NamedTuple):
    """`denies_on_error`: whether nobody else is asked when there is no answer. `conditions` say which
    requests are asked about at all, as expressions over the review's spec, `request`."""

    name: str = "webhook"
    version: str = "v1"
    authorized: float = 300.0
    unauthorized: float = 30.0
    denies_on_error: bool = False
    conditions: Sequence[Program] = ()


class AccessReviewer:
    def __init__(self, remote: Remote, settings: Settings) -> None:
        self.settings = settings
        self._remote = remote
        self._known: Remembered[Obj] = Remembered(8192)

    async def decide(self, user: User, action: Action) -> Verdict:
        spec = spec_of(user, action)
        try:
            if not _matches(self.settings.conditions, spec):
                return Verdict(False)
            return _verdict(await self._status(spec, action))
        except (RemoteError, EvaluationError) as error:
            log.error("%s did not say whether %s may: %s", self.settings.name, user.name, error)
            return Verdict(False, "", denied=self.settings.denies_on_error)

    async def _status(self, spec: Obj, action: Action) -> Obj:
        settings = self.settings

        async def ask() -> tuple[Obj, float]:
            review = {
                "apiVersion": f"authorization.k8s.io/{settings.version}",
                "kind": "SubjectAccessReview",
                "spec": spec if settings.version == "v1" else _older(spec),
            }
            status = (await self._remote.ask(review))["status"]
            return status, settings.authorized if status.get("allowed") else settings.unauthorized

        if sum(map(len, (action.namespace, action.name, action.path, action.verb))) > LONGEST:
            return (await ask())[0]
        return await self._known.get(orjson.dumps(spec, option=orjson.OPT_SORT_KEYS), ask)


def spec_of(user: User, action: Action) -> Obj:
    """The SubjectAccessReviewSpec of a request."""
    spec: Obj = {}
    if action.resource:
        given = {
            "namespace": action.namespace, "verb": action.verb, "group": action.group,
            "version": action.version or "*", "resource": action.resource,
            "subresource": action.subresource, "name": action.name,
        }  # fmt: skip
        attributes: Obj = {key: value for key, value in given.items() if value}
        for key, terms in (("fieldSelector", action.fields), ("labelSelector", action.labels)):
            if terms:
                attributes[key] = {"requirements": described(terms)}
        spec["resourceAttributes"] = attributes
    else:
        spec["nonResourceAttributes"] = {"path": action.path, "verb": action.verb}
    spec["user"] = user.name
    if user.groups:
        spec["groups"] = list(user.groups)
    if user.extra:
        spec["extra"] = {key: list(values) for key, values in user.extra.items()}
    if user.uid:
        spec["uid"] = user.uid
    return spec


def _older(spec: Obj) -> Obj:
    """As v1beta1 spells it."""
    return {("group" if key == "groups" else key): value for key, value in spec.items()}


def _matches(conditions: Sequence[Program], spec: Mapping[str, object]) -> bool:
    """Raises EvaluationError when no condition said no and one has no value."""
    fault: EvaluationError | None = None
    for condition in conditions:
        try:
            if condition.evaluate({"request": spec}) is not True:
                return False
        except EvaluationError as error:
            fault = error
    if fault is not None:
        raise fault
    return True


def _verdict(status: Obj) -> Verdict:
    reason = str(status.get("reason") or "")
    denied = status.get("denied") is True
    return Verdict(status.get("allowed") is True and not denied, reason, denied)
