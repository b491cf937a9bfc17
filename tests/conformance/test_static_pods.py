"""Static pods: files on a node, whose pods run whatever the API server says, and which it shows."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from podium.api.types.meta import suffix
from tests.conformance.conftest import LocalCluster
from tests.conformance.kubectl import Kubectl
from tests.conformance.objects import pod, sh
from tests.conformance.waiting import eventually

RUNNING = "echo {word}; trap 'echo bye; exit 0' TERM; while :; do sleep 3600 & wait $!; done"


class Manifests:
    """The first node's folder. What a test writes into it is gone after the test."""

    def __init__(self, folder: Path, node: str) -> None:
        self._folder = folder
        self._node = node
        self._written: set[Path] = set()

    def write(self, name: str, document: dict[str, Any] | str) -> str:
        """Puts a file there at once, as a whole; returns what its pod is called."""
        path = self._folder / f"{name}.yaml"
        scratch = self._folder / f".{name}"
        scratch.write_text(document if isinstance(document, str) else json.dumps(document))
        os.replace(scratch, path)
        self._written.add(path)
        return f"{name}-{self._node}"

    def remove(self, name: str) -> None:
        (self._folder / f"{name}.yaml").unlink()

    def clear(self) -> None:
        for path in self._written:
            path.unlink(missing_ok=True)


@pytest.fixture
def manifests(cluster: LocalCluster) -> Iterator[Manifests]:
    made = Manifests(cluster.data / "manifests", cluster.nodes()[0])
    yield made
    made.clear()


@pytest.fixture
def static(kubectl: Kubectl) -> dict[str, Any]:
    """A pod of a name that no other test has."""
    made = pod(f"static-{suffix()}", sh(RUNNING.format(word="one")), terminationGracePeriodSeconds=5)
    made["metadata"]["namespace"] = kubectl.namespace
    return made


def looks(kubectl: Kubectl, name: str) -> dict[str, Any]:
    """The mirror, {} while there is none."""
    result = kubectl.run("get", "pod", name, "-o", "json")
    found: dict[str, Any] = json.loads(result.out) if result.code == 0 else {}
    return found


def ready(kubectl: Kubectl, name: str) -> dict[str, Any]:
    def is_ready(found: dict[str, Any]) -> bool:
        conditions = (found.get("status") or {}).get("conditions") or ()
        return any((each["type"], each["status"]) == ("Ready", "True") for each in conditions)

    return eventually(lambda: looks(kubectl, name), is_ready)


def container_id(mirror: dict[str, Any]) -> str:
    status = mirror["status"]["containerStatuses"][0]
    return f"{status['containerID']} {status['restartCount']}"


def test_a_file_is_a_pod_that_its_mirror_shows(
    kubectl: Kubectl, cluster: LocalCluster, manifests: Manifests, static: dict[str, Any]
) -> None:
    name = manifests.write(static["metadata"]["name"], static)
    mirror = ready(kubectl, name)
    notes = mirror["metadata"]["annotations"]
    assert notes["kubernetes.io/config.source"] == "file"
    assert notes["kubernetes.io/config.mirror"] == notes["kubernetes.io/config.hash"]
    assert mirror["metadata"]["uid"] != notes["kubernetes.io/config.hash"]
    (owner,) = mirror["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("Node", cluster.nodes()[0])
    assert kubectl("logs", name) == "one\n"
    assert kubectl("exec", name, "--", "echo", "here") == "here\n"
    (log,) = (cluster.root / "pods").glob(f"*_{name}_*")
    assert log.name.endswith(notes["kubernetes.io/config.hash"])
    manifests.remove(static["metadata"]["name"])
    eventually(lambda: looks(kubectl, name), lambda found: not found)


def test_a_mirror_that_is_deleted_comes_again_and_the_pod_does_not_notice(
    kubectl: Kubectl, manifests: Manifests, static: dict[str, Any]
) -> None:
    name = manifests.write(static["metadata"]["name"], static)
    before = ready(kubectl, name)
    # kubectl waits for the name to be free if it looks when the next mirror has already come.
    kubectl("delete", "pod", name, "--wait=false")
    uid = before["metadata"]["uid"]
    eventually(lambda: looks(kubectl, name), lambda found: bool(found) and found["metadata"]["uid"] != uid)
    after = ready(kubectl, name)
    assert container_id(after) == container_id(before)
    assert after["status"]["startTime"] == before["status"]["startTime"]


def test_another_file_is_another_pod_that_begins_when_the_first_has_ended(
    kubectl: Kubectl, manifests: Manifests, static: dict[str, Any]
) -> None:
    slow = "echo one; trap 'sleep 1; exit 0' TERM; while :; do sleep 3600 & wait $!; done"
    static["spec"]["containers"][0]["command"][-1] = slow
    static["spec"]["volumes"] = [{"name": "shared", "hostPath": {"path": "/tmp"}}]
    name = manifests.write(static["metadata"]["name"], static)
    before = ready(kubectl, name)
    static["spec"]["containers"][0]["command"][-1] = RUNNING.format(word="two")
    manifests.write(static["metadata"]["name"], static)
    hash_of = "kubernetes.io/config.hash"
    old = before["metadata"]["annotations"][hash_of]
    eventually(
        lambda: looks(kubectl, name),
        lambda found: bool(found) and found["metadata"]["annotations"][hash_of] != old,
    )
    after = ready(kubectl, name)
    assert kubectl("logs", name) == "two\n"
    assert after["status"]["startTime"] > before["status"]["startTime"]


def test_files_that_hold_no_pod_keep_no_other_from_running(
    kubectl: Kubectl, manifests: Manifests, static: dict[str, Any]
) -> None:
    manifests.write("broken", "{{{")
    manifests.write("deployment", json.dumps({"apiVersion": "apps/v1", "kind": "Deployment"}))
    with_secret = {
        **static,
        "spec": {**static["spec"], "volumes": [{"name": "s", "secret": {"secretName": "x"}}]},
    }
    refused = manifests.write(
        "needing", {**with_secret, "metadata": {"name": "needing", "namespace": kubectl.namespace}}
    )
    name = manifests.write(static["metadata"]["name"], static)
    ready(kubectl, name)
    assert not looks(kubectl, refused)


def test_the_pod_goes_on_when_the_daemon_is_killed(
    kubectl: Kubectl, cluster: LocalCluster, manifests: Manifests, static: dict[str, Any]
) -> None:
    name = manifests.write(static["metadata"]["name"], static)
    before = ready(kubectl, name)
    os.kill(cluster.pid("node"), signal.SIGKILL)
    again = cluster.up("--quiet")
    assert again.returncode == 0, again.stdout + again.stderr
    after = ready(kubectl, name)
    assert container_id(after) == container_id(before)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["status"]["startTime"] == before["status"]["startTime"]
