"""Where control groups are, and what is written there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from podium.api.types import Obj
from podium.runtime.cgroupnames import Names, files_v1, files_v2, properties, weight
from podium.runtime.cgroups import Cgroups
from tests.unit.runtime.making import container, pod

BURSTABLE = pod(container(resources={"requests": {"cpu": "100m"}}), meta={"uid": "12-ab"})


def test_folders_say_where_a_pod_is() -> None:
    names = Names("some/root", "cgroupfs")
    assert names.top == "/some/root/kubepods"
    assert names.container(BURSTABLE, "c1") == "/some/root/kubepods/burstable/pod12-ab/c1"
    assert names.for_runc(BURSTABLE, "c1") == names.container(BURSTABLE, "c1")
    sure = {"limits": {"cpu": "1", "memory": "1Gi"}}
    assert Names("", "cgroupfs").pod(pod(container(resources=sure))) == "/kubepods/poduid-p"


def test_slices_say_in_their_names_where_a_pod_is() -> None:
    names = Names("", "systemd")
    slices = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod12_ab.slice"
    assert names.pod(BURSTABLE) == slices
    assert names.container(BURSTABLE, "c1") == f"{slices}/cri-containerd-c1.scope"
    assert names.for_runc(BURSTABLE, "c1") == "kubepods-burstable-pod12_ab.slice:cri-containerd:c1"
    assert Names("podium", "systemd").top == "/podium.slice/podium-kubepods.slice"


@pytest.mark.parametrize(
    ("shares", "made"), [(2, 1), (3, 2), (102, 17), (1024, 100), (2048, 174), (262_144, 10_000)]
)
def test_least_default_and_most_shares_are_least_default_and_most_weight(shares: int, made: int) -> None:
    assert weight(shares) == made


WANTED: Obj = {"shares": 1024, "quota": 50_000, "memory": 1 << 20, "pids": 7, "huge": {"2MB": 4096}}


def test_limits_are_written_as_each_version_of_the_kernel_interface_wants_them() -> None:
    assert files_v1(WANTED) == [
        ("cpu", "cpu.shares", "1024"),
        ("cpu", "cpu.cfs_quota_us", "50000"),
        ("memory", "memory.limit_in_bytes", "1048576"),
        ("pids", "pids.max", "7"),
        ("hugetlb", "hugetlb.2MB.limit_in_bytes", "4096"),
    ]
    assert files_v2(WANTED) == [
        ("cpu.weight", "100"),
        ("cpu.max", "50000 100000"),
        ("memory.max", "1048576"),
        ("pids.max", "7"),
        ("hugetlb.2MB.max", "4096"),
    ]
    assert files_v2({"quota": -1}) == [("cpu.max", "max 100000")]


def test_systemd_is_told_the_same_in_its_own_words() -> None:
    assert properties(WANTED, unified=True) == [
        ("CPUWeight", "t", "100"),
        ("CPUQuotaPerSecUSec", "t", "500000"),
        ("MemoryMax", "t", "1048576"),
        ("TasksMax", "t", "7"),
    ]
    assert properties({"shares": 512, "memory": 5}, unified=False) == [
        ("CPUShares", "t", "512"),
        ("MemoryLimit", "t", "5"),
    ]
    # All ones are what systemd calls infinity.
    assert properties({"quota": -1}, unified=True) == [("CPUQuotaPerSecUSec", "t", str(2**64 - 1))]


def test_a_pods_groups_are_made_in_a_unified_hierarchy(tmp_path: Path) -> None:
    """Files stand in for the kernel's, which this needs no rights for."""
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids hugetlb")
    for name in ("kubepods", "kubepods/burstable"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cgroup.controllers").write_text("cpu memory")
    cgroups = Cgroups(mount=tmp_path, max_pids=9)
    limited: Any = {"limits": {"cpu": "500m", "memory": "10Mi"}, "requests": {"cpu": "100m"}}
    of = pod(container(resources=limited), meta={"uid": "u"}, overhead={"memory": "2Mi", "cpu": "100m"})
    cgroups.ensure(of)
    folder = tmp_path / "kubepods/burstable/podu"
    assert (folder / "cpu.max").read_text() == "60000 100000"
    assert (folder / "memory.max").read_text() == str(12 << 20)
    assert (folder / "pids.max").read_text() == "9"
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu +memory +pids +hugetlb"
    (folder / "memory.current").write_text("77")
    assert cgroups.limits(of) == {"quota": 60000, "memory": 12 << 20}
    assert cgroups.memory_used(cgroups.pod(of)) == 77
    cgroups.change(of, {"quota": 80_000})
    assert (folder / "cpu.max").read_text() == "80000 100000"
