"""The official Python client: typed models, watches, pages, patches, deletion, streams.

A body may be a model or a plain object; answers are models."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kubernetes import client, watch
from kubernetes.client.rest import ApiException
from kubernetes.stream import stream

from podium.api.types.meta import suffix
from tests.conformance.coverage_report import covers
from tests.conformance.objects import Obj, config_map, container, deployment, pod, sh
from tests.conformance.waiting import eventually

MERGE, JSON_PATCH, STRATEGIC = (
    "application/merge-patch+json",
    "application/json-patch+json",
    "application/strategic-merge-patch+json",
)


@pytest.fixture
def core(python_client: client.ApiClient) -> client.CoreV1Api:
    return client.CoreV1Api(python_client)


@pytest.fixture
def apps(python_client: client.ApiClient) -> client.AppsV1Api:
    return client.AppsV1Api(python_client)


@pytest.fixture
def namespace(core: client.CoreV1Api) -> Iterator[str]:
    name = f"test-{suffix()}"
    core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=name)))
    yield name
    core.delete_namespace(name)


def refused(code: int, act: Callable[..., Any], *arguments: Any, **named: Any) -> Obj:
    """The Status of a request that must be refused with `code`."""
    with pytest.raises(ApiException) as caught:
        act(*arguments, **named)
    assert caught.value.status == code, caught.value
    status: Obj = json.loads(caught.value.body)
    assert (status["kind"], status["apiVersion"], status["code"]) == ("Status", "v1", code)
    return status


def seen(core: client.CoreV1Api, namespace: str, count: int, **options: Any) -> list[tuple[str, str]]:
    """(type, name) of so many events of ConfigMaps, from a revision on."""
    found = []
    watcher = watch.Watch()
    for event in watcher.stream(core.list_namespaced_config_map, namespace, timeout_seconds=10, **options):
        found.append((event["type"], event["object"].metadata.name))
        if len(found) == count:
            break
    watcher.stop()
    return found


def owned(items: list[Any], owner: Any) -> list[Any]:
    return [
        item
        for item in items
        if any(entry.uid == owner.metadata.uid for entry in item.metadata.owner_references or ())
    ]


def ready(core: client.CoreV1Api, namespace: str, labels: str, count: int) -> list[Any]:
    """The pods with those labels, as soon as so many are ready, and no more are left."""

    def look() -> list[Any]:
        return list(core.list_namespaced_pod(namespace, label_selector=labels).items)

    def holds(items: list[Any]) -> bool:
        conditions = [
            entry for item in items for entry in item.status.conditions or () if entry.type == "Ready"
        ]
        return len(items) == count == sum(entry.status == "True" for entry in conditions)

    return eventually(look, holds, 40)


# --- objects


@covers("[sig-node] ConfigMap should run through a ConfigMap lifecycle [Conformance]")
def test_a_config_map_lives_from_create_to_delete_in_models(core: client.CoreV1Api, namespace: str) -> None:
    labels = {"test": f"life-{namespace}"}
    metadata = client.V1ObjectMeta(name="life", labels=labels)
    made = core.create_namespaced_config_map(
        namespace, client.V1ConfigMap(metadata=metadata, data={"a": "1"})
    )
    assert made.metadata.uid
    assert made.metadata.creation_timestamp is not None
    assert core.read_namespaced_config_map("life", namespace).data == {"a": "1"}
    body = {"metadata": {"labels": {"more": "yes"}}, "data": {"b": "2"}}
    changed = core.patch_namespaced_config_map("life", namespace, body)
    assert changed.data == {"a": "1", "b": "2"}
    changed.data = {"c": "3"}
    assert core.replace_namespaced_config_map("life", namespace, changed).data == {"c": "3"}
    selector = f"test=life-{namespace}"
    everywhere = core.list_config_map_for_all_namespaces(label_selector=selector).items
    assert [(item.metadata.name, item.metadata.labels["more"]) for item in everywhere] == [("life", "yes")]
    core.delete_collection_namespaced_config_map(namespace, label_selector=selector)
    assert core.list_namespaced_config_map(namespace, label_selector=selector).items == []
    before = made.metadata.resource_version
    events = seen(core, namespace, 3, resource_version=before, label_selector=selector)
    assert events == [("MODIFIED", "life"), ("MODIFIED", "life"), ("DELETED", "life")]


@covers("[sig-node] Secrets should patch a secret [Conformance]")
def test_a_secret_is_patched_and_found_by_its_label(core: client.CoreV1Api, namespace: str) -> None:
    metadata = client.V1ObjectMeta(name="keys", labels={"secret": namespace})
    core.create_namespaced_secret(namespace, client.V1Secret(metadata=metadata, string_data={"key": "value"}))
    body = {"metadata": {"labels": {"patched": "true"}}, "data": {"key": "cGF0Y2hlZA=="}}
    core.patch_namespaced_secret("keys", namespace, body)
    (found,) = core.list_secret_for_all_namespaces(label_selector=f"patched=true,secret={namespace}").items
    assert found.data == {"key": "cGF0Y2hlZA=="}
    core.delete_namespaced_secret("keys", namespace)
    assert core.list_secret_for_all_namespaces(label_selector=f"secret={namespace}").items == []


@covers("[sig-node] Secrets should fail to create secret due to empty secret key [Conformance]")
def test_errors_say_what_is_wrong_in_upstreams_words(core: client.CoreV1Api, namespace: str) -> None:
    missing = refused(404, core.read_namespaced_config_map, "none", namespace)
    assert (missing["reason"], missing["message"]) == ("NotFound", 'configmaps "none" not found')
    assert missing["details"] == {"name": "none", "kind": "configmaps"}
    core.create_namespaced_config_map(namespace, config_map("a"))
    exists = refused(409, core.create_namespaced_config_map, namespace, config_map("a"))
    assert (exists["reason"], exists["message"]) == ("AlreadyExists", 'configmaps "a" already exists')
    stale = core.read_namespaced_config_map("a", namespace)
    core.patch_namespaced_config_map("a", namespace, {"data": {"x": "1"}})
    conflict = refused(409, core.replace_namespaced_config_map, "a", namespace, stale)
    assert conflict["reason"] == "Conflict"
    assert (
        "the object has been modified; please apply your changes to the latest version" in conflict["message"]
    )
    broken = {"metadata": {"name": "b"}, "data": {"": "dmFsdWU="}}
    invalid = refused(422, core.create_namespaced_secret, namespace, broken)
    assert invalid["reason"] == "Invalid"
    assert invalid["details"]["causes"][0]["field"] == "data[]"
    bad = pod("b", container(ports=[{"containerPort": 70000}]))
    causes = refused(422, core.create_namespaced_pod, namespace, bad)["details"]["causes"]
    assert [cause["field"] for cause in causes] == ["spec.containers[0].ports[0].containerPort"]


def test_each_kind_of_patch_does_what_it_is_for(apps: client.AppsV1Api, namespace: str) -> None:
    two = [container("one"), container("two")]
    apps.create_namespaced_deployment(namespace, deployment("web", 0, *two))
    image = {"spec": {"template": {"spec": {"containers": [{"name": "two", "image": "other"}]}}}}

    def patched(kind: str, body: Any, **options: Any) -> Any:
        return apps.patch_namespaced_deployment("web", namespace, body, _content_type=kind, **options)

    def images(obj: Any) -> list[tuple[str, str]]:
        return [(each.name, each.image) for each in obj.spec.template.spec.containers]

    one, other = ("one", "busybox:latest"), ("two", "other")
    assert sorted(images(patched(STRATEGIC, image, dry_run="All"))) == [one, other]
    assert images(patched(MERGE, image, dry_run="All")) == [other]
    steps: list[Obj] = [
        {"op": "test", "path": "/spec/replicas", "value": 0},
        {"op": "replace", "path": "/spec/template/spec/containers/1/image", "value": "other"},
        {"op": "add", "path": "/metadata/annotations/a~1b", "value": "c"},
    ]
    patched(MERGE, {"metadata": {"annotations": {"first": "1"}}})
    changed = patched(JSON_PATCH, steps)
    assert images(changed) == [one, other]
    assert changed.metadata.annotations["a/b"] == "c"
    steps[0]["value"] = 5
    refused(422, patched, JSON_PATCH, steps)
    gone = patched(MERGE, {"metadata": {"annotations": {"a/b": None}}})
    assert "a/b" not in gone.metadata.annotations


def test_a_dry_run_answers_as_if_and_changes_nothing(core: client.CoreV1Api, namespace: str) -> None:
    dry = core.create_namespaced_pod(namespace, pod("dry"), dry_run="All")
    assert dry.spec.restart_policy == "Always"
    refused(404, core.read_namespaced_pod, "dry", namespace)
    made = core.create_namespaced_config_map(namespace, config_map("a", x="1"))
    assert core.patch_namespaced_config_map("a", namespace, {"data": {"x": "2"}}, dry_run="All").data == {
        "x": "2"
    }
    core.delete_namespaced_config_map("a", namespace, dry_run="All")
    after = core.read_namespaced_config_map("a", namespace)
    assert (after.data, after.metadata.resource_version) == ({"x": "1"}, made.metadata.resource_version)


def test_selectors_choose_by_labels_and_by_fields(core: client.CoreV1Api, namespace: str) -> None:
    for name, tier in (("a", "web"), ("b", "db"), ("c", "web")):
        core.create_namespaced_config_map(
            namespace, {"metadata": {"name": name, "labels": {"tier": tier, name: ""}}}
        )

    def names(**options: str) -> list[str]:
        found = core.list_namespaced_config_map(namespace, **options).items
        return [item.metadata.name for item in found if item.metadata.name != "kube-root-ca.crt"]

    assert names(label_selector="tier=web") == ["a", "c"]
    assert names(label_selector="tier in (web, db),!a") == ["b", "c"]
    assert names(label_selector="tier!=web,tier") == ["b"]
    assert names(field_selector="metadata.name!=a", label_selector="tier") == ["b", "c"]
    assert names(field_selector=f"metadata.name=b,metadata.namespace={namespace}") == ["b"]
    assert refused(400, names, field_selector="data.x=1")["reason"] == "BadRequest"


@covers(
    "[sig-api-machinery] Servers with support for API chunking should return chunks of results for list calls [Conformance]"
)
def test_pages_are_one_consistent_list_whatever_changes_meanwhile(
    core: client.CoreV1Api, namespace: str
) -> None:
    expected = [f"t-{index:03}" for index in range(40)]
    template = {"spec": {"containers": [container()]}}
    for name in expected:
        core.create_namespaced_pod_template(namespace, {"metadata": {"name": name}, "template": template})
    pages, token = [], None
    while True:
        page = core.list_namespaced_pod_template(namespace, limit=17, _continue=token)
        pages.append(page)
        token = page.metadata._continue
        if not token:
            break
        core.delete_namespaced_pod_template(expected[39 - len(pages)], namespace)
        core.create_namespaced_pod_template(
            namespace, {"metadata": {"name": f"t-{len(pages):03}-new"}, "template": template}
        )
    assert [item.metadata.name for page in pages for item in page.items] == expected
    assert [page.metadata.remaining_item_count for page in pages] == [23, 6, None]
    assert len({page.metadata.resource_version for page in pages}) == 1


# --- watches


@covers(
    "[sig-api-machinery] Watchers should observe add, update, and delete watch notifications on configmaps [Conformance]",
    "[sig-api-machinery] Watchers should be able to start watching from a specific resource version [Conformance]",
    "[sig-api-machinery] Watchers should be able to restart watching from the last resource version observed by the previous watch [Conformance]",
)
def test_watches_see_what_they_asked_for_from_where_they_asked(
    core: client.CoreV1Api, namespace: str
) -> None:
    start = core.list_namespaced_config_map(namespace).metadata.resource_version

    def make(name: str) -> str:
        body = {"metadata": {"name": name, "labels": {"w": name}}}
        return str(core.create_namespaced_config_map(namespace, body).metadata.resource_version)

    first = make("a")
    second = core.patch_namespaced_config_map("a", namespace, {"data": {"x": "1"}}).metadata.resource_version
    core.patch_namespaced_config_map("a", namespace, {"data": {"x": "2"}})
    core.delete_namespaced_config_map("a", namespace)
    make("b")
    core.delete_namespaced_config_map("b", namespace)
    a = [("ADDED", "a"), ("MODIFIED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
    b = [("ADDED", "b"), ("DELETED", "b")]
    assert seen(core, namespace, 4, resource_version=start, label_selector="w=a") == a
    assert seen(core, namespace, 2, resource_version=start, label_selector="w=b") == b
    assert seen(core, namespace, 6, resource_version=start, label_selector="w in (a,b)") == a + b
    assert seen(core, namespace, 3, resource_version=first, label_selector="w=a") == a[1:]
    assert seen(core, namespace, 4, resource_version=second, label_selector="w") == a[2:] + b
    # The client's own memory of where it was.
    watcher, resumed = watch.Watch(), []
    for event in watcher.stream(core.list_namespaced_config_map, namespace, resource_version=first):
        resumed.append((event["type"], event["object"].metadata.name))
        break
    last = watcher.resource_version
    assert last == second
    assert seen(core, namespace, 2, resource_version=last, label_selector="w=a") == a[2:]


@covers(
    "[sig-api-machinery] Watchers should observe an object deletion if it stops meeting the requirements of the selector [Conformance]"
)
def test_an_object_that_leaves_the_selector_is_deleted_for_the_watch(
    core: client.CoreV1Api, namespace: str
) -> None:
    made = core.create_namespaced_config_map(namespace, {"metadata": {"name": "a", "labels": {"w": "1"}}})

    def label(value: str) -> None:
        core.patch_namespaced_config_map("a", namespace, {"metadata": {"labels": {"w": value}}})

    def data(value: str) -> None:
        core.patch_namespaced_config_map("a", namespace, {"data": {"x": value}})

    data("1")
    label("2")
    data("2")
    label("1")
    data("3")
    core.delete_namespaced_config_map("a", namespace)
    types = ["MODIFIED", "DELETED", "ADDED", "MODIFIED", "DELETED"]
    events = seen(core, namespace, 5, resource_version=made.metadata.resource_version, label_selector="w=1")
    assert events == [(kind, "a") for kind in types]


@covers(
    "[sig-api-machinery] Watchers should receive events on concurrent watches in same order [Conformance]"
)
def test_watches_beside_each_other_see_the_same_order(core: client.CoreV1Api, namespace: str) -> None:
    start = core.list_namespaced_config_map(namespace).metadata.resource_version
    orders: list[list[tuple[str, str]]] = []

    def follow() -> None:
        orders.append(seen(core, namespace, 60, resource_version=start))

    def write(worker: int) -> None:
        for index in range(10):
            name = f"w{worker}-{index}"
            core.create_namespaced_config_map(namespace, config_map(name))
            core.delete_namespaced_config_map(name, namespace)

    threads = [threading.Thread(target=follow) for _ in range(4)]
    threads += [threading.Thread(target=write, args=(worker,)) for worker in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    names = [order for order in orders if order == orders[0]]
    assert len(names) == 4
    assert len(orders[0]) == 60


def test_a_revision_that_is_not_there_yet_or_is_none_is_refused(
    core: client.CoreV1Api, namespace: str
) -> None:
    future = str(int(core.list_namespace().metadata.resource_version) + 10**9)
    refusal = refused(504, core.list_namespaced_config_map, namespace, resource_version=future)
    assert refusal["reason"] == "Timeout"
    with pytest.raises(ApiException) as caught:
        seen(core, namespace, 1, resource_version="not-a-number")
    assert caught.value.status == 400


# --- deletion


def test_preconditions_keep_what_is_not_meant(core: client.CoreV1Api, namespace: str) -> None:
    made = core.create_namespaced_config_map(namespace, config_map("a"))
    for other in ({"uid": "00000000-0000-0000-0000-000000000000"}, {"resource_version": "1"}):
        options = client.V1DeleteOptions(preconditions=client.V1Preconditions(**other))
        refusal = refused(409, core.delete_namespaced_config_map, "a", namespace, body=options)
        assert refusal["reason"] == "Conflict"
    right = client.V1Preconditions(uid=made.metadata.uid, resource_version=made.metadata.resource_version)
    core.delete_namespaced_config_map("a", namespace, body=client.V1DeleteOptions(preconditions=right))
    refused(404, core.read_namespaced_config_map, "a", namespace)


@covers(
    "[sig-api-machinery] Garbage collector should delete RS created by deployment when not orphaning [Conformance]",
    "[sig-api-machinery] Garbage collector should orphan RS created by deployment when deleteOptions.PropagationPolicy is Orphan [Conformance]",
)
def test_a_deployment_takes_what_it_owns_along_or_leaves_it(
    core: client.CoreV1Api, apps: client.AppsV1Api, namespace: str
) -> None:
    made = {
        policy: apps.create_namespaced_deployment(namespace, deployment(policy.lower(), 1))
        for policy in ("Background", "Foreground", "Orphan")
    }
    for policy in made:
        ready(core, namespace, f"app={policy.lower()}", 1)
    sets = apps.list_namespaced_replica_set(namespace).items
    for policy, owner in made.items():
        apps.delete_namespaced_deployment(owner.metadata.name, namespace, propagation_policy=policy)
    eventually(lambda: apps.list_namespaced_deployment(namespace).items, lambda left: not left)
    (orphan,) = eventually(
        lambda: apps.list_namespaced_replica_set(namespace).items, lambda left: len(left) == 1
    )
    (before,) = owned(sets, made["Orphan"])
    assert orphan.metadata.uid == before.metadata.uid
    assert not orphan.metadata.owner_references
    left = eventually(lambda: core.list_namespaced_pod(namespace).items, lambda left: len(left) == 1)
    assert owned(left, orphan) == left
    # Foreground: the owner goes after what it owns.
    apps.delete_namespaced_replica_set(orphan.metadata.name, namespace, propagation_policy="Foreground")
    waiting = core.list_namespaced_pod(namespace).items
    if waiting:
        kept = apps.read_namespaced_replica_set(orphan.metadata.name, namespace)
        assert kept.metadata.finalizers == ["foregroundDeletion"]
    eventually(lambda: apps.list_namespaced_replica_set(namespace).items, lambda left: not left)
    assert core.list_namespaced_pod(namespace).items == []


@covers("[sig-api-machinery] Garbage collector should not be blocked by dependency circle [Conformance]")
def test_owners_in_a_circle_go_together(core: client.CoreV1Api, namespace: str) -> None:
    made = [core.create_namespaced_pod(namespace, pod(f"p{index}")) for index in range(3)]
    for index, item in enumerate(made):
        owner = made[index - 1].metadata
        reference = {"apiVersion": "v1", "kind": "Pod", "name": owner.name, "uid": owner.uid,
                     "controller": True, "blockOwnerDeletion": True}  # fmt: skip
        core.patch_namespaced_pod(
            item.metadata.name, namespace, {"metadata": {"ownerReferences": [reference]}}
        )
    core.delete_namespaced_pod("p0", namespace, propagation_policy="Foreground")
    eventually(lambda: core.list_namespaced_pod(namespace).items, lambda left: not left, 40)


# --- streams


@pytest.fixture
def talker(core: client.CoreV1Api, namespace: str) -> str:
    """A pod that counts, without end."""
    script = "trap 'exit 0' TERM; i=0; while :; do echo line-$i; i=$((i+1)); sleep 0.2; done"
    core.create_namespaced_pod(namespace, pod("talker", sh(script)))
    ready(core, namespace, "app=talker", 1)
    return "talker"


def test_exec_carries_input_both_outputs_and_the_exit_code(
    core: client.CoreV1Api, namespace: str, talker: str
) -> None:
    call = core.connect_get_namespaced_pod_exec
    said = stream(call, talker, namespace, container="main", command=["echo", "hello"],
                  stdout=True, stderr=True, stdin=False, tty=False)  # fmt: skip
    assert said == "hello\n"
    script = "read word; echo got $word; echo oops >&2; exit 7"
    session = stream(call, talker, namespace, container="main", command=["sh", "-c", script],
                     stdin=True, stdout=True, stderr=True, tty=False, _preload_content=False)  # fmt: skip
    session.write_stdin("word\n")
    session.run_forever(timeout=30)
    assert not session.is_open()
    assert (session.read_stdout(), session.read_stderr()) == ("got word\n", "oops\n")
    assert session.returncode == 7
    session.close()
    with pytest.raises(ApiException) as caught:
        stream(call, "none", namespace, command=["true"], stdout=True)
    assert caught.value.status in (0, 404)


def test_logs_are_read_followed_and_cut(core: client.CoreV1Api, namespace: str, talker: str) -> None:
    followed = []
    watcher = watch.Watch()
    for line in watcher.stream(core.read_namespaced_pod_log, talker, namespace, container="main"):
        followed.append(line)
        if len(followed) == 8:
            break
    watcher.stop()
    assert followed == [f"line-{index}" for index in range(8)]
    whole = core.read_namespaced_pod_log(talker, namespace, container="main").splitlines()
    assert whole[:8] == followed
    last = core.read_namespaced_pod_log(talker, namespace, container="main", tail_lines=1, timestamps=True)
    moment, _, text = last.strip().partition(" ")
    assert moment.startswith("20")
    assert text.startswith("line-")
    assert len(core.read_namespaced_pod_log(talker, namespace, container="main", limit_bytes=5)) == 5
    refused(400, core.read_namespaced_pod_log, talker, namespace, container="none")
