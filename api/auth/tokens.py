"""Service account tokens: JWTs that the server signs, bound to a service account and maybe to a pod, a node
or a Secret.

A token is good while its signature and times are, and while the objects that it is bound to are still there
with the same UIDs; so deleting a pod or its service account ends its tokens. A token in a Secret of the type
kubernetes.io/service-account-token never expires, and is good while it is in there. Source: docs, "Managing
Service Accounts", bound tokens."""

from __future__ import annotations

import base64
import binascii
import hmac
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import jwt

from podium.api.auth.bootstrap import is_bootstrap_token, user_of
from podium.api.auth.signing import SigningKeys
from podium.api.auth.users import AUTHENTICATED, CREDENTIAL_ID, User
from podium.api.types import Obj
from podium.api.types.errors import unauthorized
from podium.api.types.meta import parse_time
from podium.api.types.resources import NODES, PODS, SECRETS, SERVICE_ACCOUNTS, Resource

PREFIX = "system:serviceaccount:"
POD_NAME = "authentication.kubernetes.io/pod-name"
POD_UID = "authentication.kubernetes.io/pod-uid"
NODE_NAME = "authentication.kubernetes.io/node-name"
NODE_UID = "authentication.kubernetes.io/node-uid"
REMEMBERED = 1024
LEGACY_ISSUER = "kubernetes/serviceaccount"
_LEGACY = f"{LEGACY_ISSUER}/"
INVALID_SINCE = "kubernetes.io/legacy-token-invalid-since"
# What is being deleted gives its tokens this time more.
LEEWAY = timedelta(seconds=60)

Lookup = Callable[[Resource, str, str], Obj | None]


class Bound(NamedTuple):
    """What a token is bound to: a pod, a node or a Secret, by that word."""

    kind: str
    obj: Obj


class Tokens:
    """Issues and checks tokens. `lookup` gives the current object of (resource, namespace, name), or None."""

    def __init__(
        self,
        keys: SigningKeys,
        issuers: Sequence[str],
        audiences: Sequence[str],
        lookup: Lookup,
        clock: Callable[[], datetime],
    ) -> None:
        """The first of `issuers` issues; tokens of the others are good, too."""
        self.issuer = issuers[0]
        self.audiences = tuple(audiences)
        self._keys = keys
        self.issuers = tuple(issuers)
        self._lookup = lookup
        self._clock = clock
        # Claims of tokens whose signature held; a signature check takes 100 µs, and clients repeat their
        # token.
        self._verified: dict[str, Obj] = {}

    def issue(
        self,
        account: Obj,
        audiences: Sequence[str],
        seconds: int,
        bound: Bound | None = None,
        *,
        warn_after: int = 0,
    ) -> tuple[str, str]:
        """A token for `account` (a ServiceAccount), good for that many seconds, and its id. `warn_after` says
        when its holder should have a newer one."""
        now = int(self._clock().timestamp())
        meta = account["metadata"]
        binding: Obj = {
            "namespace": meta["namespace"],
            "serviceaccount": {"name": meta["name"], "uid": meta["uid"]},
        }
        if bound is not None:
            of = bound.obj["metadata"]
            binding[bound.kind] = {"name": of["name"], "uid": of["uid"]}
            if bound.kind == "pod" and (name := bound.obj.get("spec", {}).get("nodeName")):
                node = self._lookup(NODES, "", name)
                binding["node"] = {"name": name, **({"uid": node["metadata"]["uid"]} if node else {})}
        if warn_after:
            binding["warnafter"] = now + warn_after
        ident = str(uuid.uuid4())
        claims = {
            "aud": list(audiences or self.audiences),
            "exp": now + seconds,
            "iat": now,
            "nbf": now,
            "iss": self.issuer,
            "jti": ident,
            "sub": f"{PREFIX}{meta['namespace']}:{meta['name']}",
            "kubernetes.io": binding,
        }
        return self._keys.sign(claims), ident

    def issue_for_secret(self, account: Obj, secret: Obj) -> str:
        """The token that a Secret of type kubernetes.io/service-account-token holds."""
        meta = account["metadata"]
        claims = {
            "iss": LEGACY_ISSUER,
            "sub": f"{PREFIX}{meta['namespace']}:{meta['name']}",
            f"{_LEGACY}namespace": meta["namespace"],
            f"{_LEGACY}secret.name": secret["metadata"]["name"],
            f"{_LEGACY}service-account.name": meta["name"],
            f"{_LEGACY}service-account.uid": meta["uid"],
        }
        return self._keys.sign(claims)

    def check(self, token: str, audiences: Sequence[str] = ()) -> tuple[User, list[str]]:
        """The user that `token` stands for, and those of `audiences` (by default the server's) that it is
        meant for. Raises 401."""
        if is_bootstrap_token(token):
            meant = [one for one in (audiences or self.audiences) if one in self.audiences]
            if not meant:
                raise unauthorized()
            return user_of(token, self._lookup, self._clock()), meant
        claims = self._verified.get(token) or self._verify(token)
        if claims["iss"] == LEGACY_ISSUER:
            return self._check_legacy(token, claims, audiences)
        now = self._clock().timestamp()
        meant = [one for one in (audiences or self.audiences) if one in claims["aud"]]
        if now >= claims["exp"] or now < claims["nbf"] or not meant:
            raise unauthorized()
        return self._user(claims), meant

    def _verify(self, token: str) -> Obj:
        try:
            claims = self._keys.verify(token, (*self.issuers, LEGACY_ISSUER))
        except jwt.PyJWTError:
            raise unauthorized() from None
        if claims["iss"] != LEGACY_ISSUER and not all(key in claims for key in ("exp", "nbf", "aud")):
            raise unauthorized()
        if isinstance(claims.get("aud"), str):
            # As another signer may write a single one: no part of it is an audience.
            claims["aud"] = [claims["aud"]]
        if len(self._verified) >= REMEMBERED:
            self._verified.clear()
        self._verified[token] = claims
        return claims

    def _user(self, claims: Obj) -> User:
        binding = claims.get("kubernetes.io") or {}
        namespace, account = binding.get("namespace", ""), binding.get("serviceaccount") or {}
        self._must_exist(SERVICE_ACCOUNTS, namespace, account)
        extra: dict[str, tuple[str, ...]] = (
            {CREDENTIAL_ID: (f"JTI={claims['jti']}",)} if "jti" in claims else {}
        )
        if pod := binding.get("pod"):
            self._must_exist(PODS, namespace, pod)
            extra[POD_NAME], extra[POD_UID] = (pod["name"],), (pod["uid"],)
        if secret := binding.get("secret"):
            self._must_exist(SECRETS, namespace, secret)
        if node := binding.get("node"):
            if not pod:
                self._must_exist(NODES, "", node)
            extra[NODE_NAME] = (node["name"],)
            if "uid" in node:
                extra[NODE_UID] = (node["uid"],)
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
        return User(claims["sub"], groups, account.get("uid", ""), extra)

    def _must_exist(self, resource: Resource, namespace: str, named: Obj) -> None:
        found = self._lookup(resource, namespace, named.get("name", ""))
        if found is None or found["metadata"]["uid"] != named.get("uid"):
            raise unauthorized()
        gone = found["metadata"].get("deletionTimestamp")
        if gone and parse_time(gone) < self._clock() - LEEWAY:
            raise unauthorized()

    def _check_legacy(self, token: str, claims: Obj, audiences: Sequence[str]) -> tuple[User, list[str]]:
        """A token that a Secret holds. Raises 401."""
        meant = [one for one in (audiences or self.audiences) if one in self.audiences]
        parts = ("namespace", "service-account.name", "service-account.uid", "secret.name")
        namespace, name, uid, holder = (str(claims.get(f"{_LEGACY}{part}")) for part in parts)
        secret = self._lookup(SECRETS, namespace, holder)
        if not meant or secret is None or claims["sub"] != f"{PREFIX}{namespace}:{name}":
            raise unauthorized()
        meta = secret["metadata"]
        marked = (meta.get("labels") or {}).get(INVALID_SINCE)
        if marked or meta.get("deletionTimestamp") or not _holds(secret, token):
            raise unauthorized()
        self._must_exist(SERVICE_ACCOUNTS, namespace, {"name": name, "uid": uid})
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
        return User(claims["sub"], groups, uid), meant

    def key_set(self) -> Obj:
        """For whoever checks tokens without asking the server."""
        return self._keys.key_set()

    def openid_configuration(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/openid/v1/jwks",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": self._keys.algorithms,
        }


def _holds(secret: Obj, token: str) -> bool:
    try:
        held = base64.b64decode((secret.get("data") or {}).get("token") or "")
    except binascii.Error:
        return False
    return hmac.compare_digest(held, token.encode())
