"""Conversion by a webhook: a real server, and a real TLS webhook."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from podium.api.types import Obj
from podium.api.types.errors import Cause
from tests.unit.api.admission.webhooks import WebhookServer, webhook_server
from tests.unit.api.extensions.definitions import (
    CRDS,
    GROUP,
    TABS,
    definition,
    established,
    record,
    tab,
    text,
)
from tests.unit.api.http.harness import MERGE, TABLE, Http
from tests.unit.api.http.test_apply import APPLY

V1, V2 = TABS, TABS.replace("/v1/", "/v2/")
NAME = f"crontabs.{GROUP}"
CALLED = f"conversion webhook for {GROUP}/v1, Kind=Crontab"


def split(obj: Obj, wanted: str) -> Obj:
    """v1 has spec.hostPort, v2 host and port."""
    spec = dict(obj.get("spec") or {})
    if wanted.endswith("/v2"):
        spec["host"], _, spec["port"] = spec.pop("hostPort", ":").partition(":")
    else:
        spec = {"hostPort": f"{spec.get('host', '')}:{spec.get('port', '')}"}
    return {**obj, "apiVersion": wanted, "spec": spec}


def all_split(request: Obj) -> Obj:
    wanted = request["desiredAPIVersion"]
    objects = [split(obj, wanted) for obj in request["objects"]]
    return {"result": {"status": "Success"}, "convertedObjects": objects}


def converted(webhook: WebhookServer) -> Obj:
    crd = definition(versions=("v1", "v2"), subresources={"status": {}})
    for version, fields in zip(crd["spec"]["versions"], (("hostPort",), ("host", "port")), strict=True):
        schema = record({"spec": record({field: text() for field in fields})})
        version["schema"]["openAPIV3Schema"] = schema
        path = f".spec.{fields[0]}"
        version["selectableFields"] = [{"jsonPath": path}]
        version["additionalPrinterColumns"] = [{"name": "Where", "type": "string", "jsonPath": path}]
    webhook.kind = "ConversionReview"
    webhook.answer = all_split
    config = {"clientConfig": webhook.client_config("/convert"), "conversionReviewVersions": ["v1"]}
    crd["spec"]["conversion"] = {"strategy": "Webhook", "webhook": config}
    return crd


@pytest.fixture
async def webhook(tmp_path: Path) -> AsyncIterator[WebhookServer]:
    async with webhook_server(tmp_path) as found:
        yield found


@pytest.fixture
async def crd(http: Http, webhook: WebhookServer) -> Obj:
    return await established(http, converted(webhook))


def shown(obj: Obj) -> Obj:
    """The parts that conversion is about."""
    return {"apiVersion": obj["apiVersion"], **obj["spec"]}


OLD = {"apiVersion": f"{GROUP}/v1", "hostPort": "a:1"}
NEW = {"apiVersion": f"{GROUP}/v2", "host": "a", "port": "1"}


async def test_an_object_is_shown_in_the_version_that_is_asked_for(http: Http, crd: Obj) -> None:
    assert shown((await http.post(V2, tab(version="v2", host="a", port="1"))).obj) == NEW
    assert shown((await http.get(f"{V1}/a")).obj) == OLD
    assert shown((await http.get(f"{V2}/a")).obj) == NEW


async def test_a_list_is_one_review(http: Http, crd: Obj, webhook: WebhookServer) -> None:
    for index in range(5):
        await http.made(V1, tab(f"t{index}", hostPort=f"h{index}:1"))
    webhook.asked.clear()
    items = (await http.get(V2)).obj["items"]
    assert [item["spec"]["host"] for item in items] == [f"h{index}" for index in range(5)]
    assert [len(request["objects"]) for request in webhook.asked] == [5]
    assert not (await http.get(V1)).obj["items"][0]["spec"].keys() - {"hostPort"}
    assert len(webhook.asked) == 1


async def test_selectors_and_columns_look_at_the_version_asked_for(http: Http, crd: Obj) -> None:
    for name, where in (("a", "x:1"), ("b", "y:1")):
        await http.made(V1, tab(name, hostPort=where))
    found = (await http.get(V2, fieldSelector="spec.host=y")).obj["items"]
    assert [item["metadata"]["name"] for item in found] == ["b"]
    paged = (await http.get(V2, fieldSelector="spec.host!=q", limit="1")).obj
    assert paged["metadata"]["continue"]
    table = (await http("GET", V2, headers={"Accept": TABLE})).obj
    assert [row["cells"] for row in table["rows"]] == [["a", "x"], ["b", "y"]]


async def test_every_write_works_in_the_version_of_its_request(http: Http, crd: Obj) -> None:
    await http.made(V1, tab(hostPort="a:1"))
    assert shown((await http.patch(f"{V2}/a", {"spec": {"port": "2"}}, MERGE)).obj) == {**NEW, "port": "2"}
    assert shown((await http.get(f"{V1}/a")).obj) == {**OLD, "hostPort": "a:2"}
    present = (await http.get(f"{V2}/a")).obj
    present["spec"]["host"] = "b"
    assert (await http.put(f"{V2}/a", present)).obj["spec"]["host"] == "b"
    applied = {**tab(version="v2", port="9"), "spec": {"port": "9"}}
    reply = await http.patch(f"{V2}/a", applied, APPLY, fieldManager="me", force="true")
    assert reply.code == 200, reply.message
    assert shown((await http.get(f"{V1}/a")).obj) == {**OLD, "hostPort": "b:9"}
    assert (await http.delete(f"{V2}/a")).code == 200


async def test_what_changes_nothing_is_not_written(http: Http, crd: Obj) -> None:
    made = await http.made(V1, tab(hostPort="a:1"))
    again = await http.patch(f"{V2}/a", {"spec": {"host": "a"}}, MERGE)
    assert again.version == made["metadata"]["resourceVersion"]


async def test_a_watch_shows_its_own_version_and_asks_once_for_all(
    http: Http, crd: Obj, webhook: WebhookServer
) -> None:
    version = (await http.get(V2)).version
    async with (
        http.watch(V2, resourceVersion=version) as one,
        http.watch(V2, resourceVersion=version, fieldSelector="spec.host=b") as other,
    ):
        await http.made(V1, tab(hostPort="a:1"))
        assert shown((await one.next())["object"]) == NEW
        webhook.asked.clear()
        await http.patch(f"{V1}/a", {"spec": {"hostPort": "b:1"}}, MERGE)
        events = [await one.next(), await other.next()]
        assert [event["type"] for event in events] == ["MODIFIED", "ADDED"]
        assert {event["object"]["spec"]["host"] for event in events} == {"b"}
        assert len(webhook.asked) == 1
        await http.patch(f"{V1}/a", {"spec": {"hostPort": "c:1"}}, MERGE)
        gone = await other.next()
        assert (gone["type"], gone["object"]["spec"]["host"]) == ("DELETED", "b")


async def test_a_change_of_the_definition_ends_its_watches(http: Http, crd: Obj) -> None:
    async with http.watch(V1, resourceVersion=(await http.get(V1)).version) as events:
        fresh = (await http.get(f"{CRDS}/{NAME}")).obj
        for version in fresh["spec"]["versions"]:
            version["storage"] = version["name"] == "v2"
        assert (await http.put(f"{CRDS}/{NAME}", fresh)).obj["status"]["storedVersions"] == ["v1", "v2"]
        with pytest.raises(StopAsyncIteration):
            await events.next()


async def test_objects_of_both_versions_lie_in_the_store_after_a_change(http: Http, crd: Obj) -> None:
    await http.made(V1, tab("a", hostPort="a:1"))
    async with http.watch(V1, resourceVersion=(await http.get(V1)).version) as events:
        fresh = (await http.get(f"{CRDS}/{NAME}")).obj
        for version in fresh["spec"]["versions"]:
            version["storage"] = version["name"] == "v2"
        await http.put(f"{CRDS}/{NAME}", fresh)
        with pytest.raises(StopAsyncIteration):
            await events.next()
    await http.made(V2, tab("b", "v2", host="b", port="1"))
    for path, expected in ((V1, ["a:1", "b:1"]), (V2, ["a", "b"])):
        items = (await http.get(path)).obj["items"]
        assert [item["spec"].get("hostPort") or item["spec"]["host"] for item in items] == expected


async def test_labels_and_annotations_are_all_of_the_metadata_that_a_webhook_changes(
    http: Http, crd: Obj, webhook: WebhookServer
) -> None:
    def marking(request: Obj) -> Obj:
        answer = all_split(request)
        for obj in answer["convertedObjects"]:
            obj["metadata"] |= {"labels": {"by": "hook"}, "finalizers": ["x.io/y"], "generation": 77}
        return answer

    await http.made(V1, tab(hostPort="a:1"))
    webhook.answer = marking
    meta = (await http.get(f"{V2}/a")).obj["metadata"]
    assert (meta["labels"], meta["generation"], "finalizers" in meta) == ({"by": "hook"}, 1, False)


def lying(**changes: Any) -> Any:
    def answer(request: Obj) -> Obj:
        made = all_split(request)
        made["convertedObjects"][0] |= changes
        return made

    return answer


def meta(**changes: Any) -> Any:
    def answer(request: Obj) -> Obj:
        made = all_split(request)
        made["convertedObjects"][0]["metadata"] |= changes
        return made

    return answer


FAULTS: list[tuple[Any, str]] = [
    (lambda request: {"uid": "x", **all_split(request)}, ' failed: expected response.uid="'),
    (lambda request: {"result": {"status": "Failed", "message": "no such thing"}}, " failed: no such thing"),
    (
        lambda request: {"result": {"status": "Failed"}},
        " failed: response.result.status was 'Failed', not 'Success'",
    ),
    (
        lambda request: {"result": {"status": "Success"}, "convertedObjects": []},
        " returned 0 objects, expected 1",
    ),
    (
        lying(apiVersion=f"{GROUP}/v3"),
        " returned invalid object at index 0: invalid groupVersion "
        f"(expected {GROUP}/v2, received {GROUP}/v3)",
    ),
    (
        lying(kind="Other"),
        " returned invalid object at index 0: invalid kind (expected Crontab, received Other)",
    ),
    (meta(name="b"), " returned invalid object: must have the same name: a != b"),
    (meta(uid="1"), " returned invalid object: must have the same UID: "),
    (
        lying(metadata="x"),
        " returned invalid object: must have the same name: a != ",
    ),
    (
        meta(labels={"a": 1}),
        " returned invalid metadata: metadata.labels[a] must be a string, but is int64 in converted object",
    ),
    (meta(labels={"a b": "c"}), " returned invalid metadata: metadata.labels: Invalid value: "),
    (lambda request: b"<html>", " failed: couldn't get version/kind; json parse error: "),
    (lambda request: b"[]", " failed: "),
]


@pytest.mark.parametrize(("answer", "told"), FAULTS)
async def test_a_webhook_that_lies_is_found_out(
    http: Http, crd: Obj, webhook: WebhookServer, answer: Any, told: str
) -> None:
    await http.made(V1, tab(hostPort="a:1"))
    webhook.answer = answer
    for path in (f"{V2}/a", V2):
        reply = await http.get(path)
        assert reply.code == 500
        assert reply.message.startswith(CALLED + told)
    assert (await http.get(f"{V1}/a")).code == 200


async def test_a_webhook_that_is_away_fails_reads_and_writes(http: Http, webhook: WebhookServer) -> None:
    crd = converted(webhook)
    service = {"namespace": "default", "name": "away", "path": "/convert"}
    crd["spec"]["conversion"]["webhook"]["clientConfig"] = {"service": service}
    await established(http, crd)
    await http.made(V1, tab(hostPort="a:1"))
    url = "https://away.default.svc:443/convert?timeout=30s"
    expected = f'{CALLED} failed: Post "{url}": service "away" not found'
    assert (await http.get(f"{V2}/a")).message == expected
    written = await http.post(V2, tab("b", "v2", host="b"))
    assert (written.code, f"{GROUP}/v2, Kind=Crontab failed" in written.message) == (500, True)
    async with http.watch(V2, sendInitialEvents="true", resourceVersionMatch="NotOlderThan") as events:
        assert (await events.next())["type"] == "ERROR"


async def test_a_webhook_that_hangs_holds_up_nobody_else(
    http: Http, crd: Obj, webhook: WebhookServer
) -> None:
    await http.made(V1, tab(hostPort="a:1"))
    forever = asyncio.Event()
    webhook.answer = lambda request: forever
    slow = asyncio.create_task(http.get(f"{V2}/a"))
    for _ in range(3):
        assert (await http.get(f"{V1}/a")).code == 200
    assert not slow.done()
    forever.set()
    assert (await slow).code == 500


async def test_a_definition_goes_with_its_objects_though_its_webhook_is_gone(
    http: Http, crd: Obj, webhook: WebhookServer
) -> None:
    made = await http.made(V1, tab(hostPort="a:1"))
    webhook.answer = lambda request: b"gone"
    async with http.watch(CRDS, resourceVersion=made["metadata"]["resourceVersion"]) as events:
        await http.delete(f"{CRDS}/{NAME}")
        while (await events.next())["type"] != "DELETED":
            pass


@pytest.mark.parametrize(
    ("conversion", "fault"),
    [
        (
            {"strategy": "Webhook"},
            Cause(
                "FieldValueRequired",
                "Required value: required when strategy is set to Webhook",
                "spec.conversion.webhookClientConfig",
            ),
        ),
        (
            {"strategy": "Magic"},
            Cause(
                "FieldValueNotSupported",
                'Unsupported value: "Magic": supported values: "None", "Webhook"',
                "spec.conversion.strategy",
            ),
        ),
        (
            {"strategy": "Webhook", "webhook": {"clientConfig": {"url": "http://x/"},
                                                "conversionReviewVersions": ["v1"]}},
            Cause(
                "FieldValueInvalid",
                "Invalid value: \"http\": 'https' is the only allowed URL scheme; "
                "desired format: https://host[/path]",
                "spec.conversion.webhookClientConfig.url",
            ),
        ),
        (
            {"strategy": "Webhook", "webhook": {"clientConfig": {"url": "https://x/"},
                                                "conversionReviewVersions": ["v7"]}},
            Cause(
                "FieldValueInvalid",
                'Invalid value: ["v7"]: must include at least one of v1, v1beta1',
                "spec.conversion.conversionReviewVersions",
            ),
        ),
    ],
)  # fmt: skip
async def test_a_conversion_that_cannot_be_is_refused(http: Http, conversion: Obj, fault: Cause) -> None:
    crd = definition()
    crd["spec"]["conversion"] = conversion
    reply = await http.post(CRDS, crd)
    assert reply.code == 422
    assert fault._asdict() in reply.obj["details"]["causes"]


def owned(obj: Obj) -> dict[str, tuple[str, list[str]]]:
    """By manager: the version, and the names of the fields of the spec."""
    return {
        entry["manager"]: (
            entry["apiVersion"].rpartition("/")[2],
            sorted(name.removeprefix("f:") for name in entry["fieldsV1"].get("f:spec", {}) if name != "."),
        )
        for entry in obj["metadata"].get("managedFields", ())
    }


def applied(version: str, **spec: str) -> Obj:
    return {"apiVersion": f"{GROUP}/{version}", "kind": "Crontab", "metadata": {"name": "a"}, "spec": spec}


async def test_owners_know_their_fields_in_their_own_version(http: Http, crd: Obj) -> None:
    """v1's hostPort is v2's host and port."""
    first = await http.patch(f"{V1}/a", applied("v1", hostPort="a:1"), APPLY, fieldManager="one")
    assert first.code == 201, first.text
    same = await http.patch(f"{V2}/a", applied("v2", host="a", port="1"), APPLY, fieldManager="two")
    assert same.code == 200, same.text
    assert owned(same.obj) == {"one": ("v1", ["hostPort"]), "two": ("v2", ["host", "port"])}
    refused = await http.patch(f"{V2}/a", applied("v2", host="a", port="2"), APPLY, fieldManager="two")
    assert refused.code == 409
    assert refused.message == 'Apply failed with 1 conflict: conflict with "one": .spec.hostPort'
    taken = await http.patch(
        f"{V2}/a", applied("v2", host="a", port="2"), APPLY, fieldManager="two", force="true"
    )
    assert owned(taken.obj) == {"two": ("v2", ["host", "port"])}


async def test_an_update_takes_fields_from_owners_of_other_versions(http: Http, crd: Obj) -> None:
    await http.patch(f"{V1}/a", applied("v1", hostPort="a:1"), APPLY, fieldManager="one")
    reply = await http.patch(f"{V2}/a", {"spec": {"port": "2"}}, MERGE, fieldManager="other")
    assert owned(reply.obj) == {"other": ("v2", ["port"])}
    untouched = await http.patch(f"{V1}/a", {"metadata": {"labels": {"x": "y"}}}, MERGE, fieldManager="label")
    assert owned(untouched.obj) == {"other": ("v2", ["port"]), "label": ("v1", [])}


async def test_an_applier_that_moves_to_another_version_gives_up_what_it_does_not_repeat(
    http: Http, crd: Obj
) -> None:
    await http.patch(f"{V2}/a", applied("v2", host="a", port="1"), APPLY, fieldManager="one")
    moved = await http.patch(f"{V1}/a", applied("v1", hostPort="a:1"), APPLY, fieldManager="one")
    assert moved.code == 200, moved.text
    assert owned(moved.obj) == {"one": ("v1", ["hostPort"])}
    assert shown(moved.obj) == OLD


async def test_owners_in_a_version_that_is_gone_are_forgotten(http: Http, crd: Obj) -> None:
    await http.patch(f"{V2}/a", applied("v2", host="a", port="1"), APPLY, fieldManager="two")
    await http.patch(f"{V1}/a", {"metadata": {"labels": {"x": "y"}}}, MERGE, fieldManager="one")
    path = f"{CRDS}/{NAME}"
    versions = crd["spec"]["versions"]
    dropped = await http.patch(path, {"spec": {"versions": versions[:1], "conversion": None}}, MERGE)
    assert dropped.code == 200, dropped.text
    await gone(http, V2)
    reply = await http.patch(f"{V1}/a", {"metadata": {"labels": {"x": "z"}}}, MERGE, fieldManager="one")
    assert owned(reply.obj) == {"one": ("v1", [])}
    mine = await http.patch(f"{V1}/a", applied("v1", hostPort="b:2"), APPLY, fieldManager="me")
    assert mine.code == 200, mine.text


async def gone(http: Http, path: str) -> None:
    """Waits until a version is not served any more: then its watches end."""
    async with asyncio.timeout(10):
        async with http.watch(path) as events:
            await events.rest()
        assert (await http.get(path)).code == 404
