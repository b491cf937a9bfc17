"""Service account tokens: what they are bound to, how long they are good, and who can check them."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from podium.api import pki
from podium.api.auth.signing import SigningKeys
from podium.api.auth.tokens import Tokens
from podium.api.server import ApiServer, ServerConfig
from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.control.tokensecrets import ACCOUNT_NAME, TYPE
from tests.unit.api.http.harness import CORE, DEFAULT, Http, pod

ACCOUNT = f"{DEFAULT}/serviceaccounts/robot"
WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


@pytest.fixture
async def robot(http: Http) -> Obj:
    return await http.made(f"{DEFAULT}/serviceaccounts", {"metadata": {"name": "robot"}})


async def token(http: Http, **spec: Any) -> str:
    return str((await http.made(f"{ACCOUNT}/token", {"spec": spec}))["status"]["token"])


async def good(nobody: Http, text: str) -> bool:
    reply = await nobody("POST", WHO, {}, {"Authorization": f"Bearer {text}"})
    assert reply.code in (201, 401)
    return reply.code == 201


def bound_to(kind: str, obj: Obj) -> Obj:
    meta = obj["metadata"]
    return {"apiVersion": "v1", "kind": kind, "name": meta["name"], "uid": meta["uid"]}


@pytest.mark.parametrize(
    ("kind", "collection", "body"),
    [
        ("Secret", f"{DEFAULT}/secrets", {"metadata": {"name": "x"}}),
        ("Node", f"{CORE}/nodes", {"metadata": {"name": "x"}}),
        (
            "Pod",
            f"{DEFAULT}/pods",
            {**pod("x"), "spec": {**pod("x")["spec"], "serviceAccountName": "robot"}},
        ),
    ],
)
async def test_a_token_dies_with_what_it_is_bound_to(
    http: Http, nobody: Http, robot: Obj, kind: str, collection: str, body: Obj
) -> None:
    made = await http.made(collection, body)
    text = await token(http, boundObjectRef=bound_to(kind, made))
    assert await good(nobody, text)
    now = {"gracePeriodSeconds": 0}
    await http.delete(f"{collection}/x", now)
    assert not await good(nobody, text)
    await http.made(collection, body)
    assert not await good(nobody, text)


async def test_a_token_of_a_deleted_account_is_no_token_of_its_namesake(
    http: Http, nobody: Http, robot: Obj
) -> None:
    text = await token(http)
    await http.delete(ACCOUNT)
    assert not await good(nobody, text)
    await http.made(f"{DEFAULT}/serviceaccounts", {"metadata": {"name": "robot"}})
    assert not await good(nobody, text)


@pytest.mark.parametrize(
    ("reference", "code", "message"),
    [
        ({"kind": "Pod", "apiVersion": "v1", "name": "none"}, 404, 'pods "none" not found'),
        (
            {"kind": "Pod", "apiVersion": "v1", "name": "a"},
            400,
            'cannot bind token for serviceaccount "robot" to pod running with different serviceaccount name.',
        ),
        (
            {"kind": "ConfigMap", "apiVersion": "v1", "name": "a"},
            400,
            "cannot bind token to object of type /v1, Kind=ConfigMap",
        ),
        (
            {"kind": "Secret", "apiVersion": "v1", "name": "s", "uid": "other"},
            409,
            'Operation cannot be fulfilled on Secret "s": the UID in the bound object reference (other) does '
            "not match the UID in record. The object might have been deleted and then recreated",
        ),
    ],
)
async def test_what_a_token_cannot_be_bound_to(
    http: Http, robot: Obj, reference: Obj, code: int, message: str
) -> None:
    await http.made(f"{DEFAULT}/pods", pod("a"))
    await http.made(f"{DEFAULT}/secrets", {"metadata": {"name": "s"}})
    refused = await http.post(f"{ACCOUNT}/token", {"spec": {"boundObjectRef": reference}})
    assert (refused.code, refused.message) == (code, message)


@pytest.mark.parametrize(
    ("seconds", "why"),
    [
        (599, "may not specify a duration less than 10 minutes"),
        ((1 << 32) + 1, "may not specify a duration larger than 2^32 seconds"),
    ],
)
async def test_how_long_a_token_may_be_good(http: Http, robot: Obj, seconds: int, why: str) -> None:
    refused = await http.post(f"{ACCOUNT}/token", {"spec": {"expirationSeconds": seconds}})
    assert refused.code == 422
    assert refused.message == (
        'TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: '
        f"{seconds}: {why}"
    )


async def test_a_pod_that_reads_its_token_once_has_it_for_a_year(http: Http, robot: Obj) -> None:
    spec = {**pod("a")["spec"], "serviceAccountName": "robot"}
    made = await http.made(f"{DEFAULT}/pods", {**pod("a"), "spec": spec})
    asked = {"expirationSeconds": 3607, "boundObjectRef": bound_to("Pod", made)}
    reply = await http.made(f"{ACCOUNT}/token", {"spec": asked})
    claims = jwt.decode(reply["status"]["token"], options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 365 * 24 * 3600 + 7
    assert claims["kubernetes.io"]["warnafter"] - claims["iat"] == 3607
    shown = datetime.fromisoformat(reply["status"]["expirationTimestamp"])
    assert abs(shown - datetime.now(UTC) - timedelta(seconds=3607)) < timedelta(seconds=60)
    others = await http.made(f"{ACCOUNT}/token", {"spec": {**asked, "audiences": ["vault"]}})
    claims = jwt.decode(others["status"]["token"], options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 3607


async def test_the_issuer_tells_others_how_to_check_its_tokens(http: Http, nobody: Http, robot: Obj) -> None:
    text = await token(http, audiences=["vault"])
    bearer = {"Authorization": f"Bearer {await token(http)}"}
    document = await nobody("GET", "/.well-known/openid-configuration", headers=bearer)
    assert document.code == 200
    assert document.headers["Content-Type"] == "application/json"
    assert document.headers["Cache-Control"] == "public, max-age=3600"
    assert document.obj["response_types_supported"] == ["id_token"]
    assert document.obj["subject_types_supported"] == ["public"]
    keys = await nobody("GET", "/openid/v1/jwks", headers=bearer)
    assert keys.headers["Content-Type"] == "application/jwk-set+json"
    found = jwt.PyJWKSet.from_dict(keys.obj)[jwt.get_unverified_header(text)["kid"]]
    claims = jwt.decode(
        text,
        found,
        algorithms=document.obj["id_token_signing_alg_values_supported"],
        audience="vault",
        issuer=document.obj["issuer"],
    )
    assert claims["sub"] == "system:serviceaccount:default:robot"
    assert (await nobody.get("/openid/v1/jwks")).code == 403


async def test_a_secret_of_the_tokens_type_holds_a_token(
    http: Http, nobody: Http, server: ApiServer, robot: Obj
) -> None:
    made = await http.made(
        f"{DEFAULT}/secrets",
        {"metadata": {"name": "held", "annotations": {ACCOUNT_NAME: "robot"}}, "type": TYPE},
    )
    text = server.secret_token(robot, made)
    assert not await good(nobody, text)
    filled = {"data": {"token": base64.b64encode(text.encode()).decode()}}
    await http.patch(f"{DEFAULT}/secrets/held", filled)
    assert await good(nobody, text)
    await http.patch(f"{DEFAULT}/secrets/held", {"metadata": {"labels": {
        "kubernetes.io/legacy-token-invalid-since": "2026-01-01"}}})  # fmt: skip
    assert not await good(nobody, text)


async def test_a_token_ends_with_its_time_and_begins_with_it() -> None:
    now = [datetime.now(UTC)]
    server = ApiServer(ServerConfig(clock=lambda: now[0]))
    await server.start()
    address = await server.serve()
    admin, nobody = Http(server, address, server.admin()), Http(server, address, None)
    try:
        await admin.made(f"{DEFAULT}/serviceaccounts", {"metadata": {"name": "robot"}})
        text = await token(admin, expirationSeconds=600)
        for later, expected in ((-1, False), (0, True), (599, True), (600, False)):
            began = now[0]
            now[0] = began + timedelta(seconds=later)
            assert await good(nobody, text) is expected, later
            now[0] = began
    finally:
        await admin.close()
        await nobody.close()
        await server.close()


def rsa_pem(path: Path) -> Path:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    path.write_bytes(key.public_bytes(serialization.Encoding.PEM, form))
    return path


def test_a_token_outlives_a_change_of_keys_and_of_the_issuer(tmp_path: Path) -> None:
    account = {"metadata": {"name": "robot", "namespace": "default", "uid": "u"}}
    old, new = (pki.ensure_signing_key(tmp_path / name) for name in ("old", "new"))

    def tokens(keys: SigningKeys, *issuers: str) -> Tokens:
        return Tokens(keys, issuers, ["api"], lambda *_: account, lambda: datetime.now(UTC))

    text, _ = tokens(SigningKeys(old), "https://old").issue(account, (), 600)
    both = SigningKeys(new, [old, rsa_pem(tmp_path / "rsa.pub")])
    rotated = tokens(both, "https://new", "https://old")
    assert rotated.check(text)[0].name == "system:serviceaccount:default:robot"
    assert [key["kty"] for key in rotated.key_set()["keys"]] == ["EC", "EC", "RSA"]
    algorithms = rotated.openid_configuration()["id_token_signing_alg_values_supported"]
    assert algorithms == ["ES256", "RS256"]
    assert not any("d" in key for key in rotated.key_set()["keys"])
    for other in (tokens(both, "https://new"), tokens(SigningKeys(new), "https://new", "https://old")):
        with pytest.raises(StatusError):
            other.check(text)
    (tmp_path / "none").write_text("x")
    with pytest.raises(ValueError, match="holds no key in PEM"):
        SigningKeys(new, [tmp_path / "none"])


def test_an_audience_is_no_part_of_another(tmp_path: Path) -> None:
    account = {"metadata": {"name": "robot", "namespace": "default", "uid": "u"}}
    keys = SigningKeys(pki.ensure_signing_key(tmp_path / "key"))
    own = Tokens(keys, ["https://a"], ["api"], lambda *_: account, lambda: datetime.now(UTC))
    text, _ = own.issue(account, (), 600)
    for audience, held in (("api", True), ("api-of-others", False)):
        claims = {**jwt.decode(text, options={"verify_signature": False}), "aud": audience}
        if held:
            assert own.check(keys.sign(claims))[1] == ["api"]
        else:
            with pytest.raises(StatusError):
                own.check(keys.sign(claims))


@pytest.mark.parametrize(
    ("curve", "algorithm"), [(ec.SECP256R1(), "ES256"), (ec.SECP384R1(), "ES384"), (ec.SECP521R1(), "ES512")]
)
def test_keys_of_every_curve_sign_and_check(tmp_path: Path, curve: ec.EllipticCurve, algorithm: str) -> None:
    key = ec.generate_private_key(curve)
    file = tmp_path / "key"
    form, nothing = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    file.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, nothing))
    keys = SigningKeys(file)
    token = keys.sign({"iss": "me", "sub": "x"})
    assert jwt.get_unverified_header(token)["alg"] == algorithm
    rotated = SigningKeys(pki.ensure_signing_key(tmp_path / "new"), [file])
    assert rotated.verify(token, ["me"])["sub"] == "x"
    assert [each["alg"] for each in rotated.key_set()["keys"]] == ["ES256", algorithm]
    assert {each["kid"] for each in rotated.key_set()["keys"]} > {jwt.get_unverified_header(token)["kid"]}
