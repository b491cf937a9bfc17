"""Pods with users of their own: whose ids are whose, and what a container's spec says of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

from podium.cli.cluster import Cluster
from podium.cli.parts import user_ids
from podium.runtime import mounting
from podium.runtime.handlers import Runtime
from podium.runtime.oci import OwnUsers
from podium.runtime.usernamespaces import making, overlays, subids, trying
from podium.runtime.usernamespaces.ranges import EVERYTHING, LENGTH, IdRange, document, free, parse, share
from podium.runtime.usernamespaces.records import FILE, UserRanges
from podium.runtime.usernamespaces.support import Support
from tests.unit.runtime.making import container, pod
from tests.unit.runtime.test_oci import PATHS, mount_at, spec

FIRST = IdRange(65536)


def test_the_lowest_free_range_is_given_and_never_the_machines_own() -> None:
    assert free(EVERYTHING, ()) == FIRST
    assert free(EVERYTHING, (FIRST, IdRange(3 * LENGTH))) == IdRange(2 * LENGTH)
    two = IdRange(LENGTH, 2 * LENGTH)
    assert free(two, (IdRange(2 * LENGTH),)) == FIRST
    assert free(two, (FIRST, IdRange(2 * LENGTH))) is None
    assert EVERYTHING.first + EVERYTHING.length == 1 << 32


def test_the_nodes_of_one_machine_give_away_different_ids() -> None:
    shares = [share(EVERYTHING, number, 110) for number in range(256)]
    assert shares[0].first == FIRST.first
    assert all(one.first + one.length == other.first for one, other in pairwise(shares))
    assert shares[-1].first + shares[-1].length <= 1 << 32
    assert shares[0].length // LENGTH >= 110
    cluster = Cluster(node_address="10.89.0.1", node_cidr="10.89.0.0/24")
    elsewhere, third = (replace(cluster, node_address=each) for each in ("192.0.2.1", "10.89.0.3"))
    found = [user_ids(each, EVERYTHING, 110) for each in (cluster, elsewhere, third)]
    assert found == [shares[0], shares[0], shares[2]]


def test_an_administrators_range_has_to_be_large_enough_and_none_of_the_machines_own() -> None:
    given = subids.parse("0: kubelet 131072 13107200\n")
    assert given == IdRange(131072, 200 * LENGTH)
    assert share(given, 0, 110) == IdRange(131072, 110 * LENGTH)
    with pytest.raises(ValueError, match="user assigned IDs are not enough to support 110 pods"):
        share(given, 1, 110)
    for answer, why in {
        "": "invalid line",
        "0: kubelet 65536 65536\n1: kubelet 131072 65536\n": "it must contain only one line",
        "0: kubelet x 65536": "invalid line",
        "0: kubelet 0 65536": "user assigned ID 0 ",
        "0: kubelet 70000 65536": "user assigned ID 70000 is not a multiple of 65536",
        "0: kubelet 65536 65537": "user assigned IDs length 65537 is not a multiple of 65536",
    }.items():
        with pytest.raises(ValueError, match=why):
            subids.parse(answer)


def test_without_an_administrators_word_pods_get_all_but_the_machines_own_ids() -> None:
    assert subids.given() == EVERYTHING


def test_a_range_is_read_as_it_was_written() -> None:
    assert parse(document(FIRST)) == FIRST
    assert document(FIRST)["uidMappings"] == [{"hostId": 65536, "containerId": 0, "length": 65536}]
    (mapping,) = document(FIRST)["uidMappings"]
    unlike: tuple[object, ...] = (
        {},
        [],
        {"uidMappings": [mapping]},
        {"uidMappings": [mapping, mapping], "gidMappings": [mapping, mapping]},
        {"uidMappings": [mapping], "gidMappings": [{**mapping, "hostId": 131072}]},
        {"uidMappings": [{**mapping, "containerId": 1}], "gidMappings": [{**mapping, "containerId": 1}]},
        document(IdRange(0)),
        document(IdRange(70000)),
        document(IdRange(65536, 1)),
    )
    for bad in unlike:
        with pytest.raises(ValueError, match="invalid user namespace mappings"):
            parse(bad)


def test_a_pod_keeps_its_range_until_nothing_is_left_of_it(tmp_path: Path) -> None:
    ranges = UserRanges(tmp_path, IdRange(LENGTH, 2 * LENGTH))
    assert ranges.of("a") is None
    assert (ranges.take("a"), ranges.take("b"), ranges.take("a")) == (FIRST, IdRange(2 * LENGTH), FIRST)
    later = UserRanges(tmp_path, IdRange(LENGTH, 2 * LENGTH))
    assert later.of("b") == IdRange(2 * LENGTH)
    with pytest.raises(OSError, match="could not find an empty slot to allocate a user namespace"):
        later.take("c")
    (tmp_path / "a" / FILE).unlink()
    assert later.take("c") == FIRST


def test_a_record_that_makes_no_sense_is_named_and_given_to_nobody(tmp_path: Path) -> None:
    ranges = UserRanges(tmp_path, EVERYTHING)
    ranges.take("a")
    (tmp_path / "a" / FILE).write_text(json.dumps(document(IdRange(0))))
    for uid in ("a", "b"):
        with pytest.raises(OSError, match=f"a/{FILE}: invalid user namespace mappings"):
            ranges.take(uid)


def test_a_container_joins_its_pods_users_and_sees_its_files_as_theirs() -> None:
    own = replace(PATHS, users=OwnUsers("/user", FIRST))
    mounts = [{"name": "v", "mountPath": "/v"}, {"name": "i", "mountPath": "/i"}]
    of = container(volumeMounts=mounts)
    sources = {"/v": ("/volumes/v", False), "/i": ("/volumes/i", True)}
    made = spec(pod(of), paths=own, sources=sources, mapped=frozenset({"/volumes/i"}))
    ids = [{"containerID": 0, "hostID": 65536, "size": 65536}]
    assert {"type": "user", "path": "/user"} in made["linux"]["namespaces"]
    assert made["linux"]["uidMappings"] == made["linux"]["gidMappings"] == ids
    for path in ("/v", "/etc/hosts", "/etc/resolv.conf", "/etc/hostname", "/dev/shm", "/dev/termination-log"):
        mount = mount_at(made, path)
        assert mount["uidMappings"] == mount["gidMappings"] == ids, path
        assert "idmap" in mount["options"]
    for path in ("/i", "/proc", "/sys", "/dev"):
        assert "uidMappings" not in mount_at(made, path), path


def test_a_container_with_the_hosts_users_has_nothing_mapped() -> None:
    made = spec(pod(container()))
    assert "uidMappings" not in made["linux"]
    assert all("uidMappings" not in each and "idmap" not in each["options"] for each in made["mounts"])
    assert "user" not in {each["type"] for each in made["linux"]["namespaces"]}


def test_what_a_container_prints_to_is_its_own_roots() -> None:
    runtime = Runtime(options={"BinaryName": "/usr/bin/crun"}).talking_to(65536)
    assert dict(runtime.options) == {"BinaryName": "/usr/bin/crun", "IoUid": 65536, "IoGid": 65536}
    kata = Runtime("io.containerd.kata.v2", {"ConfigPath": "/etc/kata.toml"})
    assert kata.talking_to(65536) == kata


# What the kernel makes of it


@pytest.fixture
def users(tmp_path: Path) -> Iterator[Path]:
    """A pinned user namespace."""
    pin = tmp_path / "user"
    making.make(pin, FIRST)
    yield pin
    mounting.unmount(pin)


def inside(users: Path, *command: str) -> str:
    return said(*making.entering(users, *command))


def said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip()


def test_the_root_of_a_user_namespace_is_the_first_of_its_range(users: Path) -> None:
    making.make(users, IdRange(2 * LENGTH))
    assert inside(users, "cat", "/proc/self/uid_map").split() == ["0", "65536", "65536"]
    assert inside(users, "cat", "/proc/self/gid_map").split() == ["0", "65536", "65536"]
    assert inside(users, "id", "-u") == "0"


def test_further_namespaces_belong_to_it_and_are_made_once(users: Path, tmp_path: Path) -> None:
    pins = {kind: tmp_path / "pins" / kind for kind in ("net", "ipc", "uts")}
    try:
        making.make_within(users, pins, hostname="inner")
        first = pins["net"].stat().st_ino
        mounting.unmount(pins["ipc"])
        making.make_within(users, pins, hostname="other")
        assert (os.path.ismount(pins["ipc"]), pins["net"].stat().st_ino) == (True, first)
        join = ("nsenter", f"--user={users}", f"--net={pins['net']}", f"--uts={pins['uts']}", "--")
        assert said(*join, "uname", "-n") == "inner"
        assert said(*join, "ip", "link", "set", "lo", "up") == ""
        # The machine's own network is not its root's.
        assert "not permitted" in inside(users, "ip", "link", "set", "lo", "up")
    finally:
        for pin in pins.values():
            mounting.unmount(pin)


def test_a_process_of_the_namespace_keeps_its_processes(users: Path) -> None:
    pid = making.start_within(users, ("sleep", "infinity"))
    try:
        status = Path(f"/proc/{pid}/status").read_text().splitlines()
        found = {line.split(":")[0]: line.split()[1:] for line in status}
        assert (found["Uid"][0], found["NSpid"]) == ("65536", [str(pid), "1"])
    finally:
        os.kill(pid, signal.SIGKILL)


def test_files_are_shown_to_belong_to_whom_the_namespace_says(users: Path, tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "file").touch()
    os.chown(tmp_path / "from" / "file", 1000, 2000)
    (tmp_path / "to").mkdir()
    mounting.show_mapped(str(tmp_path / "from"), str(tmp_path / "to"), str(users))
    try:
        status = (tmp_path / "to" / "file").stat()
        assert (status.st_uid, status.st_gid) == (FIRST.first + 1000, FIRST.first + 2000)
    finally:
        mounting.unmount(tmp_path / "to")


def test_the_layers_of_an_image_are_mapped_and_nothing_else_stays_mounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = [tmp_path / name for name in ("upper", "lower")]
    for layer in layers:
        layer.mkdir()
        (layer / layer.name).touch()
    target = tmp_path / "target"
    target.mkdir()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    options = ["index=off", "uidmap=0:65536:65536", f"lowerdir={':'.join(map(str, layers))}"]
    try:
        overlays.mount_mapped(options, target, 1, FIRST)
        owners = {each.name: each.stat().st_uid for each in target.iterdir()}
        assert owners == {"upper": 65536, "lower": 65536}
        assert (list(scratch.iterdir()), mounting.mounts_below(scratch)) == ([], [])
    finally:
        mounting.unmount(target)


def test_a_kernel_is_asked_by_trying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert trying.refusal(FIRST) == ""
    assert list(tmp_path.iterdir()) == []


class SomeContainerd:
    """What is asked of one, whose socket lies where everybody gets through."""

    def __init__(self, *capabilities: str, socket: str = "/containerd.sock") -> None:
        self.channel = SimpleNamespace(socket=socket)
        self.snapshots = SimpleNamespace(snapshotter="overlayfs")
        self._capabilities = frozenset(capabilities)

    async def capabilities(self, kind: str, name: str) -> frozenset[str]:
        assert (kind, name) == ("io.containerd.snapshotter.v1", "overlayfs")
        return self._capabilities

    async def version(self) -> str:
        return "1.6.20"


def runc(path: Path, idmap: bool) -> Runtime:
    """One that says whether it can map the ids of mounts."""
    features = {"linux": {"mountExtensions": {"idmap": {"enabled": idmap}}}}
    path.write_text(f"#!/bin/sh\n[ $1 = features ] && echo '{json.dumps(features)}'\n")
    path.chmod(0o755)
    return Runtime(options={"BinaryName": str(path)})


async def test_what_a_node_lacks_for_users_of_a_pods_own_is_named(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "old").chmod(0o755)
    runtimes = {
        "": runc(tmp_path / "new", idmap=True),
        "off": runc(tmp_path / "off", idmap=False),
        "old": Runtime(options={"BinaryName": str(tmp_path / "old")}),
        "gone": Runtime(options={"BinaryName": "/nowhere/runc"}),
        "kata": Runtime("io.containerd.kata.v2"),
    }

    def support(*capabilities: str, **more: str) -> Support:
        return Support(SomeContainerd(*capabilities, **more), runtimes, EVERYTHING)  # type: ignore[arg-type]

    new = support("remap-ids", "rebase")
    assert await new.handlers() == {""}
    assert {name: await new.lacks(name) for name in runtimes} == {
        "": "",
        "off": f"{tmp_path}/off cannot map the ids of volumes",
        "old": f"{tmp_path}/old cannot map the ids of volumes",
        "gone": "there is no /nowhere/runc",
        "kata": "io.containerd.kata.v2 cannot be asked whether it maps the ids of volumes",
    }
    old = "containerd 1.6.20 cannot map the ids of images (remap-ids)"
    assert await support().handlers() == frozenset()
    assert await support().lacks("off") == f"{old}, {tmp_path}/off cannot map the ids of volumes"
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    elsewhere = support("remap-ids", socket=str(closed / "containerd" / "containerd.sock"))
    (closed / "containerd").mkdir(mode=0o711)
    assert await elsewhere.lacks("") == f"only its owner gets through {closed}"
