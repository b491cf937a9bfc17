"""Static pods: of files, and as the API shows them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from podium.api.types import Obj
from podium.runtime.staticpods.folder import ManifestFolder
from podium.runtime.staticpods.manifest import HASH, MIRROR, BadManifest, parse
from podium.runtime.staticpods.mirrors import is_mirror, mirror_of, step

NODE: Obj = {"metadata": {"name": "N1", "uid": "node-uid"}}


def document(name: str = "web", **spec: Any) -> Obj:
    containers = [{"name": "main", "image": "busybox"}]
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": containers, **spec},
    }  # fmt: skip


def parsed(written: Obj, path: str = "/m/web.yaml", node: str = "N1") -> Obj:
    return parse(json.dumps(written).encode(), path, node, seen="t")


def test_a_manifest_is_a_pod_of_this_node_with_what_the_api_server_would_add() -> None:
    pod = parsed(document(priorityClassName="system-node-critical", volumes=[{"name": "scratch"}]))
    metadata, spec = pod["metadata"], pod["spec"]
    assert (metadata["name"], metadata["namespace"], spec["nodeName"]) == ("web-n1", "default", "N1")
    assert metadata["annotations"]["kubernetes.io/config.source"] == "file"
    assert metadata["annotations"][HASH] == metadata["uid"]
    assert (spec["restartPolicy"], spec["terminationGracePeriodSeconds"]) == ("Always", 30)
    assert spec["priority"] == 2000001000
    assert spec["volumes"] == [{"name": "scratch", "emptyDir": {}}]
    assert spec["containers"][0]["imagePullPolicy"] == "Always"
    assert {"operator": "Exists", "effect": "NoExecute"} in spec["tolerations"]


def test_the_uid_follows_from_content_file_and_node() -> None:
    uid = parsed(document())["metadata"]["uid"]
    assert parse(yaml.dump(document()).encode(), "/m/web.yaml", "N1", seen="later")["metadata"]["uid"] == uid
    others = [
        parsed(document(hostNetwork=True)),
        parsed(document(), "/m/b.yaml"),
        parsed(document(), node="N2"),
    ]
    assert uid not in [other["metadata"]["uid"] for other in others]
    assert parsed({**document(), "metadata": {"name": "a", "uid": "own-1"}})["metadata"]["uid"] == "own-1"


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"apiVersion": "v1", "kind": "ConfigMap"}, "not a v1 Pod"),
        ({**document(), "metadata": {}}, "name is needed"),
        (document("../../etc"), "metadata.name"),
        ({**document(), "metadata": {"name": "a", "namespace": "../x"}}, "metadata.namespace"),
        ({**document(), "metadata": {"name": "a", "uid": "../x"}}, "metadata.uid"),
        (document(containers=[]), "spec.containers: Required"),
        (document(containers=[{"name": "a"}]), "image: Required"),
        (document(containers=[{"name": "A/b", "image": "x"}]), "spec.containers.name"),
        (document(containers=[{"name": "a", "image": "x"}] * 2), "same name"),
        (document(volumes=[{"name": "../v"}]), "spec.volumes.name"),
        (document(volumes=["v"]), "list of objects"),
        (document(serviceAccountName="sa"), "may not reference serviceaccounts"),
        (document(imagePullSecrets=[{"name": "s"}]), "may not reference secrets"),
        (document(volumes=[{"name": "v", "configMap": {"name": "c"}}]), "may not reference configmaps"),
        (
            document(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]),
            "persistentvolumeclaims",
        ),
        (document(volumes=[{"name": "v", "projected": {"sources": [{"secret": {"name": "s"}}]}}]), "secrets"),
        (
            document(containers=[{"name": "a", "image": "x", "envFrom": [{"configMapRef": {"name": "c"}}]}]),
            "configmaps",
        ),
    ],
)
def test_what_cannot_be_run_is_refused(written: Obj, message: str) -> None:
    with pytest.raises(BadManifest, match=message):
        parsed(written)


@pytest.mark.parametrize("text", [b"{{{", b"", b"a: 1\n---\nb: 2\n", b"\xff\xfe", b"- 1"])
def test_what_is_no_object_is_refused(text: bytes) -> None:
    with pytest.raises(BadManifest):
        parse(text, "/m/x", "n1", seen="t")


def test_a_mirror_names_its_node_as_owner_and_leaves_the_uid_to_the_server() -> None:
    static = parsed(document())
    mirror = mirror_of(static, NODE)
    assert is_mirror(mirror)
    assert mirror["metadata"]["annotations"][MIRROR] == static["metadata"]["uid"]
    assert "uid" not in mirror["metadata"]
    (owner,) = mirror["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("Node", "node-uid", True)


def test_a_mirror_is_made_kept_or_taken_away() -> None:
    static = parsed(document())
    mirror = mirror_of(static, NODE)
    leaving = {**mirror, "metadata": {**mirror["metadata"], "deletionTimestamp": "2026-05-04T12:00:00Z"}}
    changed = parsed(document(hostNetwork=True))
    assert step(static, None) == "create"
    assert step(static, mirror) == ""
    assert step(changed, mirror) == "delete"
    assert step(static, leaving) == "delete"
    assert step(None, mirror) == "delete"
    assert step(None, None) == ""
    ending = {**static, "metadata": {**static["metadata"], "deletionTimestamp": "2026-05-04T12:00:00Z"}}
    assert step(ending, mirror) == ""
    assert step(ending, None) == ""


@pytest.fixture
def folder(tmp_path: Path) -> ManifestFolder:
    return ManifestFolder(tmp_path, "n1", now=lambda: datetime(2026, 5, 4, tzinfo=UTC))


def names(folder: ManifestFolder) -> list[str]:
    folder.read()
    return sorted(pod["metadata"]["name"] for pod in folder.pods.values())


def test_a_folder_is_its_files_but_hidden_and_bad_ones(folder: ManifestFolder, tmp_path: Path) -> None:
    assert names(folder) == []
    (tmp_path / "a.yaml").write_text(json.dumps(document("a")))
    (tmp_path / ".b.yaml").write_text(json.dumps(document("b")))
    (tmp_path / "c.json").write_text("no pod")
    (tmp_path / "d").write_text(json.dumps(document("a")))
    (tmp_path / "e").mkdir()
    assert names(folder) == ["a-n1"]


def test_a_file_that_turns_bad_leaves_its_pod_until_it_is_gone(
    folder: ManifestFolder, tmp_path: Path
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(json.dumps(document("a")))
    assert names(folder) == ["a-n1"]
    path.write_text("{ half")
    assert names(folder) == ["a-n1"]
    path.unlink()
    assert names(folder) == []
