"""Overlays of image layers that belong to a pod's own users. An overlay cannot be mapped once it is mounted:
its layers are. Blocks briefly: call it in threads."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from podium.runtime import mounting
from podium.runtime.usernamespaces import making
from podium.runtime.usernamespaces.ranges import IdRange

_LOWER = "lowerdir="
_TOLD_OTHERS = ("uidmap=", "gidmap=")
"""What a snapshotter says to whoever mounts; the kernel does not know it."""


def mount_mapped(options: Sequence[str], target: Path, flags: int, ids: IdRange) -> None:
    """Mounts the overlay that a snapshotter describes. Raises OSError; then nothing is mounted."""
    layers = next(each.removeprefix(_LOWER).split(":") for each in options if each.startswith(_LOWER))
    others = [each for each in options if not each.startswith((_LOWER, *_TOLD_OTHERS))]
    scratch = Path(tempfile.mkdtemp(prefix="layers-"))
    places = [scratch / str(number) for number in range(len(layers))]
    try:
        with making.namespace(ids) as users:
            for layer, place in zip(layers, places, strict=True):
                place.mkdir()
                mounting.show_mapped(layer, str(place), users)
        lower = _LOWER + ":".join(map(str, places))
        mounting.mount("overlay", str(target), "overlay", flags, ",".join([lower, *others]))
    finally:
        for place in places:
            mounting.unmount(place)
            # Never what is in it: should it be mounted still, that is an image.
            if place.exists():
                place.rmdir()
        scratch.rmdir()
