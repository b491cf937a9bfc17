"""What is counted of the calls on containerd, under the names that the CRI has for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from podium.client.meters import Durations
from podium.runtime.containerd.errors import ContainerdError, NotFound

BOUNDS = tuple(0.005 * 2.5**power for power in range(14))
_OPERATIONS = {
    "containers.Containers/Create": "create_container",
    "containers.Containers/Delete": "remove_container",
    "containers.Containers/Get": "container_status",
    "containers.Containers/List": "list_containers",
    "images.Images/Delete": "remove_image",
    "images.Images/Get": "image_status",
    "images.Images/List": "list_images",
    "tasks.Tasks/Create": "create_task",
    "tasks.Tasks/Start": "start_container",
    "tasks.Tasks/Kill": "stop_container",
    "tasks.Tasks/Exec": "exec",
    "tasks.Tasks/List": "list_tasks",
    "tasks.Tasks/Update": "update_container_resources",
    "version.Version/Version": "version",
    "ImageService/PullImage": "pull_image",
    "ImageService/ListImages": "list_images",
    "ImageService/ImageStatus": "image_status",
    "ImageService/RemoveImage": "remove_image",
}


def operation(service: str, method: str) -> str:
    """What counts a call, "" for none: `containerd.services.tasks.v1.Tasks` and `Create`."""
    parts = service.split(".")
    short = f"{parts[2]}.{parts[-1]}" if service.startswith("containerd.services.") else parts[-1]
    return _OPERATIONS.get(f"{short}/{method}", "")


class CallMeter:
    """Of one connection: by operation, how long calls took, and how many failed. That something is not there
    is an answer, not a failure."""

    def __init__(self) -> None:
        self.durations: dict[str, Durations] = {}
        self.errors: Counter[str] = Counter()

    @contextmanager
    def measured(self, name: str) -> Iterator[None]:
        if not name:
            yield
            return
        began = monotonic()
        try:
            yield
        except NotFound:
            raise
        except ContainerdError:
            self.errors[name] += 1
            raise
        finally:
            if (durations := self.durations.get(name)) is None:
                durations = self.durations[name] = Durations(BOUNDS)
            durations.add(monotonic() - began)
