"""Server-side apply on every kind and its subresources."""

from __future__ import annotations

from typing import Any

import pytest

from podium.api.types.resources import HORIZONTAL_POD_AUTOSCALERS_V1
from tests.unit.api.contract.examples import EXAMPLES, Example
from tests.unit.api.http.harness import Http

APPLY = {"content-type": "application/apply-patch+yaml"}
HPA = next(each for each in EXAMPLES if each.resource.kind == "HorizontalPodAutoscaler")


async def apply(http: Http, path: str, body: Any, query: str = "") -> Any:
    return await http("PATCH", f"{path}?fieldManager=me{query}", body, headers=APPLY)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: each.resource.plural)
async def test_every_kind_can_be_applied(http: Http, example: Example) -> None:
    body = example.made("applied")
    body["metadata"].pop("creationTimestamp")
    path = f"{example.path}/applied"
    dry = await apply(http, path, body, "&dryRun=All")
    assert dry.code == 201, dry.text
    assert (await http.get(path)).code == 404
    made = await apply(http, path, body)
    assert made.code == 201, made.text
    again = await apply(http, path, body)
    assert again.code == 200, again.text
    assert again.version == made.version
    [owner] = again.obj["metadata"]["managedFields"]
    assert list(owner) == ["manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1"]
    assert (owner["manager"], owner["operation"]) == ("me", "Apply")


@pytest.mark.parametrize(
    "example",
    [each for each in EXAMPLES if "status" in each.resource.subresources],
    ids=lambda each: each.resource.plural,
)
async def test_every_status_can_be_applied(http: Http, example: Example) -> None:
    made = await http.post(example.path, example.made("a"))
    assert made.code == 201, made.text
    body = {"apiVersion": example.resource.api_version, "kind": example.resource.kind}
    body |= {"metadata": {"name": "a"}}
    told = await apply(http, f"{example.path}/a/status", body)
    assert told.code == 200, told.text
    assert told.obj.get("spec") == made.obj.get("spec")


async def test_an_autoscaler_is_applied_in_its_older_version(http: Http) -> None:
    path = f"{HORIZONTAL_POD_AUTOSCALERS_V1.path('default')}/a"
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    spec = {"scaleTargetRef": target, "maxReplicas": 3, "targetCPUUtilizationPercentage": 50}
    body = {"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "a"}}
    made = await apply(http, path, {**body, "spec": spec})
    assert made.code == 201, made.text
    assert made.obj["spec"]["targetCPUUtilizationPercentage"] == 50
    changed = await apply(http, path, {**body, "spec": {**spec, "targetCPUUtilizationPercentage": 60}})
    assert changed.code == 200, changed.text
    assert changed.obj["spec"]["targetCPUUtilizationPercentage"] == 60
    assert [entry["apiVersion"] for entry in changed.obj["metadata"]["managedFields"]] == ["autoscaling/v1"]
