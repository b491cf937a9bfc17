from __future__ import annotations

import base64
import json

import pytest

from podium.api.server import ApiServer
from podium.api.verbs import list as listing
from tests.unit.api.http.harness import CORE, DEFAULT, METADATA_LIST, Http, config_map, pod

MAPS = f"{DEFAULT}/configmaps"


async def fill(http: Http, count: int) -> list[str]:
    names = [f"map-{index:02}" for index in range(count)]
    for name in names:
        await http.made(MAPS, config_map(name, {"parity": "even" if int(name[-1]) % 2 == 0 else "odd"}))
    return names


@pytest.fixture(params=["few", "many"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many objects there are, selecting among them gives the same."""
    if request.param == "many":
        monkeypatch.setattr(listing, "MANY", 0)


async def test_a_list_is_a_list_kind_with_the_newest_revision(http: Http, server: ApiServer) -> None:
    names = await fill(http, 3)
    reply = await http.get(MAPS)
    assert (reply.obj["kind"], reply.obj["apiVersion"]) == ("ConfigMapList", "v1")
    assert reply.names == names
    assert reply.version == str(server.store.revision)
    empty = await http.get(f"{DEFAULT}/secrets")
    assert empty.obj["items"] == []


async def test_the_objects_in_a_list_leave_it_to_the_list_to_say_what_they_are(http: Http) -> None:
    maps = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"kind": "x"}},
        {"metadata": {"name": "b"}},
        {"data": {"text": "x" * (600 << 10)}, "metadata": {"name": "c"}, "kind": "ConfigMap"},
        {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "d"}},
    ]
    for each in maps:
        await http.made(MAPS, each)
    items = (await http.get(MAPS)).obj["items"]
    single = [(await http.get(f"{MAPS}/{each['metadata']['name']}")).obj for each in maps]
    assert [{"kind": "ConfigMap", "apiVersion": "v1", **item} for item in items] == single
    assert not any("kind" in item or "apiVersion" in item for item in items)


async def test_a_list_of_all_namespaces_has_all(http: Http) -> None:
    await http.made(MAPS, config_map("a"))
    await http.made(f"{CORE}/namespaces/kube-system/configmaps", config_map("b"))
    assert {"a", "b"} < set((await http.get(f"{CORE}/configmaps")).names)
    assert (await http.get(MAPS)).names == ["a"]


async def test_a_namespace_whose_name_begins_like_another_is_another(http: Http) -> None:
    await http.made(f"{CORE}/namespaces", {"metadata": {"name": "default-2"}})
    await http.made(f"{CORE}/namespaces/default-2/configmaps", config_map("a"))
    assert (await http.get(MAPS)).names == []


@pytest.mark.usefixtures("either")
async def test_label_selectors_select(http: Http) -> None:
    await fill(http, 4)
    for selector, names in {
        "parity=even": ["map-00", "map-02"],
        "parity==odd": ["map-01", "map-03"],
        "parity!=even": ["map-01", "map-03"],
        "parity in (even, odd)": ["map-00", "map-01", "map-02", "map-03"],
        "parity notin (even)": ["map-01", "map-03"],
        "!parity": [],
        "parity": ["map-00", "map-01", "map-02", "map-03"],
        "parity=even,parity=odd": [],
    }.items():
        assert (await http.get(MAPS, labelSelector=selector)).names == names, selector


@pytest.mark.usefixtures("either")
async def test_a_label_elsewhere_in_an_object_is_no_label_of_it(http: Http) -> None:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    await http.made(f"{DEFAULT}/podtemplates", {"metadata": {"name": "a"}, "template": template})
    labels = {"app": "web", "tier": "front"}
    await http.made(
        f"{DEFAULT}/podtemplates", {"metadata": {"name": "b", "labels": labels}, "template": template}
    )
    for selector, names in {"app=web": ["b"], "app=web,tier=front": ["b"], "app=web,tier=back": []}.items():
        assert (await http.get(f"{DEFAULT}/podtemplates", labelSelector=selector)).names == names, selector


async def test_field_selectors_select(http: Http) -> None:
    await http.made(f"{DEFAULT}/pods", pod("a", node="one"))
    await http.made(f"{DEFAULT}/pods", pod("b", node="two"))
    await http.made(f"{DEFAULT}/pods", pod("c"))
    for selector, names in {
        "spec.nodeName=one": ["a"],
        "spec.nodeName!=one": ["b", "c"],
        "spec.nodeName=": ["c"],
        "metadata.name=b": ["b"],
        "metadata.name=b,spec.nodeName=one": [],
        "metadata.namespace=default,spec.nodeName=two": ["b"],
        "status.phase=Pending": ["a", "b", "c"],
    }.items():
        assert (await http.get(f"{DEFAULT}/pods", fieldSelector=selector)).names == names, selector
        assert (await http.get(f"{CORE}/pods", fieldSelector=selector)).names == names, selector


@pytest.mark.usefixtures("either")
async def test_labels_that_changed_are_selected_by_as_they_are(http: Http) -> None:
    await fill(http, 4)
    assert (await http.get(MAPS, labelSelector="parity=odd")).names == ["map-01", "map-03"]
    await http.patch(f"{MAPS}/map-01", {"metadata": {"labels": {"parity": "even", "new": "yes"}}})
    await http.delete(f"{MAPS}/map-03")
    await http.made(MAPS, config_map("map-05", {"parity": "odd"}))
    for selector, names in {
        "parity=odd": ["map-05"],
        "parity=even": ["map-00", "map-01", "map-02"],
        "parity=even,new": ["map-01"],
        "!new": ["map-00", "map-02", "map-05"],
    }.items():
        assert (await http.get(MAPS, labelSelector=selector)).names == names, selector


async def test_fields_of_objects_that_are_not_decoded_are_selected_by(http: Http, server: ApiServer) -> None:
    for name, node in (("a", "one"), ("b", "two"), ("one", "two")):
        await http.made(f"{DEFAULT}/pods", pod(name, node))
    for selector, names in {
        "spec.nodeName=one": ["a"],
        "spec.nodeName!=one": ["b", "one"],
        "spec.nodeName=two,status.phase!=Failed": ["b", "one"],
        "metadata.name=one,spec.nodeName=one": [],
        "spec.hostNetwork=false": ["a", "b", "one"],
        "spec.nodeName=none": [],
    }.items():
        for entry in server.store.list("/registry/core/pods/"):
            while not entry.release():
                pass
        assert (await http.get(f"{CORE}/pods", fieldSelector=selector)).names == names, selector


async def test_pages_together_show_one_revision(http: Http) -> None:
    names = await fill(http, 7)
    first = await http.get(MAPS, limit=3)
    assert first.obj["metadata"]["remainingItemCount"] == 4
    await http.delete(f"{MAPS}/map-05")
    await http.made(MAPS, config_map("map-99"))
    seen = list(first.names)
    token = first.obj["metadata"]["continue"]
    while token:
        page = await http.get(MAPS, limit=3, **{"continue": token})
        assert page.version == first.version
        left = len(names) - len(seen) - len(page.names)
        assert page.obj["metadata"].get("remainingItemCount", 0) == left
        seen += page.names
        token = page.obj["metadata"].get("continue", "")
    assert seen == names


@pytest.mark.usefixtures("either")
async def test_pages_of_a_selection_do_not_count_what_remains(http: Http) -> None:
    await fill(http, 8)
    first = await http.get(MAPS, limit=3, labelSelector="parity=odd")
    assert first.names == ["map-01", "map-03", "map-05"]
    assert "remainingItemCount" not in first.obj["metadata"]
    token = first.obj["metadata"]["continue"]
    second = await http.get(MAPS, limit=3, labelSelector="parity=odd", **{"continue": token})
    assert second.names == ["map-07"]
    assert "continue" not in second.obj["metadata"]


async def test_a_page_too_old_to_continue_offers_to_go_on_with_the_present(
    http: Http, server: ApiServer
) -> None:
    await fill(http, 5)
    first = await http.get(MAPS, limit=2)
    token = first.obj["metadata"]["continue"]
    await http.made(MAPS, config_map("map-99"))
    await server.store.compact(server.store.revision)
    gone = await http.get(MAPS, limit=2, **{"continue": token})
    assert (gone.code, gone.reason) == (410, "Expired")
    token = gone.obj["metadata"]["continue"]
    rest = await http.get(MAPS, **{"continue": token})
    assert rest.names == ["map-02", "map-03", "map-04", "map-99"]


async def test_a_continue_token_goes_with_no_revision(http: Http) -> None:
    await fill(http, 3)
    token = (await http.get(MAPS, limit=1)).obj["metadata"]["continue"]
    reply = await http.get(MAPS, limit=1, resourceVersion="1", **{"continue": token})
    assert reply.message == "specifying resource version is not allowed when using continue"


async def test_an_exact_revision_shows_what_was(http: Http, server: ApiServer) -> None:
    await fill(http, 2)
    then = (await http.get(MAPS)).version
    await http.made(MAPS, config_map("map-99"))
    exact = await http.get(MAPS, resourceVersion=then, resourceVersionMatch="Exact")
    assert (exact.names, exact.version) == (["map-00", "map-01"], then)
    at_least = await http.get(MAPS, resourceVersion=then, resourceVersionMatch="NotOlderThan")
    assert at_least.names == ["map-00", "map-01", "map-99"]
    assert (await http.get(MAPS, resourceVersion="0")).names == at_least.names
    await server.store.compact(server.store.revision)
    gone = await http.get(MAPS, resourceVersion=then, resourceVersionMatch="Exact")
    assert gone.code == 410


async def test_only_the_metadata_can_be_asked_for(http: Http) -> None:
    await http.made(MAPS, config_map("a", key="value"))
    reply = await http("GET", MAPS, headers={"Accept": METADATA_LIST})
    assert reply.obj["kind"] == "PartialObjectMetadataList"
    assert reply.obj["items"][0]["kind"] == "PartialObjectMetadata"
    assert "data" not in reply.obj["items"][0]


async def test_a_large_list_arrives_whole(http: Http) -> None:
    for index in range(12):
        await http.made(MAPS, config_map(f"map-{index:02}", big="x" * 200_000))
    reply = await http.get(MAPS)
    assert len(reply.names) == 12
    assert all(len(item["data"]["big"]) == 200_000 for item in reply.obj["items"])


async def test_the_token_is_opaque_but_ours(http: Http) -> None:
    await fill(http, 2)
    token = (await http.get(MAPS, limit=1)).obj["metadata"]["continue"]
    inside = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    assert inside["start"] == "map-00"
