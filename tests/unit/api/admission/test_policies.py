"""Admission policies against a real server in memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from podium.api.auth.authorizer import RBAC
from podium.api.server import ApiServer, ServerConfig
from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    MUTATING_ADMISSION_POLICIES,
    MUTATING_ADMISSION_POLICY_BINDINGS,
    PODS,
    VALIDATING_ADMISSION_POLICIES,
    VALIDATING_ADMISSION_POLICY_BINDINGS,
)

RULE = {"apiGroups": ["", "apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE", "DELETE"]}


class World:
    def __init__(self, server: ApiServer) -> None:
        self.client = server.client

    async def policy(self, *validations: Obj | str, binding: Obj | None = None, **spec: Any) -> None:
        rules = [{**RULE, "resources": ["configmaps", "deployments"]}]
        checks = [{"expression": each} if isinstance(each, str) else each for each in validations]
        body = {"matchConstraints": {"resourceRules": rules}, "validations": checks, **spec}
        await self.client.create(
            VALIDATING_ADMISSION_POLICIES, {"metadata": {"name": "p.test"}, "spec": body}
        )
        bound = {"policyName": "p.test", "validationActions": ["Deny"], **(binding or {})}
        await self.client.create(
            VALIDATING_ADMISSION_POLICY_BINDINGS, {"metadata": {"name": "b.test"}, "spec": bound}
        )

    async def mutation(self, *mutations: Obj, name: str = "m.test", **spec: Any) -> None:
        rules = [{**RULE, "operations": ["CREATE", "UPDATE"], "resources": ["configmaps", "deployments"]}]
        body = {
            "matchConstraints": {"resourceRules": rules},
            "mutations": [*mutations],
            "reinvocationPolicy": "Never",
            **spec,
        }
        await self.client.create(MUTATING_ADMISSION_POLICIES, {"metadata": {"name": name}, "spec": body})
        await self.client.create(
            MUTATING_ADMISSION_POLICY_BINDINGS, {"metadata": {"name": name}, "spec": {"policyName": name}}
        )

    async def create(self, name: str = "a", **fields: Any) -> Obj:
        meta = {"name": name, **fields.pop("metadata", {})}
        return await self.client.create(CONFIG_MAPS, {"metadata": meta, **fields}, "default")

    async def refusal(self, **fields: Any) -> StatusError:
        with pytest.raises(StatusError) as refused:
            await self.create(**fields)
        return refused.value

    async def deploy(self, replicas: int = 1) -> Obj:
        labels = {"app": "a"}
        spec = {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "c", "image": "i"}]},
            },
        }
        return await self.client.create(DEPLOYMENTS, {"metadata": {"name": "a"}, "spec": spec}, "default")

    async def scale(self, replicas: int) -> Obj:
        wanted = {"metadata": {"name": "a", "namespace": "default"}, "spec": {"replicas": replicas}}
        return await self.client.update(DEPLOYMENTS, wanted, subresource="scale")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    server = ApiServer()
    await server.start()
    yield World(server)
    await server.close()


def applied(expression: str) -> Obj:
    return {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}


def patched(expression: str) -> Obj:
    return {"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}


async def test_a_validation_that_does_not_hold_refuses_the_request(world: World) -> None:
    await world.policy("object.metadata.name != 'a'")
    refused = await world.refusal()
    assert refused.code == 422
    assert refused.reason == "Invalid"
    assert refused.message == (
        "configmaps \"a\" is forbidden: ValidatingAdmissionPolicy 'p.test' with binding 'b.test' denied "
        "request: failed expression: object.metadata.name != 'a'"
    )
    await world.create("b")


async def test_the_message_and_the_reason_are_the_policys(world: World) -> None:
    await world.policy(
        {
            "expression": "has(object.data)",
            "message": "plain",
            "messageExpression": "'no data in ' + object.metadata.name",
            "reason": "Forbidden",
        }
    )
    refused = await world.refusal()
    assert (refused.code, refused.reason) == (403, "Forbidden")
    assert refused.message.endswith("denied request: no data in a")


async def test_a_message_that_cannot_be_made_falls_back_to_the_plain_one(world: World) -> None:
    await world.policy({"expression": "false", "message": "plain", "messageExpression": "object.nope"})
    assert (await world.refusal()).message.endswith("denied request: plain")


async def test_variables_are_evaluated_when_they_are_asked_for(world: World) -> None:
    await world.policy(
        "!has(object.data) || variables.size < 2",
        variables=[
            {"name": "data", "expression": "object.data"},
            {"name": "size", "expression": "size(variables.data)"},
        ],
    )
    await world.create("none")
    await world.create("one", data={"k": "v"})
    await world.refusal(data={"k": "v", "l": "w"})


async def test_an_error_is_a_refusal_unless_failures_are_ignored(world: World) -> None:
    await world.policy("object.nope == 1")
    message = (await world.refusal()).message
    assert message.endswith("expression 'object.nope == 1' resulted in error: no such key: nope")
    ignoring = {"spec": {"failurePolicy": "Ignore"}}
    await world.client.patch(VALIDATING_ADMISSION_POLICIES, "p.test", ignoring)
    await world.create()


async def test_parameters_come_from_the_objects_that_the_binding_names(world: World) -> None:
    await world.create("limits", data={"most": "1"})
    await world.policy(
        "size(object.data) <= int(params.data.most)",
        paramKind={"apiVersion": "v1", "kind": "ConfigMap"},
        binding={"paramRef": {"name": "limits", "parameterNotFoundAction": "Deny"}},
    )
    await world.create("small", data={"a": "1"})
    await world.refusal(name="big", data={"a": "1", "b": "2"})
    with pytest.raises(StatusError):
        await world.client.delete(CONFIG_MAPS, "limits", "default")


async def test_parameters_that_are_not_there_refuse_or_allow_as_the_binding_says(world: World) -> None:
    reference = {"selector": {"matchLabels": {"limits": "yes"}}, "parameterNotFoundAction": "Deny"}
    kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    await world.policy("false", paramKind=kind, binding={"paramRef": reference})
    message = (await world.refusal()).message
    assert "no params found for policy binding with `Deny` parameterNotFoundAction" in message
    binding = await world.client.get(VALIDATING_ADMISSION_POLICY_BINDINGS, "b.test")
    binding["spec"]["paramRef"]["parameterNotFoundAction"] = "Allow"
    await world.client.update(VALIDATING_ADMISSION_POLICY_BINDINGS, binding)
    await world.create()


async def test_conditions_bindings_and_the_namespace_choose_what_is_judged(world: World) -> None:
    await world.policy(
        "namespaceObject.metadata.name != 'default'",
        matchConditions=[{"name": "new", "expression": "request.operation == 'CREATE'"}],
        binding={"matchResources": {"objectSelector": {"matchLabels": {"judged": "yes"}}}},
    )
    made = await world.create("free")
    await world.client.update(CONFIG_MAPS, {**made, "data": {"k": "v"}})
    await world.refusal(metadata={"labels": {"judged": "yes"}})


async def test_a_deletion_shows_the_old_object_alone(world: World) -> None:
    await world.create(data={"keep": "yes"})
    await world.policy("object != null || !('keep' in oldObject.data)")
    with pytest.raises(StatusError):
        await world.client.delete(CONFIG_MAPS, "a", "default")


async def test_an_apply_configuration_is_merged_into_the_object(world: World) -> None:
    await world.mutation(
        applied(
            "Object{metadata: Object.metadata{labels: {'by': 'policy'}}, spec: Object.spec{replicas: "
            "variables.many, template: Object.spec.template{spec: Object.spec.template.spec{containers: "
            "[Object.spec.template.spec.containers{name: 'side', image: 'car'}]}}}}"
        ),
        variables=[{"name": "many", "expression": "object.spec.replicas * 2"}],
        matchConditions=[{"name": "deployments", "expression": "object.kind == 'Deployment'"}],
    )
    made = await world.deploy(replicas=3)
    assert made["spec"]["replicas"] == 6
    assert made["metadata"]["labels"] == {"by": "policy"}
    assert [each["name"] for each in made["spec"]["template"]["spec"]["containers"]] == ["c", "side"]


async def test_a_json_patch_is_made_by_an_expression(world: World) -> None:
    await world.mutation(
        patched(
            "[JSONPatch{op: 'test', path: '/metadata/name', value: 'a'}, "
            "JSONPatch{op: 'add', path: '/data', value: {'made-by': object.metadata.name}},"
            "JSONPatch{op: 'add', path: '/metadata/labels', value: {}}, "
            "JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('x/y'), value: 'z'}]"
        )
    )
    made = await world.create()
    assert made["data"] == {"made-by": "a"}
    assert made["metadata"]["labels"] == {"x/y": "z"}


async def test_what_an_expression_makes_is_json(world: World) -> None:
    await world.mutation(applied("Object{data: {'at': timestamp('2026-01-02T03:04:05Z'), 'raw': b'a'}}"))
    assert (await world.create())["data"] == {"at": "2026-01-02T03:04:05Z", "raw": "YQ=="}


async def test_what_has_no_form_in_json_cannot_be_set(world: World) -> None:
    await world.mutation(applied("Object{data: {'size': quantity('1Gi')}}"))
    assert "type conversion error from 'kubernetes.Quantity'" in (await world.refusal()).message


async def test_a_mutation_that_fails_refuses_the_request(world: World) -> None:
    await world.mutation(patched("[JSONPatch{op: 'remove', path: '/nowhere'}]"))
    refused = await world.refusal()
    assert refused.code == 422
    assert "policy 'm.test' with binding 'm.test' denied request: JSON Patch" in refused.message


async def test_what_would_be_replaced_as_a_whole_cannot_be_applied(world: World) -> None:
    await world.mutation(
        applied("Object{spec: Object.spec{selector: Object.spec.selector{matchLabels: {'x': 'y'}}}}")
    )
    with pytest.raises(StatusError) as refused:
        await world.deploy()
    assert "may not mutate atomic arrays, maps or structs: .spec.selector" in refused.value.message


async def test_an_expression_that_is_expensive_is_refused_soon(world: World) -> None:
    await world.policy("object.data.all(a, object.data.all(b, object.data.all(c, a + b + c != '')))")
    refused = await world.refusal(data={f"key-{index}": "v" for index in range(100)})
    assert "cost limit exceeded" in refused.message


async def test_an_expression_that_takes_long_does_not_hold_up_other_requests(world: World) -> None:
    await world.policy("object.data.all(a, object.data.all(b, a != b || a.startsWith('key')))")
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0)
            longest = max(longest, time.perf_counter() - before)

    watching = asyncio.create_task(watch())
    began = time.perf_counter()
    await world.create(data={f"key-{index}": "v" for index in range(200)})
    took = time.perf_counter() - began
    watching.cancel()
    assert longest < took / 3, took


async def test_an_expression_asks_what_the_user_may_do(world: World) -> None:
    may = "authorizer.group('').resource('secrets').namespace('default').check('create').allowed()"
    await world.policy(f"{may} && authorizer.requestResource.check('create').allowed()")
    await world.create("a")


async def test_what_an_expression_may_not_is_what_its_user_may_not() -> None:
    server = ApiServer(ServerConfig(authorization=(RBAC,)))
    await server.start()
    world = World(server)
    account = "authorizer.serviceAccount('default', 'nobody').group('').resource('pods').check('get')"
    await world.policy({"expression": f"{account}.allowed()", "messageExpression": "'no: ' + object.kind"})
    assert (await world.refusal()).message.endswith("denied request: no: ConfigMap")
    await server.close()


async def test_expressions_are_held_against_the_types_that_a_policy_names(world: World) -> None:
    async with asyncio.timeout(10):
        rules = [{**RULE, "apiGroups": ["apps"], "resources": ["deployments"]}]
        await world.policy(
            "object.spec.replicas > 1",
            {"expression": "object.spec.replicas > '1'", "messageExpression": "'' + object.spec.replicas"},
            "object.spec.nope == 1",
            matchConstraints={"resourceRules": rules},
        )
        status: Obj = {}
        while not status:
            await asyncio.sleep(0)
            policy = await world.client.get(VALIDATING_ADMISSION_POLICIES, "p.test")
            status = policy.get("status") or {}
    assert status["observedGeneration"] == 1
    found = {entry["fieldRef"]: entry["warning"] for entry in status["typeChecking"]["expressionWarnings"]}
    assert list(found) == [
        "spec.validations[1].expression",
        "spec.validations[1].messageExpression",
        "spec.validations[2].expression",
    ]
    clash = "found no matching overload for '_>_' applied to '(int, string)'"
    assert clash in found["spec.validations[1].expression"]
    assert "undefined field 'nope'" in found["spec.validations[2].expression"]
    text = found["spec.validations[1].expression"]
    assert text.startswith("apps/v1, Kind=Deployment: compilation failed: ERROR: <input>:1:")


async def test_an_expression_that_is_none_is_refused_with_its_place(world: World) -> None:
    with pytest.raises(StatusError) as refused:
        await world.policy("object.metadata.name ==")
    assert "spec.validations[0].expression: Invalid value" in refused.value.message
    assert "compilation failed: ERROR: <input>:1:24: Syntax error" in refused.value.message


def rules_for(*resources: str) -> Obj:
    operations = ["CREATE", "UPDATE"]
    rule = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": operations, "resources": [*resources]}
    return {"resourceRules": [rule]}


async def test_a_scale_is_judged_as_a_scale(world: World) -> None:
    await world.policy(
        "object.kind == 'Scale' && request.kind.kind == 'Scale' && object.spec.replicas <= 3 "
        "&& oldObject.spec.replicas == 1 && request.resource.resource == 'deployments'",
        matchConstraints=rules_for("deployments/scale"),
    )
    await world.deploy()
    assert (await world.scale(2))["spec"]["replicas"] == 2
    with pytest.raises(StatusError, match="denied request"):
        await world.scale(7)


async def test_a_scale_is_mutated_as_a_scale(world: World) -> None:
    await world.mutation(
        applied("Object{spec: Object.spec{replicas: 5}}"), matchConstraints=rules_for("deployments/scale")
    )
    await world.deploy()
    assert (await world.scale(2))["spec"]["replicas"] == 5
    assert (await world.client.get(DEPLOYMENTS, "a", "default"))["spec"]["replicas"] == 5


@pytest.mark.parametrize(
    ("resource", "body"),
    [
        ("binding", {"kind": "Binding", "target": {"kind": "Node", "name": "forbidden"}}),
        ("eviction", {"kind": "Eviction", "deleteOptions": {"gracePeriodSeconds": 7}}),
    ],
)
async def test_what_is_created_for_a_pod_is_judged_as_what_it_is(
    world: World, resource: str, body: Obj
) -> None:
    seen = {
        "binding": "object.target.name != 'forbidden'",
        "eviction": "object.?deleteOptions.gracePeriodSeconds.orValue(0) != 7",
    }[resource]
    await world.policy(
        f"request.kind.kind == '{body['kind']}' && request.name == 'p' && {seen}",
        matchConstraints=rules_for(f"pods/{resource}"),
    )
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    await world.client.create(PODS, pod, "default")
    with pytest.raises(StatusError, match="denied request"):
        await world.client.create(
            PODS, {**body, "metadata": {"name": "p"}}, "default", subresource=resource, name="p"
        )
    allowed = {"binding": {"target": {"name": "n"}}, "eviction": {}}[resource]
    await world.client.create(
        PODS, {**allowed, "metadata": {"name": "p"}}, "default", subresource=resource, name="p"
    )


async def test_a_request_shows_its_options(world: World) -> None:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["DELETE"], "resources": ["configmaps"]}
    await world.policy(
        "request.options.kind == 'DeleteOptions' && request.options.propagationPolicy == 'Foreground'",
        matchConstraints={"resourceRules": [rule]},
    )
    await world.create("a")
    with pytest.raises(StatusError, match="denied request"):
        await world.client.delete(CONFIG_MAPS, "a", "default")
    await world.client.delete(CONFIG_MAPS, "a", "default", propagation="Foreground")
