"""Who somebody is: token files, issuers of JWTs, webhooks, and nobody in particular."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec

from podium.api.auth.authentication import Settings
from podium.api.auth.configuration import ConfigError, Watched
from podium.api.auth.issuers import read
from podium.api.auth.remembering import Remembered
from podium.api.auth.tokenfile import read as read_tokens
from podium.api.server import ApiServer, ServerConfig
from podium.api.types import Obj
from tests.unit.api.auth.others import OtherServer, other_server
from tests.unit.api.http.harness import DEFAULT, Http, Reply

WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
NAMED = {"claimMappings": {"username": {"claim": "sub", "prefix": "oidc:"}}}

Serving = Callable[..., AbstractAsyncContextManager[Http]]


@pytest.fixture
async def other(tmp_path: Path) -> AsyncIterator[OtherServer]:
    async with other_server(tmp_path) as found:
        yield found


@asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[tuple[Http, Http]]:
    """A server that knows users so, asked by nobody and by its administrator."""
    server = ApiServer(ServerConfig(authorization=("Node", "RBAC"), authentication=Settings(**settings)))
    await server.start()
    address = await server.serve()
    nobody, admin = Http(server, address, None), Http(server, address, server.admin())
    try:
        yield nobody, admin
    finally:
        await nobody.close()
        await admin.close()
        await server.close()


async def who(http: Http, token: str) -> Reply:
    return await http("POST", WHO, {}, {"Authorization": f"Bearer {token}"})


async def user_of(http: Http, token: str) -> Obj:
    reply = await who(http, token)
    assert reply.code == 201, reply.text
    info: Obj = reply.obj["status"]["userInfo"]
    return info


def configured(path: Path, *issuers: Obj, **more: Any) -> Path:
    file = path / "authentication.yaml"
    kind = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration"}
    file.write_text(yaml.safe_dump({**kind, "jwt": list(issuers), **more}))
    return file


# --- the token file


async def test_the_token_file_names_users(tmp_path: Path) -> None:
    file = tmp_path / "tokens.csv"
    file.write_text('t1,jane,u1,"devs,ops"\n\nt2,"joe",u2\n')
    async with serving(token_file=file) as (http, admin):
        assert await user_of(http, "t1") == {
            "username": "jane",
            "uid": "u1",
            "groups": ["devs", "ops", "system:authenticated"],
        }
        assert (await user_of(http, "t2"))["groups"] == ["system:authenticated"]
        assert (await who(http, "t3")).code == 401
        review = await admin.made(REVIEWS, {"spec": {"token": "t1"}})
        assert review["status"]["user"]["username"] == "jane"
        other = await admin.made(REVIEWS, {"spec": {"token": "t1", "audiences": ["others"]}})
        assert other["status"]["authenticated"] is False


def test_a_line_of_the_token_file_has_three_columns() -> None:
    with pytest.raises(ConfigError, match="line 2: must have at least 3 columns"):
        read_tokens("a,b,c\nd,e\n")


# --- issuers


async def test_a_token_of_a_configured_issuer_is_its_user(tmp_path: Path, other: OtherServer) -> None:
    config = {
        "issuer": other.issuer(),
        "claimMappings": {
            "username": {"expression": "claims.sub + '@' + claims.org"},
            "groups": {"claim": "roles", "prefix": "r:"},
            "uid": {"claim": "id"},
            "extra": [{"key": "example.com/org", "valueExpression": "claims.org"}],
        },
        "claimValidationRules": [
            {"claim": "hd", "requiredValue": "example.com"},
            {"expression": "claims.exp - claims.iat <= 3600", "message": "lives too long"},
        ],
        "userValidationRules": [
            {"expression": "!user.username.startsWith('system:')", "message": "that is ours"}
        ],
    }
    claims = {"sub": "ann", "org": "acme", "roles": ["a", "b"], "id": "7", "hd": "example.com", "jti": "x"}
    async with serving(configuration=configured(tmp_path, config)) as (http, _):
        assert await user_of(http, other.token(**claims)) == {
            "username": "ann@acme",
            "uid": "7",
            "groups": ["r:a", "r:b", "system:authenticated"],
            "extra": {"authentication.kubernetes.io/credential-id": ["JTI=x"], "example.com/org": ["acme"]},
        }
        for change in (
            {"hd": "evil.com"}, {"sub": "system:x"}, {"org": None}, {"id": 7}, {"aud": "others"},
            {"exp": 1}, {"exp": 1 << 40}, {"iss": "https://127.0.0.1:1"}, {"roles": [1]}, {"nbf": 1 << 40},
        ):  # fmt: skip
            changed = {key: value for key, value in {**claims, **change}.items() if value is not None}
            assert (await who(http, other.token(**changed))).code == 401, change


async def test_keys_are_fetched_once_and_again_for_a_new_one(tmp_path: Path, other: OtherServer) -> None:
    file = configured(tmp_path, {"issuer": other.issuer(), **NAMED})
    async with serving(configuration=file) as (http, _):
        assert other.fetched == []
        for name in ("a", "b"):
            assert (await user_of(http, other.token(sub=name)))["username"] == f"oidc:{name}"
        assert other.fetched == ["/.well-known/openid-configuration", "/keys"]
        other.keys["two"] = ec.generate_private_key(ec.SECP256R1())
        for _ in range(3):
            # So soon nobody fetches them again, however many tokens name keys that are not there.
            assert (await who(http, other.token("two", sub="c"))).code == 401
        assert len(other.fetched) == 2
    async with serving(configuration=file) as (http, _):
        assert (await user_of(http, other.token("two", sub="c")))["username"] == "oidc:c"


async def test_a_key_that_names_no_algorithm_has_that_of_its_kind(tmp_path: Path, other: OtherServer) -> None:
    curves = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
    for name, curve in curves.items():
        other.keys[name] = ec.generate_private_key(curve)
    async with serving(configuration=configured(tmp_path, {"issuer": other.issuer(), **NAMED})) as (http, _):
        for name in ("one", *curves):
            assert (await user_of(http, other.token(name, sub="a")))["username"] == "oidc:a"
        _, body, _ = other.token("one", sub="a").split(".")
        for algorithm in ("HS256", "none", "RS512", "ES256"):
            odd = json.dumps({"alg": algorithm, "kid": "one", "typ": "JWT"}).encode()
            forged = base64.urlsafe_b64encode(odd).decode().rstrip("=")
            assert (await who(http, f"{forged}.{body}.eA")).code == 401


async def test_groups_may_lie_elsewhere(tmp_path: Path, other: OtherServer) -> None:
    mappings = {**NAMED["claimMappings"], "groups": {"claim": "groups", "prefix": "g:"}}
    place = {"endpoint": f"{other.url}/claims", "access_token": "key"}
    named: Obj = {"sub": "ann", "_claim_names": {"groups": "there"}, "_claim_sources": {"there": place}}
    config = {"issuer": other.issuer(), "claimMappings": mappings}
    async with serving(configuration=configured(tmp_path, config)) as (http, _):
        other.claims = other.token(groups=["a", "b"])
        assert (await user_of(http, other.token(**named)))["groups"] == ["g:a", "g:b", "system:authenticated"]
        assert other.access == ["Bearer key"]
        # What the token says itself counts.
        own = await user_of(http, other.token(**named, groups=["c"]))
        assert own["groups"] == ["g:c", "system:authenticated"]
        for claims in ("", "no token", other.token(roles=["a"]), other.token(groups=["a"], exp=1),
                       other.token(groups=["a"], aud="others")):  # fmt: skip
            other.claims = claims
            assert (await who(http, other.token(**named, jti=claims[-9:]))).code == 401
        for odd in ({"there": {"endpoint": "http://127.0.0.1:1/"}}, {"here": place}):
            refused = other.token(**{**named, "_claim_sources": odd})
            assert (await who(http, refused)).code == 401


async def test_a_forged_token_is_refused(tmp_path: Path, other: OtherServer) -> None:
    good = other.keys["one"]
    async with serving(configuration=configured(tmp_path, {"issuer": other.issuer(), **NAMED})) as (http, _):
        await user_of(http, other.token(sub="a"))
        other.keys["one"] = ec.generate_private_key(ec.SECP256R1())
        assert (await who(http, other.token(sub="a"))).code == 401
        other.keys["one"] = good
        head, body, _ = other.token(sub="a").split(".")
        assert (await who(http, f"{head}.{body}.")).code == 401
        for claims in (b'{"iss":["x"]}', b'{"iss":{}}', b"[" * 4000, b"[]"):
            odd = base64.urlsafe_b64encode(claims).decode().rstrip("=")
            assert (await who(http, f"{head}.{odd}.eA")).code == 401


async def test_a_changed_configuration_counts_and_a_broken_one_does_not(
    tmp_path: Path, other: OtherServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("podium.api.auth.configuration.LOOKS", 0.0)
    file = configured(tmp_path, {"issuer": other.issuer(), **NAMED})
    async with serving(configuration=file) as (http, _):
        assert (await user_of(http, other.token(sub="a")))["username"] == "oidc:a"
        file.write_text("nonsense: [")
        assert (await user_of(http, other.token(sub="a")))["username"] == "oidc:a"
        configured(
            tmp_path,
            {"issuer": other.issuer(), "claimMappings": {"username": {"claim": "sub", "prefix": ""}}},
        )
        assert (await user_of(http, other.token(sub="a")))["username"] == "a"


@pytest.mark.parametrize(
    ("issuer", "more", "fault"),
    [
        ({"url": "http://a"}, {}, "URL scheme must be https"),
        ({"url": ""}, {}, "jwt[0].issuer.url: Required value"),
        ({"audiences": []}, {}, "at least one jwt[0].issuer.audiences is required"),
        ({"audiences": ["a", "b"]}, {}, "audienceMatchPolicy must be MatchAny for multiple audiences"),
        ({"discoveryURL": "https://a.example/"}, {}, "discoveryURL must be different from URL"),
        ({"certificateAuthority": "x"}, {}, "does not contain any valid"),
        ({"url": "https://own.example"}, {}, "must not overlap with disallowed issuers"),
        (
            {},
            {"claimMappings": {}},
            "claimMappings.username: Required value: claim or expression is required",
        ),
        ({}, {"claimMappings": {"username": {"claim": "sub"}}}, "prefix is required when claim is set"),
        ({}, {"claimMappings": {"username": {"expression": "claims."}}}, "compilation failed"),
        (
            {},
            {"claimMappings": {"username": {"expression": "claims.email"}}},
            "claims.email_verified must be",
        ),
        ({}, {"claimValidationRules": [{"claim": "a", "expression": "true"}]}, "can't both be set"),
        ({}, {"userValidationRules": [{"expression": "user.name + 'x'"}]}, "must evaluate to bool"),
        ({}, {"nonsense": 1}, "unknown field"),
    ],
)
def test_a_configuration_with_faults_is_refused(issuer: Obj, more: Obj, fault: str) -> None:
    given = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "jwt": [{"issuer": {"url": "https://a.example", "audiences": ["x"], **issuer}, **NAMED, **more}],
    }
    with pytest.raises(ConfigError) as refused:
        read(yaml.safe_dump(given), ("https://own.example",))
    assert fault in str(refused.value)


# --- nobody in particular


async def test_nobody_may_come_where_the_configuration_says(tmp_path: Path) -> None:
    anonymous = {"enabled": True, "conditions": [{"path": "/livez"}]}
    async with serving(configuration=configured(tmp_path, anonymous=anonymous)) as (http, _):
        assert (await http.get("/livez")).code == 200
        for path in ("/readyz", "/api", f"{DEFAULT}/pods"):
            assert (await http.get(path)).code == 401
    async with serving(anonymous=False) as (http, _):
        assert (await http.get("/livez")).code == 401


# --- the webhook


async def test_the_webhook_is_asked_about_unknown_tokens(tmp_path: Path, other: OtherServer) -> None:
    user = {"username": "far", "uid": "9", "groups": ["g"], "extra": {"k": ["v"]}}
    other.answer = lambda spec: {"authenticated": spec["token"] == "good", "user": user}
    async with serving(webhook=other.kubeconfig(tmp_path)) as (http, admin):
        assert await user_of(http, "good") == {**user, "groups": ["g", "system:authenticated"]}
        assert await user_of(http, "good")
        assert len(other.asked) == 1
        review = other.asked[0]
        assert (review["apiVersion"], review["kind"]) == ("authentication.k8s.io/v1", "TokenReview")
        assert review["spec"]["audiences"] == ["https://kubernetes.default.svc.cluster.local"]
        assert (await who(http, "bad")).code == (await who(http, "bad")).code == 401
        assert len(other.asked) == 2
        made = await admin.made(f"{DEFAULT}/serviceaccounts", {"metadata": {"name": "a"}})
        own = await admin.made(f"{DEFAULT}/serviceaccounts/a/token", {"spec": {}})
        assert (await user_of(http, own["status"]["token"]))["uid"] == made["metadata"]["uid"]
        assert len(other.asked) == 2


async def test_a_webhook_that_does_not_answer_lets_nobody_in(tmp_path: Path, other: OtherServer) -> None:
    other.answer = lambda spec: None
    async with serving(webhook=other.kubeconfig(tmp_path), webhook_version="v1beta1") as (http, _):
        assert (await who(http, "good")).code == 401
        other.answer = lambda spec: {"authenticated": True, "user": {"username": "far"}}
        assert (await user_of(http, "good"))["username"] == "far"
        assert other.asked[-1]["apiVersion"] == "authentication.k8s.io/v1beta1"
        other.answer = lambda spec: {
            "authenticated": True,
            "audiences": ["others"],
            "user": {"username": "x"},
        }
        assert (await who(http, "else")).code == 401


@pytest.mark.parametrize(
    "status",
    [
        {"user": ["far"]},
        {"user": {"username": {"a": "b"}}},
        {"user": {"username": "far", "groups": "system:masters"}},
        {"user": {"username": "far", "groups": {"system:masters": ""}}},
        {"user": {"username": "far", "extra": ["k"]}},
        {"user": {"username": "far", "extra": {"k": 1}}},
        {"user": {"username": "far"}, "audiences": 7},
    ],
)
async def test_an_answer_that_is_no_review_lets_nobody_in(
    tmp_path: Path, other: OtherServer, status: Obj
) -> None:
    other.answer = lambda spec: {"authenticated": True, **status}
    async with serving(webhook=other.kubeconfig(tmp_path)) as (http, _):
        assert (await who(http, "good")).code == 401


# --- what they are made of


async def test_an_answer_is_asked_for_once_and_kept_for_its_time() -> None:
    now, asked = [0.0], []

    async def ask() -> tuple[int, float]:
        asked.append(now[0])
        return len(asked), 10.0

    remembered: Remembered[int] = Remembered(2, clock=lambda: now[0])
    assert [await remembered.get("a", ask) for _ in range(2)] == [1, 1]
    now[0] = 10.0
    assert await remembered.get("a", ask) == 2
    await remembered.get("b", ask)
    await remembered.get("c", ask)
    assert await remembered.get("a", ask) == 5


def test_a_file_that_goes_away_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("podium.api.auth.configuration.LOOKS", 0.0)
    file = tmp_path / "f"
    file.write_text("1")
    watched = Watched(file, int)
    os.unlink(file)
    assert watched.current() == 1
    file.write_text("22")
    assert watched.current() == 22
