"""What a definition brings besides its kinds: an APIService, conditions, warnings; and how it goes."""

from __future__ import annotations

import pytest

from podium.api.extensions.kinds import deprecations
from podium.api.types import Obj
from podium.api.types.meta import condition
from tests.unit.api.extensions.definitions import CRDS, GROUP, TABS, definition, established, tab
from tests.unit.api.http.harness import Http

SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
APPROVED = "api-approved.kubernetes.io"


async def test_a_group_version_has_an_api_service_while_it_is_served(http: Http) -> None:
    query = {"fieldSelector": f"metadata.name=v1.{GROUP}"}
    async with http.watch(SERVICES, resourceVersion=(await http.get(SERVICES)).version, **query) as events:
        await established(http, definition())
        made = (await events.next())["object"]
        assert made["spec"] == {
            "group": GROUP,
            "version": "v1",
            "groupPriorityMinimum": 1000,
            "versionPriority": 100,
        }
        available = condition((await events.next())["object"], "Available")
        assert available is not None
        assert (available["status"], available["reason"]) == ("True", "Local")
        await http.delete(f"{SERVICES}/v1.{GROUP}")
        assert [(await events.next())["type"] for _ in range(3)] == ["DELETED", "ADDED", "MODIFIED"]
        await established(http, definition(plural="others"))
        await http.delete(f"{CRDS}/crontabs.{GROUP}")
        await http.delete(f"{CRDS}/others.{GROUP}")
        assert (await events.next())["type"] == "DELETED"


def deprecated(*names: str, **more: object) -> Obj:
    versions = [{"name": name, "served": True, "deprecated": name in more} for name in names]
    return {"spec": {"group": "x.io", "names": {"kind": "Tab"}, "versions": versions}}


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("v1beta1", "v1", "v2"), "x.io/v1beta1 Tab is deprecated; use x.io/v2 Tab"),
        (("v1beta1", "v1alpha1"), "x.io/v1beta1 Tab is deprecated"),
    ],
)
def test_the_warning_names_the_best_newer_version(names: tuple[str, ...], told: str) -> None:
    crd = deprecated(*names, v1beta1=True)
    assert deprecations(crd, crd["spec"]["versions"][0]) == [told]
    assert deprecations(crd, crd["spec"]["versions"][1]) == []


async def test_all_answers_about_a_deprecated_version_warn(http: Http) -> None:
    await established(http, definition(deprecated=True, deprecationWarning="do not"))
    made = await http.post(TABS, tab())
    read, listed = await http.get(f"{TABS}/a"), await http.get(TABS)
    async with http.watch(TABS) as events:
        watched = events.response
        for reply in (made, read, listed, watched):
            assert reply.headers["Warning"] == '299 - "do not"'


async def test_a_protected_group_needs_an_approval(http: Http) -> None:
    crd = definition()
    crd["metadata"]["name"], crd["spec"]["group"] = "crontabs.stable.k8s.io", "stable.k8s.io"
    reply = await http.post(CRDS, crd)
    assert reply.code == 422
    assert (
        "metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups" in reply.message
    )
    crd["metadata"]["annotations"] = {APPROVED: "maybe"}
    assert "with either a URL or a reason" in (await http.post(CRDS, crd)).message
    crd["metadata"]["annotations"] = {APPROVED: "unapproved, a test"}
    made = await established(http, crd)
    found = condition(made, "KubernetesAPIApprovalPolicyConformant")
    assert found is not None
    assert (found["status"], found["reason"]) == ("False", "UnapprovedAnnotation")
    assert found["message"] == 'not approved: "unapproved, a test"'


async def test_watches_end_with_their_definition(http: Http) -> None:
    await established(http, definition())
    await http.made(TABS, tab())
    async with http.watch(TABS, resourceVersion=(await http.get(TABS)).version) as events:
        await http.delete(f"{CRDS}/crontabs.{GROUP}")
        assert (await events.next())["type"] == "DELETED"
        with pytest.raises(StopAsyncIteration):
            await events.next()


async def test_nothing_is_made_of_a_kind_that_goes(http: Http) -> None:
    await established(http, definition())
    kept = tab()
    kept["metadata"]["finalizers"] = ["example.com/wait"]
    await http.made(TABS, kept)
    async with http.watch(CRDS, resourceVersion=(await http.get(CRDS)).version) as events:
        await http.delete(f"{CRDS}/crontabs.{GROUP}")
        while condition((await events.next())["object"], "Terminating") is None:
            pass
    refused = await http.post(TABS, tab("b"))
    assert (refused.code, refused.reason) == (405, "MethodNotAllowed")
    assert refused.message == "create not allowed while custom resource definition is terminating"
    applied = await http.patch(
        f"{TABS}/b", tab("b"), "application/apply-patch+yaml", fieldManager="me", force="true"
    )
    assert applied.code == 403
    assert applied.message == f'crontabs.{GROUP} "b" is forbidden: {refused.message}'
    again = definition()
    assert (await http.post(CRDS, again)).code == 409
    assert (await http.get(f"{TABS}/a")).code == 200


async def test_names_that_are_taken_are_told_in_the_conditions(http: Http) -> None:
    await established(http, definition())
    other = definition(plural="others")
    other["spec"]["names"]["shortNames"] = ["cr"]
    made = await http.made(CRDS, other)
    async with http.watch(
        CRDS,
        resourceVersion=made["metadata"]["resourceVersion"],
        fieldSelector=f"metadata.name=others.{GROUP}",
    ) as events:
        settled = (await events.next())["object"]
    names, there = condition(settled, "NamesAccepted"), condition(settled, "Established")
    assert names is not None
    assert there is not None
    assert (names["reason"], names["message"]) == ("ShortNamesConflict", '"cr" is already in use')
    assert (there["status"], there["reason"]) == ("False", "NotAccepted")


async def test_a_pattern_that_would_backtrack_does_not(http: Http) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}}
    await established(http, definition(schema))
    reply = await http.post(TABS, tab(a="a" * 100_000 + "!"))
    assert reply.code == 422
    assert "should match '^(a+)+$'" in reply.message


async def test_what_is_nested_too_deeply_is_refused(http: Http) -> None:
    deep: Obj = {"type": "string"}
    for _ in range(100):
        deep = {"type": "object", "properties": {"a": deep}}
    assert (await http.post(CRDS, definition(deep))).code in (400, 422)
    await established(http, definition())
    body = '{"a":' * 20_000 + "1" + "}" * 20_000
    text = f'{{"apiVersion":"{GROUP}/v1","kind":"Crontab","metadata":{{"name":"a"}},"spec":{body}}}'
    assert 400 <= (await http.post(TABS, text)).code < 500


async def test_patches_that_explode_are_refused(http: Http) -> None:
    await established(http, definition())
    await http.made(TABS, tab(a=["x" * 1000]))
    copies = [{"op": "copy", "from": "/spec/a", "path": "/spec/a/-"}] * 40
    reply = await http.patch(f"{TABS}/a", copies, "application/json-patch+json")
    assert 400 <= reply.code < 500
    assert (await http.get(f"{TABS}/a")).code == 200


async def test_a_huge_set_is_judged_quickly_enough(http: Http) -> None:
    many = {"type": "array", "items": {"type": "integer"}, "x-kubernetes-list-type": "set"}
    await established(http, definition({"type": "object", "properties": {"a": many}}))
    assert (await http.post(TABS, tab("a", a=[*range(50_000)]))).code == 201
    reply = await http.post(TABS, tab("b", a=[*range(50_000), 7]))
    assert "spec.a[50000]: Duplicate value: 7" in reply.message
