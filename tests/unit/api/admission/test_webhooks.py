"""Admission webhooks against a real server in memory and a real TLS webhook."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from podium.api.server import ApiServer
from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.resources import (
    CONFIG_MAPS,
    MUTATING_WEBHOOK_CONFIGURATIONS,
    NAMESPACES,
    SERVICES,
    VALIDATING_WEBHOOK_CONFIGURATIONS,
)
from tests.unit.api.admission.webhooks import WebhookServer, json_patch, webhook_server
from tests.unit.api.http.harness import Http

RULE = {
    "apiGroups": [""],
    "apiVersions": ["v1"],
    "resources": ["configmaps"],
    "operations": ["CREATE", "UPDATE", "DELETE"],
}


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    server = ApiServer()
    await server.start()
    yield server
    await server.close()


@pytest.fixture
async def webhook(tmp_path: Path) -> AsyncIterator[WebhookServer]:
    async with webhook_server(tmp_path) as found:
        yield found


class World:
    def __init__(self, server: ApiServer, webhook: WebhookServer) -> None:
        self.client = server.client
        self.webhook = webhook

    async def configure(self, *, mutating: bool = False, name: str = "x.hooks.test", **more: Any) -> Obj:
        hook = {
            "name": name,
            "clientConfig": self.webhook.client_config(),
            "rules": [RULE],
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            **more,
        }
        resource = MUTATING_WEBHOOK_CONFIGURATIONS if mutating else VALIDATING_WEBHOOK_CONFIGURATIONS
        return await self.client.create(resource, {"metadata": {"name": name}, "webhooks": [hook]})

    async def create(self, name: str = "a", **fields: Any) -> Obj:
        meta = {"name": name, **fields.pop("metadata", {})}
        return await self.client.create(CONFIG_MAPS, {"metadata": meta, **fields}, "default")

    async def refusal(self, **fields: Any) -> StatusError:
        with pytest.raises(StatusError) as refused:
            await self.create(**fields)
        return refused.value


@pytest.fixture
def world(server: ApiServer, webhook: WebhookServer) -> World:
    return World(server, webhook)


async def test_a_validating_webhook_refuses_with_its_own_words(world: World) -> None:
    world.webhook.answer = lambda request: {"allowed": False, "status": {"message": "not here", "code": 403}}
    await world.configure()
    refused = await world.refusal()
    assert refused.code == 403
    assert refused.message == 'admission webhook "x.hooks.test" denied the request: not here'


async def test_a_refusal_without_words_is_a_400(world: World) -> None:
    world.webhook.answer = lambda request: {"allowed": False}
    await world.configure()
    refused = await world.refusal()
    assert refused.code == 400
    assert refused.message == 'admission webhook "x.hooks.test" denied the request without explanation'


async def test_a_review_tells_all_about_the_request(world: World) -> None:
    await world.configure()
    await world.create(data={"k": "v"})
    asked = world.webhook.asked[0]
    kind = {"group": "", "version": "v1", "kind": "ConfigMap"}
    resource = {"group": "", "version": "v1", "resource": "configmaps"}
    assert (asked["kind"], asked["requestKind"]) == (kind, kind)
    assert (asked["resource"], asked["requestResource"]) == (resource, resource)
    assert (asked["name"], asked["namespace"], asked["operation"]) == ("a", "default", "CREATE")
    assert (asked["oldObject"], asked["dryRun"]) == (None, False)
    assert asked["object"]["kind"] == "ConfigMap"
    assert asked["object"]["data"] == {"k": "v"}
    assert asked["options"]["kind"] == "CreateOptions"
    assert asked["userInfo"]["username"] == "system:apiserver"


async def test_a_deletion_shows_the_old_object(world: World) -> None:
    await world.create(data={"k": "v"})
    await world.configure()
    await world.client.delete(CONFIG_MAPS, "a", "default")
    asked = world.webhook.asked[0]
    assert asked["operation"] == "DELETE"
    assert asked["object"] is None
    assert asked["oldObject"]["data"] == {"k": "v"}
    assert asked["options"]["kind"] == "DeleteOptions"


async def test_a_mutating_webhook_changes_the_object_that_is_stored(world: World) -> None:
    world.webhook.answer = lambda request: json_patch({"op": "add", "path": "/data", "value": {"x": "1"}})
    await world.configure(mutating=True)
    await world.create()
    assert (await world.client.get(CONFIG_MAPS, "a", "default"))["data"] == {"x": "1"}


async def test_webhooks_see_what_those_before_them_did_and_are_asked_again_if_they_want(world: World) -> None:
    def answer(request: Obj) -> Obj:
        data = request["object"].get("data") or {}
        if "first" not in data:
            return json_patch({"op": "add", "path": "/data", "value": {**data, "first": "1"}})
        return json_patch({"op": "add", "path": "/data/second", "value": str(len(data))})

    world.webhook.answer = answer
    await world.configure(mutating=True, name="a.hooks.test", reinvocationPolicy="IfNeeded")
    await world.configure(mutating=True, name="b.hooks.test")
    made = await world.create()
    assert len(world.webhook.asked) == 3
    assert made["data"] == {"first": "1", "second": "2"}


async def test_labels_conditions_and_operations_choose_what_a_webhook_sees(world: World) -> None:
    await world.configure(
        objectSelector={"matchLabels": {"watched": "yes"}},
        namespaceSelector={"matchLabels": {"kubernetes.io/metadata.name": "default"}},
        matchConditions=[{"name": "named", "expression": "object.metadata.name != 'spared'"}],
        rules=[{**RULE, "operations": ["CREATE"]}],
    )
    await world.create("plain")
    await world.create("spared", metadata={"labels": {"watched": "yes"}})
    await world.create("seen", metadata={"labels": {"watched": "yes"}})
    assert [asked["name"] for asked in world.webhook.asked] == ["seen"]


async def test_a_condition_that_has_no_value_is_a_failure(world: World) -> None:
    await world.configure(matchConditions=[{"name": "bad", "expression": "object.nope.nope == 1"}])
    assert "no such key: nope" in (await world.refusal()).message


async def test_a_webhook_that_hangs_fails_the_request_after_its_time(world: World) -> None:
    hang = asyncio.Event()
    world.webhook.answer = lambda request: hang
    await world.configure(timeoutSeconds=1)
    refused = await world.refusal()
    hang.set()
    url = f"https://127.0.0.1:{world.webhook.port}/hook?timeout=1s"
    assert refused.code == 500
    assert refused.message == (
        'Internal error occurred: failed calling webhook "x.hooks.test": failed to call webhook: '
        f'Post "{url}": context deadline exceeded'
    )


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"garbage", "json parse error"),
        (b"{}", "webhook response was absent"),
        ({"allowed": True, "uid": "other"}, 'got "other"'),
        ({"allowed": True, "patch": "e30=", "patchType": "JSONPatch"}, "may not return response.patch"),
        (b" " * 4_000_000, "larger than"),
    ],
)
async def test_a_webhook_that_lies_fails_the_request_unless_its_failures_are_ignored(
    world: World, answer: Any, why: str
) -> None:
    world.webhook.answer = lambda request: answer
    configured = await world.configure()
    refused = await world.refusal()
    assert refused.code == 500
    assert why in refused.message
    configured["webhooks"][0]["failurePolicy"] = "Ignore"
    await world.client.update(VALIDATING_WEBHOOK_CONFIGURATIONS, configured)
    await world.create()


@pytest.mark.parametrize(
    "patch",
    [
        {"allowed": True, "patch": "!", "patchType": "JSONPatch"},
        json_patch({"op": "remove", "path": "/nowhere"}),
        json_patch({"op": "replace", "path": "/data", "value": 7}),
    ],
)
async def test_a_patch_that_does_not_fit_fails_the_request(world: World, patch: Obj) -> None:
    world.webhook.answer = lambda request: patch
    await world.configure(mutating=True)
    assert (await world.refusal()).code == 500


async def test_nobody_listening_is_a_failure_that_says_so(world: World) -> None:
    await world.configure(clientConfig={"url": "https://127.0.0.1:1/", "caBundle": world.webhook.bundle})
    assert "dial tcp 127.0.0.1:1: connect: connection refused" in (await world.refusal()).message


async def test_a_certificate_that_the_bundle_does_not_vouch_for_is_refused(world: World) -> None:
    await world.configure(clientConfig={"url": f"https://127.0.0.1:{world.webhook.port}/"})
    assert "x509: certificate signed by unknown authority" in (await world.refusal()).message


async def test_a_webhook_is_reached_by_its_service(world: World) -> None:
    ports = [{"port": 443, "protocol": "TCP"}]
    await world.client.create(SERVICES, {"metadata": {"name": "hook"}, "spec": {"ports": ports}}, "default")
    reference = {"name": "hook", "namespace": "default", "path": "/path"}
    config = {"service": reference, "caBundle": world.webhook.bundle}
    configured = await world.configure(clientConfig=config)
    url = "https://hook.default.svc:443/path?timeout=10s"
    assert f'Post "{url}": no endpoints available' in (await world.refusal()).message
    await world.client.delete(VALIDATING_WEBHOOK_CONFIGURATIONS, configured["metadata"]["name"])
    await world.client.delete(SERVICES, "hook", "default")
    ports = [{"port": world.webhook.port, "protocol": "TCP"}]
    spec = {"type": "ExternalName", "externalName": "localhost", "ports": ports}
    await world.client.create(SERVICES, {"metadata": {"name": "hook"}, "spec": spec}, "default")
    reference["port"] = world.webhook.port
    await world.configure(clientConfig=config)
    await world.create()
    assert len(world.webhook.asked) == 1


async def test_configurations_themselves_are_out_of_reach(world: World) -> None:
    world.webhook.answer = lambda request: {"allowed": False}
    everything = {"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"], "operations": ["*"]}
    configured = await world.configure(rules=[everything])
    assert (await world.refusal()).code == 400
    await world.client.delete(VALIDATING_WEBHOOK_CONFIGURATIONS, configured["metadata"]["name"])
    await world.create()


async def test_a_namespace_is_selected_by_its_own_labels(world: World) -> None:
    world.webhook.answer = lambda request: {"allowed": False}
    await world.configure(
        rules=[{**RULE, "resources": ["namespaces"]}], namespaceSelector={"matchLabels": {"team": "a"}}
    )
    await world.client.create(NAMESPACES, {"metadata": {"name": "free"}})
    with pytest.raises(StatusError):
        await world.client.create(NAMESPACES, {"metadata": {"name": "held", "labels": {"team": "a"}}})


async def test_what_webhooks_did_is_counted(world: World, http: Http) -> None:
    await world.configure()
    await world.create("a")
    world.webhook.answer = lambda request: {"allowed": False, "status": {"code": 403}}
    await world.refusal(name="b")
    world.webhook.answer = lambda request: {"allowed": "perhaps"}
    await world.refusal(name="c")
    text = (await http.get("/metrics")).text
    webhook = 'name="x.hooks.test",operation="CREATE"'
    plugin = 'name="NamespaceLifecycle",operation="CREATE"'
    for line in (
        f'webhook_admission_duration_seconds_count{{{webhook},rejected="false",type="validating"}} 1.0',
        f'webhook_request_total{{code="403",{webhook},rejected="true",type="validating"}} ',
        f'webhook_rejection_count{{error_type="no_error",{webhook},rejection_code="403",type=',
        f'controller_admission_duration_seconds_count{{{plugin},rejected="false"',
    ):
        assert f"\napiserver_admission_{line}" in text, line
    assert re.search(r'\nrest_client_requests_total\{code="200",host="[^"]+:\d+",method="POST"\} 3.0\n', text)
    for name in ("authentication_attempts", "authorization_attempts_total"):
        assert f"\n{name}{{" in text
