"""serviceaccounts/token: TokenRequest. Source: API reference, authentication/v1 TokenRequest."""

from __future__ import annotations

from datetime import timedelta

from podium.api.admission.accounts import TOKEN_SECONDS
from podium.api.ask import Ask, Made, Outcome
from podium.api.auth.tokens import Bound, Tokens
from podium.api.core import Core
from podium.api.types import Obj
from podium.api.types.errors import Cause, bad_request, conflict, invalid, not_found
from podium.api.types.meta import timestamp
from podium.api.types.resources import NODES, PODS, SECRETS
from podium.api.verbs.metadata import metadata_of

DEFAULT_SECONDS = 3600
SHORTEST = 600
LONGEST = 1 << 32
# Who reads its token from the volume only once, at its start, can use it for this long; the volume has a
# newer one long before.
EXTENDED = 365 * 24 * 3600 + 7
ISSUED = "authentication.kubernetes.io/issued-credential-id"
_BINDS = {"Pod": ("pod", PODS), "Node": ("node", NODES), "Secret": ("secret", SECRETS)}


async def request(core: Core, ask: Ask, tokens: Tokens, given: Obj) -> Outcome:
    """Issues a token for the service account `ask` names. Raises 400, 403, 404, 409, 422."""
    meta = metadata_of(given)
    if meta.get("name") not in (None, "", ask.name):
        raise bad_request(
            f"the name of the object ({meta['name']}) does not match the name on the URL ({ask.name})"
        )
    account = core.found(ask).obj
    given |= {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}
    await core.mutate(ask, "CREATE", given, None)
    spec = given.setdefault("spec", {})
    seconds = spec.setdefault("expirationSeconds", DEFAULT_SECONDS)
    audiences = spec.get("audiences") or list(tokens.audiences)
    spec["audiences"] = audiences
    _check(seconds)
    await core.validate(ask, "CREATE", given, None)
    bound = _bound(core, ask, spec.get("boundObjectRef"))
    if not ask.dry_run:
        mounted = bound is not None and bound.kind == "pod" and seconds == TOKEN_SECONDS
        longer = mounted and all(audience in tokens.audiences for audience in audiences)
        token, ident = tokens.issue(
            account, audiences, EXTENDED if longer else seconds, bound, warn_after=seconds if longer else 0
        )
        ask.annotations[ISSUED] = f"JTI={ident}"
        expires = core.clock() + timedelta(seconds=seconds)
        given["status"] = {"token": token, "expirationTimestamp": timestamp(expires)}
    meta.update(name=ask.name, namespace=ask.namespace, creationTimestamp=timestamp(core.clock()))
    return Made(given)


def _check(seconds: int) -> None:
    why = ""
    if seconds < SHORTEST:
        why = "may not specify a duration less than 10 minutes"
    elif seconds > LONGEST:
        why = "may not specify a duration larger than 2^32 seconds"
    if why:
        cause = Cause("FieldValueInvalid", f"Invalid value: {seconds}: {why}", "spec.expirationSeconds")
        raise invalid("TokenRequest", "", [cause], "authentication.k8s.io")


def _bound(core: Core, ask: Ask, reference: Obj | None) -> Bound | None:
    """What the token shall be bound to: a pod only, where it is one of the account's own."""
    if not reference:
        return None
    version, kind = reference.get("apiVersion") or "", reference.get("kind") or ""
    if "/" in version or kind not in _BINDS:
        group, _, version = version.rpartition("/")
        raise bad_request(f"cannot bind token to object of type {group}/{version}, Kind={kind}")
    word, resource = _BINDS[kind]
    name = reference.get("name") or ""
    found = core.lookup(resource, ask.namespace if resource.namespaced else "", name)
    if found is None:
        raise not_found(resource.plural, name)
    if resource is PODS and found["spec"].get("serviceAccountName") != ask.name:
        what = f'cannot bind token for serviceaccount "{ask.name}" to pod running with different'
        raise bad_request(f"{what} serviceaccount name.")
    if reference.get("uid") not in (None, "", found["metadata"]["uid"]):
        why = (
            f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record. "
            "The object might have been deleted and then recreated"
        )
        raise conflict(kind, name, why)
    return Bound(word, found)
