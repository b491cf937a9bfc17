"""configMap, secret, downwardAPI and projected volumes."""

from __future__ import annotations

import os
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from podium.api.types.resources import CONFIG_MAPS, NODES, PODS, SECRETS
from podium.storage.errors import VolumeError
from podium.storage.kernel import is_mount_point
from podium.storage.manager import VolumeManager

from ..clock import FakeClock
from .pods import UID, config_map, pod, secret, until
from .server import MemoryClient


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def projected(*sources: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "v", "projected": {"sources": list(sources), "defaultMode": 0o644, **more}}


def token(**more: Any) -> dict[str, Any]:
    return {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600, **more}}


async def mount(manager: VolumeManager, *volumes: dict[str, Any], **spec: Any) -> Path:
    """The folder of the pod's first volume."""
    mounted = await manager.mount(pod(*volumes, **spec))
    first = mounted[volumes[0]["name"]]
    assert first.read_only
    assert first.kind == "dir"
    return Path(first.path)


def shown(folder: Path) -> dict[str, str]:
    """Visible files and what they hold."""
    return {name: (folder / name).read_text() for name in os.listdir(folder) if not name.startswith("..")}


async def test_a_config_map_is_shown_through_links_that_lead_to_one_data_directory(
    manager: VolumeManager, client: MemoryClient, pods_dir: Path
) -> None:
    obj = config_map("cm", a="1", b="2")
    obj["binaryData"] = {"c": "AP8="}
    client.put(CONFIG_MAPS, obj)
    folder = await mount(manager, {"name": "v", "configMap": {"name": "cm", "defaultMode": 0o640}})
    assert folder == pods_dir / UID / "volumes" / "kubernetes.io~configmap" / "v"
    assert {name for name in os.listdir(folder) if not name.startswith("..")} == {"a", "b", "c"}
    assert (folder / "a").read_text() == "1"
    assert (folder / "c").read_bytes() == b"\x00\xff"
    assert os.readlink(folder / "a") == "..data/a"
    assert os.readlink(folder / "..data").startswith("..20")
    assert mode(folder / "a") == 0o640


async def test_items_choose_keys_paths_and_modes(manager: VolumeManager, client: MemoryClient) -> None:
    client.put(SECRETS, secret("s", a="1", b="2"))
    items = [{"key": "a", "path": "deep/er/x", "mode": 0o400}, {"key": "b", "path": "y"}]
    folder = await mount(
        manager, {"name": "v", "secret": {"secretName": "s", "items": items, "defaultMode": 0o444}}
    )
    assert (folder / "deep/er/x").read_text() == "1"
    assert mode(folder / "deep/er/x") == 0o400
    assert os.readlink(folder / "deep") == "..data/deep"
    assert mode(folder / "y") == 0o444


async def test_a_secret_lies_in_memory(manager: VolumeManager, client: MemoryClient) -> None:
    client.put(SECRETS, secret("s", a="1"))
    folder = await mount(manager, {"name": "v", "secret": {"secretName": "s"}})
    assert folder.parent.name == "kubernetes.io~secret"
    assert is_mount_point(folder)


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        ({"configMap": {"name": "no"}}, 'configmap "no" not found'),
        ({"secret": {"secretName": "no"}}, 'secret "no" not found'),
        (
            {"configMap": {"name": "cm", "items": [{"key": "z", "path": "z"}]}},
            "configmap references non-existent config key: z",
        ),
        (
            {"secret": {"secretName": "s", "items": [{"key": "z", "path": "z"}]}},
            "references non-existent secret key: z",
        ),
        (
            {"projected": {"sources": [{"configMap": {"name": "no"}}, {"secret": {"name": "no"}}]}},
            '[configmap "no" not found, secret "no" not found]',
        ),
        (
            {"projected": {"sources": [{"podCertificate": {}}]}},
            'projected source "podCertificate" is not supported',
        ),
        ({"iscsi": {"server": "x", "path": "/"}}, 'volume type "iscsi" is not supported'),
        (
            {"downwardAPI": {"items": [{"path": "x", "fieldRef": {"fieldPath": "spec.nodeName"}}]}},
            "unsupported fieldPath: spec.nodeName",
        ),
        (
            {"configMap": {"name": "cm", "items": [{"key": "a", "path": "../../x"}]}},
            "invalid path: must not contain '..': ../../x",
        ),
    ],
)
async def test_what_cannot_be_shown_is_said(
    manager: VolumeManager, client: MemoryClient, volume: dict[str, Any], message: str
) -> None:
    client.put(CONFIG_MAPS, config_map("cm", a="1"))
    client.put(SECRETS, secret("s", a="1"))
    with pytest.raises(VolumeError) as failure:
        await manager.mount(pod({"name": "v", **volume}))
    assert failure.value.reason == "FailedMount"
    assert failure.value.message == f'MountVolume.SetUp failed for volume "v" : {message}'


async def test_what_is_optional_may_be_missing(manager: VolumeManager, client: MemoryClient) -> None:
    client.put(SECRETS, secret("s", a="1"))
    items = [{"key": "a", "path": "a"}, {"key": "z", "path": "z"}]
    volume = projected(
        {"configMap": {"name": "no", "optional": True}},
        {"secret": {"name": "s", "items": items, "optional": True}},
    )
    assert shown(await mount(manager, volume)) == {"a": "1"}


async def test_a_missing_object_is_shown_when_it_appears(
    manager: VolumeManager, client: MemoryClient
) -> None:
    volume = {"name": "v", "configMap": {"name": "cm", "optional": True}}
    folder = await mount(manager, volume)
    assert shown(folder) == {}
    client.put(CONFIG_MAPS, config_map("cm", a="1"))
    await until(lambda: shown(folder) == {"a": "1"})


async def test_a_change_replaces_all_files_in_one_step(manager: VolumeManager, client: MemoryClient) -> None:
    client.put(CONFIG_MAPS, config_map("cm", a="1", gone="x"))
    folder = await mount(manager, {"name": "v", "configMap": {"name": "cm"}})
    before = os.readlink(folder / "..data")
    client.put(CONFIG_MAPS, config_map("cm", a="2", new="y"))
    await until(lambda: os.readlink(folder / "..data") != before and not (folder / before).exists())
    assert shown(folder) == {"a": "2", "new": "y"}
    assert not (folder / "gone").is_symlink()


async def test_an_unchanged_object_changes_no_file(manager: VolumeManager, client: MemoryClient) -> None:
    client.put(CONFIG_MAPS, config_map("cm", a="1"))
    volume = {"name": "v", "configMap": {"name": "cm"}}
    folder = await mount(manager, volume)
    before = os.readlink(folder / "..data")
    assert await mount(manager, volume) == folder
    assert os.readlink(folder / "..data") == before


async def test_files_stay_as_they_were_when_their_object_goes(
    manager: VolumeManager, client: MemoryClient, clock: FakeClock
) -> None:
    client.put(CONFIG_MAPS, config_map("cm", a="1"))
    folder = await mount(manager, {"name": "v", "configMap": {"name": "cm"}})
    client.remove(CONFIG_MAPS, "cm", "ns")
    await until(lambda: bool(clock.pending))
    assert shown(folder) == {"a": "1"}


async def test_pods_that_show_one_object_share_one_watch_that_ends_with_the_last(
    manager: VolumeManager, client: MemoryClient
) -> None:
    client.put(CONFIG_MAPS, config_map("cm", a="1"))
    volumes = [{"name": name, "configMap": {"name": "cm"}} for name in ("v", "w")]
    await manager.mount(pod(*volumes))
    await until(lambda: client.watching == [("configmaps", "ns", "cm")])
    await manager.unmount(UID)
    await until(lambda: client.watching == [])


async def test_the_downward_api_shows_the_pods_own_fields(
    manager: VolumeManager, client: MemoryClient
) -> None:
    fields = ["name", "namespace", "uid", "labels", "annotations", "labels['a']", "annotations['no']"]
    items = [
        {"path": f"f{n}", "fieldRef": {"fieldPath": f"metadata.{field}"}} for n, field in enumerate(fields)
    ]
    folder = await mount(manager, {"name": "v", "downwardAPI": {"items": items}})
    assert folder.parent.name == "kubernetes.io~downward-api"
    assert [(folder / f"f{n}").read_text() for n in range(len(fields))] == [
        "p",
        "ns",
        UID,
        'a="1"\nb="2"',
        'note="say \\"hi\\"\\nthere"',
        "1",
        "",
    ]


async def test_changed_labels_are_shown_to_the_pod(manager: VolumeManager, client: MemoryClient) -> None:
    items = [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]
    wanted = pod({"name": "v", "downwardAPI": {"items": items}})
    client.put(PODS, wanted)
    folder = Path((await manager.mount(wanted))["v"].path)
    changed = {"metadata": {**wanted["metadata"], "labels": {"x": "y"}}, "spec": dict(wanted["spec"])}
    client.put(PODS, changed)
    await until(lambda: shown(folder) == {"labels": 'x="y"'})


async def test_the_downward_api_shows_resources_in_units_of_the_divisor(
    manager: VolumeManager, client: MemoryClient
) -> None:
    client.put(NODES, {"metadata": {"name": "n1"}, "status": {"allocatable": {"memory": "2Gi", "cpu": "2"}}})
    limits = {"limits": {"cpu": "1250m"}, "requests": {"cpu": "250m"}}
    wanted = [("limits.cpu", "1"), ("limits.cpu", "1m"), ("requests.cpu", "0"), ("limits.memory", "1Mi")]
    items = [
        {"path": f"f{n}", "resourceFieldRef": {"containerName": "c", "resource": name, "divisor": divisor}}
        for n, (name, divisor) in enumerate(wanted)
    ]
    volume = {"name": "v", "downwardAPI": {"items": items}}
    folder = await mount(manager, volume, containers=[{"name": "c", "resources": limits}])
    assert [(folder / f"f{n}").read_text() for n in range(len(wanted))] == ["2", "1250", "1", "2048"]


async def test_a_service_account_token_is_bound_to_its_pod(
    manager: VolumeManager, client: MemoryClient
) -> None:
    client.put(CONFIG_MAPS, config_map("kube-root-ca.crt", **{"ca.crt": "CA"}))
    volume = projected(token(audience="vault"), {"configMap": {"name": "kube-root-ca.crt"}})
    folder = await mount(manager, volume)
    assert shown(folder) == {"token": "token-1", "ca.crt": "CA"}
    assert mode(folder / "token") == 0o644
    (request,) = client.token_requests
    assert (request["namespace"], request["name"]) == ("ns", "robot")
    assert request["spec"] == {
        "audiences": ["vault"],
        "expirationSeconds": 3600,
        "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": UID},
    }


async def test_only_the_common_user_of_the_containers_reads_the_token(
    manager: VolumeManager, client: MemoryClient
) -> None:
    folder = await mount(manager, projected(token()), securityContext={"runAsUser": 1234})
    found = (folder / "token").stat()
    assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (1234, 0o600)


async def test_a_token_is_replaced_when_four_fifths_of_its_life_are_over(
    manager: VolumeManager, client: MemoryClient, clock: FakeClock
) -> None:
    folder = await mount(manager, projected(token()))
    assert clock.pending == [2880]
    client.now += timedelta(seconds=2880)
    clock.advance(2880)
    await until(lambda: shown(folder) == {"token": "token-2"})
    assert clock.pending == [2880]


async def test_an_old_token_stays_while_the_server_is_away(
    manager: VolumeManager, client: MemoryClient, clock: FakeClock
) -> None:
    folder = await mount(manager, projected(token()))
    client.tokens_fail = True
    client.now += timedelta(seconds=2880)
    clock.advance(2880)
    await until(lambda: bool(clock.pending))
    assert shown(folder) == {"token": "token-1"}
    client.tokens_fail = False
    client.now += timedelta(seconds=30)
    clock.advance(30)
    await until(lambda: shown(folder) == {"token": "token-2"})


async def test_without_a_token_the_volume_waits(manager: VolumeManager, client: MemoryClient) -> None:
    client.tokens_fail = True
    with pytest.raises(VolumeError, match="failed to fetch token: the server is away"):
        await manager.mount(pod(projected(token())))


async def test_the_fs_group_owns_what_is_shown(manager: VolumeManager, client: MemoryClient) -> None:
    client.put(CONFIG_MAPS, config_map("cm", a="1"))
    volume = projected(token(), {"configMap": {"name": "cm", "items": [{"key": "a", "path": "d/a"}]}})
    folder = await mount(manager, volume, securityContext={"fsGroup": 777})
    assert (folder / "token").stat().st_gid == 777
    assert mode(folder / "token") == 0o640
    assert (folder / "d").stat().st_gid == 777
    assert mode(folder / "d") & stat.S_ISGID
    assert mode(folder / "d/a") == 0o644
    assert folder.stat().st_gid == 777


async def test_the_directories_that_others_are_mounted_on_are_made(
    manager: VolumeManager, client: MemoryClient
) -> None:
    client.put(CONFIG_MAPS, config_map("cm", a="1"))
    mounts = [{"name": "v", "mountPath": "/etc/x"}, {"name": "w", "mountPath": "/etc/x/inner/most"}]
    folder = await mount(
        manager,
        {"name": "v", "configMap": {"name": "cm"}},
        {"name": "w", "emptyDir": {}},
        containers=[{"name": "c", "volumeMounts": mounts}],
    )
    assert (folder / "inner/most").is_dir()
