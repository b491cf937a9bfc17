"""Tables, discovery, versions, health: what kubectl looks at before and besides objects."""

from __future__ import annotations

import gzip
import json
import ssl
from typing import Any

import aiohttp

from podium.api.server import ApiServer
from tests.unit.api.http.harness import CORE, DEFAULT, METADATA, TABLE, Http, config_map, pod

MAPS = f"{DEFAULT}/configmaps"


async def ask(http: Http, path: str, accept: str, **query: Any) -> Any:
    return await http("GET", path, headers={"Accept": accept}, **query)


async def test_a_list_as_a_table_has_columns_and_rows(http: Http) -> None:
    await http.made(f"{DEFAULT}/pods", pod("a"))
    table = (await ask(http, f"{DEFAULT}/pods", TABLE)).obj
    assert (table["kind"], table["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert [column["name"] for column in table["columnDefinitions"]][:5] == [
        "Name", "Ready", "Status", "Restarts", "Age",
    ]  # fmt: skip
    [row] = table["rows"]
    assert row["cells"][:4] == ["a", "0/1", "Pending", 0] or row["cells"][:4] == ["a", "0/1", "Pending", "0"]
    assert row["object"]["kind"] == "PartialObjectMetadata"
    assert row["object"]["metadata"]["name"] == "a"
    assert "spec" not in row["object"]


async def test_one_object_as_a_table_has_one_row(http: Http) -> None:
    await http.made(MAPS, config_map("a"))
    table = (await ask(http, f"{MAPS}/a", TABLE)).obj
    assert [row["cells"][0] for row in table["rows"]] == ["a"]


async def test_a_row_carries_as_much_of_its_object_as_asked(http: Http) -> None:
    await http.made(MAPS, config_map("a", key="value"))
    whole = (await ask(http, MAPS, TABLE, includeObject="Object")).obj["rows"][0]
    assert whole["object"]["data"] == {"key": "value"}
    nothing = (await ask(http, MAPS, TABLE, includeObject="None")).obj["rows"][0]
    assert "object" not in nothing
    assert (await ask(http, MAPS, TABLE, includeObject="Half")).code == 422


async def test_a_page_as_a_table_can_be_continued(http: Http) -> None:
    for name in "abc":
        await http.made(MAPS, config_map(name))
    first = (await ask(http, MAPS, TABLE, limit=2)).obj
    assert first["metadata"]["remainingItemCount"] == 1
    rest = (await ask(http, MAPS, TABLE, **{"continue": first["metadata"]["continue"]})).obj
    assert [row["cells"][0] for row in rest["rows"]] == ["c"]


async def test_an_error_stays_a_status_whatever_was_asked_for(http: Http) -> None:
    assert (await ask(http, f"{MAPS}/a", TABLE)).obj["kind"] == "Status"


async def test_what_is_answered_and_not_kept_is_no_table(http: Http) -> None:
    path, body = (
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        {"spec": {"nonResourceAttributes": {}}},
    )
    reply = await http("POST", path, body, {"Accept": TABLE.partition(",")[0]})
    assert (reply.code, reply.reason) == (406, "NotAcceptable")
    assert (
        reply.message == "the resource selfsubjectaccessreviews does not support being converted to a Table"
    )


async def test_one_objects_metadata_can_be_asked_for(http: Http) -> None:
    await http.made(MAPS, config_map("a", key="value"))
    obj = (await ask(http, f"{MAPS}/a", METADATA)).obj
    assert (obj["kind"], "data" in obj) == ("PartialObjectMetadata", False)


async def test_who_would_rather_have_protobuf_gets_lists_of_metadata_that_do_not_repeat_the_kind(
    http: Http,
) -> None:
    await http.made(MAPS, config_map("a"))
    form = "as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    for accept, repeated in (
        (f"application/json;{form}", True),
        (f"application/vnd.kubernetes.protobuf;{form},application/json;{form}", False),
    ):
        listed = (await ask(http, MAPS, accept)).obj
        assert listed["kind"] == "PartialObjectMetadataList"
        assert ["kind" in item for item in listed["items"]] == [repeated] * len(listed["items"])
        assert listed["items"][0]["metadata"]["name"] == "a"


async def test_a_form_that_is_unknown_is_passed_over_for_the_next(http: Http) -> None:
    await http.made(MAPS, config_map("a"))
    accept = (
        "application/vnd.kubernetes.protobuf, application/json;as=Song;v=v1;g=meta.k8s.io, application/json"
    )
    assert (await ask(http, f"{MAPS}/a", accept)).obj["kind"] == "ConfigMap"


async def test_the_version_is_one_that_clients_can_parse(nobody: Http) -> None:
    version = (await nobody.get("/version")).obj
    assert (version["major"], version["minor"]) == ("1", "36")
    assert version["gitVersion"].startswith("v1.36.")


async def test_health_is_for_everybody(nobody: Http) -> None:
    for path in ("/healthz", "/livez", "/readyz", "/readyz/ping"):
        reply = await nobody.get(path)
        assert (reply.code, reply.text) == (200, "ok")


async def test_discovery_lists_groups_versions_and_resources(http: Http) -> None:
    assert (await http.get("/api")).obj["versions"] == ["v1"]
    groups = {group["name"]: group for group in (await http.get("/apis")).obj["groups"]}
    assert groups["apps"]["preferredVersion"]["groupVersion"] == "apps/v1"
    assert [entry["version"] for entry in groups["autoscaling"]["versions"]] == ["v2", "v1"]
    assert (await http.get("/apis/apps")).obj["kind"] == "APIGroup"
    resources = {entry["name"]: entry for entry in (await http.get(CORE)).obj["resources"]}
    assert resources["pods"]["shortNames"] == ["po"]
    assert resources["pods/eviction"] | {"verbs": 0} == {
        "name": "pods/eviction", "singularName": "", "namespaced": True, "kind": "Eviction",
        "group": "policy", "version": "v1", "verbs": 0,
    }  # fmt: skip
    assert resources["pods/exec"]["kind"] == "PodExecOptions"
    apps = {entry["name"]: entry for entry in (await http.get("/apis/apps/v1")).obj["resources"]}
    assert apps["deployments/scale"]["kind"] == "Scale"


async def test_discovery_comes_in_one_piece_to_who_asks_for_it(http: Http) -> None:
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
    reply = await ask(http, "/apis", accept)
    assert (
        reply.headers["Content-Type"]
        == "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    )
    assert reply.obj["kind"] == "APIGroupDiscoveryList"
    names = [item["metadata"]["name"] for item in reply.obj["items"]]
    assert "apps" in names
    again = await http("GET", "/apis", headers={"Accept": accept, "If-None-Match": reply.headers["ETag"]})
    assert again.code == 304
    [core] = (await ask(http, "/api", accept)).obj["items"]
    pods = next(entry for entry in core["versions"][0]["resources"] if entry["resource"] == "pods")
    assert pods["scope"] == "Namespaced"
    assert pods["responseKind"] == {"group": "", "version": "v1", "kind": "Pod"}


async def test_openapi_is_served_in_both_versions(http: Http) -> None:
    index = (await http.get("/openapi/v3")).obj["paths"]
    url = index["apis/apps/v1"]["serverRelativeURL"]
    document = (await http.get(url)).obj
    assert document["openapi"].startswith("3.")
    assert "/apis/apps/v1/namespaces/{namespace}/deployments" in document["paths"]
    assert (await http.get("/openapi/v3/apis/nothing/v1")).code == 404
    assert (await http.get("/openapi/v2")).obj["swagger"] == "2.0"


async def test_metrics_count_requests(http: Http) -> None:
    count = len((await http.get(f"{CORE}/configmaps")).names)
    await http.made(MAPS, config_map("a"))
    await http.get(f"{MAPS}/nothing")
    text = (await http.get("/metrics")).text
    labels = 'group="",resource="configmaps",scope="{}",subresource="",verb="{}",version="v1"'
    assert f'apiserver_request_total{{code="201",{labels.format("namespace", "POST")}}} 1.0' in text
    assert f'apiserver_request_total{{code="404",{labels.format("resource", "GET")}}} 1.0' in text
    assert f'apiserver_storage_objects{{resource="configmaps"}} {count + 1}.0' in text
    assert 'apiserver_current_inflight_requests{request_kind="readOnly"} 1.0' in text
    assert "process_resident_memory_bytes" in text


async def test_openapi_v2_is_protobuf_for_who_asks_for_it(http: Http) -> None:
    asked = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
    answered = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
    for accept, expected in (
        (asked, answered),
        (answered, answered),
        (f"{asked}, application/json", answered),
        (f"application/json, {asked}", "application/json"),
        ("*/*", "application/json"),
    ):
        reply = await http("GET", "/openapi/v2", headers={"Accept": accept, "Accept-Encoding": "gzip"})
        assert (reply.code, reply.headers["Content-Type"]) == (200, expected)
        assert "accept" in reply.headers["Vary"]
        known = {"Accept": accept, "If-None-Match": reply.headers["ETag"]}
        assert (await http("GET", "/openapi/v2", headers=known)).code == 304
    assert (await http("GET", "/openapi/v2", headers={"Accept": "application/cbor"})).code == 406
    assert (await http("GET", "/openapi/v3/api/v1", headers={"Accept": asked})).code == 406


async def test_what_is_long_is_compressed_for_who_is_on_another_machine(
    server: ApiServer, address: tuple[str, int], http: Http
) -> None:
    for index in range(8):
        await http.made(MAPS, {"metadata": {"name": f"map-{index}"}, "data": {"text": "x" * 40_000}})
    context, pair = ssl.create_default_context(cafile=server.ca_file), server.admin()
    context.load_cert_chain(pair.cert, pair.key)
    far = aiohttp.TCPConnector(ssl=context, local_addr=("127.0.0.2", 0))
    async with aiohttp.ClientSession(connector=far, auto_decompress=False) as session:
        for path, accepts, compressed in (
            (MAPS, "gzip", True), (MAPS, "identity", False), (f"{MAPS}/map-0", "gzip", False),
        ):  # fmt: skip
            async with session.get(http.base + path, headers={"Accept-Encoding": accepts}) as response:
                body = await response.read()
                assert (response.headers.get("Content-Encoding") == "gzip") is compressed
                assert int(response.headers["Content-Length"]) == len(body)
                if compressed:
                    assert response.headers["Vary"].lower() == "accept-encoding"
                assert json.loads(gzip.decompress(body) if compressed else body)["kind"].startswith(
                    "ConfigMap"
                )
