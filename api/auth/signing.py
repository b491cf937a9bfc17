"""The keys of service account tokens: one that signs, and those that tokens which are still good were signed
with before. Source: RFC 7517, RFC 7518."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from jwt.utils import base64url_encode

from podium.api import pki
from podium.api.types import Obj

# By the curve of the key; RSA keys have one.
_OF_CURVE = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_OF_RSA = "RS256"

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


class SigningKeys:
    """`key` signs; `more` are files with public or private keys that tokens may have been signed with, too.
    Raises ValueError, OSError for a file that holds none that is usable."""

    def __init__(self, key: Path, more: Sequence[Path] = ()) -> None:
        self._key = pki.load_key(key)
        self._id = _key_id(self._key.public_key())
        public: list[PublicKey] = [self._key.public_key(), *map(_public, more)]
        self._public = {_key_id(each): each for each in public}

    @property
    def algorithms(self) -> list[str]:
        return list(dict.fromkeys(map(_algorithm, self._public.values())))

    def sign(self, claims: Obj) -> str:
        algorithm = _algorithm(self._key.public_key())
        return jwt.encode(claims, self._key, algorithm=algorithm, headers={"kid": self._id})

    def verify(self, token: str, issuers: Sequence[str]) -> Obj:
        """The claims of a token that one of the keys has signed for one of `issuers`; their times and
        audiences are the caller's. Raises jwt.PyJWTError."""
        named = self._public.get(jwt.get_unverified_header(token).get("kid", ""))
        fault: jwt.PyJWTError = jwt.InvalidSignatureError("signed by nobody known")
        for key in [named] if named is not None else self._public.values():
            try:
                claims: Obj = jwt.decode(
                    token,
                    key,
                    algorithms=[_algorithm(key)],
                    issuer=list(issuers),
                    options={
                        "require": ["iss", "sub"],
                        "verify_exp": False,
                        "verify_nbf": False,
                        "verify_iat": False,
                        "verify_aud": False,
                    },
                )
            except jwt.PyJWTError as error:
                fault = error
                continue
            return claims
        raise fault

    def key_set(self) -> Obj:
        """The public keys as a JSON Web Key Set."""
        return {"keys": [_jwk(ident, key) for ident, key in self._public.items()]}


def _public(path: Path) -> PublicKey:
    pem = path.read_bytes()
    try:
        key = serialization.load_pem_public_key(pem)
    except ValueError:
        try:
            key = serialization.load_pem_private_key(pem, password=None).public_key()
        except (ValueError, TypeError):
            raise ValueError(f"{path}: holds no key in PEM") from None
    if isinstance(key, rsa.RSAPublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _OF_CURVE:
        return key
    raise ValueError(f"{path}: is neither an RSA key nor one of P-256, P-384 or P-521")


def _algorithm(key: PublicKey) -> str:
    return _OF_RSA if isinstance(key, rsa.RSAPublicKey) else _OF_CURVE[key.curve.name]


def _key_id(key: PublicKey) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    raw = key.public_bytes(serialization.Encoding.DER, form)
    return base64url_encode(hashlib.sha256(raw).digest()).decode()


def _jwk(ident: str, key: PublicKey) -> Obj:
    of_key: Obj = (
        RSAAlgorithm.to_jwk(key, as_dict=True)
        if isinstance(key, rsa.RSAPublicKey)
        else ECAlgorithm.to_jwk(key, as_dict=True)
    )
    bare = {name: value for name, value in of_key.items() if name != "key_ops"}
    return {**bare, "use": "sig", "kid": ident, "alg": _algorithm(key)}
