"""Layers, archives and the command, with real packages made on the spot."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from baseimages import archive, main, packages, recipes
from baseimages.packages import Package, PackageError
from baseimages.tree import Layer, Tree

FILES = recipes.FILES


@pytest.fixture
def deb(tmp_path: Path) -> Path:
    """A package from before /usr was merged, with a link and a hard link."""
    root = tmp_path / "root"
    for folder in ("DEBIAN", "bin", "lib/x86_64-linux-gnu/gconv", "usr/share/doc/tool"):
        (root / folder).mkdir(parents=True)
    (root / "DEBIAN/control").write_text(
        "Package: tool\nVersion: 1\nArchitecture: all\nMaintainer: nobody\nDescription: x\n"
    )
    (root / "bin/tool").write_text("#!/bin/sh\n")
    (root / "bin/tool").chmod(0o755)
    os.link(root / "bin/tool", root / "bin/again")
    (root / "lib/x86_64-linux-gnu/libx.so.1").write_text("library")
    (root / "lib/x86_64-linux-gnu/libx.so").symlink_to("libx.so.1")
    (root / "lib/x86_64-linux-gnu/gconv/odd.so").write_text("unused")
    (root / "usr/share/doc/tool/copyright").write_text("text")
    made = tmp_path / "tool_1_all.deb"
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", str(root), str(made)], check=True)
    return made


def contents(layer: Layer) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(layer.tar)) as tar:
        return {member.name: member for member in tar}


def test_a_layer_has_of_a_package_what_is_wanted_under_usr(deb: Path) -> None:
    tree = Tree()
    tree.package(deb, [r"usr/bin/.*", *recipes._LIBRARIES])
    made = contents(tree.layer())
    files = {name for name, member in made.items() if not member.isdir()}
    library = "usr/lib/x86_64-linux-gnu/libx.so"
    assert files == {"usr/bin/tool", "usr/bin/again", library, f"{library}.1"}
    assert made["usr/bin/tool"].mode == 0o755
    assert made["usr/bin/again"].size == made["usr/bin/tool"].size > 0
    assert made[library].linkname == "libx.so.1"
    assert made["usr/bin"].isdir()


def test_the_same_content_makes_the_same_bytes(deb: Path) -> None:
    def build(paths: list[str]) -> Layer:
        tree = Tree()
        for path in paths:
            tree.file(path, path)
        tree.package(deb, ["usr/bin/tool"])
        tree.directory("tmp", mode=0o1777)
        return tree.layer()

    assert build(["b", "a/x"]) == build(["a/x", "b"])
    assert contents(build(["a"]))["tmp"].mode == 0o1777


def test_an_archive_is_an_oci_layout_with_every_name(tmp_path: Path) -> None:
    tree = Tree()
    tree.file("etc/motd", "hello")
    layer, path = tree.layer(), tmp_path / "x.tar"
    names = ["podium.io/x:v1", "podium.io/x:latest"]
    archive.write(path, names, [layer, layer], {"Cmd": ["x"]}, architecture="amd64", key="k")
    with tarfile.open(path) as tar:
        members = {member.name: (tar.extractfile(member) or io.BytesIO()).read() for member in tar}
    index = json.loads(members["index.json"])
    assert [each["annotations"]["io.containerd.image.name"] for each in index["manifests"]] == names
    manifest = json.loads(members["blobs/" + index["manifests"][0]["digest"].replace(":", "/")])
    config = json.loads(members["blobs/" + manifest["config"]["digest"].replace(":", "/")])
    assert config["rootfs"]["diff_ids"] == [layer.digest, layer.digest]
    assert config["config"] == {"Cmd": ["x"]}
    assert members["blobs/" + manifest["layers"][0]["digest"].replace(":", "/")] == layer.tar
    assert archive.key_of(path) == "k"
    assert os.listdir(tmp_path) == ["x.tar"]


@pytest.mark.parametrize("data", [b"", b"not a tar", None])
def test_what_is_no_archive_of_ours_has_no_key(tmp_path: Path, data: bytes | None) -> None:
    path = tmp_path / "x.tar"
    if data is not None:
        path.write_bytes(data)
    assert archive.key_of(path) == ""


def test_the_key_changes_with_the_packages() -> None:
    image = recipes.IMAGES[0]
    first = recipes.key(image, [Package("a", "1", "all", (), False)], "amd64")
    assert first != recipes.key(image, [Package("a", "2", "all", (), False)], "amd64")
    assert first != recipes.key(image, [Package("a", "1", "all", (), False)], "arm64")


def test_list_prints_names_and_archives(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["--list", "--output", "/out"]) == 0
    printed = capsys.readouterr().out
    assert "/out/busybox.tar docker.io/library/busybox:latest" in printed
    assert "podium.io/echo:v2" in printed


def test_an_unknown_image_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main.main(["alpine"])
    assert "no image alpine" in capsys.readouterr().err


def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise PackageError("apt-get update failed: Could not resolve 'deb.debian.org'")

    monkeypatch.setattr(packages, "catalogue", fail)
    monkeypatch.setattr(packages, "update", fail)


def test_without_apt_the_error_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    offline(monkeypatch)
    assert main.main(["--output", str(tmp_path)]) == 1
    assert "images: apt-get update failed: Could not resolve" in capsys.readouterr().err


def test_without_apt_images_that_are_there_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    offline(monkeypatch)
    for image in recipes.IMAGES:
        archive.write(tmp_path / image.file, image.names, [], {}, architecture="amd64", key="old")
    assert main.main(["--output", str(tmp_path)]) == 0
    assert "Keeping the base images" in capsys.readouterr().err


def test_a_full_disk_is_an_error_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {root: Package(root, "1", "all", (), False) for image in recipes.IMAGES for root in image.roots}
    monkeypatch.setattr(packages, "catalogue", lambda names: found)
    monkeypatch.setattr(main, "ROOM", 1 << 60)
    assert main.main(["--output", str(tmp_path)]) == 1
    assert f"no space left for the images below {tmp_path}" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["--output", "/dev/null/images"]) == 1
    assert "/dev/null" in capsys.readouterr().err


def busybox_path(tmp_path: Path) -> str:
    """A PATH on which everything is busybox, as in the images."""
    applets = tmp_path / "bin"
    applets.mkdir()
    subprocess.run(["busybox", "--install", "-s", str(applets)], check=True)
    return str(applets)


def test_templates_are_filled_in_from_the_environment(tmp_path: Path) -> None:
    script = (FILES / "docker-entrypoint.sh").read_text().replace("/etc/nginx", str(tmp_path))
    script = script.replace("/etc/resolv.conf", str(tmp_path / "resolv.conf"))
    (tmp_path / "resolv.conf").write_text("search x\nnameserver 10.43.0.10\nnameserver fd00::1\n")
    for folder in ("templates", "conf.d"):
        (tmp_path / folder).mkdir()
    template = "a ${WHO} & ${WHO} $uri ${unknown} ${NGINX_LOCAL_RESOLVERS};\n"
    (tmp_path / "templates/site.conf.template").write_text(template)
    environment = {"PATH": busybox_path(tmp_path), "WHO": r"cl\ara&co"}
    done = subprocess.run(
        ["busybox", "sh", "-c", script, "entrypoint", "echo", "started"],
        env={**environment, "PATH": environment["PATH"] + os.pathsep + os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "started\n"
    filled = (tmp_path / "conf.d/site.conf").read_text()
    assert filled == r"a cl\ara&co & cl\ara&co $uri ${unknown} 10.43.0.10 [fd00::1];" + "\n"


@pytest.mark.parametrize(
    ("given", "limit", "rest"),
    [
        (["-T", "3", "-qO-", "http://x"], "3", "-qO- http://x"),
        (["-qT3", "http://x"], "", "-qT3 http://x"),
        (["-q", "-T3", "http://x"], "3", "-q http://x"),
        (["--timeout=7", "http://x"], "7", "http://x"),
        (["-qT", "4", "http://x"], "4", "-q http://x"),
        (["-O", "a b", "http://x"], "", "-O a b http://x"),
    ],
)
def test_wgets_time_limit_is_kept_by_timeout(tmp_path: Path, given: list[str], limit: str, rest: str) -> None:
    for name, body in (("timeout", 'echo "limit $1"; shift; exec "$@"'), ("busybox", 'shift; echo "$*"')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", str(FILES / "wget"), *given],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [*([f"limit {limit}"] if limit else []), rest]
