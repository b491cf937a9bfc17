"""What nobody needs when pods would have to be ended: containers that have ended, images without pods."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from podium.api.types import Obj
from podium.runtime.containerd import ContainerdError
from podium.runtime.images import PullError, parse
from podium.runtime.pods import rules

if TYPE_CHECKING:
    from podium.runtime.pods.worker import PodWorker

log = logging.getLogger(__name__)


async def remove_dead(workers: Iterable[PodWorker]) -> None:
    """Removes the containers of pods that are over, and of others those that only history knows."""
    for worker in list(workers):
        observed = worker.observed
        over = not observed.alive() and (worker.pod.get("status") or {}).get("phase") in rules.TERMINAL
        for attempts in list(observed.attempts.values()):
            for attempt in list(attempts if over else attempts[:-1]):
                if attempt.state != "exited" or f"remove/{attempt.id}" in observed.busy:
                    continue
                try:
                    await worker.node.containers.remove(worker.pod, attempt)
                except ContainerdError as error:
                    log.warning("cannot remove container %s: %s", attempt.id, error)
                    continue
                if attempt in attempts:
                    attempts.remove(attempt)


def in_use(workers: Iterable[PodWorker]) -> set[str]:
    """The images that pods have or want, by their names in full."""
    found: set[str] = set()
    for worker in workers:
        if (worker.pod.get("status") or {}).get("phase") in rules.TERMINAL and not worker.observed.alive():
            continue
        for name in _named(worker.pod):
            try:
                found.add(str(parse(name)))
            except PullError:
                continue
        for attempts in worker.observed.attempts.values():
            found.update(each.image for each in attempts)
            found.update(each.image_id for each in attempts)
    return found


def _named(pod: Obj) -> Iterable[str]:
    for container in (
        *rules.init_containers(pod),
        *rules.app_containers(pod),
        *rules.ephemeral_containers(pod),
    ):
        yield container.get("image", "")
    for volume in pod["spec"].get("volumes") or ():
        if (image := volume.get("image")) is not None:
            yield image.get("reference", "")
