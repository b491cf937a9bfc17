"""How good is a node for a pod, among those on which it can run? Each score is a whole number, 0 to 100, and
counts by its weight.

Source: kubernetes.io "Resource Bin Packing" for NodeResourcesFit, "Scheduler Configuration" for the plugins.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from podium.api.types.taints import bears_all
from podium.control.scheduler.needs import Footprint
from podium.control.scheduler.picture import NodePicture, Picture
from podium.control.scheduler.profiles import Fit, Profile

_MIB = 1024 * 1024
IMAGE_LEAST, IMAGE_MOST = 23 * _MIB, 1000 * _MIB  # bytes; the most is per container
_PLAIN = ("cpu", "memory", "ephemeral-storage")


def local_score(pod: Footprint, node: NodePicture, picture: Picture, profile: Profile) -> int:
    """The weighted scores that depend on nothing but the node (and how common its images are)."""
    weights = profile.scores
    total = 0
    if weight := weights.get("NodeResourcesFit"):
        total += weight * fit_score(pod, node, profile.fit)
    if (weight := weights.get("NodeResourcesBalancedAllocation")) and pod.cost.requests:
        total += weight * balanced_score(pod, node, profile)
    if node.images and (weight := weights.get("ImageLocality")):
        total += weight * image_score(pod, node, picture)
    return total


def fit_score(pod: Footprint, node: NodePicture, fit: Fit) -> int:
    one = _ONE[fit.strategy] if fit.strategy != "RequestedToCapacityRatio" else None
    total = weights = 0
    for resource, weight in fit.resources:
        asked, used = _amounts(pod, node, resource)
        room = node.allocatable.get(resource, 0)
        if not room or (not asked and resource not in _PLAIN):
            continue
        if one is not None:
            total += one(used + asked, room) * weight
            weights += weight
        elif score := _ratio(used + asked, room, fit.shape):
            total += score * weight
            weights += weight
    if not weights:
        return 0
    return total // weights if one is not None else math.floor(total / weights + 0.5)


def _amounts(pod: Footprint, node: NodePicture, resource: str) -> tuple[int, int]:
    """What the pod asks for and what is used, with defaults for pods that ask for no cpu or memory."""
    if resource == "cpu":
        return pod.cost.score_cpu, node.score_cpu
    if resource == "memory":
        return pod.cost.score_memory, node.score_memory
    return dict(pod.cost.requests).get(resource, 0), node.used.get(resource, 0)


def _least(requested: int, room: int) -> int:
    return 0 if requested > room else (room - requested) * 100 // room


def _most(requested: int, room: int) -> int:
    return 100 if requested > room else requested * 100 // room


_ONE: dict[str, Callable[[int, int], int]] = {"LeastAllocated": _least, "MostAllocated": _most}


def _ratio(requested: int, room: int, curve: Sequence[tuple[int, int]]) -> int:
    """The score on the line through the points of `curve` at this utilisation."""
    at = 100 if requested > room else requested * 100 // room
    if at <= curve[0][0]:
        return curve[0][1]
    for (left, low), (right, high) in pairwise(curve):
        if at <= right:
            return low + int((high - low) * (at - left) / (right - left))
    return curve[-1][1]


def balanced_score(pod: Footprint, node: NodePicture, profile: Profile) -> int:
    """50 to 100: how much more evenly the node's resources are used with the pod than without it; 75 for no
    change. Pods that ask for none of the resources all get the same."""
    asked = dict(pod.cost.requests)
    if not any(asked.get(resource) for resource, _ in profile.balanced):
        return 0
    before: list[float] = []
    after: list[float] = []
    for resource, _ in profile.balanced:
        room, amount = node.allocatable.get(resource, 0), asked.get(resource, 0)
        if not room or (not amount and resource not in _PLAIN):
            continue
        used = node.used.get(resource, 0)
        before.append(min(1.0, used / room))
        after.append(min(1.0, (used + amount) / room))
    return 50 + (50 + _evenness(after) - _evenness(before)) // 2


def _evenness(fractions: Sequence[float]) -> int:
    deviation = 0.0
    if len(fractions) == 2:
        deviation = abs(fractions[0] - fractions[1]) / 2
    elif len(fractions) > 2:
        mean = sum(fractions) / len(fractions)
        deviation = math.sqrt(sum((entry - mean) ** 2 for entry in fractions) / len(fractions))
    return int((1 - deviation) * 100)


def image_score(pod: Footprint, node: NodePicture, picture: Picture) -> int:
    """How many of the pod's bytes of images are there, each image weighted by how many nodes have it, so
    that one node with an image does not draw all its pods."""
    nodes = len(picture.present)
    found = sum(
        int(node.images[image] * picture.image_nodes[image] / nodes)
        for image in pod.images
        if image in node.images
    )
    most = IMAGE_MOST * pod.containers
    return 100 * (min(max(found, IMAGE_LEAST), most) - IMAGE_LEAST) // (most - IMAGE_LEAST)


def soft_taints(pod: Footprint, node: NodePicture) -> int:
    return sum(not bears_all(pod.tolerations, (taint,)) for taint in node.soft_taints)


def preference(pod: Footprint, node: NodePicture, profile: Profile) -> int:
    wanted = (*pod.preferred, *profile.added_preferences) if profile.added_preferences else pod.preferred
    return sum(entry.weight for entry in wanted if entry.term.matches(node.name, node.labels))


def highest_best(values: Sequence[int]) -> list[int]:
    """Scaled so that the greatest gets 100."""
    most = max(values, default=0)
    return [100 * value // most for value in values] if most else [0] * len(values)


def lowest_best(values: Sequence[int]) -> list[int]:
    """Scaled so that 0 gets 100 and the greatest 0."""
    most = max(values, default=0)
    return [100 - 100 * value // most for value in values] if most else [100] * len(values)
