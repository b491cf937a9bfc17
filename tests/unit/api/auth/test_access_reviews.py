"""What another server decides, and which requests it is asked about."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from podium.api.auth.configuration import ConfigError
from podium.api.auth.webhooks.authorization import Settings
from podium.api.auth.webhooks.configuration import Asked, read
from podium.api.server import ApiServer, ServerConfig
from podium.api.types import Obj
from tests.unit.api.auth.others import OtherServer, other_server
from tests.unit.api.http.harness import DEFAULT, Http

REVIEWS = "/apis/authorization.k8s.io/v1"


@pytest.fixture
async def other(tmp_path: Path) -> AsyncIterator[OtherServer]:
    async with other_server(tmp_path) as found:
        yield found


@asynccontextmanager
async def serving(*modes: str | Asked) -> AsyncIterator[Http]:
    server = ApiServer(ServerConfig(authorization=modes))
    await server.start()
    http = Http(server, await server.serve(), server.admin())
    try:
        yield http
    finally:
        await http.close()
        await server.close()


async def code(http: Http, path: str, user: str = "ann", **query: str) -> int:
    headers = {"Impersonate-User": user, "Impersonate-Group": "devs"}
    return (await http("GET", path, None, headers, **query)).code


async def test_the_webhook_decides_what_the_others_leave_open(tmp_path: Path, other: OtherServer) -> None:
    other.answer = lambda spec: {"allowed": spec["resourceAttributes"]["resource"] == "pods", "reason": "why"}
    async with serving("RBAC", Asked(other.kubeconfig(tmp_path))) as http:
        assert (
            await code(http, f"{DEFAULT}/pods", fieldSelector="spec.nodeName=n", labelSelector="a in (b)")
            == 200
        )
        assert other.asked[-1] == {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "resourceAttributes": {
                    "namespace": "default",
                    "verb": "list",
                    "version": "v1",
                    "resource": "pods",
                    "fieldSelector": {
                        "requirements": [{"key": "spec.nodeName", "operator": "In", "values": ["n"]}]
                    },
                    "labelSelector": {"requirements": [{"key": "a", "operator": "In", "values": ["b"]}]},
                },
                "user": "ann",
                "groups": ["devs", "system:authenticated"],
            },
        }
        assert await code(http, f"{DEFAULT}/secrets") == 403
        before = len(other.asked)
        assert await code(http, f"{DEFAULT}/secrets") == 403
        assert len(other.asked) == before
        review = {"spec": {"namespace": "default"}}
        rules = (await http.made(f"{REVIEWS}/selfsubjectrulesreviews", review))["status"]
        assert rules["incomplete"]
        assert rules["evaluationError"] == "webhook authorizer does not support user rule resolution"


async def test_a_no_of_the_webhook_is_the_end(tmp_path: Path, other: OtherServer) -> None:
    other.answer = lambda spec: {"allowed": False, "denied": True, "reason": "never"}
    async with serving(Asked(other.kubeconfig(tmp_path)), "AlwaysAllow") as http:
        assert await code(http, f"{DEFAULT}/pods") == 403
        attributes = {"verb": "get", "resource": "pods"}
        review = {"spec": {"user": "ann", "resourceAttributes": attributes}}
        status = (await http.made(f"{REVIEWS}/subjectaccessreviews", review))["status"]
        assert status == {"allowed": False, "denied": True, "reason": "never"}


@pytest.mark.parametrize(("denies", "expected"), [(False, 200), (True, 403)])
async def test_no_answer_is_no_opinion_or_a_no(
    tmp_path: Path, other: OtherServer, denies: bool, expected: int
) -> None:
    other.answer = lambda spec: None
    asked = Asked(other.kubeconfig(tmp_path), settings=Settings(denies_on_error=denies))
    async with serving(asked, "AlwaysAllow") as http:
        assert await code(http, f"{DEFAULT}/pods") == expected


def configuration(kubeconfig: Path, **webhook: Any) -> Obj:
    whole = {
        "timeout": "3s", "authorizedTTL": "5m", "unauthorizedTTL": "30s", "subjectAccessReviewVersion": "v1",
        "matchConditionSubjectAccessReviewVersion": "v1", "failurePolicy": "Deny",
        "connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": str(kubeconfig)}, **webhook,
    }  # fmt: skip
    authorizers = [
        {"type": "Webhook", "name": "far", "webhook": whole},
        {"type": "RBAC", "name": "rbac"},
    ]
    kind = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthorizationConfiguration"}
    return {**kind, "authorizers": authorizers}


async def test_only_what_meets_the_conditions_is_asked_about(tmp_path: Path, other: OtherServer) -> None:
    other.answer = lambda spec: {"allowed": True}
    conditions = [
        {"expression": "has(request.resourceAttributes)"},
        {"expression": "request.resourceAttributes.namespace == 'default'"},
    ]
    given = configuration(other.kubeconfig(tmp_path), matchConditions=conditions)
    async with serving(*read(yaml.safe_dump(given))) as http:
        assert await code(http, f"{DEFAULT}/pods") == 200
        assert len(other.asked) == 1
        assert await code(http, "/metrics") == 403
        # Without a namespace the second condition has no value, and the policy for failures is to deny.
        assert await code(http, "/api/v1/pods") == 403
        assert len(other.asked) == 1


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"timeout": "1h"}, "authorizers[0].timeout: Invalid value"),
        ({"timeout": ""}, "authorizers[0].timeout: Required value"),
        ({"failurePolicy": ""}, "authorizers[0].failurePolicy: Required value"),
        ({"subjectAccessReviewVersion": "v2"}, 'supported values: "v1", "v1beta1"'),
        ({"connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": "x"}}, "must be an absolute path"),
        ({"matchConditions": [{"expression": "1"}]}, "must evaluate to bool"),
        ({"matchConditions": [{"expression": "nobody"}]}, "compilation failed"),
        ({"other": 1}, "unknown field"),
    ],
)
def test_a_configuration_with_faults_is_refused(tmp_path: Path, change: Obj, fault: str) -> None:
    kubeconfig = tmp_path / "k"
    kubeconfig.write_text("")
    with pytest.raises(ConfigError) as refused:
        read(yaml.safe_dump(configuration(kubeconfig, **change)))
    assert fault in str(refused.value)


async def test_selectors_of_reviews_are_checked_and_used() -> None:
    async with serving("Node", "RBAC") as http:

        async def asks(**attributes: Any) -> Any:
            given = {"verb": "list", "resource": "pods", **attributes}
            spec = {"user": "system:node:n", "groups": ["system:nodes"], "resourceAttributes": given}
            return await http.post(f"{REVIEWS}/subjectaccessreviews", {"spec": spec})

        assert (await asks(resource="resourceslices", group="resource.k8s.io")).obj["status"]["reason"] == (
            "can only list/watch/deletecollection resourceslices with nodeName field selector"
        )
        own = {"requirements": [{"key": "spec.nodeName", "operator": "In", "values": ["n"]}]}
        slices = {"resource": "resourceslices", "group": "resource.k8s.io"}
        assert (await asks(**slices, fieldSelector=own)).obj["status"] == {"allowed": True}
        assert (await asks(**slices, fieldSelector={"rawSelector": "spec.nodeName=n"})).obj["status"][
            "allowed"
        ]
        refused = await asks(fieldSelector={"rawSelector": "a=b", **own})
        assert refused.code == 422
        assert "may not specified at the same time as requirements" in refused.message
        assert (await asks(labelSelector={})).code == 422
