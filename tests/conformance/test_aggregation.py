"""An API of another server, with stock kubectl: from its registration to its end."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.conformance.conftest import LocalCluster
from tests.conformance.coverage_report import covers
from tests.conformance.kubectl import Kubectl
from tests.conformance.waiting import eventually
from tests.unit.api.http.sample import API, GROUP, NAME, VERSION, Sample

# Of these tests alone: what a Service leads to is no loopback address.
ADDRESS = "192.0.2.78"
SERVICE = "sample-api"


class Flunders(Sample):
    """In a thread of its own: kubectl is waited for. While it `hangs`, it answers nobody."""

    hangs = False

    def __init__(self, front: str, folder: Path) -> None:
        super().__init__(front, folder, f"{SERVICE}.default.svc")
        self.loop = asyncio.new_event_loop()

    def does(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self.loop).result(20)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self.hangs:
            await self.loop.create_future()
        return await super()._answer(request)

    def users(self) -> list[tuple[str, list[str]]]:
        return [(each["X-Remote-User"], each.getall("X-Remote-Group")) for each in self.headers]


@contextmanager
def in_a_thread(flunders: Flunders) -> Iterator[None]:
    thread = threading.Thread(target=flunders.loop.run_forever)
    thread.start()
    try:
        flunders.does(flunders.start(ADDRESS))
        yield
        flunders.does(flunders.stop())
    finally:
        flunders.loop.call_soon_threadsafe(flunders.loop.stop)
        thread.join()
        flunders.loop.close()


@pytest.fixture
def administrator(cluster: LocalCluster) -> Kubectl:
    return Kubectl(str(cluster.kubeconfig))


@pytest.fixture
def flunders(administrator: Kubectl, tmp_path: Path) -> Iterator[Flunders]:
    """Registered: a Service that leads to it, and the APIService."""
    published = administrator.get("configmap", "extension-apiserver-authentication", "-n", "kube-system")
    front = published["data"]["requestheader-client-ca-file"]
    subprocess.run(["ip", "address", "add", f"{ADDRESS}/32", "dev", "lo"], check=True)
    try:
        server = Flunders(front, tmp_path)
        with in_a_thread(server):
            before_it = {
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": SERVICE},
                "spec": {"ports": [{"port": 443, "targetPort": server.port}]},
            }  # fmt: skip
            leading = {
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                "metadata": {"name": SERVICE, "labels": {"kubernetes.io/service-name": SERVICE}},
                "ports": [{"port": server.port}], "endpoints": [{"addresses": [ADDRESS]}],
            }  # fmt: skip
            reference = {"namespace": "default", "name": SERVICE, "port": 443}
            administrator.apply(before_it, leading, server.api_service(service=reference))
            administrator.wait(f"apiservice/{NAME}", "condition=Available")
            yield server
            administrator("delete", f"apiservice/{NAME}", f"service/{SERVICE}", "--ignore-not-found")
    finally:
        subprocess.run(["ip", "address", "del", f"{ADDRESS}/32", "dev", "lo"], check=True)


def available(kubectl: Kubectl) -> tuple[str, str, str]:
    """Of the condition: status, reason and message."""
    [condition] = kubectl.get("apiservice", NAME)["status"]["conditions"]
    return condition["status"], condition["reason"], condition["message"]


def groups(kubectl: Kubectl) -> list[str]:
    return [group["name"] for group in json.loads(kubectl("get", "--raw", "/apis"))["groups"]]


@covers(
    "[sig-api-machinery] Aggregator Should be able to support the 1.17 Sample API Server using the current "
    "Aggregator [LinuxOnly] [Conformance]"
)
def test_an_api_of_another_server_is_served_as_if_it_were_the_clusters_own(
    administrator: Kubectl, flunders: Flunders
) -> None:
    kubectl = administrator
    flunder = {"apiVersion": f"{GROUP}/{VERSION}", "kind": "Flunder", "metadata": {"name": "a"}}
    assert GROUP in groups(kubectl)
    listed = kubectl("api-resources", "--api-group", GROUP, "--cached=false").split("\n")[1].split()
    assert listed == ["flunders", "fl", f"{GROUP}/{VERSION}", "true", "Flunder"]
    kubectl("create", "-f", "-", "--validate=false", stdin=json.dumps(flunder))
    assert kubectl("get", "fl", "-o", "name") == f"flunder.{GROUP}/a\n"
    assert "Available" in kubectl("get", "apiservice", NAME, "-o", "jsonpath={.status.conditions[*].type}")
    assert f"default/{SERVICE}" in kubectl("get", "apiservice", NAME)
    kubectl("delete", "flunder", "a", "--wait=false")
    assert flunders.flunders == {}


def test_another_server_learns_from_the_front_proxy_who_asks(
    administrator: Kubectl, flunders: Flunders
) -> None:
    rule = ["--verb=get,list", f"--resource=flunders.{GROUP}"]
    administrator("create", "clusterrole", "flunder-reader", *rule)
    administrator(
        "create", "clusterrolebinding", "flunder-readers", "--clusterrole=flunder-reader", "--group=readers"
    )
    try:
        path = f"{API}/namespaces/default/flunders"
        flunders.headers.clear()
        administrator("get", "--raw", path, "--as", "eve", "--as-group", "readers")
        assert ("eve", ["readers", "system:authenticated"]) in flunders.users()
        flunders.headers.clear()
        refused = administrator.refused("get", "--raw", path, "--as", "mallory")
        assert f'User "mallory" cannot list resource "flunders" in API group "{GROUP}"' in refused
        assert all(user != "mallory" for user, _ in flunders.users())
    finally:
        administrator("delete", "clusterrole/flunder-reader", "clusterrolebinding/flunder-readers")


def test_a_server_that_dies_or_hangs_is_said_to_and_nothing_else_suffers(
    administrator: Kubectl, flunders: Flunders
) -> None:
    kubectl, path = administrator, f"{API}/namespaces/default/flunders"
    flunders.does(flunders.stop())
    kubectl("annotate", "service", SERVICE, "look=now")
    seen = eventually(lambda: available(kubectl), lambda found: found[0] == "False")
    assert seen[1] == "FailedDiscoveryCheck"
    assert "failing or missing response from https://" in seen[2]
    assert "currently unable to handle the request" in kubectl.refused("get", "--raw", path)
    assert kubectl("get", "namespace", "default", "-o", "name") == "namespace/default\n"
    flunders.does(flunders.start(ADDRESS))
    kubectl.wait(f"apiservice/{NAME}", "condition=Available")
    assert json.loads(kubectl("get", "--raw", path))["items"] == []
    flunders.hangs = True
    kubectl("annotate", "service", SERVICE, "look=again", "--overwrite")
    assert "TimeoutError" not in eventually(lambda: available(kubectl), lambda found: found[0] == "False")[2]
    assert "unable to handle" in kubectl.refused("get", "--raw", path)
    flunders.hangs = False
    kubectl("annotate", "service", SERVICE, "look=now", "--overwrite")
    kubectl.wait(f"apiservice/{NAME}", "condition=Available")


def test_a_server_that_lies_is_not_believed(administrator: Kubectl, flunders: Flunders) -> None:
    kubectl = administrator
    flunders.answers[API] = {"kind": "APIResourceList", "resources": [{"name": ["flunders"]}]}
    kubectl("annotate", "service", SERVICE, "look=now")
    seen = eventually(lambda: available(kubectl), lambda found: found[0] == "False")
    assert f"bad answer from {API}" in seen[2]
    kubectl("api-resources", "--api-group", "apps", "--cached=false")
    flunders.answers.clear()
    kubectl("patch", "apiservice", NAME, "--type=merge", "-p", json.dumps({"spec": {"caBundle": None}}))
    seen = eventually(
        lambda: available(kubectl), lambda found: found[0] == "False" and "certificate" in found[2]
    )
    assert "currently unable" in kubectl.refused("get", "--raw", f"{API}/namespaces/default/flunders")


def test_what_is_no_longer_registered_is_no_longer_served(administrator: Kubectl, flunders: Flunders) -> None:
    administrator("delete", "apiservice", NAME)
    eventually(lambda: groups(administrator), lambda found: GROUP not in found)
    assert "could not find the requested resource" in administrator.refused("get", "--raw", API)
