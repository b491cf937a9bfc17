"""The images: what is in each, by layer. Layers are shared, so that four images cost little more than one."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from baseimages.packages import Package
from baseimages.tree import Layer, Tree

FILES = Path(__file__).parent / "files"

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_USERS = (
    ("root", 0, "/root", "/bin/sh"),
    ("daemon", 1, "/", "/bin/false"),
    ("www-data", 33, "/", "/bin/false"),
    ("nginx", 101, "/", "/bin/false"),
    ("redis", 999, "/data", "/bin/false"),
    ("nobody", 65534, "/", "/bin/false"),
)

# The dynamic loader and the libraries themselves; not what is loaded by name (character sets, engines).
_LIBRARIES = (r"usr/lib64/.*", r"usr/lib/ld-linux[^/]*", r"usr/lib/[^/]*-linux-gnu[^/]*/[^/]*\.so[^/]*")
# Of libc: tools for debugging, and name services nobody configures.
_UNUSED = (
    "libmemusage",
    "libpcprofile",
    "libc_malloc_debug",
    "libthread_db",
    "libnss_compat",
    "libnss_hesiod",
)

Debs = Mapping[str, Path]


LayerRecipe = Callable[[Debs], Layer]


class Image(NamedTuple):
    """`names` are full, with tags. `roots` are the packages it is made from, without their libraries.
    `layers` build it from the packages' files, the lowest one first; images with the same recipe share that
    layer. `config` is the runtime configuration of the image."""

    file: str
    names: tuple[str, ...]
    roots: tuple[str, ...]
    layers: tuple[LayerRecipe, ...]
    config: dict[str, Any]


def _busybox_layer(debs: Debs) -> Layer:
    """A small system with a shell: static, so that it needs no other layer."""
    tree = Tree()
    for name in ("bin", "sbin", "lib", "lib64"):
        tree.link(name, f"usr/{name}")
        tree.directory(f"usr/{name}")
    tree.directory("dev", "etc", "home", "mnt", "opt", "proc", "run", "srv", "sys", "var", "var/log", "data")
    tree.directory("root", mode=0o700)
    tree.directory("tmp", "var/tmp", mode=0o1777)
    tree.link("var/run", "/run")
    tree.file(
        "etc/passwd", "".join(f"{name}:x:{id}:{id}::{home}:{shell}\n" for name, id, home, shell in _USERS)
    )
    tree.file("etc/group", "".join(f"{name}:x:{id}:\n" for name, id, *_ in _USERS))
    tree.file("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")
    tree.package(debs["busybox-static"], ["usr/bin/busybox"])
    for applet in _applets(debs["busybox-static"]):
        tree.link(f"usr/bin/{applet}", "busybox")
    tree.file("usr/bin/wget", (FILES / "wget").read_bytes(), 0o755)
    return tree.layer()


def _applets(deb: Path) -> list[str]:
    """What this busybox can be called as, but for the package manager's names."""
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run(["dpkg-deb", "-x", str(deb), scratch], check=True)
        binary = next(path for path in Path(scratch).glob("**/bin/busybox"))
        listed = subprocess.run([str(binary), "--list"], capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split() if name not in ("busybox", "dpkg", "dpkg-deb", "wget")]


def _libraries(tree: Tree, debs: Debs) -> None:
    patterns = [rf"(?!.*/(?:{'|'.join(_UNUSED)})){pattern}" for pattern in _LIBRARIES]
    for deb in debs.values():
        tree.package(deb, patterns)


def _nginx_layer(debs: Debs) -> Layer:
    tree = Tree()
    _libraries(tree, debs)
    tree.package(debs["libc-bin"], ["usr/bin/getent"])
    tree.package(debs["nginx"], ["usr/sbin/nginx"])
    tree.package(debs["nginx-common"], [r"etc/nginx/(mime\.types|.*_params)"])
    tree.directory(
        "etc/nginx/conf.d", "etc/nginx/templates", "var/lib/nginx", "var/log/nginx", "usr/share/nginx/html"
    )
    tree.link("var/log/nginx/access.log", "/dev/stdout")
    tree.link("var/log/nginx/error.log", "/dev/stderr")
    tree.file("docker-entrypoint.sh", (FILES / "docker-entrypoint.sh").read_bytes(), 0o755)
    tree.file("etc/nginx/nginx.conf", (FILES / "nginx.conf").read_bytes())
    return tree.layer()


def _site_layer(debs: Debs) -> Layer:
    tree = Tree()
    tree.file("etc/nginx/conf.d/default.conf", (FILES / "default.conf").read_bytes())
    tree.file("usr/share/nginx/html/index.html", (FILES / "index.html").read_bytes())
    return tree.layer()


def _echo_layer(debs: Debs) -> Layer:
    tree = Tree()
    tree.package(debs["libnginx-mod-http-echo"], [r"usr/lib/nginx/modules/.*\.so"])
    tree.file("etc/nginx/nginx.conf", (FILES / "echo.conf").read_bytes())
    return tree.layer()


def _version_layer(version: str) -> LayerRecipe:
    def build(debs: Debs) -> Layer:
        tree = Tree()
        tree.file("etc/nginx/version.conf", f"map $host $echo_version {{\n    default {version};\n}}\n")
        return tree.layer()

    return build


def _redis_layer(debs: Debs) -> Layer:
    tree = Tree()
    _libraries(tree, debs)
    tree.package(debs["libc-bin"], ["usr/bin/getent"])
    for name in ("redis-server", "redis-tools"):
        tree.package(debs[name], [r"usr/bin/redis-(server|cli|check-rdb)"])
    return tree.layer()


_NGINX_CONFIG: dict[str, Any] = {
    "Env": [PATH],
    "Entrypoint": ["/docker-entrypoint.sh"],
    "Cmd": ["nginx", "-g", "daemon off;"],
    "ExposedPorts": {"80/tcp": {}},
    # Finish the requests under way, then exit.
    "StopSignal": "SIGQUIT",
}
_NGINX = ("busybox-static", "nginx", "nginx-common", "libc-bin")
_ECHO = (*_NGINX, "libnginx-mod-http-echo")


def _echo(version: str, *tags: str) -> Image:
    return Image(
        f"echo-{version}.tar",
        tuple(f"podium.io/echo:{tag}" for tag in (version, *tags)),
        _ECHO,
        (_busybox_layer, _nginx_layer, _echo_layer, _version_layer(version)),
        {**_NGINX_CONFIG, "ExposedPorts": {"80/tcp": {}, "8080/tcp": {}}},
    )


IMAGES = (
    Image(
        "busybox.tar",
        tuple(f"docker.io/library/busybox:{tag}" for tag in ("latest", "1.36", "stable")),
        ("busybox-static",),
        (_busybox_layer,),
        {"Env": [PATH], "Cmd": ["sh"]},
    ),
    Image(
        "nginx.tar",
        tuple(f"docker.io/library/nginx:{tag}" for tag in ("latest", "stable", "1.22")),
        _NGINX,
        (_busybox_layer, _nginx_layer, _site_layer),
        _NGINX_CONFIG,
    ),
    _echo("v1", "latest"),
    _echo("v2"),
    Image(
        "redis.tar",
        ("docker.io/library/redis:latest",),
        ("busybox-static", "redis-server", "redis-tools", "libc-bin"),
        (_busybox_layer, _redis_layer),
        {
            "Env": [PATH],
            "Cmd": ["redis-server", "--protected-mode", "no", "--dir", "/data"],
            "WorkingDir": "/data",
            "ExposedPorts": {"6379/tcp": {}},
            "Volumes": {"/data": {}},
        },
    ),
)


def build(image: Image, debs: Debs, done: dict[LayerRecipe, Layer]) -> Sequence[Layer]:
    """An image's layers. `done` keeps those that further images of the same run share."""
    for recipe in image.layers:
        if recipe not in done:
            done[recipe] = recipe(debs)
    return [done[recipe] for recipe in image.layers]


def key(image: Image, packages: list[Package], architecture: str) -> str:
    """Changes with everything an archive is made from: packages, and what is in this folder."""
    made = hashlib.sha256()
    made.update(repr((image.file, image.names, image.config, packages, architecture)).encode())
    for path in sorted([*Path(__file__).parent.glob("*.py"), *FILES.iterdir()]):
        made.update(path.name.encode() + path.read_bytes())
    return made.hexdigest()
