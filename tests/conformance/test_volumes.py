"""Volumes: what pods are given, what they share, and what follows when the source changes."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.conformance.coverage_report import covers
from tests.conformance.kubectl import Kubectl
from tests.conformance.objects import config_map, container, pod, secret, sh
from tests.conformance.waiting import eventually


def mount(path: str = "/data", name: str = "v", **more: Any) -> dict[str, Any]:
    return {"volumeMounts": [{"name": name, "mountPath": path, **more}]}


def log_of(kubectl: Kubectl, made: dict[str, Any]) -> str:
    kubectl.apply(made)
    name = made["metadata"]["name"]
    kubectl.wait(f"pod/{name}", "jsonpath={.status.phase}=Succeeded")
    return kubectl("logs", name)


@covers(
    "[sig-storage] EmptyDir volumes pod should support shared volumes between containers [Conformance]",
    "[sig-storage] EmptyDir volumes volume on default medium should have the correct mode [LinuxOnly] [NodeConformance] [Conformance]",
)
def test_an_empty_dir_is_shared_and_outlives_its_containers(kubectl: Kubectl) -> None:
    made = pod(
        "shared",
        sh(
            "echo first >> /data/log; test $(wc -l < /data/log) -ge 2 || exit 1; sleep 600",
            "writer",
            **mount(),
        ),
        container("reader", **mount("/other")),
        volumes=[{"name": "v", "emptyDir": {}}],
    )
    kubectl.apply(made)
    eventually(
        lambda: kubectl.get("pod/shared")["status"].get("containerStatuses") or [],
        lambda seen: any(entry["restartCount"] == 1 and entry["ready"] for entry in seen),
        60,
    )
    assert kubectl("exec", "shared", "-c", "reader", "--", "cat", "/other/log") == "first\nfirst\n"
    assert kubectl("exec", "shared", "-c", "reader", "--", "stat", "-c", "%a", "/other") == "777\n"


@covers(
    "[sig-storage] EmptyDir volumes volume on tmpfs should have the correct mode [LinuxOnly] [NodeConformance] [Conformance]"
)
def test_an_empty_dir_in_memory_is_a_tmpfs_of_its_size(kubectl: Kubectl) -> None:
    made = pod(
        "memory",
        sh("grep /data /proc/mounts; stat -c %a /data", **mount()),
        restartPolicy="Never",
        volumes=[{"name": "v", "emptyDir": {"medium": "Memory", "sizeLimit": "8Mi"}}],
    )
    log = log_of(kubectl, made)
    assert "tmpfs /data tmpfs" in log
    assert "size=8192k" in log
    assert log.endswith("777\n")


@covers(
    "[sig-storage] ConfigMap should be consumable from pods in volume [NodeConformance] [Conformance]",
    "[sig-storage] ConfigMap should be consumable from pods in volume with mappings and Item mode set [LinuxOnly] [NodeConformance] [Conformance]",
    "[sig-storage] Secrets should be consumable from pods in volume with defaultMode set [LinuxOnly] [NodeConformance] [Conformance]",
    "[sig-storage] Projected combined should project all components that make up the projection API [Projection] [NodeConformance] [Conformance]",
)
def test_files_come_from_config_maps_secrets_and_projections(kubectl: Kubectl) -> None:
    kubectl.apply(config_map("settings", color="blue", size="big"), secret("keys", token="hush"))
    made = pod(
        "files",
        sh(
            "cat /map/paint/it /keys/token /all/color /all/secret /all/name;"
            "stat -L -c %a /map/paint/it /keys/token; ls /map",
            volumeMounts=[{"name": name, "mountPath": f"/{name}"} for name in ("map", "keys", "all")],
        ),
        restartPolicy="Never",
        volumes=[
            {
                "name": "map",
                "configMap": {
                    "name": "settings",
                    "items": [{"key": "color", "path": "paint/it", "mode": 0o440}],
                },
            },
            {"name": "keys", "secret": {"secretName": "keys", "defaultMode": 0o400}},
            {
                "name": "all",
                "projected": {
                    "sources": [
                        {"configMap": {"name": "settings"}},
                        {"secret": {"name": "keys", "items": [{"key": "token", "path": "secret"}]}},
                        {
                            "downwardAPI": {
                                "items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]
                            }
                        },
                    ]
                },
            },
        ],
    )
    assert log_of(kubectl, made) == "bluehushbluehushfiles440\n400\npaint\n"


@covers(
    "[sig-storage] ConfigMap updates should be reflected in volume [NodeConformance] [Conformance]",
    "[sig-storage] Secrets optional updates should be reflected in volume [NodeConformance] [Conformance]",
    "[sig-storage] Projected downwardAPI should update labels on modification [NodeConformance] [Conformance]",
)
def test_files_follow_their_source(kubectl: Kubectl) -> None:
    kubectl.apply(config_map("settings", word="one"))
    made = pod(
        "follows",
        container(
            volumeMounts=[{"name": name, "mountPath": f"/{name}"} for name in ("map", "keys", "labels")]
        ),
        labels={"mood": "calm"},
        volumes=[
            {"name": "map", "configMap": {"name": "settings"}},
            {"name": "keys", "secret": {"secretName": "later", "optional": True}},
            {
                "name": "labels",
                "downwardAPI": {"items": [{"path": "all", "fieldRef": {"fieldPath": "metadata.labels"}}]},
            },
        ],
    )
    kubectl.apply(made)
    kubectl.wait("pod/follows", "condition=Ready")

    def read(path: str) -> str:
        return kubectl.run("exec", "follows", "--", "cat", path).out

    assert read("/map/word") == "one"
    kubectl("patch", "configmap", "settings", "-p", '{"data":{"word":"two"}}')
    kubectl.apply(secret("later", token="hush"))
    kubectl("label", "pod", "follows", "mood=wild", "--overwrite")
    eventually(lambda: read("/map/word"), lambda seen: seen == "two", 90)
    eventually(lambda: read("/keys/token"), lambda seen: seen == "hush", 90)
    eventually(lambda: read("/labels/all"), lambda seen: 'mood="wild"' in seen, 90)


@covers(
    "[sig-auth] ServiceAccounts should mount an API token into pods [Conformance]",
    "[sig-auth] ServiceAccounts should guarantee kube-root-ca.crt exist in any namespace [Conformance]",
)
def test_a_pod_has_a_token_that_the_api_server_knows_it_by(kubectl: Kubectl) -> None:
    where = "/var/run/secrets/kubernetes.io/serviceaccount"
    made = pod(
        "known",
        sh(f"cat {where}/token; echo; cat {where}/namespace; echo; cat {where}/ca.crt"),
        restartPolicy="Never",
    )
    token, namespace, *ca = log_of(kubectl, made).split("\n")
    assert namespace == kubectl.namespace
    assert "\n".join(ca).strip() == kubectl.get("configmap/kube-root-ca.crt")["data"]["ca.crt"].strip()
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert claims["sub"] == f"system:serviceaccount:{kubectl.namespace}:default"
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    answer = json.loads(kubectl("create", "-f", "-", "-o", "json", stdin=json.dumps(review)))
    assert answer["status"]["authenticated"] is True
    assert answer["status"]["user"]["username"] == claims["sub"]


@covers("[sig-auth] ServiceAccounts should allow opting out of API token automount [Conformance]")
def test_a_pod_may_do_without_a_token(kubectl: Kubectl) -> None:
    made = pod("unknown", automountServiceAccountToken=False)
    kubectl.apply(made)
    assert "volumeMounts" not in kubectl.get("pod/unknown")["spec"]["containers"][0]


def test_a_volume_whose_source_is_missing_holds_the_pod_and_says_so(kubectl: Kubectl) -> None:
    kubectl.apply(pod("holds", container(**mount()), volumes=[{"name": "v", "configMap": {"name": "later"}}]))
    eventually(
        lambda: kubectl("describe", "pod", "holds"),
        lambda seen: 'MountVolume.SetUp failed for volume "v" : configmap "later" not found' in seen,
    )
    kubectl.apply(config_map("later", a="b"))
    kubectl.wait("pod/holds", "condition=Ready")


@pytest.mark.parametrize("kind", ["File", "Directory"])
def test_a_host_path_of_the_wrong_kind_is_refused_with_its_name(
    kubectl: Kubectl, kind: str, tmp_path: Any
) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "dir").mkdir()
    wrong = tmp_path / ("dir" if kind == "File" else "file")
    volume = {"name": "v", "hostPath": {"path": str(wrong), "type": kind}}
    kubectl.apply(pod("wrong", container(**mount()), volumes=[volume]))
    eventually(lambda: kubectl("describe", "pod", "wrong"), lambda seen: "hostPath type check failed" in seen)


@covers(
    "[sig-storage] Subpath Atomic writer volumes should support subpaths with configmap pod with mountPath of existing file [Conformance]",
)
def test_a_sub_path_mounts_one_file(kubectl: Kubectl) -> None:
    kubectl.apply(config_map("settings", passwd="root:x:0:0:root:/root:/bin/sh\nguest:x:9:9::/:/bin/sh\n"))
    made = pod(
        "part",
        sh("grep -c . /etc/passwd", **mount("/etc/passwd", subPath="passwd")),
        restartPolicy="Never",
        volumes=[{"name": "v", "configMap": {"name": "settings"}}],
    )
    assert log_of(kubectl, made) == "2\n"
