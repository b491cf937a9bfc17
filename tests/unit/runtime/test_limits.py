"""When a pod takes more of the node's disk than it may: in kubelet's words."""

from __future__ import annotations

from typing import Any

import pytest

from podium.runtime.pods import limits
from podium.runtime.pods.limits import Taken

MIB = 1 << 20


def pod(*volumes: dict[str, Any], priority: int = 0, **storage: str) -> dict[str, Any]:
    """Containers by name and their limits of ephemeral storage, "" for none."""
    containers = [
        {"name": name, "resources": {"limits": {"ephemeral-storage": limit} if limit else {}}}
        for name, limit in storage.items()
    ]
    return {"spec": {"volumes": list(volumes), "containers": containers, "priority": priority}}


def empty(**source: Any) -> dict[str, Any]:
    return {"name": "cache", "emptyDir": source}


def taken(volume: int = 0, **containers: int) -> Taken:
    return Taken({name: size * MIB for name, size in containers.items()}, {"cache": volume * MIB})


@pytest.mark.parametrize(
    ("made", "found", "message"),
    [
        (pod(empty(sizeLimit="1Mi"), a=""), taken(1, a=50), None),
        (
            pod(empty(sizeLimit="1Mi"), a=""),
            taken(2, a=0),
            'Usage of EmptyDir volume "cache" exceeds the limit "1Mi". ',
        ),
        (pod(empty(sizeLimit="1Mi", medium="Memory"), a=""), taken(2), None),
        (pod(empty(sizeLimit="0"), a=""), taken(2), None),
        (
            pod(a="2Mi", b="20Mi"),
            taken(a=3, b=1),
            'Container a exceeded its local ephemeral storage limit "2Mi". ',
        ),
        (
            pod(empty(), a="2Mi", b="2Mi"),
            taken(3, a=1, b=1),
            "Pod ephemeral local storage usage exceeds the total limit of containers 4Mi. ",
        ),
        (
            pod(empty(), a="2Mi", b=""),
            taken(0, a=1, b=2),
            "Pod ephemeral local storage usage exceeds the total limit of containers 2Mi. ",
        ),
        (pod(a="2Mi"), taken(a=2), None),
    ],
)
def test_a_pod_is_told_what_it_takes_too_much_of(
    made: dict[str, Any], found: Taken, message: str | None
) -> None:
    assert limits.excess(made, found) == message


def test_only_pods_with_limits_are_looked_at_and_critical_ones_never() -> None:
    assert limits.is_limited(pod(a="2Mi"))
    assert limits.is_limited(pod(empty(sizeLimit="1Mi"), a=""))
    assert not limits.is_limited(pod(empty(), a=""))
    assert not limits.is_limited(pod(a="2Mi", priority=2_000_000_000))
