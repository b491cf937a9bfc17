"""Client libraries besides kubectl and the official Python client: kr8s, lightkube, kopf, and the official JavaScript
client where it is installed (`PODIUM_TEST_NODE_MODULES` names the folder of its node_modules)."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import kr8s
import lightkube
import pytest
from kr8s.asyncio import objects as kr8s_objects
from kubernetes import client as official
from lightkube.core.exceptions import ApiError
from lightkube.generic_resource import create_namespaced_resource
from lightkube.models import apps_v1, core_v1, meta_v1
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap, Namespace, Node, Pod
from lightkube.types import CascadeType, PatchType

from tests.conformance.conftest import LocalCluster
from tests.conformance.kubectl import Kubectl
from tests.conformance.objects import BUSYBOX, Obj, deployment, pod, sh
from tests.conformance.waiting import eventually

pytestmark = pytest.mark.filterwarnings("ignore:Kubernetes version:UserWarning")
HTTPD = "mkdir -p /www; echo hello > /www/index.html; exec busybox httpd -f -p 8080 -h /www"


def order(plural: str) -> Obj:
    """A kind of the test's own, so that no other test meets it."""
    properties = {
        "spec": {"type": "object", "properties": {"count": {"type": "integer", "default": 1}}},
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    }
    version = {
        "name": "v1", "served": True, "storage": True, "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": {"type": "object", "properties": properties}},
    }  # fmt: skip
    names = {"kind": plural.rstrip("s").capitalize(), "plural": plural, "singular": plural.rstrip("s")}
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"{plural}.example.com"},
        "spec": {"group": "example.com", "names": names, "scope": "Namespaced", "versions": [version]},
    }  # fmt: skip


# --- kr8s


@pytest.fixture
async def api(cluster: LocalCluster, kubectl: Kubectl) -> AsyncIterator[Any]:
    """A client of its own for each test, since it lives on the test's loop."""
    found = await kr8s.asyncio.api(kubeconfig=str(cluster.kubeconfig), namespace=kubectl.namespace)
    yield found
    # The library shares clients between callers of the same arguments.
    await found._session.aclose()
    kr8s.asyncio.Api._instances.clear()


async def made(kind: Any, api: Any, manifest: Obj) -> Any:
    obj = await kind(manifest, api=api)
    await obj.create()
    return obj


async def test_kr8s_takes_an_object_through_its_verbs(api: Any) -> None:
    words = await made(
        kr8s_objects.ConfigMap,
        api,
        {"metadata": {"name": "words", "labels": {"app": "x"}}, "data": {"a": "b"}},
    )
    await made(kr8s_objects.ConfigMap, api, {"metadata": {"name": "other"}, "data": {}})
    assert await words.exists()
    assert [obj.name async for obj in api.get("configmaps", label_selector={"app": "x"})] == ["words"]
    assert [obj.name async for obj in api.get("cm", field_selector={"metadata.name": "other"})] == ["other"]
    await words.patch({"data": {"a": "c"}})
    await words.patch([{"op": "add", "path": "/data/d", "value": "e"}], type="json")
    await words.label({"more": "1"})
    await words.refresh()
    assert (words.raw["data"], words.labels) == ({"a": "c", "d": "e"}, {"app": "x", "more": "1"})
    await words.delete()
    await asyncio.wait_for(words.wait("delete"), 30)
    assert not await words.exists()
    with pytest.raises(kr8s.NotFoundError):
        await kr8s_objects.ConfigMap.get("words", api=api, timeout=0)


async def test_kr8s_watches_a_kind(api: Any) -> None:
    seen: list[tuple[str, str]] = []
    there = asyncio.Event()

    async def read() -> None:
        async for kind, obj in api.watch("configmaps", label_selector={"app": "watched"}):
            seen.append((kind, obj.name))
            there.set()
            if kind == "DELETED":
                return

    words = await made(
        kr8s_objects.ConfigMap, api, {"metadata": {"name": "words", "labels": {"app": "watched"}}}
    )
    reading = asyncio.create_task(read())
    await asyncio.wait_for(there.wait(), 30)
    await words.patch({"data": {"a": "b"}})
    await words.delete()
    await asyncio.wait_for(reading, 30)
    assert seen == [("ADDED", "words"), ("MODIFIED", "words"), ("DELETED", "words")]


async def test_kr8s_waits_for_a_pod_and_talks_to_it(api: Any) -> None:
    web = await made(kr8s_objects.Pod, api, pod("web", sh(f"echo started; {HTTPD}")))
    await asyncio.wait_for(web.wait("condition=Ready"), 60)
    assert [line async for line in web.logs()] == ["started"]
    done = await web.exec(["sh", "-c", "echo out; echo err >&2; exit 3"], check=False)
    assert (done.stdout, done.stderr, done.returncode) == (b"out\n", b"err\n", 3)
    async with (
        web.portforward(remote_port=8080, local_port="auto") as port,
        aiohttp.ClientSession() as session,
    ):
        # The very first moment may be before the program listens.
        for _ in range(50):
            try:
                async with session.get(f"http://127.0.0.1:{port}/") as answer:
                    assert await answer.text() == "hello\n"
                    break
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)
        else:
            pytest.fail("the forwarded port never answered")
    await web.delete(grace_period=0)


async def test_kr8s_scales_a_deployment_until_its_pods_are_there(api: Any) -> None:
    app = await made(kr8s_objects.Deployment, api, deployment("app", 1))
    await asyncio.wait_for(app.wait("condition=Available"), 40)
    await app.scale(2)
    await asyncio.wait_for(app.wait("jsonpath='{.status.readyReplicas}'=2"), 40)
    assert len(await app.pods()) == 2


async def test_kr8s_uses_a_custom_resource(api: Any) -> None:
    definition = await made(kr8s_objects.CustomResourceDefinition, api, order("teas"))
    try:
        await asyncio.wait_for(definition.wait("condition=Established"), 30)
        tea_kind = kr8s_objects.new_class("Tea", "example.com/v1", namespaced=True, asyncio=True)
        tea = await made(tea_kind, api, {"metadata": {"name": "green"}, "spec": {}})
        assert tea.spec.count == 1
        await tea.patch({"status": {"phase": "hot"}}, subresource="status")
        assert tea.status.phase == "hot"
    finally:
        await definition.delete()


# --- lightkube


@pytest.fixture
def light(cluster: LocalCluster, kubectl: Kubectl) -> lightkube.Client:
    config = lightkube.KubeConfig.from_file(str(cluster.kubeconfig))
    return lightkube.Client(config=config, namespace=kubectl.namespace, field_manager="light")


def words(name: str, **data: str) -> ConfigMap:
    return ConfigMap(metadata=meta_v1.ObjectMeta(name=name, labels={"app": name}), data=data)


def test_lightkube_takes_models_through_their_verbs(light: lightkube.Client) -> None:
    light.create(words("a", k="v"))
    light.create(words("b", k="v"))
    assert [each.metadata.name for each in light.list(ConfigMap, labels={"app": "a"})] == ["a"]
    assert [
        each.metadata.name for each in light.list(ConfigMap, labels={"app": ["a", "b"]}, chunk_size=1)
    ] == ["a", "b"]
    assert light.patch(ConfigMap, "a", {"data": {"k": "w"}}, patch_type=PatchType.MERGE).data == {"k": "w"}
    change = [{"op": "add", "path": "/data/j", "value": "1"}]
    assert light.patch(ConfigMap, "a", change, patch_type=PatchType.JSON).data == {"k": "w", "j": "1"}
    assert light.patch(ConfigMap, "a", {"data": {"j": None}}, patch_type=PatchType.STRATEGIC).data == {
        "k": "w"
    }
    stale = light.get(ConfigMap, "a")
    light.replace(words("a", k="x"))
    stale.data = {"k": "stale"}
    with pytest.raises(ApiError) as conflict:
        light.replace(stale)
    assert (conflict.value.status.code, conflict.value.status.reason) == (409, "Conflict")
    light.delete(ConfigMap, "a", cascade=CascadeType.FOREGROUND)
    light.deletecollection(ConfigMap)
    assert "b" not in [each.metadata.name for each in light.list(ConfigMap)]
    assert [node.kind for node in light.list(Node)]
    assert light.get(Namespace, light.namespace).status.phase == "Active"


def test_lightkube_applies_and_meets_another_owner(light: lightkube.Client) -> None:
    light.apply(words("shared", k="mine"))
    applied = light.apply(words("shared", k="again"))
    (entry,) = [each for each in applied.metadata.managedFields if each.manager == "light"]
    assert (entry.operation, entry.fieldsV1["f:data"]) == ("Apply", {"f:k": {}})
    with pytest.raises(ApiError) as conflict:
        light.apply(words("shared", k="yours"), field_manager="other")
    assert conflict.value.status.code == 409
    assert light.apply(words("shared", k="yours"), field_manager="other", force=True).data == {"k": "yours"}


def test_lightkube_watches_from_a_revision(light: lightkube.Client) -> None:
    light.create(words("first", k="v"))
    (first,) = light.list(ConfigMap, labels={"app": "first"})
    light.create(words("second", k="v"))
    light.patch(ConfigMap, "second", {"data": {"k": "w"}})
    light.delete(ConfigMap, "second")
    seen = []
    for kind, obj in light.watch(
        ConfigMap, resource_version=first.metadata.resourceVersion, server_timeout=10
    ):
        seen.append((kind, obj.metadata.name))
        if kind == "DELETED":
            break
    assert seen == [("ADDED", "second"), ("MODIFIED", "second"), ("DELETED", "second")]


def test_lightkube_waits_for_a_deployment_and_reads_logs(light: lightkube.Client) -> None:
    labels = {"app": "talker"}
    main = core_v1.Container(
        name="main",
        image=BUSYBOX,
        imagePullPolicy="IfNotPresent",
        command=["sh", "-c", "echo one; echo two; exec sleep 600"],
    )
    template = core_v1.PodTemplateSpec(
        metadata=meta_v1.ObjectMeta(labels=labels),
        spec=core_v1.PodSpec(containers=[main], terminationGracePeriodSeconds=0),
    )
    spec = apps_v1.DeploymentSpec(
        replicas=1, selector=meta_v1.LabelSelector(matchLabels=labels), template=template
    )
    light.create(Deployment(metadata=meta_v1.ObjectMeta(name="talker"), spec=spec))
    light.wait(Deployment, "talker", for_conditions=["Available"])
    (talker,) = light.list(Pod, labels=labels)
    assert list(light.log(talker.metadata.name)) == ["one\n", "two\n"]
    assert list(light.log(talker.metadata.name, tail_lines=1)) == ["two\n"]
    scale = light.patch(Deployment.Scale, "talker", {"spec": {"replicas": 2}})
    assert scale.spec.replicas == 2


def test_lightkube_uses_a_custom_resource(light: lightkube.Client, kubectl: Kubectl) -> None:
    kubectl.apply(order("cakes"))
    try:
        kubectl.wait("crd/cakes.example.com", "condition=Established")
        cake_kind = create_namespaced_resource("example.com", "v1", "Cake", "cakes")
        light.create(cake_kind(metadata=meta_v1.ObjectMeta(name="plum"), spec={"count": 2}))
        light.patch(cake_kind.Status, "plum", {"status": {"phase": "baked"}}, patch_type=PatchType.MERGE)
        assert light.get(cake_kind, "plum").status == {"phase": "baked"}
    finally:
        kubectl("delete", "crd", "cakes.example.com", "--wait=false")


# --- kopf

OPERATOR = """
import kopf

@kopf.on.startup()
def configure(settings, **_):
    settings.persistence.finalizer = "example.com/soups"
    settings.posting.loggers = True
    settings.posting.level = 20

@kopf.on.create("soups.example.com")
def created(spec, patch, body, **_):
    patch.status["phase"] = "cooked"
    kopf.info(body, reason="Cooked", message=f"cooked {spec['count']}")
    return {"bowls": spec["count"]}

@kopf.on.update("soups.example.com", field="spec.count")
def recounted(old, new, patch, **_):
    patch.status["phase"] = f"{old}->{new}"

@kopf.on.resume("soups.example.com")
def resumed(patch, **_):
    patch.status["resumed"] = True

@kopf.on.delete("soups.example.com")
def eaten(name, namespace, logger, **_):
    logger.info(f"{name} was eaten")

@kopf.timer("soups.example.com", interval=0.3, idle=0)
def stir(patch, status, **_):
    patch.status["stirred"] = status.get("stirred", 0) + 1
"""


class Operator:
    """kopf in a process of its own, in one namespace, as anybody would run it."""

    def __init__(self, file: Path, kubeconfig: str, namespace: str) -> None:
        self._log = file.with_suffix(".log").open("a")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "kopf", "run", "--standalone", "--namespace", namespace, str(file)],
            env={**os.environ, "KUBECONFIG": kubeconfig}, stdout=self._log, stderr=self._log,
        )  # fmt: skip

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)
        self._log.close()


@pytest.fixture
def soups(kubectl: Kubectl) -> Iterator[Kubectl]:
    kubectl.apply(order("soups"))
    kubectl.wait("crd/soups.example.com", "condition=Established")
    yield kubectl
    for each in kubectl.get("soups")["items"]:
        kubectl(
            "patch",
            "soup",
            each["metadata"]["name"],
            "--type=merge",
            "-p",
            '{"metadata":{"finalizers":null}}',
        )
    kubectl("delete", "crd", "soups.example.com", "--wait=false")


def test_a_kopf_operator_handles_a_resource_from_create_to_delete(
    cluster: LocalCluster, soups: Kubectl, tmp_path: Path
) -> None:
    file = tmp_path / "operator.py"
    file.write_text(OPERATOR)

    def status() -> Obj:
        return dict(soups.get("soup/pea").get("status") or {})

    def messages() -> set[str]:
        found = soups.get("events")["items"]
        return {each["message"] for each in found if each["involvedObject"]["kind"] == "Soup"}

    operator = Operator(file, str(cluster.kubeconfig), soups.namespace)
    try:
        soups.apply(
            {
                "apiVersion": "example.com/v1",
                "kind": "Soup",
                "metadata": {"name": "pea"},
                "spec": {"count": 2},
            }
        )
        eventually(status, lambda seen: seen.get("phase") == "cooked" and seen.get("created") == {"bowls": 2})
        assert soups.get("soup/pea")["metadata"]["finalizers"] == ["example.com/soups"]
        soups("patch", "soup", "pea", "--type=merge", "-p", '{"spec":{"count":5}}')
        eventually(status, lambda seen: seen.get("phase") == "2->5" and seen.get("stirred", 0) > 2)
    finally:
        operator.kill()
    # Another run finds what is there.
    operator = Operator(file, str(cluster.kubeconfig), soups.namespace)
    try:
        eventually(status, lambda seen: seen.get("resumed") is True)
        soups("delete", "soup", "pea", "--timeout=60s")
        eventually(messages, lambda said: {"cooked 2", "pea was eaten"} <= said)
    finally:
        operator.kill()


# --- the official JavaScript client


def node_modules() -> str:
    """Where @kubernetes/client-node is; "" when it is nowhere."""
    folder = os.environ.get("PODIUM_TEST_NODE_MODULES", "")
    there = folder and (Path(folder) / "@kubernetes" / "client-node").exists()
    return folder if there and shutil.which("node") else ""


def test_the_javascript_client_takes_an_object_through_its_verbs(
    cluster: LocalCluster, kubectl: Kubectl, tmp_path: Path
) -> None:
    modules = node_modules()
    if not modules:
        pytest.skip("@kubernetes/client-node is not installed (PODIUM_TEST_NODE_MODULES)")
    (tmp_path / "node_modules").symlink_to(modules)
    script = tmp_path / "flow.mjs"
    script.write_text((Path(__file__).parent / "clients" / "flow.mjs").read_text())
    kubectl.apply(pod("web", sh(f"echo started; {HTTPD}")))
    kubectl.wait("pod/web", "condition=Ready")
    done = subprocess.run(
        ["node", str(script), kubectl.namespace], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "created": "b", "listed": ["words"], "merged": "c", "json": "d", "strategic": "e", "applied": "f", "conflict": 409,
        "watched": ["ADDED", "MODIFIED", "DELETED"], "missing": 404, "logs": "started\n", "exec": {"out": "out\n", "err": "err\n", "status": "Failure", "code": "3"},
        "forwarded": True, "informed": ["informed"],
    }  # fmt: skip


def test_the_official_python_client_watches_on_from_where_a_watch_ended(
    python_client: official.ApiClient, kubectl: Kubectl
) -> None:
    from kubernetes import watch

    core = official.CoreV1Api(python_client)
    watcher = watch.Watch()
    kubectl("create", "configmap", "one")
    names = []
    for event in watcher.stream(
        core.list_namespaced_config_map,
        kubectl.namespace,
        field_selector="metadata.name!=kube-root-ca.crt",
        timeout_seconds=5,
    ):
        names.append(event["object"].metadata.name)
        watcher.stop()
    kubectl("create", "configmap", "two")
    for event in watcher.stream(
        core.list_namespaced_config_map,
        kubectl.namespace,
        field_selector="metadata.name!=kube-root-ca.crt",
        timeout_seconds=5,
        resource_version=watcher.resource_version,
    ):
        names.append(event["object"].metadata.name)
        watcher.stop()
    assert names == ["one", "two"]
