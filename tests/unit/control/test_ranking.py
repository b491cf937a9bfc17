from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from podium.api.types import Obj
from podium.api.types.meta import timestamp
from podium.control.pods import available_in
from podium.control.replicas.ranking import DELETION_COST, deletion_cost, victims

from ..frozen import freeze

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def pod(
    name: str, *, node: str = "n", phase: str = "Running", ready: bool = True, age: float = 60.0,
    cost: str = "", restarts: int = 0, sidecar_restarts: int = 0,
) -> Obj:  # fmt: skip
    born = timestamp(NOW - timedelta(seconds=age))
    meta: Obj = {"name": name, "uid": name, "creationTimestamp": born}
    if cost:
        meta["annotations"] = {DELETION_COST: cost}
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": born}
    status = {
        "phase": phase,
        "conditions": [condition],
        "containerStatuses": [{"name": "c", "restartCount": restarts}],
        "initContainerStatuses": [{"name": "s", "restartCount": sidecar_restarts}],
    }
    spec = {"nodeName": node, "initContainers": [{"name": "s", "restartPolicy": "Always"}]}
    return freeze({"metadata": meta, "spec": spec, "status": status})  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (pod("b", node="", age=9000), pod("a", phase="Pending", ready=False)),
        (pod("b", phase="Pending", age=9000), pod("a", phase="Unknown")),
        (pod("b", phase="Unknown", age=9000), pod("a", phase="Running", ready=False)),
        (pod("b", ready=False, cost="100"), pod("a", cost="-100")),
        (pod("b", cost="-1", age=9000), pod("a")),
        (pod("b", age=60), pod("a", age=9000)),
        (pod("b", ready=False, restarts=3, age=9000), pod("a", ready=False)),
        (pod("b", ready=False, sidecar_restarts=3, age=9000), pod("a", ready=False)),
        (pod("b", ready=False, age=60), pod("a", ready=False, age=9000)),
    ],
)
def test_of_two_pods_the_one_less_missed_goes_first(first: Obj, second: Obj) -> None:
    assert victims([second, first], 1, [], NOW) == [first]
    assert victims([first, second], 1, [], NOW) == [first]


def test_pods_of_about_the_same_age_are_chosen_by_chance_of_their_uid() -> None:
    pods = [pod("b", age=100), pod("a", age=101)]
    assert victims(pods, 1, [], NOW)[0]["metadata"]["name"] == "a"


def test_the_more_crowded_node_gives_first_counting_the_owners_other_pods() -> None:
    alone, crowded = pod("a", node="empty"), pod("b", node="full")
    related = [alone, crowded, pod("other", node="full"), pod("done", node="empty", phase="Succeeded")]
    assert victims([alone, crowded], 1, related, NOW) == [crowded]


def test_as_many_as_there_are_are_taken_as_they_come() -> None:
    pods = [pod("b"), pod("a")]
    assert victims(pods, 5, [], NOW) == pods


@pytest.mark.parametrize(
    ("text", "expected"), [("7", 7), ("-3", -3), ("+7", 0), ("07", 0), ("x", 0), ("", 0), (str(2**31), 0)]
)
def test_a_deletion_cost_is_a_plain_integer_or_nothing(text: str, expected: int) -> None:
    assert deletion_cost(pod("a", cost=text)) == expected


@pytest.mark.parametrize(
    ("seconds", "ready", "expected"), [(0, True, 0), (60, True, 0), (90, True, 30), (0, False, None)]
)
def test_a_pod_is_available_after_being_ready_long_enough(
    seconds: int, ready: bool, expected: float | None
) -> None:
    assert available_in(pod("a", ready=ready), seconds, NOW) == expected
