"""The OpenAPI documents: that tools load them, and that kubectl finds in them what it looks for."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
import pytest
from openapi_core import OpenAPI

from podium.api.schema.openapi import Documents, operations
from podium.api.types.resources import BUILT_IN

SERVER = Documents()
GROUPS = sorted({f"apis/{r.api_version}" if r.group else f"api/{r.version}" for r in BUILT_IN})


def load(path: str) -> dict[str, Any]:
    document = SERVER.v3(path)
    assert document is not None
    loaded: dict[str, Any] = orjson.loads(document.body())
    return loaded


def references(node: Any) -> set[str]:
    found: set[str] = set()
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            found.add(node["$ref"])
        for child in node.values():
            found |= references(child)
    elif isinstance(node, list):
        for child in node:
            found |= references(child)
    return found


def test_the_index_names_every_group_version_with_a_hash() -> None:
    paths = orjson.loads(SERVER.v3_index())["paths"]
    assert sorted(paths) == GROUPS
    apps = paths["apis/apps/v1"]["serverRelativeURL"]
    assert apps == f"/openapi/v3/apis/apps/v1?hash={SERVER.v3_hash('apis/apps/v1')}"
    assert Documents(BUILT_IN[:-1]).v3_index() != SERVER.v3_index()


def test_the_hash_in_the_index_is_that_of_the_document(monkeypatch: pytest.MonkeyPatch) -> None:
    for path in GROUPS:
        document = SERVER.v3(path)
        assert document is not None
        assert document.etag == SERVER.v3_hash(path) == hashlib.sha256(document.body()).hexdigest().upper()
    monkeypatch.setattr(operations, "PATCH_TYPES", operations.PATCH_TYPES[:1])
    changed = Documents()
    assert changed.v3_hash("apis/apps/v1") != SERVER.v3_hash("apis/apps/v1")
    assert changed.v3_hash("apis/authorization.k8s.io/v1") == SERVER.v3_hash("apis/authorization.k8s.io/v1")


def test_the_hash_of_an_unknown_group_version_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        SERVER.v3_hash("apis/nonsense/v1")


def test_an_unknown_group_version_has_no_document() -> None:
    assert SERVER.v3("apis/nonsense/v1") is None


@pytest.mark.parametrize("path", GROUPS)
def test_every_reference_and_every_patch_is_in_order(path: str) -> None:
    document = load(path)
    schemas = document["components"]["schemas"]
    assert {entry.removeprefix("#/components/schemas/") for entry in references(document)} <= set(schemas)
    for item in document["paths"].values():
        if "patch" in item and item["patch"]["x-kubernetes-action"] == "patch":
            assert {"fieldValidation", "dryRun"} <= {entry["name"] for entry in item["patch"]["parameters"]}
            assert "application/strategic-merge-patch+json" in item["patch"]["requestBody"]["content"]


def test_operation_ids_are_unique() -> None:
    paths = orjson.loads(SERVER.v2().body())["paths"]
    methods = [item[method] for item in paths.values() for method in item if method != "parameters"]
    ids = [operation["operationId"] for operation in methods]
    assert len(ids) == len(set(ids))


def test_kubectl_finds_the_kind_at_the_patch_and_the_merge_keys_in_the_schema() -> None:
    document = load("apis/apps/v1")
    patch = document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert patch["x-kubernetes-group-version-kind"] == {
        "group": "apps",
        "version": "v1",
        "kind": "Deployment",
    }
    schemas = document["components"]["schemas"]
    containers = schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    assert containers["x-kubernetes-patch-merge-key"] == "name"
    assert containers["type"] == "array"
    template = schemas["io.k8s.api.apps.v1.DeploymentSpec"]["properties"]["template"]
    assert template["allOf"] == [{"$ref": "#/components/schemas/io.k8s.api.core.v1.PodTemplateSpec"}]
    assert "enum" not in schemas["io.k8s.api.apps.v1.Deployment"]["properties"]["kind"]


def test_subresources_take_their_own_kinds() -> None:
    core = load("api/v1")["paths"]
    pod = "/api/v1/namespaces/{namespace}/pods/{name}"
    assert core[f"{pod}/binding"]["post"]["x-kubernetes-group-version-kind"]["kind"] == "Binding"
    assert core[f"{pod}/eviction"]["post"]["x-kubernetes-group-version-kind"]["group"] == "policy"
    assert set(core[f"{pod}/log"]) == {"get", "parameters"}
    assert core[f"{pod}/exec"]["get"]["x-kubernetes-action"] == "connect"
    assert "get" in core["/api/v1/pods"]
    apps = load("apis/apps/v1")["paths"]
    scale = apps["/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"]
    assert scale["put"]["x-kubernetes-group-version-kind"] == {
        "group": "autoscaling",
        "version": "v1",
        "kind": "Scale",
    }


@pytest.mark.parametrize("path", ["api/v1", "apis/apps/v1"])
def test_openapi_core_loads_the_document(path: str) -> None:
    OpenAPI.from_dict(load(path)).check_spec()


def test_a_v2_document_has_its_own_references() -> None:
    document = orjson.loads(SERVER.v2().body())
    assert document["swagger"] == "2.0"
    assert {entry.removeprefix("#/definitions/") for entry in references(document)} <= set(
        document["definitions"]
    )
    patch = document["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]["patch"]
    assert any(entry["name"] == "fieldValidation" for entry in patch["parameters"])
