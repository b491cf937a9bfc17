from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from podium.api import pki
from podium.api.server import ApiServer, ServerConfig
from podium.api.types import Obj
from tests.unit.api.http.harness import CORE, DEFAULT, Http, pod

TOKENS = f"{DEFAULT}/serviceaccounts/default/token"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def as_user(server: ApiServer, address: tuple[str, int], name: str, *groups: str) -> Http:
    pair = pki.issue(server.authority, server.pki_dir, name, common_name=name, organizations=groups)
    return Http(server, address, pair)


@pytest.fixture
def config() -> ServerConfig:
    return ServerConfig(authorization=("Node", "RBAC"))


@pytest.fixture
async def stranger(server: ApiServer, address: tuple[str, int]) -> AsyncIterator[Http]:
    client = await as_user(server, address, "eve", "tenants")
    yield client
    await client.close()


async def token_of(http: Http, **spec: object) -> str:
    reply: Obj = await http.made(TOKENS, {"spec": spec})
    return str(reply["status"]["token"])


async def test_nobody_is_told_that_he_may_not(nobody: Http) -> None:
    for path in ("/api", "/apis", "/metrics", "/openapi/v3", "/apis/nothing.example/v1/things"):
        reply = await nobody.get(path)
        assert (reply.code, reply.reason) == (403, "Forbidden")
        assert reply.message == f'forbidden: User "system:anonymous" cannot get path "{path}"'
    assert (await nobody.get(f"{DEFAULT}/pods")).message == (
        'pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group "" '
        'in the namespace "default"'
    )


@pytest.mark.parametrize("header", ["Bearer nonsense", "Bearer a.b.c", "Basic YTpi", "Bearer "])
async def test_bad_credentials_are_unauthorized(nobody: Http, header: str) -> None:
    reply = await nobody("GET", f"{DEFAULT}/pods", headers={"Authorization": header})
    assert reply.code == 401


async def test_a_stranger_is_told_what_he_may_not(stranger: Http) -> None:
    assert (await stranger.get(f"{DEFAULT}/pods")).message == (
        'pods is forbidden: User "eve" cannot list resource "pods" in API group "" in the namespace "default"'
    )
    assert (await stranger.get(f"{CORE}/nodes/a")).message == (
        'nodes "a" is forbidden: User "eve" cannot get resource "nodes" in API group "" at the cluster scope'
    )
    scale = await stranger.get("/apis/apps/v1/namespaces/default/deployments/web/scale")
    assert 'cannot get resource "deployments/scale" in API group "apps"' in scale.message
    assert scale.obj["details"] == {"name": "web", "group": "apps", "kind": "deployments"}
    metrics = await stranger.get("/metrics")
    assert (metrics.code, metrics.message) == (403, 'forbidden: User "eve" cannot get path "/metrics"')


async def test_a_stranger_may_look_around_and_ask_about_himself(stranger: Http) -> None:
    assert (await stranger.get("/apis")).code == 200
    assert (await stranger.get("/openapi/v3")).code == 200
    who = await stranger.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", {})
    assert who.obj["status"]["userInfo"]["username"] == "eve"
    assert who.obj["status"]["userInfo"]["groups"] == ["tenants", "system:authenticated"]
    access = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    asked = {"spec": {"resourceAttributes": {"verb": "list", "resource": "pods", "namespace": "default"}}}
    assert (await stranger.post(access, asked)).obj["status"]["allowed"] is False
    rules = await stranger.post(
        "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", {"spec": {"namespace": "default"}}
    )
    assert {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]} not in rules.obj["status"][
        "resourceRules"
    ]


@pytest.mark.parametrize(
    ("name", "group", "reads", "secrets"),
    [
        ("root", "system:masters", "namespaces", 200),
        ("system:node:one", "system:nodes", "services", 403),
        ("system:kube-scheduler", "", "nodes", 403),
    ],
)
async def test_administrators_may_do_everything_and_components_what_they_are_for(
    server: ApiServer, address: tuple[str, int], name: str, group: str, reads: str, secrets: int
) -> None:
    client = await as_user(server, address, name, *([group] if group else []))
    try:
        assert (await client.get(f"{CORE}/{reads}")).code == 200
        assert (await client.get(f"{CORE}/secrets")).code == secrets
    finally:
        await client.close()


async def test_administrators_learn_that_they_may(http: Http) -> None:
    asked = {"spec": {"nonResourceAttributes": {"verb": "get", "path": "/metrics"}}}
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    assert (await http.post(path, asked)).obj["status"]["allowed"] is True
    other = {"spec": {"user": "eve", "resourceAttributes": {"verb": "get", "resource": "pods"}}}
    review = await http.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", other)
    assert review.obj["status"]["allowed"] is False
    assert (await http.post(path, {"spec": {}})).code == 422


async def test_a_token_is_its_service_account(http: Http, nobody: Http) -> None:
    token = await token_of(http)
    reply = await nobody("GET", f"{DEFAULT}/pods", headers=bearer(token))
    assert reply.code == 403
    assert 'User "system:serviceaccount:default:default" cannot list resource "pods"' in reply.message


async def test_a_token_for_others_is_not_for_the_server(http: Http, nobody: Http) -> None:
    token = await token_of(http, audiences=["them"])
    assert (await nobody("GET", f"{DEFAULT}/pods", headers=bearer(token))).code == 401
    review = await http.post(
        "/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": token, "audiences": ["them"]}}
    )
    assert review.obj["status"]["authenticated"] is True
    assert review.obj["status"]["audiences"] == ["them"]
    ours = await http.post("/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": token}})
    assert ours.obj["status"]["authenticated"] is False


async def test_a_token_dies_with_the_pod_it_is_bound_to(http: Http, nobody: Http) -> None:
    created = await http.made(f"{DEFAULT}/pods", pod("a"))
    reference = {"kind": "Pod", "apiVersion": "v1", "name": "a", "uid": created["metadata"]["uid"]}
    token = await token_of(http, boundObjectRef=reference)
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    who = await nobody("POST", path, {}, bearer(token))
    assert who.obj["status"]["userInfo"]["extra"]["authentication.kubernetes.io/pod-name"] == ["a"]
    await http.delete(f"{DEFAULT}/pods/a")
    assert (await nobody("POST", path, {}, bearer(token))).code == 401


async def test_a_token_of_a_pod_tells_its_node(http: Http, nobody: Http) -> None:
    node = await http.made("/api/v1/nodes", {"metadata": {"name": "one"}})
    await http.made(f"{DEFAULT}/pods", pod("a", node="one"))
    token = await token_of(http, boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "a"})
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    extra = (await nobody("POST", path, {}, bearer(token))).obj["status"]["userInfo"]["extra"]
    assert extra["authentication.kubernetes.io/node-name"] == ["one"]
    assert extra["authentication.kubernetes.io/node-uid"] == [node["metadata"]["uid"]]


async def test_a_token_dies_with_its_account(http: Http, nobody: Http) -> None:
    token = await token_of(http)
    await http.delete(f"{DEFAULT}/serviceaccounts/default")
    assert (await nobody("GET", "/api", headers=bearer(token))).code == 401


async def test_a_token_ends_with_its_time() -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    server = ApiServer(ServerConfig(clock=lambda: now))
    await server.start()
    try:
        address = await server.serve()
        http, nobody = Http(server, address, server.admin()), Http(server, address, None)
        token = await token_of(http, expirationSeconds=600)
        assert (await nobody("GET", "/api", headers=bearer(token))).code == 200
        now += timedelta(seconds=600)
        assert (await nobody("GET", "/api", headers=bearer(token))).code == 401
        await http.close()
        await nobody.close()
    finally:
        await server.close()


async def test_others_can_check_tokens_with_the_published_key(http: Http) -> None:
    import jwt

    token = await token_of(http)
    [key] = (await http.get("/openid/v1/jwks")).obj["keys"]
    claims = jwt.decode(
        token,
        jwt.PyJWK(key).key,
        algorithms=["ES256"],
        audience="https://kubernetes.default.svc.cluster.local",
    )
    assert claims["sub"] == "system:serviceaccount:default:default"
    configuration = (await http.get("/.well-known/openid-configuration")).obj
    assert configuration["issuer"] == claims["iss"]


async def test_an_administrator_can_act_as_somebody_else(http: Http) -> None:
    who = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    acting = {"Impersonate-User": "eve", "Impersonate-Group": "tenants", "Impersonate-Extra-scopes": "view"}
    info = (await http("POST", who, {}, acting)).obj["status"]["userInfo"]
    assert (info["username"], info["groups"]) == ("eve", ["tenants", "system:authenticated"])
    assert info["extra"] == {"scopes": ["view"]}
    assert (await http("GET", f"{DEFAULT}/pods", headers={"Impersonate-User": "eve"})).code == 403
    account = {"Impersonate-User": "system:serviceaccount:default:default"}
    info = (await http("POST", who, {}, account)).obj["status"]["userInfo"]
    assert "system:serviceaccounts:default" in info["groups"]
    assert (await http("GET", f"{DEFAULT}/pods", headers={"Impersonate-Group": "tenants"})).code == 400


async def test_a_stranger_cannot_act_as_somebody_else(stranger: Http) -> None:
    reply = await stranger("GET", "/api", headers={"Impersonate-User": "root"})
    assert reply.code == 403
    assert reply.message == 'forbidden: User "eve" cannot impersonate-on:user-info:get path "/api"'
