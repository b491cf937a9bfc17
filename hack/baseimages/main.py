"""The command."""

from __future__ import annotations

import argparse
import errno
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from baseimages import archive, packages, recipes
from baseimages.packages import Package, PackageError
from baseimages.recipes import IMAGES, Image
from baseimages.tree import Layer

OUTPUT = Path("/var/lib/podium/images")
ROOM = 200 * 1024 * 1024


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="hack/images",
        description="Build the base images from Debian packages, as OCI archives for `podium image load`.",
    )
    parser.add_argument(
        "--output", type=Path, default=OUTPUT, metavar="DIR", help="where (default: %(default)s)"
    )
    parser.add_argument("--list", action="store_true", help="print names and archives, build nothing")
    parser.add_argument("image", nargs="*", help="build only these: busybox, nginx, echo-v1, echo-v2, redis")
    options = parser.parse_args(arguments)
    by_name = {Path(image.file).stem: image for image in IMAGES}
    if unknown := [name for name in options.image if name not in by_name]:
        parser.error(f"no image {', '.join(unknown)}; there are {', '.join(by_name)}")
    chosen = [by_name[name] for name in options.image] or list(IMAGES)
    if options.list:
        for image in chosen:
            print(options.output / image.file, *image.names)
        return 0
    try:
        build(chosen, options.output)
    except PackageError as error:
        return _fail(str(error))
    except subprocess.CalledProcessError as error:
        return _fail(f"{error.cmd[0]} failed: {(error.stderr or b'').decode(errors='replace').strip()}")
    except OSError as error:
        if error.errno == errno.ENOSPC:
            return _fail(f"no space left for the images below {options.output}")
        return _fail(f"{error.filename or options.output}: {error.strerror}")
    return 0


def build(images: Sequence[Image], output: Path) -> None:
    """Make what is missing or was made from other packages."""
    output.mkdir(parents=True, exist_ok=True)
    architecture = packages.architecture()
    needed = _resolve(images, output)
    if needed is None:
        return
    stale = {
        image.file: (image, key)
        for image in images
        if (key := recipes.key(image, needed[image.file], architecture))
        != archive.key_of(output / image.file)
    }
    if not stale:
        _say(f"Base images in {output} are up to date")
        return
    _need_room(output)
    wanted = {package for file in stale for package in needed[file]}
    with tempfile.TemporaryDirectory(prefix=".debs-", dir=output) as scratch:
        _say(f"Downloading {len(wanted)} Debian packages")
        files = packages.download(sorted(wanted), Path(scratch))
        done: dict[recipes.LayerRecipe, Layer] = {}
        for image, key in stale.values():
            _say(f"Building {' '.join(image.names)}")
            debs = {package.name: files[package.name] for package in needed[image.file]}
            layers = recipes.build(image, debs, done)
            path = output / image.file
            archive.write(path, image.names, layers, image.config, architecture=architecture, key=key)


def _resolve(images: Sequence[Image], output: Path) -> dict[str, list[Package]] | None:
    """The packages of each image, from apt's lists, which are fetched if there are none. Without lists and
    without a way to get them, archives that are there already are good enough (None)."""
    try:
        return _packages(images)
    except PackageError:
        _say("Fetching the lists of Debian packages")
    try:
        packages.update()
        return _packages(images)
    except PackageError as error:
        if not all(archive.key_of(output / image.file) for image in images):
            raise
        _say(f"Keeping the base images in {output}: {error}")
        return None


def _packages(images: Sequence[Image]) -> dict[str, list[Package]]:
    known = packages.catalogue(sorted({root for image in images for root in image.roots}))
    return {image.file: packages.with_libraries(image.roots, known) for image in images}


def _need_room(output: Path) -> None:
    free = shutil.disk_usage(output).free
    if free < ROOM:
        raise OSError(errno.ENOSPC, f"{free >> 20} MiB free, {ROOM >> 20} MiB needed", str(output))


def _say(line: str) -> None:
    print(f"==> {line}", file=sys.stderr, flush=True)


def _fail(message: str) -> int:
    print(f"images: {message}", file=sys.stderr)
    return 1
