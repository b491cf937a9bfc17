"""An image out of a containerd, by one of its names."""

from __future__ import annotations

from podium.runtime import references
from podium.runtime.containerd import Containerd
from podium.runtime.pods import records


class InUse(Exception):
    """Containers are made of the image."""


async def remove(containerd: Containerd, name: str, *, force: bool = False, dry: bool = False) -> bool:
    """Forgets a name, in full, and with the last one of an image the image itself; whether it was there.
    `dry` only looks. Raises InUse, ContainerdError."""
    image = await containerd.images.get(name)
    if image is None:
        return False
    if not force and (users := await _users(containerd, name)):
        raise InUse(f"{name} is used by {', '.join(users)}: remove these pods first, or use --force")
    if dry:
        return True
    same = await containerd.images.list(f"target.digest=={image.target.digest}")
    others = [each.name for each in same if each.name != name]
    # What is left when the last tag goes are the names by digest, which nobody gave.
    if all(references.is_digest(other) or "@" in other for other in others):
        for other in others:
            await containerd.images.delete(other)
    await containerd.images.delete(name, sync=True)
    return True


async def _users(containerd: Containerd, name: str) -> list[str]:
    """The pods of containers whose image has that name."""
    found = set()
    for raw in await containerd.containers.list(records.FILTER):
        record = records.parse(raw)
        if record is not None and record.attempt.image == name and record.attempt.state != "exited":
            found.add(f"{record.namespace}/{record.pod}")
    return sorted(found)
