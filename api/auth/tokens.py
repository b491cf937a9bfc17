"""Service account tokens: JWTs that the server signs, bound to a service account and maybe to a pod.

A token is good while its signature and times are, and while the objects that it is bound to are still there
with the same UIDs; so deleting a pod or its service account ends its tokens. Source: docs, "Managing
Service Accounts", bound tokens."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.utils import base64url_encode

from podium.api import pki
from podium.api.auth.bootstrap import is_bootstrap_token, user_of
from podium.api.auth.users import AUTHENTICATED, User
from podium.api.types import Obj
from podium.api.types.errors import unauthorized
from podium.api.types.resources import NODES, PODS, SERVICE_ACCOUNTS, Resource

ALGORITHM = "ES256"
PREFIX = "system:serviceaccount:"
POD_NAME = "authentication.kubernetes.io/pod-name"
POD_UID = "authentication.kubernetes.io/pod-uid"
NODE_NAME = "authentication.kubernetes.io/node-name"
NODE_UID = "authentication.kubernetes.io/node-uid"
CREDENTIAL_ID = "authentication.kubernetes.io/credential-id"
REMEMBERED = 1024

Lookup = Callable[[Resource, str, str], Obj | None]


class Tokens:
    """Issues and checks tokens. `lookup` gives the current object of (resource, namespace, name), or None."""

    def __init__(
        self, key: Path, issuer: str, audiences: Sequence[str], lookup: Lookup, clock: Callable[[], datetime]
    ) -> None:
        self.issuer = issuer
        self.audiences = tuple(audiences)
        self._key = pki.load_key(key)
        self._public = self._key.public_key()
        self._key_id = _key_id(self._public)
        self._lookup = lookup
        self._clock = clock
        # Claims of tokens whose signature held; a signature check takes 100 µs, and clients repeat their
        # token.
        self._verified: dict[str, Obj] = {}

    def issue(
        self, account: Obj, audiences: Sequence[str], seconds: int, bound: Obj | None = None
    ) -> tuple[str, datetime]:
        """A token for `account` (a ServiceAccount), bound to the pod `bound` if given, and when it
        expires."""
        now = int(self._clock().timestamp())
        meta = account["metadata"]
        binding: Obj = {
            "namespace": meta["namespace"],
            "serviceaccount": {"name": meta["name"], "uid": meta["uid"]},
        }
        if bound is not None:
            binding["pod"] = {"name": bound["metadata"]["name"], "uid": bound["metadata"]["uid"]}
            if name := bound.get("spec", {}).get("nodeName"):
                node = self._lookup(NODES, "", name)
                binding["node"] = {"name": name, **({"uid": node["metadata"]["uid"]} if node else {})}
        claims = {
            "aud": list(audiences or self.audiences),
            "exp": now + seconds,
            "iat": now,
            "nbf": now,
            "iss": self.issuer,
            "jti": str(uuid.uuid4()),
            "sub": f"{PREFIX}{meta['namespace']}:{meta['name']}",
            "kubernetes.io": binding,
        }
        token = jwt.encode(claims, self._key, algorithm=ALGORITHM, headers={"kid": self._key_id})
        return token, datetime.fromtimestamp(now + seconds, UTC)

    def check(self, token: str, audiences: Sequence[str] = ()) -> tuple[User, list[str]]:
        """The user that `token` stands for, and those of `audiences` (by default the server's) that it is
        meant for. Raises 401."""
        if is_bootstrap_token(token):
            meant = [one for one in (audiences or self.audiences) if one in self.audiences]
            if not meant:
                raise unauthorized()
            return user_of(token, self._lookup, self._clock()), meant
        claims = self._verified.get(token) or self._verify(token)
        now = self._clock().timestamp()
        meant = [one for one in (audiences or self.audiences) if one in claims["aud"]]
        if now >= claims["exp"] or now < claims["nbf"] or not meant:
            raise unauthorized()
        return self._user(claims), meant

    def _verify(self, token: str) -> Obj:
        try:
            claims: Obj = jwt.decode(
                token,
                self._public,
                algorithms=[ALGORITHM],
                issuer=self.issuer,
                options={
                    "require": ["exp", "nbf", "iss", "sub", "aud"],
                    # The injected clock decides about times; the caller about audiences.
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                    "verify_aud": False,
                },
            )
        except jwt.PyJWTError:
            raise unauthorized() from None
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
        if node := binding.get("node"):
            extra[NODE_NAME] = (node["name"],)
            if "uid" in node:
                extra[NODE_UID] = (node["uid"],)
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
        return User(claims["sub"], groups, account.get("uid", ""), extra)

    def _must_exist(self, resource: Resource, namespace: str, named: Obj) -> None:
        found = self._lookup(resource, namespace, named.get("name", ""))
        if found is None or found["metadata"]["uid"] != named.get("uid"):
            raise unauthorized()

    def key_set(self) -> Obj:
        """The public key as a JSON Web Key Set, for whoever checks tokens without asking the server."""
        numbers = self._public.public_numbers()
        return {
            "keys": [
                {
                    "use": "sig",
                    "kty": "EC",
                    "kid": self._key_id,
                    "alg": ALGORITHM,
                    "crv": "P-256",
                    "x": base64url_encode(numbers.x.to_bytes(32, "big")).decode(),
                    "y": base64url_encode(numbers.y.to_bytes(32, "big")).decode(),
                }
            ]
        }

    def openid_configuration(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/openid/v1/jwks",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
        }


def _key_id(key: ec.EllipticCurvePublicKey) -> str:
    numbers = key.public_numbers()
    digest = hashlib.sha256(numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")).digest()
    return base64url_encode(digest).decode()


def authenticate_header(tokens: Tokens, header: bytes) -> User:
    """The user of an `Authorization` header. Raises 401 for anything but a good bearer token."""
    scheme, _, token = header.decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise unauthorized()
    return tokens.check(token.strip())[0]
