"""Who may use the node API, as a real API server says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web

from podium.api.server import ApiServer, ServerConfig
from podium.api.types import Obj
from podium.api.types.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, SERVICE_ACCOUNTS
from podium.runtime.nodeapi.access import user_of, wanted
from podium.runtime.nodeapi.guard import Guard


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    server = ApiServer(ServerConfig(authorization=("RBAC",)))
    await server.start()
    yield server
    await server.close()


def request(path: str, *, token: str = "", certificate: Obj | None = None) -> web.Request:
    transport = SimpleNamespace(get_extra_info=lambda name: certificate)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return cast(web.Request, SimpleNamespace(method="GET", path=path, headers=headers, transport=transport))


def certified(name: str, *groups: str) -> Obj:
    names = [[("organizationName", group)] for group in groups]
    return {"subject": (*names, [("commonName", name)])}


async def code(guard: Guard, path: str, **more: Any) -> int:
    try:
        await guard.admit(request(path, **more))
    except web.HTTPException as refused:
        return refused.status
    return 200


async def allow(server: ApiServer, name: str, *resources: str) -> None:
    rule = {"apiGroups": [""], "verbs": ["get"], "resources": list(resources)}
    await server.client.create(CLUSTER_ROLES, {"metadata": {"name": "some"}, "rules": [rule]})
    group = "rbac.authorization.k8s.io"
    binding = {
        "metadata": {"name": "some"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "some"},
        "subjects": [{"kind": "User", "name": name, "apiGroup": group}],
    }
    await server.client.create(CLUSTER_ROLE_BINDINGS, binding)


async def token_of(server: ApiServer) -> str:
    account = {"metadata": {"name": "robot", "namespace": "default"}}
    await server.client.create(SERVICE_ACCOUNTS, account)
    made = await server.client.create(
        SERVICE_ACCOUNTS, {"spec": {}}, "default", name="robot", subresource="token"
    )
    return str(made["status"]["token"])


async def test_administrators_and_api_servers_come_in_unasked() -> None:
    guard = Guard("n", None)
    assert await code(guard, "/pods", certificate=certified("a", "system:masters")) == 200
    assert await code(guard, "/exec/a/b/c", certificate=certified("system:kube-apiserver")) == 200
    assert await code(guard, "/pods", certificate=certified("ann", "devs")) == 403
    assert await code(guard, "/pods") == 401


async def test_others_may_what_their_roles_say(server: ApiServer) -> None:
    await allow(server, "ann", "nodes/metrics", "nodes/healthz")
    guard = Guard("n", server.client)
    ann = certified("ann", "devs")
    assert await code(guard, "/metrics/resource", certificate=ann) == 200
    assert await code(guard, "/healthz", certificate=ann) == 200
    assert await code(guard, "/pods", certificate=ann) == 403
    assert await code(guard, "/exec/a/b/c", certificate=ann) == 403


async def test_a_token_is_asked_about_and_then_what_its_account_may(server: ApiServer) -> None:
    now = [0.0]
    guard = Guard("n", server.client, clock=lambda: now[0])
    token = await token_of(server)
    assert await code(guard, "/metrics", token="nonsense") == 401
    with pytest.raises(web.HTTPForbidden) as refused:
        await guard.admit(request("/metrics", token=token))
    who = "system:serviceaccount:default:robot"
    assert refused.value.text == (
        f"Forbidden (user={who}, verb=get, resource=nodes, subresource(s)=[metrics])\n"
    )
    await allow(server, who, "nodes/metrics")
    assert await code(guard, "/metrics", token=token) == 403
    now[0] = 31.0
    assert await code(guard, "/metrics", token=token) == 200


def test_a_path_belongs_to_a_part_of_the_node() -> None:
    assert wanted("GET", "/stats/summary").subresources == ("stats",)
    assert wanted("GET", "/pods").subresources == ("pods", "proxy")
    assert wanted("POST", "/exec/a/b/c") == ("create", ("proxy",))
    assert user_of(certified("a", "b")) == {"username": "a", "groups": ["b", "system:authenticated"]}
    assert user_of(None) is None
