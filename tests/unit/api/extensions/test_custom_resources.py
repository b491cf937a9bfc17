"""Definitions and the kinds that they make, as clients meet them."""

from __future__ import annotations

import json

import pytest

from podium.api.types import Obj
from podium.api.types.meta import condition
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
from tests.unit.api.http.harness import JSON_PATCH, STRATEGIC, TABLE, Http


async def test_a_definition_gets_its_names_and_is_served_everywhere_at_once(http: Http) -> None:
    made = await established(http, definition(subresources={"status": {}}))
    assert made["status"]["acceptedNames"]["listKind"] == "CrontabList"
    assert made["status"]["storedVersions"] == ["v1"]
    listed = await http.get(f"/apis/{GROUP}/v1")
    assert [each["name"] for each in listed.obj["resources"]] == ["crontabs", "crontabs/status"]
    assert f"apis/{GROUP}/v1" in (await http.get("/openapi/v3")).obj["paths"]
    schemas = (await http.get(f"/openapi/v3/apis/{GROUP}/v1")).obj["components"]["schemas"]
    assert "com.example.stable.v1.Crontab" in schemas
    assert "com.example.stable.v1.Crontab" in (await http.get("/openapi/v2")).obj["definitions"]
    assert (await http.get(TABS)).obj["kind"] == "CrontabList"


async def test_a_taken_kind_is_refused_until_it_is_free(http: Http) -> None:
    await established(http, definition())
    other = definition(plural="crondabs")
    other["spec"]["names"]["kind"] = "Crontab"
    made = await http.made(CRDS, other)
    path, version = f"{CRDS}/crondabs.{GROUP}", made["metadata"]["resourceVersion"]
    async with http.watch(
        CRDS, resourceVersion=version, fieldSelector=f"metadata.name=crondabs.{GROUP}"
    ) as events:
        settled = (await events.next())["object"]
        names = condition(settled, "NamesAccepted")
        assert names is not None
        assert (names["status"], names["reason"]) == ("False", "ListKindConflict")
        await http.delete(f"{CRDS}/crontabs.{GROUP}")
        settled = (await events.next())["object"]
    assert condition(settled, "Established")["status"] == "True"  # type: ignore[index]
    assert (await http.get(path)).code == 200


async def test_deleting_a_definition_deletes_its_objects_first(http: Http) -> None:
    await established(http, definition())
    kept = tab()
    kept["metadata"]["finalizers"] = ["example.com/wait"]
    await http.made(TABS, kept)
    await http.made(TABS, tab("b"))
    async with http.watch(TABS, resourceVersion=(await http.get(TABS)).version) as events:
        gone = await http.delete(f"{CRDS}/crontabs.{GROUP}")
        assert gone.obj["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
        seen = {(await events.next())["type"] for _ in range(2)}
    assert seen == {"MODIFIED", "DELETED"}
    assert (await http.post(TABS, tab("c"))).code == 405
    async with http.watch(CRDS, resourceVersion=gone.version) as events:
        await http.patch(f"{TABS}/a", {"metadata": {"finalizers": None}})
        while (await events.next())["type"] != "DELETED":
            pass
    assert (await http.get(TABS)).code == 404


async def test_unknown_fields_are_pruned_and_told(http: Http) -> None:
    await established(http, definition(record({"a": text()})))
    reply = await http.post(TABS, tab(a="x", b=1))
    assert reply.obj["spec"] == {"a": "x"}
    assert reply.headers["Warning"] == r'299 - "unknown field \"spec.b\""'
    reply = await http.post(TABS, tab("s", a="x", b=1), fieldValidation="Strict")
    assert reply.code == 400
    assert 'strict decoding error: unknown field "spec.b"' in reply.message


async def test_values_are_held_against_the_schema(http: Http) -> None:
    spec = record(
        {
            "a": text(pattern="^a+$"),
            "n": {"type": "integer", "minimum": 1, "maximum": 3},
            "e": text(enum=["x", "y"]),
            "i": {"x-kubernetes-int-or-string": True},
            "s": {"type": "array", "items": text(), "x-kubernetes-list-type": "set"},
        },
        required=["a"],
    )
    await established(http, definition(spec))
    reply = await http.post(TABS, tab(a="b", n=4, e="z", i=True, s=["q", "q"]))
    assert reply.code == 422
    texts = {cause["field"]: cause["message"] for cause in reply.obj["details"]["causes"]}
    assert texts == {
        "spec.a": "Invalid value: \"b\": spec.a in body should match '^a+$'",
        "spec.n": "Invalid value: 4: spec.n in body should be less than or equal to 3",
        "spec.e": 'Unsupported value: "z": supported values: "x", "y"',
        "spec.i": 'Invalid value: "boolean": spec.i in body must be of type integer,string: "boolean"',
        "spec.s[1]": 'Duplicate value: "q"',
    }
    assert (await http.post(TABS, tab(n=1))).message.endswith("spec.a: Required value")


async def test_patches_are_json_merge_and_apply(http: Http) -> None:
    await established(http, definition(record({"a": text(), "b": text()})))
    await http.made(TABS, tab(a="x"))
    assert (await http.patch(f"{TABS}/a", {"spec": {"b": "y"}})).obj["metadata"]["generation"] == 2
    patch = [{"op": "replace", "path": "/spec/a", "value": "z"}]
    assert (await http.patch(f"{TABS}/a", patch, JSON_PATCH)).obj["spec"] == {"a": "z", "b": "y"}
    assert (await http.patch(f"{TABS}/a", {"spec": {}}, STRATEGIC)).code == 415
    apply = "application/apply-patch+yaml"
    applied = await http.patch(f"{TABS}/a", tab(a="m"), apply, fieldManager="me")
    assert applied.code == 409
    assert "conflict" in applied.message
    applied = await http.patch(f"{TABS}/a", tab(a="m"), apply, fieldManager="me", force="true")
    assert applied.obj["spec"] == {"a": "m", "b": "y"}
    owned = [entry["manager"] for entry in applied.obj["metadata"]["managedFields"]]
    assert "me" in owned


async def test_objects_are_shown_in_every_version(http: Http) -> None:
    await established(http, definition(versions=("v1", "v2")))
    await http.made(TABS, tab(a=1))
    second = TABS.replace("/v1/", "/v2/")
    assert (await http.get(f"{second}/a")).obj["apiVersion"] == f"{GROUP}/v2"
    made = await http.made(second, tab("b", "v2", a=2))
    assert made["apiVersion"] == f"{GROUP}/v2"
    assert [item["apiVersion"] for item in (await http.get(TABS)).obj["items"]] == [f"{GROUP}/v1"] * 2
    applied = await http.patch(
        f"{second}/c", json.dumps(tab("c", "v2", a=3)), "application/apply-patch+yaml", fieldManager="me"
    )
    assert (applied.code, applied.obj["apiVersion"]) == (201, f"{GROUP}/v2")


async def test_defaults_are_given_to_what_is_stored_already(http: Http) -> None:
    crd = await established(http, definition(record({"a": text()})))
    await http.made(TABS, tab(a="x"))
    schema = record({"a": text(), "b": text(default="new")})
    path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec"
    change = [{"op": "replace", "path": path, "value": schema}]
    changed = await http.patch(f"{CRDS}/{crd['metadata']['name']}", change, JSON_PATCH)
    assert changed.code == 200, changed.text
    async with http.watch(CRDS, resourceVersion=changed.version):
        found = await http.get(f"{TABS}/a")
        while "b" not in found.obj["spec"]:
            found = await http.get(f"{TABS}/a")
    assert found.obj["spec"] == {"a": "x", "b": "new"}


async def test_scale_status_columns_and_field_selectors(http: Http) -> None:
    scale = {
        "specReplicasPath": ".spec.n",
        "statusReplicasPath": ".status.n",
        "labelSelectorPath": ".status.sel",
    }
    await established(
        http,
        definition(
            record({"n": {"type": "integer"}, "color": text()}),
            subresources={"status": {}, "scale": scale},
            selectableFields=[{"jsonPath": ".spec.color"}],
            additionalPrinterColumns=[{"name": "N", "type": "integer", "jsonPath": ".spec.n"}],
        ),
    )
    await http.made(TABS, tab(n=2, color="red"))
    await http.made(TABS, tab("b", n=1, color="blue"))
    status = await http.patch(f"{TABS}/a/status", {"status": {"n": 1, "sel": "a=b"}, "spec": {"n": 9}})
    assert (status.obj["spec"]["n"], status.obj["status"]["n"], status.obj["metadata"]["generation"]) == (
        2,
        1,
        1,
    )
    shown = (await http.get(f"{TABS}/a/scale")).obj
    assert (shown["spec"], shown["status"]) == ({"replicas": 2}, {"replicas": 1, "selector": "a=b"})
    shown["spec"]["replicas"] = 5
    assert (await http.put(f"{TABS}/a/scale", shown)).obj["spec"] == {"replicas": 5}
    assert (await http.get(TABS, fieldSelector="spec.color=red")).names == ["a"]
    table = (await http("GET", TABS, headers={"Accept": TABLE})).obj
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "N"]
    assert [row["cells"] for row in table["rows"]] == [["a", 5], ["b", 1]]


async def test_rules_hold(http: Http) -> None:
    rules = [
        {
            "rule": "self.low <= self.high",
            "messageExpression": "self.high == 1 ? 'over one' : 'low is over high'",
        },
        {"rule": "self.low >= oldSelf.low", "message": "low never falls", "fieldPath": ".low"},
    ]
    number = {"type": "integer"}
    await established(
        http, definition(record({"low": number, "high": number}, **{"x-kubernetes-validations": rules}))
    )
    refused = await http.post(TABS, tab(low=2, high=1))
    assert "spec: Invalid value: over one" in refused.message
    await http.made(TABS, tab(low=2, high=3))
    fallen = await http.patch(f"{TABS}/a", {"spec": {"low": 1}})
    assert "spec.low: Invalid value" in fallen.message
    assert "low never falls" in fallen.message


async def test_a_schema_that_is_not_structural_is_refused(http: Http) -> None:
    crd = definition(record({"a": {"type": "array"}, "b": {}, "c": text(pattern="(")}))
    message = (await http.post(CRDS, crd)).message
    at = "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties"
    assert f"{at}[a].items: Required value: must be specified" in message
    assert f"{at}[b].type: Required value: must not be empty for specified object fields" in message
    assert f'{at}[c].pattern: Invalid value: "("' in message


def ruled(*rules: Obj, **fields: Obj) -> Obj:
    return definition(record(fields, **{"x-kubernetes-validations": list(rules)}))


RULED = "spec.versions[0].schema.openAPIV3Schema.properties[spec]"
NUMBERS = {"type": "array", "items": {"type": "integer"}}


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        (
            {"rule": "self.nope == 1"},
            f"{RULED}.x-kubernetes-validations[0].rule: Invalid value: "
            '{"rule":"self.nope == 1"}: compilation failed: ERROR: <input>:1:5: undefined field \'nope\'\n',
        ),
        ({"rule": "self.n"}, "compilation failed: must evaluate to bool"),
        (
            {"rule": "self.l.all(a, self.l.all(b, self.l.all(c, a == b && b == c)))"},
            f"{RULED}.x-kubernetes-validations[0].rule: Forbidden: estimated rule cost exceeds budget by "
            "factor of more than 100x (try simplifying the rule, or adding maxItems, maxProperties, and",
        ),
        (
            {"rule": "self.n > 0", "fieldPath": ".gone"},
            '.fieldPath: Invalid value: ".gone": must be a valid path',
        ),
        (
            {"rule": "self.n > 0", "optionalOldSelf": True},
            ".optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule",
        ),
    ],
)
async def test_a_rule_that_cannot_be_is_refused_with_its_definition(
    http: Http, rule: Obj, fault: str
) -> None:
    reply = await http.post(CRDS, ruled(rule, n={"type": "integer"}, l=NUMBERS))
    assert reply.code == 422
    assert fault in reply.message


async def test_a_transition_rule_needs_parts_that_can_be_told_again(http: Http) -> None:
    rules: Obj = {"x-kubernetes-validations": [{"rule": "self.n >= oldSelf.n"}]}
    item = record({"n": {"type": "integer"}}, **rules)
    reply = await http.post(CRDS, ruled(l={"type": "array", "items": item}))
    assert (
        "oldSelf cannot be used on the uncorrelatable portion of the schema within "
        f"{RULED}.properties[l]" in reply.message
    )
    keyed = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]}
    told = record({**item["properties"], "k": text()}, required=["k"], **rules)
    await established(http, ruled(l={"type": "array", "items": told, "maxItems": 9, **keyed}))
    await http.made(TABS, tab(l=[{"k": "a", "n": 1}, {"k": "b", "n": 5}]))
    fallen = await http.patch(f"{TABS}/a", {"spec": {"l": [{"k": "b", "n": 6}, {"k": "a", "n": 0}]}})
    assert "spec.l[1]: Invalid value: failed rule: self.n >= oldSelf.n" in fallen.message


async def test_rules_below_junctors_are_refused(http: Http) -> None:
    inner = {"x-kubernetes-validations": [{"rule": "true"}]}
    reply = await http.post(CRDS, definition(record({"n": {"type": "integer", "allOf": [inner]}})))
    assert (
        f"{RULED}.properties[n].allOf[0].x-kubernetes-validations: Forbidden: must be empty to be structural"
        in reply.message
    )


async def test_a_rule_that_takes_too_long_ends_the_judging(http: Http) -> None:
    rule = {"rule": "self.l.all(a, self.l.all(b, a * b < 0 || true))"}
    await established(http, ruled(rule, l={**NUMBERS, "maxItems": 1000}))
    assert (await http.post(TABS, tab("few", l=[*range(10)]))).code == 201
    reply = await http.post(TABS, tab("many", l=[*range(1000)]))
    assert (
        "spec: Invalid value: \"object\": 'operation cancelled: actual cost limit exceeded': no further "
        "validation rules will be run due to call cost exceeds limit for rule: self.l.all" in reply.message
    )


@pytest.mark.parametrize(
    ("given", "code", "why"),
    [
        ({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}}, 201, ""),
        ({"apiVersion": "v1", "kind": "Pod", "metadata": None}, 201, ""),
        ({"apiVersion": "v1", "kind": "Pod", "metadata": 5}, 400, "cannot unmarshal number"),
        ({"apiVersion": "v1", "kind": "Pod", "metadata": []}, 400, "cannot unmarshal array"),
        ({"apiVersion": 1, "kind": "Pod"}, 422, "spec.apiVersion: Invalid value: 1: must be a string"),
        ({"apiVersion": "a/b/c", "kind": "Pod"}, 422, "unexpected GroupVersion string: a/b/c"),
        ({"apiVersion": "v1", "kind": "a b"}, 422, "may have mixed case, but should otherwise match"),
        ({"kind": "Pod"}, 422, "spec.apiVersion: Required value: must not be empty"),
    ],
)
async def test_an_embedded_object_has_what_makes_an_object(
    http: Http, given: Obj, code: int, why: str
) -> None:
    embedded = {
        "type": "object",
        "x-kubernetes-embedded-resource": True,
        "x-kubernetes-preserve-unknown-fields": True,
    }
    await established(http, definition(embedded))
    answered = await http.post(TABS, {**tab(), "spec": given})
    assert (answered.code, why in json.dumps(answered.obj)) == (code, True), answered.obj
