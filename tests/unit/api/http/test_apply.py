"""Server-side apply, as clients meet it."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from podium.api.types import Obj
from podium.api.types.resources import PODS
from tests.unit.api.contract.examples import EXAMPLES, Example
from tests.unit.api.http.harness import DEFAULT, JSON_PATCH, MERGE, Http, Reply, config_map, deployment, pod

APPLY = "application/apply-patch+yaml"
MAPS = f"{DEFAULT}/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


async def apply(http: Http, path: str, config: Obj, manager: str = "me", **query: Any) -> Reply:
    return await http.patch(path, config, APPLY, fieldManager=manager, **query)


def a_map(labels: dict[str, str] | None = None, **data: str) -> Obj:
    meta: Obj = {"name": "a", **({"labels": labels} if labels else {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, **({"data": data} if data else {})}


def web(*containers: Obj, **spec: Any) -> Obj:
    """A part of a Deployment: what somebody cares about."""
    made: Obj = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}
    if containers:
        spec["template"] = {"spec": {"containers": list(containers)}}
    return made


def whole(replicas: int) -> Obj:
    return {"apiVersion": "apps/v1", "kind": "Deployment", **deployment("web", replicas)}


def owners(obj: Obj) -> dict[tuple[str, str, str], Obj]:
    return {
        (entry["manager"], entry["operation"], entry.get("subresource", "")): entry["fieldsV1"]
        for entry in obj["metadata"].get("managedFields", ())
    }


async def test_an_apply_creates_what_is_not_there_and_owns_what_it_says(http: Http) -> None:
    reply = await apply(http, f"{MAPS}/a", a_map({"app": "web"}, x="1"))
    assert reply.code == 201
    (entry,) = reply.obj["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"], entry["apiVersion"], entry["fieldsType"]) == (
        "me", "Apply", "v1", "FieldsV1",
    )  # fmt: skip
    assert entry["fieldsV1"] == {
        "f:data": {"f:x": {}},
        "f:metadata": {"f:labels": {"f:app": {}}},
    }
    assert (await http.get(f"{MAPS}/a")).obj["metadata"]["managedFields"] == [entry]


async def test_an_apply_says_who_it_is(http: Http) -> None:
    reply = await http.patch(f"{MAPS}/a", a_map(), APPLY)
    assert reply.code == 422
    assert reply.message == (
        'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch'
    )


async def test_the_same_apply_again_changes_nothing(http: Http) -> None:
    first = await apply(http, f"{MAPS}/a", a_map(x="1"))
    again = await apply(http, f"{MAPS}/a", a_map(x="1"))
    assert (again.code, again.obj) == (200, first.obj)


async def test_yaml_is_taken_as_well(http: Http) -> None:
    text = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  x: '1'\n"
    reply = await apply(http, f"{MAPS}/a", text)  # type: ignore[arg-type]
    assert reply.obj["data"] == {"x": "1"}


async def test_what_is_applied_no_more_goes(http: Http) -> None:
    await apply(http, f"{MAPS}/a", a_map({"app": "web"}, x="1", y="2"))
    reply = await apply(http, f"{MAPS}/a", a_map(y="2"))
    assert reply.obj["data"] == {"y": "2"}
    assert "labels" not in reply.obj["metadata"]
    assert owners(reply.obj) == {("me", "Apply", ""): {"f:data": {"f:y": {}}}}


async def test_what_others_own_stays_when_one_applies_it_no_more(http: Http) -> None:
    await apply(http, f"{MAPS}/a", a_map(x="1", y="2"))
    both = await apply(http, f"{MAPS}/a", a_map(x="1"), "you")
    assert both.code == 200  # the same value is no conflict
    reply = await apply(http, f"{MAPS}/a", a_map(y="2"))
    assert reply.obj["data"] == {"x": "1", "y": "2"}
    assert owners(reply.obj)["you", "Apply", ""] == {"f:data": {"f:x": {}}}
    reply = await apply(http, f"{MAPS}/a", a_map(), "you")
    assert reply.obj["data"] == {"y": "2"}


async def test_another_value_for_somebody_elses_field_conflicts(http: Http) -> None:
    await apply(http, f"{MAPS}/a", a_map(x="1"))
    reply = await apply(http, f"{MAPS}/a", a_map(x="2", z="3"), "you")
    assert (reply.code, reply.reason) == (409, "Conflict")
    assert reply.message == 'Apply failed with 1 conflict: conflict with "me": .data.x'
    assert reply.obj["details"]["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "me"', "field": ".data.x"}
    ]
    assert (await http.get(f"{MAPS}/a")).obj["data"] == {"x": "1"}


async def test_force_takes_the_field_over(http: Http) -> None:
    await apply(http, f"{MAPS}/a", a_map(x="1", y="1"))
    reply = await apply(http, f"{MAPS}/a", a_map(x="2"), "you", force="true")
    assert reply.obj["data"] == {"x": "2", "y": "1"}
    assert owners(reply.obj) == {
        ("me", "Apply", ""): {"f:data": {"f:y": {}}},
        ("you", "Apply", ""): {"f:data": {"f:x": {}}},
    }


async def test_an_update_takes_fields_without_asking_and_an_apply_then_conflicts(http: Http) -> None:
    await apply(http, f"{MAPS}/a", a_map(x="1", y="1"))
    await http.patch(f"{MAPS}/a", {"data": {"x": "2", "z": "3"}}, MERGE, fieldManager="editor")
    found = (await http.get(f"{MAPS}/a")).obj
    assert owners(found) == {
        ("me", "Apply", ""): {"f:data": {"f:y": {}}},
        ("editor", "Update", ""): {"f:data": {"f:x": {}, "f:z": {}}},
    }
    reply = await apply(http, f"{MAPS}/a", a_map(x="1", y="1", z="1"))
    assert reply.message == (
        'Apply failed with 2 conflicts: conflicts with "editor" using v1:\n- .data.x\n- .data.z'
    )


async def test_a_field_that_an_update_removes_has_no_owner(http: Http) -> None:
    await apply(http, f"{MAPS}/a", a_map(x="1", y="1"))
    await http.patch(f"{MAPS}/a", {"data": {"x": None}}, MERGE)
    assert owners((await http.get(f"{MAPS}/a")).obj) == {("me", "Apply", ""): {"f:data": {"f:y": {}}}}


async def test_what_was_there_before_the_first_apply_belongs_to_that_time(http: Http) -> None:
    path, config = f"{DEFAULT}/pods", {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}
    made = await http.made(path, pod("a", app="web"))
    assert "managedFields" not in made["metadata"]
    config["metadata"] = {"name": "a", "labels": {"app": "other"}}
    reply = await apply(http, f"{path}/a", config)
    owner = '"before-first-apply" using v1'
    assert reply.message == f"Apply failed with 1 conflict: conflict with {owner}: .metadata.labels.app"
    config["metadata"] = {"name": "a", "labels": {"app": "web", "tier": "1"}}
    reply = await apply(http, f"{path}/a", config)
    assert ("before-first-apply", "Update", "") in owners(reply.obj)


async def test_what_was_created_belongs_to_its_creator(http: Http) -> None:
    made = await http.made(MAPS, config_map("a", x="1"), fieldManager="kubectl-create")
    assert owners(made) == {("kubectl-create", "Update", ""): {"f:data": {".": {}, "f:x": {}}}}
    reply = await apply(http, f"{MAPS}/a", a_map(x="2"))
    assert reply.message == 'Apply failed with 1 conflict: conflict with "kubectl-create" using v1: .data.x'
    both = owners((await apply(http, f"{MAPS}/a", a_map(x="1"))).obj)
    assert set(both) == {("kubectl-create", "Update", ""), ("me", "Apply", "")}


async def test_whoever_does_not_say_who_he_is_goes_by_the_name_of_his_program(http: Http) -> None:
    made = await http("POST", MAPS, config_map("a", x="1"), {"User-Agent": "tool/v1.2 (linux)"})
    assert [entry["manager"] for entry in made.obj["metadata"]["managedFields"]] == ["tool"]


async def test_what_a_scale_sets_belongs_to_who_scaled(http: Http) -> None:
    await http.made(DEPLOYMENTS, deployment("web", 1), fieldManager="kubectl-create")
    await http.patch(f"{DEPLOYMENTS}/web/scale", {"spec": {"replicas": 3}}, MERGE, fieldManager="kubectl")
    reply = await apply(http, f"{DEPLOYMENTS}/web", web(replicas=1))
    owner = '"kubectl" with subresource "scale" using apps/v1'
    assert reply.message == f"Apply failed with 1 conflict: conflict with {owner}: .spec.replicas"


async def test_a_pod_is_recorded_when_its_creator_says_who_he_is(http: Http) -> None:
    made = await http.made(f"{DEFAULT}/pods", pod("a"), fieldManager="kubectl-run")
    assert [entry["manager"] for entry in made["metadata"]["managedFields"]] == ["kubectl-run"]


async def test_a_kubectl_that_applied_on_its_own_side_may_go_on_here(http: Http) -> None:
    former = a_map(x="1")
    text = json.dumps(former)
    made = copy.deepcopy(former)
    made["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": text}
    await http.made(MAPS, made)
    assert (await apply(http, f"{MAPS}/a", a_map(x="2"))).code == 409
    reply = await apply(http, f"{MAPS}/a", a_map(x="2"), "kubectl")
    assert reply.code == 200
    assert reply.obj["data"] == {"x": "2"}
    last = reply.obj["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
    assert json.loads(last)["data"] == {"x": "2"}


async def test_list_items_are_merged_and_owned_by_their_keys(http: Http) -> None:
    await http.made(DEPLOYMENTS, deployment("web"))
    side = {"name": "side", "image": "s:1", "ports": [{"containerPort": 80}]}
    reply = await apply(http, f"{DEPLOYMENTS}/web", web(side))
    containers = reply.obj["spec"]["template"]["spec"]["containers"]
    assert len(containers) == 2
    mine = owners(reply.obj)["me", "Apply", ""]
    assert mine == {
        "f:spec": {
            "f:template": {
                "f:spec": {
                    "f:containers": {
                        'k:{"name":"side"}': {
                            ".": {},
                            "f:image": {},
                            "f:name": {},
                            "f:ports": {
                                'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}
                            },
                        }
                    }
                }
            }
        }
    }
    again = await apply(http, f"{DEPLOYMENTS}/web", web(side))
    assert again.obj == reply.obj
    conflict = await apply(http, f"{DEPLOYMENTS}/web", web({"name": "side", "image": "s:2"}), "you")
    assert '.spec.template.spec.containers[name="side"].image' in conflict.message
    gone = await apply(http, f"{DEPLOYMENTS}/web", web(replicas=1))
    assert [entry["name"] for entry in gone.obj["spec"]["template"]["spec"]["containers"]] != ["side"]
    assert len(gone.obj["spec"]["template"]["spec"]["containers"]) == 1


async def test_atomic_values_are_owned_as_a_whole(http: Http) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
    }
    path = f"{DEFAULT}/services/web"
    reply = await apply(http, path, service)
    mine = owners(reply.obj)["me", "Apply", ""]["f:spec"]
    assert mine["f:selector"] == {}
    assert list(mine["f:ports"]) == ['k:{"port":80,"protocol":"TCP"}']
    other = {**service, "spec": {"selector": {"tier": "x"}}}
    assert ".spec.selector" in (await apply(http, path, other, "you")).message
    taken = await apply(http, path, other, "you", force="true")
    assert taken.obj["spec"]["selector"] == {"tier": "x"}


async def test_the_status_is_applied_by_itself(http: Http) -> None:
    await apply(http, f"{DEPLOYMENTS}/web", whole(2) | {"status": {"replicas": 7}})
    found = (await http.get(f"{DEPLOYMENTS}/web")).obj
    assert found["status"].get("replicas") is None
    assert "f:status" not in owners(found)["me", "Apply", ""]
    status = web() | {"status": {"replicas": 2}}
    reply = await apply(http, f"{DEPLOYMENTS}/web/status", {**status, "spec": {"replicas": 5}}, "reporter")
    assert (reply.obj["status"]["replicas"], reply.obj["spec"]["replicas"]) == (2, 2)
    assert owners(reply.obj)["reporter", "Apply", "status"] == {"f:status": {"f:replicas": {}}}


async def test_resizing_takes_the_replicas_over(http: Http) -> None:
    await apply(http, f"{DEPLOYMENTS}/web", whole(2))
    scale = (await http.get(f"{DEPLOYMENTS}/web/scale")).obj
    scale["spec"]["replicas"] = 4
    await http.put(f"{DEPLOYMENTS}/web/scale", scale, fieldManager="scaler")
    found = (await http.get(f"{DEPLOYMENTS}/web")).obj
    assert owners(found)["scaler", "Update", "scale"] == {"f:spec": {"f:replicas": {}}}
    reply = await apply(http, f"{DEPLOYMENTS}/web", whole(2))
    assert reply.message == (
        'Apply failed with 1 conflict: conflict with "scaler" with subresource "scale" using apps/v1: '
        ".spec.replicas"
    )


async def test_the_replicas_are_applied_through_the_scale(http: Http) -> None:
    await apply(http, f"{DEPLOYMENTS}/web", whole(2))
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "spec": {"replicas": 4}}
    path = f"{DEPLOYMENTS}/web/scale"
    refused = await apply(http, path, scale, "scaler")
    assert refused.message == 'Apply failed with 1 conflict: conflict with "me": .spec.replicas'
    reply = await apply(http, path, scale, "scaler", force="true")
    assert (reply.obj["kind"], reply.obj["spec"]) == ("Scale", {"replicas": 4})
    found = owners((await http.get(f"{DEPLOYMENTS}/web")).obj)
    assert found["scaler", "Apply", "scale"] == {"f:spec": {"f:replicas": {}}}
    assert "f:replicas" not in found["me", "Apply", ""]["f:spec"]


async def test_an_item_that_is_there_twice_is_refused(http: Http) -> None:
    twice = {"name": "side", "image": "s:1"}
    reply = await apply(http, f"{DEPLOYMENTS}/web", web(twice, twice))
    assert reply.code == 400
    assert reply.message == (
        "failed to create typed patch object (default/web; apps/v1, Kind=Deployment): "
        '.spec.template.spec.containers: duplicate entries for key [name="side"]'
    )


async def test_force_is_for_applying_only(http: Http) -> None:
    await http.made(MAPS, config_map("a"))
    reply = await http.patch(f"{MAPS}/a", {}, MERGE, force="true")
    assert reply.code == 422
    assert "force: Forbidden: may not be specified for non-apply patch" in reply.message


async def test_a_dry_run_shows_what_would_be_and_does_nothing(http: Http) -> None:
    assert (await apply(http, f"{MAPS}/a", a_map(x="1"), dryRun="All")).code == 201
    assert (await http.get(f"{MAPS}/a")).code == 404
    await apply(http, f"{MAPS}/a", a_map(x="1"))
    assert (await apply(http, f"{MAPS}/a", a_map(x="2"), dryRun="All")).obj["data"] == {"x": "2"}
    assert (await http.get(f"{MAPS}/a")).obj["data"] == {"x": "1"}


async def test_a_client_can_drop_the_owners_and_write_them(http: Http) -> None:
    found = (await apply(http, f"{MAPS}/a", a_map(x="1"))).obj
    named = copy.deepcopy(found["metadata"]["managedFields"])
    named[0]["manager"] = "other"
    change = [{"op": "replace", "path": "/metadata/managedFields", "value": named}]
    reply = await http.patch(f"{MAPS}/a", change, JSON_PATCH)
    assert list(owners(reply.obj)) == [("other", "Apply", "")]
    reply = await http.patch(f"{MAPS}/a", {"metadata": {"managedFields": [{}]}}, MERGE)
    assert "managedFields" not in reply.obj["metadata"]


async def test_an_update_without_the_owners_keeps_them(http: Http) -> None:
    found = (await apply(http, f"{MAPS}/a", a_map(x="1"))).obj
    bare = copy.deepcopy(found)
    del bare["metadata"]["managedFields"]
    reply = await http.put(f"{MAPS}/a", bare)
    assert reply.obj == found


@pytest.mark.parametrize(
    ("applied", "fault"),
    [
        ({"kind": "ConfigMap", "apiVersion": "v2", "metadata": {"name": "a"}}, "Incorrect version specified"),
        (a_map() | {"kind": "Secret"}, "Secret"),
        (
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "managedFields": []}},
            "metadata.managedFields must be nil",
        ),
        ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}}, "does not match the name"),
        ([], "cannot unmarshal array"),
    ],
)
async def test_a_configuration_that_fits_nothing_is_refused(http: Http, applied: Any, fault: str) -> None:
    reply = await apply(http, f"{MAPS}/a", applied)
    assert reply.code == 400
    assert fault in reply.message


@pytest.mark.parametrize("validation", ["Strict", "Warn", "Ignore"])
async def test_fields_that_nobody_knows_have_no_owner_and_are_refused(http: Http, validation: str) -> None:
    config = web({"name": "side", "image": "s:1", "imge": "s:2"}) | {"sttus": {}}
    reply = await apply(http, f"{DEPLOYMENTS}/web", config, fieldValidation=validation)
    assert reply.code == 400
    assert reply.message == (
        "failed to create typed patch object (default/web; apps/v1, Kind=Deployment): errors:\n"
        '  .spec.template.spec.containers[name="side"].imge: field not declared in schema\n'
        "  .sttus: field not declared in schema"
    )


# Admission adds to a Pod's tolerations, which are owned as a whole: the next applier would take that back.
AS_APPLIED = [example for example in EXAMPLES if example.resource != PODS]


@pytest.mark.parametrize("example", AS_APPLIED, ids=[example.resource.plural for example in AS_APPLIED])
async def test_every_kind_can_be_applied_again_and_again(http: Http, example: Example) -> None:
    path, config = f"{example.path}/a", example.made("a")
    made = await apply(http, path, config, fieldValidation="Strict")
    assert made.code == 201, made.message
    again = await apply(http, path, config)
    assert (again.code, again.version) == (200, made.version)
    other = await apply(http, path, config, "other")
    assert other.code == 200, other.message
    kept = await apply(http, path, {key: config[key] for key in ("apiVersion", "kind")}, "other")
    assert kept.code == 200, kept.message
    ignored = ("managedFields", "resourceVersion", "generation")
    before, after = (
        {**obj, "metadata": {key: value for key, value in obj["metadata"].items() if key not in ignored}}
        for obj in (made.obj, kept.obj)
    )
    assert after == before
