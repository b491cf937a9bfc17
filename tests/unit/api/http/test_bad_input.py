"""Whatever is sent, the answer is a Status that says what is wrong, and nothing changes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.api.http.harness import CORE, DEFAULT, Http, config_map, pod

MAPS = f"{DEFAULT}/configmaps"
NOWHERE = "the server could not find the requested resource"
NOT_SO = "the server does not allow this method on the requested resource"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"null", 400),
        (b"\xff\xfe", 400),
        (b'"text"', 400),
        (b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"}}', 400),
        (b'{"kind":"Nothing","apiVersion":"v1","metadata":{"name":"a"}}', 400),
        (b'{"kind":"ConfigMap","apiVersion":"v2","metadata":{"name":"a"}}', 400),
        (b'{"kind":7,"metadata":{"name":"a"}}', 400),
        (b'{"metadata":[]}', 400),
        (b'{"metadata":{"name":7}}', 400),
        (b'{"metadata":{"name":"A_b"}}', 422),
        (b'{"metadata":{"name":"../a"}}', 422),
        (b'{"metadata":{"name":"a","labels":{"x":{}}}}', 400),
        (b'{"metadata":{"name":"a"},"data":{"k":7}}', 400),
        (b'{"metadata":null}', 422),
        (b'{"metadata":{"name":"a","resourceVersion":"x"}}', 400),
        (b"[" * 100_000, 400),
    ],
)
async def test_a_malformed_object_is_refused_with_a_status(http: Http, body: bytes, code: int) -> None:
    reply = await http.post(MAPS, body)
    assert reply.code == code, reply.text
    assert reply.obj["kind"] == "Status"
    assert reply.obj["status"] == "Failure"
    assert reply.message
    assert (await http.get(MAPS)).obj["items"] == []


async def test_another_kind_than_the_path_says_is_named(http: Http) -> None:
    reply = await http.post(MAPS, {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}})
    assert reply.message.startswith('Pod in version "v1" cannot be handled as a ConfigMap')


async def test_a_wrong_type_names_the_field(http: Http) -> None:
    wrong = pod("a")
    wrong["spec"]["containers"] = "none"
    reply = await http.post(f"{DEFAULT}/pods", wrong)
    assert reply.code == 400
    assert "spec.containers" in reply.message


async def test_a_body_over_the_limit_is_refused(http: Http) -> None:
    reply = await http.post(MAPS, config_map("a", big="x" * (3 << 20)))
    assert (reply.code, reply.reason) == (413, "RequestEntityTooLarge")
    assert reply.message == "Request entity too large: limit is 3145728"


@pytest.mark.parametrize(
    ("method", "path", "code", "message"),
    [
        ("GET", "/api/v1/nothing", 404, NOWHERE),
        ("GET", "/apis/nothing/v1/things", 404, NOWHERE),
        ("GET", "/apis/apps/v7", 404, NOWHERE),
        ("GET", "/nothing", 404, NOWHERE),
        ("GET", "/api/v1/pods/a", 404, NOWHERE),
        ("GET", "/api/v1/namespaces/default/nodes", 404, NOWHERE),
        ("GET", "/api/v1/namespaces/default/pods/a/color", 404, NOWHERE),
        ("GET", "/api/v1/namespaces/default/configmaps/a", 404, 'configmaps "a" not found'),
        ("DELETE", "/apis/apps/v1/namespaces/default/deployments/a", 404, 'deployments.apps "a" not found'),
        ("POST", "/api/v1/pods", 405, NOT_SO),
        ("PUT", "/api/v1/namespaces", 405, NOT_SO),
        ("POST", "/api/v1/namespaces/default", 405, NOT_SO),
        ("DELETE", "/api/v1/namespaces", 405, NOT_SO),
        ("DELETE", "/api/v1/pods", 405, NOT_SO),
        ("GET", "/api/v1/namespaces/default/bindings", 405, NOT_SO),
        ("POST", "/version", 405, NOT_SO),
    ],
)
async def test_a_path_or_method_that_is_not_served(
    http: Http, method: str, path: str, code: int, message: str
) -> None:
    reply = await http(method, path)
    assert (reply.code, reply.message) == (code, message)


@pytest.mark.parametrize(
    "query",
    [
        {"labelSelector": "a in"},
        {"labelSelector": "=b"},
        {"fieldSelector": "spec.color=red"},
        {"fieldSelector": "nonsense"},
        {"limit": "many"},
        {"limit": "-1"},
        {"continue": "nonsense"},
        {"continue": "bnVsbA"},
        {"resourceVersion": "new"},
        {"watch": "maybe"},
        {"watch": "1", "resourceVersion": "new"},
        {"watch": "1", "timeoutSeconds": "long"},
    ],
)
async def test_a_query_that_means_nothing_is_a_bad_request(http: Http, query: dict[str, Any]) -> None:
    reply = await http.get(MAPS, **query)
    assert (reply.code, reply.reason) == (400, "BadRequest")


@pytest.mark.parametrize(
    "query",
    [
        {"resourceVersionMatch": "Exact"},
        {"resourceVersionMatch": "Roughly", "resourceVersion": "1"},
        {"resourceVersionMatch": "Exact", "resourceVersion": "0"},
        {"sendInitialEvents": "true"},
        {"watch": "1", "sendInitialEvents": "true"},
        {"watch": "1", "resourceVersionMatch": "NotOlderThan", "resourceVersion": "1"},
    ],
)
async def test_list_options_that_do_not_go_together_are_invalid(http: Http, query: dict[str, Any]) -> None:
    reply = await http.get(MAPS, **query)
    assert (reply.code, reply.reason) == (422, "Invalid")


async def test_a_revision_of_the_future_is_a_timeout_that_says_why(http: Http) -> None:
    for path in (MAPS, f"{DEFAULT}/serviceaccounts/default"):
        reply = await http.get(path, resourceVersion=10**12)
        assert (reply.code, reply.reason) == (504, "Timeout")
        assert "Too large resource version" in reply.message
        assert reply.obj["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


@pytest.mark.parametrize("kind", ["text/plain", "application/apply-patch+cbor", ""])
async def test_a_patch_of_an_unknown_form_lists_the_known_ones(http: Http, kind: str) -> None:
    await http.made(MAPS, config_map("a"))
    reply = await http.patch(f"{MAPS}/a", {}, kind)
    assert (reply.code, reply.reason) == (415, "UnsupportedMediaType")
    assert "application/strategic-merge-patch+json" in reply.message


async def test_a_body_of_an_unknown_form_is_refused(http: Http) -> None:
    reply = await http("POST", MAPS, b"a=b", {"Content-Type": "application/x-www-form-urlencoded"})
    assert reply.code == 415


async def test_an_answer_that_there_is_not_is_not_acceptable(http: Http) -> None:
    reply = await http("GET", MAPS, headers={"Accept": "image/png"})
    assert (reply.code, reply.reason) == (406, "NotAcceptable")


@pytest.mark.parametrize("query", ["resourceVersion", "limit", "watch=1&timeoutSeconds"])
@pytest.mark.parametrize("number", ["9" * 5000, "%C2%B2", "1_0", "9" * 25])
async def test_a_number_that_is_none_is_a_bad_request(http: Http, query: str, number: str) -> None:
    reply = await http.get(f"{MAPS}?{query}={number}")
    assert (reply.code, "strconv.Parse" in reply.message) == (400, True)


async def test_a_watch_may_be_as_long_as_a_number_can_say(http: Http) -> None:
    async with http.watch(MAPS, timeoutSeconds=10**17) as events:
        await http.made(MAPS, {"metadata": {"name": "a"}})
        while (await events.next())["object"]["metadata"]["name"] != "a":
            pass


async def test_deleting_twice_says_that_it_is_not_there(http: Http) -> None:
    reply = await http.delete(f"{MAPS}/a")
    assert (reply.code, reply.reason) == (404, "NotFound")


async def test_delete_options_that_mean_nothing(http: Http) -> None:
    await http.made(MAPS, config_map("a"))
    for body in (
        {"propagationPolicy": "Sometimes"},
        {"propagationPolicy": "Orphan", "orphanDependents": True},
        {"dryRun": ["Some"]},
    ):
        assert (await http.delete(f"{MAPS}/a", body)).code == 422
    for wrong in ({"gracePeriodSeconds": "soon"}, {"preconditions": 7}, {"kind": "Pod"}):
        assert (await http.delete(f"{MAPS}/a", wrong)).code == 400
    assert (await http.delete(f"{MAPS}/a", gracePeriodSeconds="soon")).code == 400
    assert (await http.get(f"{MAPS}/a")).code == 200


async def test_every_path_of_the_core_survives_odd_names(http: Http) -> None:
    for name in ("%2e%2e", "a%2Fb", "%00", "a" * 300, "%F0%9F%98%80"):
        for path in (f"{CORE}/{name}", f"{CORE}/namespaces/{name}/pods", f"{MAPS}/{name}", f"/apis/{name}"):
            assert (await http.get(path)).code < 500
