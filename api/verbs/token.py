"""serviceaccounts/token: TokenRequest. Source: API reference, authentication/v1 TokenRequest."""

from __future__ import annotations

from podium.api.ask import Ask, Made, Outcome
from podium.api.auth.tokens import Tokens
from podium.api.core import Core
from podium.api.types import Obj
from podium.api.types.errors import Cause, bad_request, conflict, forbidden, invalid, not_found
from podium.api.types.meta import timestamp
from podium.api.types.resources import PODS
from podium.api.verbs.metadata import metadata_of

DEFAULT_SECONDS = 3600
SHORTEST = 600
LONGEST = 1 << 32


async def request(core: Core, ask: Ask, tokens: Tokens, given: Obj) -> Outcome:
    """Issues a token for the service account `ask` names. Raises 400, 403, 404, 409, 422."""
    meta = metadata_of(given)
    if meta.get("name") not in (None, "", ask.name):
        raise bad_request(
            f"the name of the object ({meta['name']}) does not match the name on the URL ({ask.name})"
        )
    account = core.found(ask).obj
    await core.mutate(ask, "CREATE", given, None)
    spec = given.setdefault("spec", {})
    seconds = spec.setdefault("expirationSeconds", DEFAULT_SECONDS)
    audiences = spec.get("audiences") or list(tokens.audiences)
    spec["audiences"] = audiences
    _check(seconds)
    bound = _bound(core, ask, spec.get("boundObjectRef"))
    if not ask.dry_run:
        token, expires = tokens.issue(account, audiences, seconds, bound)
        given["status"] = {"token": token, "expirationTimestamp": timestamp(expires)}
    meta.update(name=ask.name, namespace=ask.namespace, creationTimestamp=timestamp(core.clock()))
    return Made(given)


def _check(seconds: int) -> None:
    why = ""
    if seconds < SHORTEST:
        why = "may not specify a duration less than 10 minutes"
    elif seconds > LONGEST:
        why = f"may not specify a duration larger than {LONGEST} seconds"
    if why:
        cause = Cause("FieldValueInvalid", f"Invalid value: {seconds}: {why}", "spec.expirationSeconds")
        raise invalid("TokenRequest", "", [cause], "authentication.k8s.io")


def _bound(core: Core, ask: Ask, reference: Obj | None) -> Obj | None:
    """The pod that the token shall be bound to: one of the account's own."""
    if not reference:
        return None
    if (reference.get("apiVersion"), reference.get("kind")) != ("v1", "Pod"):
        text = f"cannot bind token for serviceaccount {ask.name!r} to object of type {reference.get('kind')}"
        raise bad_request(text)
    name = reference.get("name") or ""
    pod = core.lookup(PODS, ask.namespace, name)
    if pod is None:
        raise not_found(PODS.plural, name)
    if reference.get("uid") not in (None, "", pod["metadata"]["uid"]):
        why = (
            f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record. "
            "The object might have been deleted and then recreated"
        )
        raise conflict(PODS.plural, name, why)
    if pod["spec"].get("serviceAccountName") != ask.name:
        why = (
            f"cannot bind token for serviceaccount {ask.name!r} to pod running with different serviceaccount "
            "name."
        )
        raise forbidden("serviceaccounts", ask.name, why)
    return pod
