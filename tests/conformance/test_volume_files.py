"""What stands in the files of configMap, secret, downwardAPI, projected and emptyDir volumes: contents, modes, owners,
and what follows when their sources change."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.conformance.coverage_report import covers
from tests.conformance.kubectl import Kubectl
from tests.conformance.objects import Obj, config_map, container, pod, secret, sh
from tests.conformance.waiting import eventually

NODE = "[NodeConformance] [Conformance]"
LINUX = f"[LinuxOnly] {NODE}"


def volumes_at(**volumes: Obj) -> dict[str, Any]:
    """A pod's volumes, each mounted at its name."""
    return {"volumes": [{"name": name, **source} for name, source in volumes.items()]}


def mounted(*names: str, **more: Any) -> dict[str, Any]:
    return {"volumeMounts": [{"name": name, "mountPath": f"/{name}", **more} for name in names]}


def said_by(kubectl: Kubectl, name: str, script: str, volumes: dict[str, Obj], **spec: Any) -> list[str]:
    """What a script prints in a pod that has the volumes at their names."""
    made = pod(name, sh(script, **mounted(*volumes)), restartPolicy="Never", **volumes_at(**volumes), **spec)
    kubectl.apply(made)
    kubectl.wait(f"pod/{name}", "jsonpath={.status.phase}=Succeeded")
    return kubectl("logs", name).splitlines()


def payload(kind: str, name: str, **more: Any) -> Obj:
    """A volume of a ConfigMap or Secret; `projected-` ones through a projection."""
    bare = kind.removeprefix("projected-")
    mode = {"defaultMode": more.pop("defaultMode")} if "defaultMode" in more else {}
    if kind == bare:
        key = "secretName" if kind == "secret" else "name"
        return {kind: {key: name, **mode, **more}}
    return {"projected": {"sources": [{bare: {"name": name, **more}}], **mode}}


def stored(kind: str, name: str, **data: str) -> Obj:
    return secret(name, **data) if kind.endswith("secret") else config_map(name, **data)


@covers(
    *(
        f"[sig-storage] EmptyDir volumes should support ({user},{mode},{medium}) {LINUX}"
        for user in ("root", "non-root")
        for mode in ("0644", "0666", "0777")
        for medium in ("default", "tmpfs")
    )
)
@pytest.mark.parametrize("user", [0, 1001])
def test_an_empty_dir_keeps_its_files_modes_for_whoever_writes(kubectl: Kubectl, user: int) -> None:
    script = (
        "umask 0; for d in disk memory; do for m in 644 666 777; do echo $m > /$d/$m; chmod $m /$d/$m;"
        "stat -c '%a %u' /$d/$m; cat /$d/$m; done; stat -f -c %T /$d; done"
    )
    found = said_by(
        kubectl,
        "modes",
        script,
        {"disk": {"emptyDir": {}}, "memory": {"emptyDir": {"medium": "Memory"}}},
        securityContext={"runAsUser": user},
    )
    wanted = [line for mode in ("644", "666", "777") for line in (f"{mode} {user}", mode)]
    assert found[:6] == found[7:13] == wanted
    assert found[13] == "tmpfs"


def _consumable(noun: str, in_pod: str) -> list[str]:
    what = f"[sig-storage] {noun} should be consumable"
    return [
        f"{what} from pods in volume {NODE}",
        f"{what} from pods in volume with mappings {NODE}",
        f"{what} from pods in volume with defaultMode set {LINUX}",
        f"{what} in multiple volumes in {in_pod} {NODE}",
    ]


@covers(
    *_consumable("ConfigMap", "the same pod"),
    *_consumable("Projected configMap", "the same pod"),
    *_consumable("Secrets", "a pod"),
    *_consumable("Projected secret", "a pod"),
    f"[sig-storage] ConfigMap should be consumable from pods in volume with mappings and Item mode set {LINUX}",
    f"[sig-storage] Projected configMap should be consumable from pods in volume with mappings and Item mode set {LINUX}",
    f"[sig-storage] Secrets should be consumable from pods in volume with mappings and Item Mode set {LINUX}",
    f"[sig-storage] Projected secret should be consumable from pods in volume with mappings and Item Mode set {LINUX}",
)
@pytest.mark.parametrize("kind", ["configMap", "projected-configMap", "secret", "projected-secret"])
def test_files_have_the_names_and_modes_that_the_volume_gives_them(kubectl: Kubectl, kind: str) -> None:
    kubectl.apply(stored(kind, "source", first="one", second="two"))
    item = {"key": "second", "path": "deep/er"}
    found = said_by(
        kubectl,
        "files",
        "ls /plain; cat /plain/first /again/first; echo; stat -L -c %a /plain/first /strict/first;"
        "ls /mapped; cat /mapped/deep/er; echo; stat -L -c %a /moded/deep/er",
        {
            "plain": payload(kind, "source"),
            "again": payload(kind, "source"),
            "strict": payload(kind, "source", defaultMode=0o400),
            "mapped": payload(kind, "source", items=[item]),
            "moded": payload(kind, "source", items=[{**item, "mode": 0o400}]),
        },
    )
    assert found == ["first", "second", "oneone", "644", "400", "deep", "two", "400"]


@covers(
    f"[sig-storage] ConfigMap should be consumable from pods in volume as non-root {NODE}",
    f"[sig-storage] ConfigMap should be consumable from pods in volume with mappings as non-root {NODE}",
    f"[sig-storage] Projected configMap should be consumable from pods in volume as non-root {NODE}",
    f"[sig-storage] Projected configMap should be consumable from pods in volume with mappings as non-root {NODE}",
    f"[sig-storage] Secrets should be consumable from pods in volume as non-root with defaultMode and fsGroup set {LINUX}",
    f"[sig-storage] Projected secret should be consumable from pods in volume as non-root with defaultMode and fsGroup set {LINUX}",
)
@pytest.mark.parametrize("kind", ["configMap", "projected-configMap", "secret", "projected-secret"])
def test_files_are_there_for_who_is_not_root(kubectl: Kubectl, kind: str) -> None:
    kubectl.apply(stored(kind, "source", first="one"))
    found = said_by(
        kubectl,
        "files",
        "cat /plain/first; echo; cat /mapped/x; echo; stat -L -c '%a %g' /plain/first",
        {
            "plain": payload(kind, "source", defaultMode=0o440),
            "mapped": payload(kind, "source", items=[{"key": "first", "path": "x"}]),
        },
        securityContext={"runAsUser": 1000, "fsGroup": 1001},
    )
    assert found == ["one", "one", "440 1001"]


@covers(
    f"[sig-storage] ConfigMap optional updates should be reflected in volume {NODE}",
    f"[sig-storage] ConfigMap updates should be reflected in volume {NODE}",
    f"[sig-storage] Projected configMap optional updates should be reflected in volume {NODE}",
    f"[sig-storage] Projected configMap updates should be reflected in volume {NODE}",
    f"[sig-storage] Secrets optional updates should be reflected in volume {NODE}",
    f"[sig-storage] Projected secret optional updates should be reflected in volume {NODE}",
)
def test_volumes_follow_what_is_changed_made_and_deleted(kubectl: Kubectl) -> None:
    kinds = ["configMap", "projected-configMap", "secret", "projected-secret"]
    volumes = {}
    for kind in kinds:
        bare = kind.removeprefix("projected-").lower()
        kubectl.apply(*(stored(kind, f"{bare}-{which}", key="old") for which in ("changed", "deleted")))
        for which in ("changed", "deleted", "made"):
            volumes[f"{kind.lower()}-{which}"] = payload(kind, f"{bare}-{which}", optional=True)
    kubectl.apply(pod("follows", container(**mounted(*volumes)), **volumes_at(**volumes)))
    kubectl.wait("pod/follows", "condition=Ready")
    for kind in ("configMap", "secret"):
        kubectl.apply(*(stored(kind, f"{kind.lower()}-{which}", key="new") for which in ("changed", "made")))
        kubectl("delete", kind.lower(), f"{kind.lower()}-deleted")
    wanted = {name: "" if name.endswith("deleted") else "new" for name in volumes}

    def shown() -> dict[str, str]:
        script = "; ".join(f"echo {name} $(cat /{name}/key 2>/dev/null)" for name in volumes)
        lines = kubectl("exec", "follows", "--", "sh", "-c", script).splitlines()
        return {name: value for name, _, value in (line.strip().partition(" ") for line in lines)}

    eventually(shown, lambda seen: seen == wanted, 90)


@covers(f"[sig-storage] ConfigMap binary data should be reflected in volume {NODE}")
def test_binary_data_comes_byte_for_byte(kubectl: Kubectl) -> None:
    data = bytes(range(256))
    made = {**config_map("bytes", text="x"), "binaryData": {"raw": base64.b64encode(data).decode()}}
    kubectl.apply(made)
    found = said_by(
        kubectl, "files", "base64 /map/raw; cat /map/text", {"map": payload("configMap", "bytes")}
    )
    assert base64.b64decode("".join(found[:-1])) == data
    assert found[-1] == "x"


@covers(
    "[sig-storage] Secrets should be able to mount in a volume regardless of a different secret existing with same "
    f"name in different namespace {NODE}"
)
def test_a_secret_is_that_of_the_pods_namespace(kubectl: Kubectl) -> None:
    other = Kubectl(kubectl.kubeconfig, "default")
    name = f"same-{kubectl.namespace}"
    other.apply(secret(name, key="theirs"))
    try:
        kubectl.apply(secret(name, key="ours"))
        assert said_by(kubectl, "files", "cat /s/key", {"s": payload("secret", name)}) == ["ours"]
    finally:
        other("delete", "secret", name)


def _downward(noun: str) -> list[str]:
    return [
        f"[sig-storage] {noun} should provide container's {what} {NODE}"
        for what in ("cpu limit", "cpu request", "memory limit", "memory request")
    ] + [
        f"[sig-storage] {noun} should provide podname only {NODE}",
        f"[sig-storage] {noun} should set DefaultMode on files {LINUX}",
        f"[sig-storage] {noun} should set mode on item file {LINUX}",
    ]


def resource(path: str, what: str, divisor: str, name: str = "main") -> Obj:
    reference = {"containerName": name, "resource": what, "divisor": divisor}
    return {"path": path, "resourceFieldRef": reference}


def downward(kind: str, items: list[Obj], **mode: int) -> Obj:
    if kind == "downwardAPI":
        return {"downwardAPI": {"items": items, **mode}}
    return {"projected": {"sources": [{"downwardAPI": {"items": items}}], **mode}}


@covers(*_downward("Downward API volume"), *_downward("Projected downwardAPI"))
@pytest.mark.parametrize("kind", ["downwardAPI", "projected"])
def test_a_pod_reads_about_itself(kubectl: Kubectl, kind: str) -> None:
    amounts = [
        resource("cpu-limit", "limits.cpu", "1m"),
        resource("cpu-request", "requests.cpu", "1m"),
        resource("memory-limit", "limits.memory", "1Mi"),
        resource("memory-request", "requests.memory", "1Mi"),
    ]
    name = {"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}
    volumes = {
        "about": downward(kind, [*amounts, name]),
        "strict": downward(kind, [name], defaultMode=0o400),
        "moded": downward(kind, [{**name, "mode": 0o400}]),
    }
    resources = {
        "requests": {"cpu": "250m", "memory": "32Mi"},
        "limits": {"cpu": "1250m", "memory": "64Mi"},
    }
    script = (
        "for f in cpu-limit cpu-request memory-limit memory-request name; do cat /about/$f; echo; done;"
        "stat -L -c %a /about/name /strict/name /moded/name"
    )
    made = pod(
        "self",
        sh(script, resources=resources, **mounted(*volumes)),
        restartPolicy="Never",
        **volumes_at(**volumes),
    )
    kubectl.apply(made)
    kubectl.wait("pod/self", "jsonpath={.status.phase}=Succeeded")
    found = kubectl("logs", "self").split()
    assert found == ["1250", "250", "64", "32", "self", "644", "400", "400"]


@covers(
    *(
        f"[sig-storage] {noun} should provide node allocatable ({what}) as default {what} limit if the limit is not set {NODE}"
        for noun in ("Downward API volume", "Projected downwardAPI")
        for what in ("cpu", "memory")
    )
)
@pytest.mark.parametrize("kind", ["downwardAPI", "projected"])
def test_without_a_limit_a_pod_reads_the_nodes(kubectl: Kubectl, kind: str) -> None:
    items = [resource("cpu", "limits.cpu", "1"), resource("memory", "limits.memory", "1Ki")]
    found = said_by(
        kubectl, "self", "cat /about/cpu; echo; cat /about/memory", {"about": downward(kind, items)}
    )
    node = kubectl.get(f"node/{kubectl.get('pod/self')['spec']['nodeName']}")["status"]["allocatable"]
    assert found == [node["cpu"], node["memory"].removesuffix("Ki")]


@covers(
    *(
        f"[sig-storage] {noun} should update {what} on modification {NODE}"
        for noun in ("Downward API volume", "Projected downwardAPI")
        for what in ("labels", "annotations")
    )
)
def test_a_pods_labels_and_annotations_are_shown_as_they_change(kubectl: Kubectl) -> None:
    items = [
        {"path": what, "fieldRef": {"fieldPath": f"metadata.{what}"}} for what in ("labels", "annotations")
    ]
    volumes = {"plain": downward("downwardAPI", items), "projected": downward("projected", items)}
    made = pod("changes", container(**mounted(*volumes)), labels={"mood": "calm"}, **volumes_at(**volumes))
    made["metadata"]["annotations"] = {"note": "first"}
    kubectl.apply(made)
    kubectl.wait("pod/changes", "condition=Ready")
    kubectl("label", "pod", "changes", "mood=wild", "--overwrite")
    kubectl("annotate", "pod", "changes", "note=second", "--overwrite")
    eventually(
        lambda: kubectl("exec", "changes", "--", "sh", "-c", "cat /*/labels /*/annotations"),
        lambda seen: seen.count('mood="wild"') == 2 and seen.count('note="second"') == 2,
        90,
    )


@covers(
    *(
        f"[sig-storage] Subpath Atomic writer volumes should support subpaths with {what} pod [Conformance]"
        for what in ("configmap", "secret", "downward", "projected")
    )
)
def test_a_sub_path_shows_one_file_of_a_volume(kubectl: Kubectl) -> None:
    kubectl.apply(config_map("map", key="map"), secret("keys", key="keys"))
    name = {"path": "key", "fieldRef": {"fieldPath": "metadata.name"}}
    volumes = {
        "map": payload("configMap", "map"),
        "keys": payload("secret", "keys"),
        "about": downward("downwardAPI", [name]),
        "all": payload("projected-configMap", "map"),
    }
    script = "; ".join(f"cat /file-{each}; echo" for each in volumes)
    mounts = [{"name": each, "mountPath": f"/file-{each}", "subPath": "key"} for each in volumes]
    made = pod("part", sh(script, volumeMounts=mounts), restartPolicy="Never", **volumes_at(**volumes))
    kubectl.apply(made)
    kubectl.wait("pod/part", "jsonpath={.status.phase}=Succeeded")
    assert kubectl("logs", "part").split() == ["map", "keys", "part", "map"]


@covers(
    "[sig-storage] EmptyDir wrapper volumes should not conflict [Conformance]",
    "[sig-storage] EmptyDir wrapper volumes should not cause race condition when used for configmaps [Serial] "
    "[Conformance]",
)
def test_many_volumes_of_many_pods_do_not_get_in_each_others_way(kubectl: Kubectl) -> None:
    kubectl.apply(
        *(config_map(f"map-{number}", key=str(number)) for number in range(50)), secret("keys", key="k")
    )
    volumes = {f"v{number}": payload("configMap", f"map-{number}") for number in range(50)}
    volumes["keys"] = payload("secret", "keys")
    crowd = [
        pod(
            f"crowd-{number}",
            sh("cat /v*/key | wc -c; cat /keys/key", **mounted(*volumes)),
            restartPolicy="Never",
            **volumes_at(**volumes),
        )
        for number in range(3)
    ]
    kubectl.apply(*crowd)
    for made in crowd:
        kubectl.wait(f"pod/{made['metadata']['name']}", "jsonpath={.status.phase}=Succeeded")
        assert kubectl("logs", made["metadata"]["name"]).split() == ["90", "k"]
