"""A user's mistakes: each has an answer that names the field or the cause, and changes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance.coverage_report import covers
from tests.conformance.kubectl import Kubectl
from tests.conformance.objects import config_map, container, deployment, pod, service
from tests.conformance.waiting import eventually
from tests.kubectl_version import needs_kubectl


def changed(obj: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of `obj` with one field (a dotted path, list indexes as numbers) set."""
    copy = json.loads(json.dumps(obj))
    *parents, last = path.split(".")
    at = copy
    for part in parents:
        at = at[int(part)] if part.isdigit() else at[part]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return dict(copy)


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        (changed(pod("x"), "spec.containers.0.image", None), "spec.containers[0].image: Required value"),
        (changed(pod("x"), "spec.containers.0.ports", [{"containerPort": 70000}]), "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive"),
        (changed(pod("x"), "metadata.name", "Not_A_Name"), 'metadata.name: Invalid value: "Not_A_Name"'),
        (changed(pod("x"), "spec.restartPolicy", "Sometimes"), 'spec.restartPolicy: Unsupported value: "Sometimes"'),
        (changed(pod("x"), "spec.containers.0.volumeMounts", [{"name": "v", "mountPath": "/v"}]), 'spec.containers[0].volumeMounts[0].name: Not found: "v"'),
        (changed(pod("x"), "spec.containers.0.resources", {"limits": {"cpu": "many"}}), "quantities must match the regular expression"),
        (changed(deployment("x", 1), "spec.selector.matchLabels", {"app": "y"}), "`selector` does not match template `labels`"),
        (changed(deployment("x", 1), "spec.replicas", -1), "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
        (changed(service("x"), "spec.ports.0.port", 0), "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"),
        (changed(config_map("x"), "data", {"a b": "c"}), 'data[a b]: Invalid value: "a b"'),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_wrong_field_is_named_and_nothing_is_made(
    kubectl: Kubectl, obj: dict[str, Any], message: str
) -> None:
    said = kubectl.refused("create", "-f", "-", stdin=json.dumps(obj))
    assert message in said
    made = [item["metadata"]["name"] for item in kubectl.get(obj["kind"])["items"]]
    assert obj["metadata"]["name"] not in made


@needs_kubectl(25)
def test_a_field_of_the_wrong_type_is_named(kubectl: Kubectl) -> None:
    said = kubectl.refused(
        "create", "-f", "-", stdin=json.dumps(changed(deployment("x", 1), "spec.replicas", "three"))
    )
    assert "spec.replicas" in said
    assert "json: cannot unmarshal string into Go struct field" in said


@covers(
    "[sig-api-machinery] FieldValidation should detect unknown and duplicate fields of a typed object [Conformance]"
)
@needs_kubectl(25)
def test_unknown_and_duplicate_fields_are_refused_warned_of_or_ignored_as_asked(kubectl: Kubectl) -> None:
    typo = json.dumps(changed(deployment("x", 1), "spec.replcas", 3))
    assert 'strict decoding error: unknown field "spec.replcas"' in kubectl.refused(
        "create", "-f", "-", stdin=typo
    )
    warned = kubectl.run("create", "--validate=warn", "-f", "-", stdin=typo)
    assert warned.code == 0
    assert 'Warning: unknown field "spec.replcas"' in warned.err
    kubectl("delete", "deployment", "x")
    ignored = kubectl.run("create", "--validate=ignore", "-f", "-", stdin=typo)
    assert (ignored.code, ignored.err) == (0, "")


def test_an_unknown_kind_is_named(kubectl: Kubectl) -> None:
    said = kubectl.refused("create", "-f", "-", stdin=json.dumps(changed(pod("x"), "kind", "Prod")))
    assert 'no matches for kind "Prod" in version "v1"' in said
    assert 'the server doesn\'t have a resource type "prods"' in kubectl.refused("get", "prods")


def test_malformed_documents_are_refused(kubectl: Kubectl) -> None:
    path = f"/api/v1/namespaces/{kubectl.namespace}/configmaps"
    assert "error parsing" in kubectl.refused("create", "-f", "-", stdin="kind: [unclosed")
    assert "BadRequest" in kubectl.refused("create", "--raw", path, "-f", "-", stdin='{"kind": ')


def test_a_body_over_three_mebibytes_is_refused(kubectl: Kubectl) -> None:
    big = json.dumps(config_map("big", word="x" * (3 * 1024 * 1024 + 1)))
    said = kubectl.refused("create", "-f", "-", stdin=big)
    assert "Request entity too large: limit is 3145728" in said or "limit is 3145728" in said
    assert "NotFound" in kubectl.refused("get", "configmap", "big")


def test_a_stale_resource_version_conflicts(kubectl: Kubectl) -> None:
    kubectl.apply(config_map("shared", word="one"))
    stale = kubectl.get("configmap/shared")
    kubectl("patch", "configmap", "shared", "-p", '{"data":{"word":"two"}}')
    stale["data"]["word"] = "three"
    said = kubectl.refused("replace", "-f", "-", stdin=json.dumps(stale))
    assert (
        "the object has been modified; please apply your changes to the latest version and try again" in said
    )
    assert kubectl.get("configmap/shared")["data"]["word"] == "two"


def test_what_is_not_there_cannot_be_deleted(kubectl: Kubectl) -> None:
    assert 'pods "ghost" not found' in kubectl.refused("delete", "pod", "ghost")


def waiting_reason(kubectl: Kubectl, name: str) -> str:
    statuses = kubectl.get(f"pod/{name}")["status"].get("containerStatuses") or [{}]
    return str(statuses[0].get("state", {}).get("waiting", {}).get("reason", ""))


def test_an_image_that_does_not_exist_is_retried_later_and_says_so(kubectl: Kubectl) -> None:
    kubectl.apply(pod("x", container(image="127.0.0.1:9/nothing:here")))
    eventually(
        lambda: waiting_reason(kubectl, "x"), lambda reason: reason in ("ErrImagePull", "ImagePullBackOff")
    )
    eventually(lambda: waiting_reason(kubectl, "x"), lambda reason: reason == "ImagePullBackOff")
    assert "127.0.0.1:9/nothing:here" in kubectl("describe", "pod", "x")


def test_an_image_name_that_is_none_is_named(kubectl: Kubectl) -> None:
    kubectl.apply(pod("x", container(image="Not A Name")))
    eventually(lambda: waiting_reason(kubectl, "x"), lambda reason: reason == "InvalidImageName")


def test_a_command_that_does_not_exist_is_named(kubectl: Kubectl) -> None:
    kubectl.apply(pod("x", container(command=["/no/such/program"])))
    eventually(
        lambda: waiting_reason(kubectl, "x"),
        lambda reason: reason in ("RunContainerError", "CrashLoopBackOff"),
    )
    assert "/no/such/program" in kubectl("describe", "pod", "x")
    last = eventually(
        lambda: kubectl.get("pod/x")["status"]["containerStatuses"][0]["lastState"].get("terminated", {}),
        lambda seen: seen != {},
    )
    assert (last["exitCode"], last["reason"]) == (128, "StartError")


def test_a_service_that_selects_nothing_refuses_at_once(kubectl: Kubectl) -> None:
    kubectl.apply(service("lonely"), pod("visitor"))
    kubectl.wait("pod/visitor", "condition=Ready")
    address = kubectl.get("service/lonely")["spec"]["clusterIP"]
    result = kubectl.run("exec", "visitor", "--", "wget", "-q", "-O", "-", f"http://{address}/", timeout=30)
    assert result.code != 0
    assert "refused" in result.err


def test_without_credentials_every_request_is_unauthorized(kubectl: Kubectl, tmp_path: object) -> None:
    server = kubectl("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}")
    result = kubectl.run(
        "get",
        "pods",
        f"--server={server}",
        "--kubeconfig=/dev/null",
        "--insecure-skip-tls-verify",
        "--token=wrong",
    )
    assert result.code != 0
    assert "Unauthorized" in result.err or "must be logged in" in result.err
