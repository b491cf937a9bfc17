"""Stock kubectl takes the server for a Kubernetes."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import yaml

from podium.api.server import ApiServer, ServerConfig
from podium.api.types.resources import CONFIG_MAPS, SERVICES
from podium.client import kubeconfig
from tests.kubectl_version import needs_kubectl
from tests.unit.api.http.harness import config_map, deployment, pod
from tests.unit.api.http.sample import API, NAME, Sample

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl on PATH")

Kubectl = Callable[..., Awaitable[str]]


class Failed(Exception):
    pass


@pytest.fixture
def config() -> ServerConfig:
    return ServerConfig(authorization=("Node", "RBAC"))


@pytest.fixture
async def environment(server: ApiServer, address: tuple[str, int], tmp_path: Path) -> dict[str, str]:
    pair = server.admin()
    document = kubeconfig.document(
        "podium",
        f"https://{address[0]}:{address[1]}",
        server.ca_file.read_bytes(),
        pair.cert.read_bytes(),
        pair.key.read_bytes(),
    )
    (tmp_path / "config").write_text(yaml.safe_dump(document))
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KUBECONFIG": str(tmp_path / "config")}


@pytest.fixture
async def kubectl(environment: dict[str, str]) -> Kubectl:
    async def run(*args: str, stdin: object = None) -> str:
        process = await asyncio.create_subprocess_exec(
            "kubectl",
            *args,
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate(json.dumps(stdin).encode() if stdin else b"")
        if process.returncode:
            raise Failed(err.decode())
        return out.decode() + err.decode()

    return run


def manifest(obj: dict[str, object], kind: str, api_version: str = "v1") -> dict[str, object]:
    return {"kind": kind, "apiVersion": api_version, **obj}


async def test_apply_creates_changes_and_leaves_alone(kubectl: Kubectl) -> None:
    web = manifest(deployment("web", 2), "Deployment", "apps/v1")
    assert "deployment.apps/web created" in await kubectl("apply", "-f", "-", stdin=web)
    assert "deployment.apps/web unchanged" in await kubectl("apply", "-f", "-", stdin=web)
    more = manifest(deployment("web", 3), "Deployment", "apps/v1")
    assert "deployment.apps/web configured" in await kubectl("apply", "-f", "-", stdin=more)
    assert await kubectl("get", "deploy/web", "-o", "jsonpath={.spec.replicas}") == "3"


@needs_kubectl(25)
async def test_apply_refuses_an_unknown_field_and_changes_nothing(kubectl: Kubectl) -> None:
    wrong = manifest(config_map("a") | {"color": "red"}, "ConfigMap")
    with pytest.raises(Failed, match='unknown field "color"'):
        await kubectl("apply", "-f", "-", stdin=wrong)
    with pytest.raises(Failed, match="NotFound"):
        await kubectl("get", "configmap", "a")
    assert 'Warning: unknown field "color"' in await kubectl(
        "apply", "--validate=warn", "-f", "-", stdin=wrong
    )


@needs_kubectl(25)
async def test_a_list_is_applied_and_its_unknown_fields_are_refused(kubectl: Kubectl) -> None:
    web = manifest(deployment("web"), "Deployment", "apps/v1")
    configs = [manifest(config_map(name), "ConfigMap") for name in ("a", "b")]
    created = await kubectl("apply", "-f", "-", stdin=manifest({"items": [*configs, web]}, "List"))
    for name in ("configmap/a", "configmap/b", "deployment.apps/web"):
        assert f"{name} created" in created
    wrong = json.loads(json.dumps(web))
    wrong["spec"]["replicaz"] = 1
    listed = manifest({"items": [*configs, wrong]}, "List")
    for mode in ("strict", "true"):
        with pytest.raises(Failed, match='unknown field "replicaz"'):
            await kubectl("apply", f"--validate={mode}", "-f", "-", stdin=listed)
    warned = await kubectl("apply", "--validate=warn", "-f", "-", stdin=listed)
    assert 'Warning: unknown field "spec.replicaz"' in warned
    assert "unknown field" not in await kubectl("apply", "--validate=ignore", "-f", "-", stdin=listed)


@needs_kubectl(25)
async def test_a_kind_that_is_not_there_is_named(kubectl: Kubectl) -> None:
    prod = manifest({"metadata": {"name": "x"}}, "Prod")
    for mode in ("strict", "warn", "ignore"):
        with pytest.raises(Failed, match='no matches for kind "Prod" in version "v1"'):
            await kubectl("apply", f"--validate={mode}", "-f", "-", stdin=prod)


async def test_get_prints_the_servers_columns(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=manifest(pod("a"), "Pod"))
    head, row = (await kubectl("get", "pods")).splitlines()
    assert head.split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert row.split()[:4] == ["a", "0/1", "Pending", "0"]
    wide = (await kubectl("get", "pods", "-o", "wide")).splitlines()[0]
    assert "NODE" in wide
    assert await kubectl("get", "all", "-A")


@needs_kubectl(24)
async def test_create_speaks_protobuf(kubectl: Kubectl) -> None:
    assert "created" in await kubectl("create", "configmap", "a", "--from-literal=key=value")
    assert await kubectl("get", "cm", "a", "-o", "jsonpath={.data.key}") == "value"
    assert "created" in await kubectl("create", "deployment", "web", "--image=nginx", "--replicas=0")
    assert await kubectl("get", "deploy", "web", "-o", "jsonpath={.spec.replicas}") == "0"
    assert len(await kubectl("create", "token", "default")) > 100


async def test_watching_prints_changes_as_rows(kubectl: Kubectl, environment: dict[str, str]) -> None:
    process = await asyncio.create_subprocess_exec(
        "kubectl", "get", "configmaps", "-w", "--no-headers", env=environment, stdout=asyncio.subprocess.PIPE
    )  # fmt: skip
    assert process.stdout is not None
    try:
        await kubectl("create", "configmap", "a", "--from-literal=key=value")
        await kubectl("patch", "configmap", "a", "-p", '{"data":{"other":"value"}}')
        lines = [(await process.stdout.readline()).decode().split()[:2] for _ in range(2)]
        assert lines[-1] == ["a", "2"]
    finally:
        process.terminate()
        await process.wait()


async def test_patch_label_scale_and_delete(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=manifest(deployment("web"), "Deployment", "apps/v1"))
    await kubectl("patch", "deploy", "web", "-p", '{"spec":{"paused":true}}')
    await kubectl("patch", "deploy", "web", "--type=json", "-p", '[{"op":"remove","path":"/spec/paused"}]')
    await kubectl("label", "deploy", "web", "color=red")
    assert "web" in await kubectl("get", "deploy", "-l", "color=red", "-o", "name")
    await kubectl("scale", "deploy", "web", "--replicas=4")
    await kubectl("set", "image", "deploy/web", "main=nginx:2")
    shown = json.loads(await kubectl("get", "deploy", "web", "-o", "json"))
    assert shown["spec"]["replicas"] == 4
    assert shown["spec"]["template"]["spec"]["containers"][0]["image"] == "nginx:2"
    assert "deleted" in await kubectl("delete", "deploy", "web")
    with pytest.raises(Failed, match=r'deployments\.apps "web" not found'):
        await kubectl("get", "deploy", "web")


async def test_explain_and_api_resources_know_every_kind(kubectl: Kubectl) -> None:
    assert "restartPolicy" in await kubectl("explain", "pod.spec")
    listed = await kubectl("api-resources", "--no-headers")
    assert any(line.split()[:2] == ["deployments", "deploy"] for line in listed.splitlines())
    assert "apps/v1" in await kubectl("api-versions")
    assert "v1.36.0" in await kubectl("version")


async def test_pages_are_followed(kubectl: Kubectl) -> None:
    for name in ("a", "b", "c"):
        await kubectl("apply", "-f", "-", stdin=manifest(config_map(name), "ConfigMap"))
    listed = await kubectl("get", "configmaps", "--chunk-size=1", "-o", "name")
    assert listed.split() == ["configmap/a", "configmap/b", "configmap/c"]


async def test_a_dry_run_and_a_diff_show_what_would_be(kubectl: Kubectl) -> None:
    wanted = manifest(config_map("a", key="value"), "ConfigMap")
    assert "created (server dry run)" in await kubectl("apply", "--dry-run=server", "-f", "-", stdin=wanted)
    assert await kubectl("get", "configmaps", "-o", "name") == ""


async def test_a_namespace_is_made_used_and_terminated(kubectl: Kubectl) -> None:
    await kubectl("create", "namespace", "team")
    await kubectl("-n", "team", "create", "secret", "generic", "s", "--from-literal=a=b")
    await kubectl("delete", "namespace", "team", "--wait=false")
    assert "Terminating" in await kubectl("get", "namespace", "team")


@needs_kubectl(27)
async def test_who_am_i_and_can_i(kubectl: Kubectl) -> None:
    assert "kubernetes-admin" in await kubectl("auth", "whoami")
    assert (await kubectl("auth", "can-i", "delete", "pods")).strip() == "yes"
    with pytest.raises(Failed):
        await kubectl("auth", "can-i", "list", "pods", "--as=eve")
    with pytest.raises(Failed, match='User "eve" cannot list resource "pods"'):
        await kubectl("get", "pods", "--as=eve")


async def test_an_api_whose_server_is_away_does_not_keep_the_others_from_being_listed(
    server: ApiServer, kubectl: Kubectl, tmp_path: Path
) -> None:
    published = await server.client.get(CONFIG_MAPS, "extension-apiserver-authentication", "kube-system")
    sample = Sample(published["data"]["requestheader-client-ca-file"], tmp_path)
    await sample.start()
    service = {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": sample.port}]}
    await server.client.create(SERVICES, {"metadata": {"name": "sample-api"}, "spec": service}, "default")
    await kubectl("create", "-f", "-", stdin=sample.api_service())
    await kubectl("wait", f"apiservice/{NAME}", "--for=condition=Available", "--timeout=10s")
    assert "flunders" in await kubectl("api-resources")
    await sample.stop()
    await kubectl("annotate", "service", "sample-api", "a=b")
    await kubectl("wait", f"apiservice/{NAME}", "--for=condition=Available=False", "--timeout=20s")
    listed = await kubectl("api-resources")
    assert "deployments" in listed
    assert "flunders" not in listed
    with pytest.raises(Failed, match="ServiceUnavailable"):
        await kubectl("get", "--raw", API)


async def test_an_editor_changes_what_is_there_and_says_what_it_may_not(
    kubectl: Kubectl, environment: dict[str, str]
) -> None:
    await kubectl("create", "configmap", "words", "--from-literal=a=old")
    environment["KUBE_EDITOR"] = "sed -i s/old/new/"
    assert "configmap/words edited" in await kubectl("edit", "configmap", "words")
    assert await kubectl("get", "configmap", "words", "-o", "jsonpath={.data.a}") == "new"
    assert "Edit cancelled, no changes made" in await kubectl("edit", "configmap", "words")
    environment["KUBE_EDITOR"] = "sed -i s/new/7/"
    with pytest.raises(Failed, match="no valid changes"):
        await kubectl("edit", "configmap", "words", "--validate=false")


@pytest.mark.parametrize("where", [(), ("--server-side",)])
async def test_a_difference_is_shown_and_nothing_is_changed(kubectl: Kubectl, where: tuple[str, ...]) -> None:
    def words(text: str) -> dict[str, object]:
        return manifest({"metadata": {"name": "words"}, "data": {"a": text}}, "ConfigMap")

    await kubectl("apply", *where, "-f", "-", stdin=words("old"))
    assert await kubectl("diff", *where, "-f", "-", stdin=words("old")) == ""
    with pytest.raises(Failed):
        await kubectl("diff", *where, "-f", "-", stdin=words("new"))
    assert await kubectl("get", "configmap", "words", "-o", "jsonpath={.data.a}") == "old"
