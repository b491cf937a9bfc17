"""Which images to remove when the disk that they lie on fills up, or nobody has used them for long. Pure.

Source: docs, "Garbage Collection", of unused images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


class BadThreshold(ValueError):
    """Not settings that can be meant."""


@dataclass(frozen=True, slots=True)
class ImageGarbage:
    """Percents of the disk at which removing begins and ends (a beginning at 100 never comes), seconds that
    an image is let be after it came, and seconds without a use after which it goes anyhow (0: never). Raises
    BadThreshold."""

    high: int = 85
    low: int = 80
    minimum_age: float = 120.0
    maximum_age: float = 0.0

    def __post_init__(self) -> None:
        for name, value in (("high", self.high), ("low", self.low)):
            if not 0 <= value <= 100:
                raise BadThreshold(f"image GC's {name} threshold is {value}: must be between 0 and 100")
        if self.low > self.high:
            raise BadThreshold(
                f"image GC's low threshold, {self.low}, is above the high threshold, {self.high}"
            )
        if self.maximum_age and self.maximum_age < self.minimum_age:
            raise BadThreshold("the maximum age of images is below the minimum age")

    @property
    def idle(self) -> bool:
        return self.high == 100 and not self.maximum_age


@dataclass(frozen=True, slots=True)
class Held:
    """An image by what its names stand for. `used`: right now."""

    digest: str
    names: tuple[str, ...]
    size: int
    used: bool = False
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """When an image was first seen here, and when last in use, None for never."""

    first: datetime
    used: datetime | None = None


def watched(before: Mapping[str, Seen], images: Iterable[Held], now: datetime) -> dict[str, Seen]:
    """What is known of each image now, by digest."""
    made = {}
    for image in images:
        seen = before.get(image.digest) or Seen(now)
        made[image.digest] = Seen(seen.first, now) if image.used else seen
    return made


def _order(image: Held, seen: Seen) -> tuple[bool, datetime, datetime]:
    """Those that were never used go first, then those whose use is longest ago."""
    return seen.used is not None, seen.used or seen.first, seen.first


def too_old(
    settings: ImageGarbage, images: Iterable[Held], seen: Mapping[str, Seen], now: datetime, since: datetime
) -> list[Held]:
    """Those that nobody has used for longer than the maximum age. Uses from before `since`, when watching
    began, are not known: nothing is too old until then plus that age."""
    most = timedelta(seconds=settings.maximum_age)
    if not most or now - since <= most:
        return []
    return [
        image
        for image in images
        if not image.used and not image.pinned and now - (seen[image.digest].used or since) > most
    ]


def to_free(settings: ImageGarbage, capacity: int, available: int) -> int:
    """Bytes to be freed of a disk; 0 below the high threshold."""
    available = min(available, capacity)
    if settings.high == 100 or usage(capacity, available) < settings.high:
        return 0
    return max(0, capacity * (100 - settings.low) // 100 - available)


def usage(capacity: int, available: int) -> int:
    """Percents."""
    return 100 - available * 100 // capacity


def chosen(
    settings: ImageGarbage, images: Sequence[Held], seen: Mapping[str, Seen], now: datetime, wanted: int
) -> list[Held]:
    """What to remove, in this order, to free that many bytes; all that may go if they are not enough."""
    least = timedelta(seconds=settings.minimum_age)
    ready = [
        image
        for image in images
        if not image.used and not image.pinned and now - seen[image.digest].first >= least
    ]
    found: list[Held] = []
    for image in sorted(ready, key=lambda image: _order(image, seen[image.digest])):
        if sum(each.size for each in found) >= wanted:
            break
        found.append(image)
    return found


def shortage(capacity: int, available: int, freed: int) -> str:
    """What to say when removing was not enough."""
    return (
        f"Insufficient free disk space on the node's image filesystem ({usage(capacity, available)}% of "
        f"{_size(capacity)} used). Failed to free sufficient space by deleting unused images "
        f"(freed {freed} bytes). Investigate disk usage, as it could be used by active images, logs, "
        "volumes, or other data."
    )


def _size(count: float) -> str:
    if count < 1024:
        return f"{int(count)} B"
    for unit in ("KiB", "MiB", "GiB"):
        count /= 1024
        if count < 1024:
            return f"{count:.1f} {unit}"
    return f"{count / 1024:.1f} TiB"
