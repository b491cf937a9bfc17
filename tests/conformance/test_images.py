"""Images: out of a registry with a password, out of archives, and who may use them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from podium.api.types.meta import suffix
from podium.runtime.archive import architecture
from tests.conformance.conftest import PODIUM, LocalCluster
from tests.conformance.kubectl import Kubectl
from tests.conformance.objects import pod
from tests.conformance.registry import Registry, running
from tests.conformance.waiting import eventually
from tests.unit.runtime import busybox

OTHER = "s390x" if architecture() != "s390x" else "arm64"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with running(tmp_path_factory.mktemp("registry")) as made:
        yield made


@pytest.fixture
def repository() -> str:
    """A name that no other test has pushed or pulled."""
    return f"band/image-{suffix()}"


@pytest.fixture
def first(cluster: LocalCluster) -> str:
    return cluster.nodes()[0]


def using(
    name: str, image: str, node: str, *secrets: str, policy: str = "IfNotPresent", **spec: Any
) -> dict[str, Any]:
    more = {"imagePullSecrets": [{"name": each} for each in secrets]} if secrets else {}
    return pod(
        name, {"name": "main", "image": image, "imagePullPolicy": policy},
        nodeName=node, terminationGracePeriodSeconds=0, **more, **spec,
    )  # fmt: skip


def waiting(kubectl: Kubectl, name: str, *reasons: str) -> str:
    """The message with which the pod's container waits, for one of these reasons."""

    def look() -> dict[str, str]:
        statuses = kubectl.get("pod", name)["status"].get("containerStatuses") or [{"state": {}}]
        found: dict[str, str] = statuses[0]["state"].get("waiting") or {}
        return found

    return eventually(look, lambda found: found.get("reason") in reasons)["message"]


def events(kubectl: Kubectl, name: str) -> dict[str, str]:
    """The message of each reason's last event about the pod."""
    listed = kubectl.get("events", "--field-selector", f"involvedObject.name={name}")["items"]
    return {event["reason"]: event["message"] for event in listed}


def test_an_image_is_pulled_with_the_pods_secret_and_events_tell_how(
    kubectl: Kubectl, registry: Registry, repository: str, first: str
) -> None:
    digest = registry.push(repository, "v1")
    image = f"{registry.address}/{repository}:v1"
    # A secret for another repository comes first, and a wrong one for the whole registry.
    wrong = registry.secret("wrong", password="guess", place=f"https://{registry.address}/v1/")
    right = registry.secret("right", place=f"{registry.address}/band")
    kubectl.apply(wrong, right, using("player", image, first, "missing", "wrong", "right"))
    kubectl.wait("pod/player", "condition=Ready")
    told = events(kubectl, "player")
    assert told["Pulling"] == f'Pulling image "{image}"'
    took = r"(\d+m)?[\d.]+m?s"
    pattern = (
        rf'Successfully pulled image "{re.escape(image)}" in {took} \({took} including waiting\)\. '
        r"Image size: \d+ bytes\."
    )
    assert re.fullmatch(pattern, told["Pulled"])
    assert told["FailedToRetrieveImagePullSecret"] == (
        "Unable to retrieve some image pull secrets (missing); attempting to pull the image may not succeed."
    )
    status = kubectl.get("pod", "player")["status"]["containerStatuses"][0]
    assert status["imageID"] == f"{registry.address}/{repository}@{digest}"


def test_who_has_no_secret_may_not_use_what_others_have_pulled(
    kubectl: Kubectl, registry: Registry, repository: str, first: str
) -> None:
    registry.push(repository, "v1")
    image = f"{registry.address}/{repository}:v1"
    kubectl.apply(registry.secret("right"), registry.secret("same"), using("owner", image, first, "right"))
    kubectl.wait("pod/owner", "condition=Ready")
    kubectl.apply(
        using("thief", image, first),
        using("quiet-thief", image, first, policy="Never"),
        using("friend", image, first, "same"),
        using("content-friend", image, first, "same", policy="Never"),
    )
    for name in ("friend", "content-friend"):
        kubectl.wait(f"pod/{name}", "condition=Ready")
        told = events(kubectl, name)
        assert (
            told["Pulled"]
            == f'Container image "{image}" already present on machine and can be accessed by the pod'
        )
        assert "Pulling" not in told
    never = f'Container image "{image}" is not present with pull policy of Never'
    assert waiting(kubectl, "quiet-thief", "ErrImageNeverPull") == never
    why = waiting(kubectl, "thief", "ErrImagePull", "ImagePullBackOff")
    # containerd's words, which differ between its versions.
    assert "401 Unauthorized" in why or "no basic auth credentials" in why


def test_a_pull_that_fails_is_tried_again_later_and_says_so(
    kubectl: Kubectl, registry: Registry, repository: str, first: str
) -> None:
    image = f"{registry.address}/{repository}:nowhere"
    kubectl.apply(registry.secret("right"), using("player", image, first, "right"))
    message = waiting(kubectl, "player", "ImagePullBackOff")
    assert message.startswith(
        f'Back-off pulling image "{image}": ErrImagePull: rpc error: code = NotFound desc = '
    )
    told = {event["message"] for event in kubectl.get("events")["items"]}
    assert {"Error: ErrImagePull", "Error: ImagePullBackOff", f'Back-off pulling image "{image}"'} <= told
    registry.push(repository, "v1")
    # Another image does not have to wait for the back-off of the first.
    kubectl("set", "image", "pod/player", f"main={registry.address}/{repository}:v1")
    kubectl.wait("pod/player", "condition=Ready", timeout=8)


def test_pull_secrets_of_the_service_account_are_the_pods(
    kubectl: Kubectl, registry: Registry, repository: str, first: str
) -> None:
    registry.push(repository, "v1")
    account = {
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "player"},
        "imagePullSecrets": [{"name": "right"}],
    }  # fmt: skip
    kubectl.apply(registry.secret("right"), account)
    kubectl.apply(using("player", f"{registry.address}/{repository}:v1", first, serviceAccountName="player"))
    kubectl.wait("pod/player", "condition=Ready")


def test_a_name_may_have_a_digest_and_stand_for_several_platforms(
    kubectl: Kubectl, registry: Registry, repository: str, first: str
) -> None:
    here = registry.push(repository, "here")
    elsewhere = registry.push(f"{repository}-foreign", "v1", platform=OTHER)
    index = registry.index(repository, "all", {architecture(): here})
    name = f"{registry.address}/{repository}"
    kubectl.apply(
        registry.secret("right"),
        using("by-digest", f"{name}@{here}", first, "right"),
        using("by-both", f"{name}:here@{here}", first, "right"),
        using("of-many", f"{name}@{index}", first, "right", policy="Always"),
        using("foreign", f"{name}-foreign:v1", first, "right"),
    )
    for pod_name, digest in (("by-digest", here), ("by-both", here), ("of-many", index)):
        kubectl.wait(f"pod/{pod_name}", "condition=Ready")
        status = kubectl.get("pod", pod_name)["status"]["containerStatuses"][0]
        assert status["imageID"] == f"{name}@{digest}"
    assert elsewhere
    message = waiting(kubectl, "foreign", "ErrImagePull", "ImagePullBackOff")
    assert "no match for platform in manifest" in message


def test_an_image_is_a_volume_read_only_and_pulled_with_the_same_secrets(
    kubectl: Kubectl, registry: Registry, repository: str, first: str
) -> None:
    registry.push(repository, "v1")
    registry.push(f"{repository}-data", "v1")
    name = f"{registry.address}/{repository}"
    volume = {"name": "data", "image": {"reference": f"{name}-data:v1", "pullPolicy": "Always"}}
    looking = {
        "name": "main", "image": f"{name}:v1", "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", "cat /whole/etc/passwd /part/group; touch /whole/x || true"],
        "volumeMounts": [
            {"name": "data", "mountPath": "/whole"}, {"name": "data", "mountPath": "/part", "subPath": "etc"},
        ],
    }  # fmt: skip
    secrets = [{"name": "right"}]
    kubectl.apply(
        registry.secret("right"),
        pod(
            "player",
            looking,
            nodeName=first,
            imagePullSecrets=secrets,
            volumes=[volume],
            restartPolicy="Never",
        ),
    )
    kubectl.wait("pod/player", "jsonpath={.status.phase}=Succeeded")
    printed = kubectl("logs", "player")
    assert "alice:x:1234" in printed
    assert "band:x:3456" in printed
    assert "Read-only file system" in printed
    assert any(
        f'Pulling image "{name}-data:v1"' == each["message"] for each in kubectl.get("events")["items"]
    )


def test_a_volumes_image_that_cannot_be_had_is_what_its_container_waits_for(
    kubectl: Kubectl, registry: Registry, repository: str, first: str
) -> None:
    image = f"{registry.address}/{repository}:nowhere"
    volume = {"name": "data", "image": {"reference": image, "pullPolicy": "IfNotPresent"}}
    mounting = {
        "name": "main", "image": "busybox", "imagePullPolicy": "IfNotPresent", "command": ["sleep", "3600"],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }  # fmt: skip
    secrets = [{"name": "right"}]
    kubectl.apply(
        registry.secret("right"),
        pod("player", mounting, nodeName=first, imagePullSecrets=secrets, volumes=[volume]),
    )
    message = waiting(kubectl, "player", "ImagePullBackOff")
    assert message.startswith(
        f'Back-off pulling image "{image}": ErrImagePull: rpc error: code = NotFound desc = '
    )
    events = kubectl.get("events")["items"]
    assert {"Error: ErrImagePull", f'Back-off pulling image "{image}"'} <= {
        each["message"] for each in events
    }
    assert "FailedMount" not in {each["reason"] for each in events}
    registry.push(repository, "nowhere")
    kubectl.wait("pod/player", "condition=Ready", timeout=60)


def archive(folder: Path, tag: str) -> tuple[Path, str]:
    """An archive of an image that nobody else has, and its name."""
    name = f"band.test/loaded-{suffix()}:{tag}"
    path = folder / f"{suffix()}.tar"
    busybox.write(path, name, Cmd=["sleep", "3600"], Env=["PATH=/bin"])
    return path, name


def listed(cluster: LocalCluster, *arguments: str) -> list[str]:
    done = cluster.podium("image", "--data-dir", str(cluster.data), "ls", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_archives_that_come_into_the_folder_are_on_every_node(cluster: LocalCluster, tmp_path: Path) -> None:
    good, name = archive(tmp_path, "v1")
    folder = cluster.data / "images"
    # Nothing that is wrong keeps the others out.
    (folder / "bad.tar").write_bytes(b"no archive")
    (folder / "cut.tar").write_bytes(good.read_bytes()[:200_000])
    (folder / "good.tar").write_bytes(good.read_bytes())
    try:
        for node in cluster.nodes():
            eventually(lambda node=node: listed(cluster, "--node", node), lambda found: name in found)
    finally:
        for left in ("bad.tar", "cut.tar", "good.tar"):
            (folder / left).unlink()


def test_a_cluster_that_is_up_takes_the_images_of_a_folder(cluster: LocalCluster, tmp_path: Path) -> None:
    _, name = archive(tmp_path, "v1")
    done = cluster.up("--images", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert f"loaded {name}" in done.stdout
    assert "up already" in done.stdout
    for node in cluster.nodes():
        assert name in listed(cluster, "--node", node)


def test_images_are_loaded_from_a_pipe_and_removed_everywhere_but_not_from_under_a_pod(
    cluster: LocalCluster, kubectl: Kubectl, first: str, tmp_path: Path
) -> None:
    path, name = archive(tmp_path, "v1")
    whole = ("image", "--data-dir", str(cluster.data))
    with path.open("rb") as file:
        done = subprocess.run(
            [*PODIUM, *whole, "load", "-"],
            stdin=file,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stdout) == (0, f"loaded {name}\n"), done.stderr
    kubectl.apply(using("player", name, first))
    kubectl.wait("pod/player", "condition=Ready")
    refused = cluster.podium(*whole, "rm", name)
    assert refused.returncode == 1
    assert f"{name} is used by {kubectl.namespace}/player" in refused.stderr
    kubectl("delete", "pod", "player")
    # It ends a moment after it is deleted.
    removed = eventually(lambda: cluster.podium(*whole, "rm", name), lambda done: done.returncode == 0)
    assert (removed.returncode, removed.stdout) == (0, f"removed {name}\n"), removed.stderr
    assert name not in listed(cluster)
    again = cluster.podium(*whole, "rm", name)
    assert (again.returncode, again.stderr) == (1, f"podium image: no such image: {name}\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no archive at all", "not an image archive"),
        (b"\x1f\x8bno gzip", "incomplete or damaged"),
        (None, "No such file or directory"),
    ],
    ids=["text", "broken gzip", "missing"],
)
def test_what_is_no_archive_is_refused_with_its_name(
    cluster: LocalCluster, tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "archive.tar"
    if content is not None:
        path.write_bytes(content)
    done = cluster.podium("image", "--data-dir", str(cluster.data), "load", str(path))
    assert done.returncode == 1
    assert str(path) in done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_node_status_lists_what_was_loaded(kubectl: Kubectl, first: str) -> None:
    def names() -> list[str]:
        images = kubectl.get("node", first)["status"].get("images") or []
        return [name for image in images for name in image["names"]]

    eventually(names, lambda found: "docker.io/library/busybox:latest" in found)
