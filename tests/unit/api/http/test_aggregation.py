"""APIs that another server answers, against a real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from podium.api.aggregation.availability import Verdict, judge, with_condition
from podium.api.aggregation.remote import Remote, action_of, identity, remote_of
from podium.api.auth.users import SYSTEM, User
from podium.api.server import ApiServer
from podium.api.types import Obj
from podium.api.types.resources import CONFIG_MAPS
from tests.unit.api.http.harness import CORE, DEFAULT, Http
from tests.unit.api.http.sample import API, FLUNDER, GROUP, META, NAME, SERVICES, VERSION, Sample

FLUNDERS = f"{API}/namespaces/default/flunders"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@pytest.fixture
async def sample(server: ApiServer, tmp_path: Path) -> AsyncIterator[Sample]:
    published = await server.client.get(CONFIG_MAPS, "extension-apiserver-authentication", "kube-system")
    sample = Sample(published["data"]["requestheader-client-ca-file"], tmp_path)
    yield sample
    await sample.stop()


async def until(http: Http, holds: Callable[[Obj], bool], name: str = NAME) -> Obj:
    """The APIService once its condition Available is as wished."""
    async with asyncio.timeout(15):
        obj = (await http.get(f"{SERVICES}/{name}")).obj
        version = obj["metadata"]["resourceVersion"]
        if holds(_available(obj)):
            return _available(obj)
        selector = f"metadata.name={name}"
        async with http.watch(SERVICES, fieldSelector=selector, resourceVersion=version) as events:
            while True:
                found = _available((await events.next())["object"])
                if holds(found):
                    return found


def _available(obj: Obj) -> Obj:
    conditions = (obj.get("status") or {}).get("conditions") or [{}]
    return dict(conditions[0])


async def ready(http: Http, sample: Sample, **spec: Any) -> None:
    await sample.start()
    await sample.register(http, **spec)
    condition = await until(http, lambda found: found.get("status") == "True")
    assert condition["message"] == "all checks passed"


async def test_requests_reach_the_other_server_in_the_name_of_who_asks(http: Http, sample: Sample) -> None:
    await ready(http, sample)
    flunder = {"apiVersion": f"{GROUP}/{VERSION}", "kind": "Flunder", "metadata": {"name": "a"}}
    assert (await http.post(FLUNDERS, flunder)).code == 201
    sample.headers.clear()
    listed = await http("GET", FLUNDERS, headers={"X-Remote-User": "somebody", "X-Remote-Group": "else"})
    assert listed.names == ["a"]
    [headers] = sample.headers
    assert headers.getall("X-Remote-User") == ["kubernetes-admin"]
    assert headers.getall("X-Remote-Group") == ["system:masters", "system:authenticated"]
    assert (await http.delete(f"{FLUNDERS}/a")).code == 200
    assert (await http.get(FLUNDERS)).names == []
    assert (await http.get(f"{FLUNDERS}/a")).code == 404


async def test_a_watch_is_passed_through_as_it_comes(http: Http, sample: Sample) -> None:
    await ready(http, sample)
    async with http.watch(FLUNDERS) as events:
        assert (await events.next())["object"]["metadata"]["name"] == "first"


async def test_an_upgraded_connection_is_handed_through(http: Http, sample: Sample) -> None:
    await ready(http, sample)
    async with http.session.ws_connect(f"{http.base}{FLUNDERS}/echo/shell") as socket:
        await socket.send_str("hello")
        assert await socket.receive_str(timeout=10) == "kubernetes-admin: hello"


async def test_without_credentials_nothing_is_passed_on(http: Http, nobody: Http, sample: Sample) -> None:
    await ready(http, sample)
    assert (await nobody.get(FLUNDERS)).code == 401


async def test_discovery_tells_of_it_in_both_forms(http: Http, sample: Sample) -> None:
    await ready(http, sample)
    groups = {group["name"]: group for group in (await http.get("/apis")).obj["groups"]}
    assert groups[GROUP]["preferredVersion"]["version"] == VERSION
    assert (await http.get(f"/apis/{GROUP}")).obj["kind"] == "APIGroup"
    assert (await http.get(API)).obj["resources"][0]["shortNames"] == ["fl"]
    reply = await http("GET", "/apis", headers={"Accept": AGGREGATED})
    [group] = [item for item in reply.obj["items"] if item["metadata"]["name"] == GROUP]
    [version] = group["versions"]
    assert version["freshness"] == "Current"
    [flunders] = version["resources"]
    assert flunders["scope"] == "Namespaced"
    assert flunders["subresources"][0]["subresource"] == "status"


async def test_its_schema_is_in_openapi_v3(http: Http, sample: Sample) -> None:
    await ready(http, sample)
    paths = (await http.get("/openapi/v3")).obj["paths"]
    reply = await http.get(paths[API[1:]]["serverRelativeURL"].partition("?")[0])
    assert reply.obj["info"]["title"] == "wardle"


@pytest.mark.parametrize("more", ["/flunders", "/../../../..", "/%2e%2e/secrets", "%3Fa=b", "/%0d%0aX"])
async def test_only_its_schema_is_asked_for_in_the_servers_name(
    http: Http, sample: Sample, more: str
) -> None:
    await ready(http, sample)
    sample.headers.clear()
    url = URL(f"{http.base}/openapi/v3{API}{more}", encoded=True)
    async with http.session.get(url) as response:
        assert response.status in (400, 404)
    assert all(each["X-Remote-User"] != SYSTEM.name for each in sample.headers)


async def test_its_schema_is_in_openapi_v2(http: Http, sample: Sample) -> None:
    before = (await http.get("/openapi/v2")).obj
    await ready(http, sample)
    document = (await http.get("/openapi/v2")).obj
    assert f"{API}/flunders" in document["paths"]
    assert document["paths"]["/api/v1/pods"] == before["paths"]["/api/v1/pods"]
    metadata = document["definitions"][FLUNDER]["properties"]["metadata"]
    assert metadata == {"$ref": f"#/definitions/{META}_v2"}
    assert document["definitions"][f"{META}_v2"]["description"] == "another one"
    assert "unused" not in document["definitions"]
    await http.delete(f"{SERVICES}/{NAME}")
    async with asyncio.timeout(10):
        while (document := (await http.get("/openapi/v2")).obj) != before:
            assert f"{API}/flunders" in document["paths"]


@pytest.mark.parametrize(
    "lie",
    [
        [],
        {"resources": [{"kind": "Flunder"}]},
        {"resources": [{"name": "flunders", "kind": "Flunder", "verbs": [1]}]},
        {"resources": "flunders"},
        {"resources": [7]},
    ],
)
async def test_a_server_that_lies_is_unavailable_and_may_come_to_its_senses(
    http: Http, sample: Sample, lie: Any
) -> None:
    await sample.start()
    sample.answers[API] = lie
    await sample.register(http)
    condition = await until(http, lambda found: found.get("status") == "False")
    assert condition["reason"] == "FailedDiscoveryCheck"
    assert "no APIResourceList" in condition["message"]
    assert (await http.get(FLUNDERS)).code == 503
    sample.answers.clear()
    await until(http, lambda found: found.get("status") == "True")


async def test_a_bad_schema_of_another_server_spoils_no_document(http: Http, sample: Sample) -> None:
    broken = {"$ref": "#/definitions/nowhere"}
    sample.answers["/openapi/v2"] = {"paths": {f"{API}/flunders": {"get": broken}}}
    sample.answers["/openapi/v3"] = {"paths": []}
    await ready(http, sample)
    assert f"{API}/flunders" not in (await http.get("/openapi/v2")).obj["paths"]


async def test_while_it_is_away_requests_fail_and_discovery_is_stale(http: Http, sample: Sample) -> None:
    await ready(http, sample)
    await sample.stop()
    await http.patch(f"{DEFAULT}/services/sample-api", {"metadata": {"labels": {"a": "b"}}})
    condition = await until(http, lambda found: found["status"] == "False")
    assert condition["reason"] == "FailedDiscoveryCheck"
    assert (await http.get(FLUNDERS)).code == 503
    reply = await http("GET", "/apis", headers={"Accept": AGGREGATED})
    [group] = [item for item in reply.obj["items"] if item["metadata"]["name"] == GROUP]
    assert group["versions"][0]["freshness"] == "Stale"
    await sample.start()
    await http.patch(f"{DEFAULT}/services/sample-api", {"metadata": {"labels": {"a": "c"}}})
    await until(http, lambda found: found["status"] == "True")
    assert (await http.get(FLUNDERS)).code == 200


async def test_a_server_that_the_bundle_does_not_vouch_for_is_not_asked(http: Http, sample: Sample) -> None:
    await sample.start()
    await sample.register(http, caBundle=None)
    condition = await until(http, lambda found: found.get("status") == "False")
    assert "certificate verify failed" in condition["message"]
    assert (await http.get(FLUNDERS)).code == 503


async def test_who_wants_no_verification_gets_none(http: Http, sample: Sample) -> None:
    await ready(http, sample, caBundle=None, insecureSkipTLSVerify=True)


async def test_a_redirection_leads_nowhere(http: Http, sample: Sample) -> None:
    await ready(http, sample)
    sample.redirect = "https://169.254.169.254/"
    assert (await http.get(FLUNDERS)).code == 502


async def test_conditions_of_others_are_kept(http: Http, sample: Sample) -> None:
    await ready(http, sample)
    status = (await http.get(f"{SERVICES}/{NAME}/status")).obj
    other = {"type": "StatusUpdated", "status": "True", "reason": "E2E", "message": "Set from e2e test"}
    status["status"]["conditions"].append(other)
    assert (await http.put(f"{SERVICES}/{NAME}/status", status)).code == 200
    await http.patch(f"{SERVICES}/{NAME}", {"spec": {"versionPriority": 400}})
    conditions = (await http.get(f"{SERVICES}/{NAME}/status")).obj["status"]["conditions"]
    assert [entry["type"] for entry in conditions] == ["Available", "StatusUpdated"]


async def test_what_is_deleted_is_served_no_more(http: Http, sample: Sample) -> None:
    await ready(http, sample)
    label = {"metadata": {"labels": {"e2e": "yes"}}}
    await http.patch(f"{SERVICES}/{NAME}", label)
    await http.delete(SERVICES, labelSelector="e2e=yes")
    async with asyncio.timeout(10):
        while (await http.get(FLUNDERS)).code != 404:
            continue
    assert (await http.get(f"/apis/{GROUP}")).code == 404


async def test_what_the_server_answers_itself_is_registered_from_the_start(http: Http) -> None:
    listed = (await http.get(SERVICES)).obj["items"]
    by_name = {item["metadata"]["name"]: item for item in listed}
    assert {"v1.", "v1.apps", "v2.autoscaling", "v1beta1.metrics.k8s.io"} < by_name.keys()
    assert all(_available(item)["reason"] == "Local" for item in listed)
    assert by_name["v1.apps"]["spec"]["groupPriorityMinimum"] == 17800


async def test_the_authorities_are_published(http: Http) -> None:
    path = f"{CORE}/namespaces/kube-system/configmaps/extension-apiserver-authentication"
    data = (await http.get(path)).obj["data"]
    assert data["requestheader-username-headers"] == '["X-Remote-User"]'
    assert data["client-ca-file"] != data["requestheader-client-ca-file"]


def remote(**changes: Any) -> Remote:
    return Remote(NAME, GROUP, VERSION, "default", "sample-api", 443, "", False)._replace(**changes)


def piece(*, ready: bool = True, port: str = "") -> Obj:
    return {
        "ports": [{"name": port, "port": 8443}],
        "endpoints": [{"addresses": ["10.1.1.1"], "conditions": {"ready": ready}}],
    }


SERVICE: Obj = {"spec": {"ports": [{"port": 443, "name": "tls"}]}}


@pytest.mark.parametrize(
    ("service", "slices", "reason"),
    [
        (None, [], "ServiceNotFound"),
        ({"spec": {"ports": [{"port": 80}]}}, [], "ServicePortError"),
        (SERVICE, [], "EndpointsNotFound"),
        (SERVICE, [piece(ready=False, port="tls")], "MissingEndpoints"),
        (SERVICE, [piece(port="other")], "MissingEndpoints"),
        (SERVICE, [piece(port="tls")], ""),
        ({"spec": {"type": "ExternalName"}}, [], ""),
    ],
)
def test_what_its_service_says_of_an_api(service: Obj | None, slices: list[Obj], reason: str) -> None:
    verdict = judge(remote(), service, slices)
    assert (verdict.reason if verdict else "") == reason


def test_the_time_of_a_condition_is_that_of_its_last_change() -> None:
    first = with_condition({}, Verdict(False, "X", "x"), "then")
    same = with_condition(first, Verdict(False, "Y", "y"), "now")
    assert (same["conditions"][0]["lastTransitionTime"], same["conditions"][0]["reason"]) == ("then", "Y")
    changed = with_condition(same, Verdict(True, "Z", "z"), "now")
    assert changed["conditions"][0]["lastTransitionTime"] == "now"


def test_names_in_headers_cannot_begin_others() -> None:
    user = User("a\r\nX-Remote-Group: system:masters", ("g",), "u", {"Example.com/Key x": ("v",)})
    assert identity(user) == [
        ("X-Remote-User", "a X-Remote-Group: system:masters"),
        ("X-Remote-Uid", "u"),
        ("X-Remote-Group", "g"),
        ("X-Remote-Extra-Example.com%2FKey%20x", "v"),
    ]


def test_an_action_is_told_by_its_path() -> None:
    action = action_of("GET", f"{FLUNDERS}/a/status")
    assert (action.verb, action.resource, action.subresource, action.namespace, action.name) == (
        "get", "flunders", "status", "default", "a",
    )  # fmt: skip
    assert action_of("GET", FLUNDERS, watch=True).verb == "watch"
    assert action_of("DELETE", FLUNDERS).verb == "deletecollection"
    assert action_of("GET", API).path == API


def test_an_api_without_a_service_is_the_servers_own() -> None:
    assert remote_of({"metadata": {"name": NAME}, "spec": {"group": GROUP, "version": VERSION}}) is None
