from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from podium.api.types import Obj
from podium.api.types.meta import condition, timestamp
from podium.control.deployments import revisions, rollout, status
from podium.control.deployments.revisions import DESIRED, HISTORY, MAXIMUM, REVISION

from ..frozen import freeze
from .objects import deployment, template

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def web(replicas: int = 10, surge: int | str = 3, unavailable: int | str = 2, **spec: Any) -> Obj:
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    made = deployment(replicas, **{"strategy": {"type": "RollingUpdate", "rollingUpdate": rolling}, **spec})
    made["metadata"] |= {"uid": "d", "generation": 1}
    return freeze(made)  # type: ignore[no-any-return]


def rs(name: str, size: int, available: int | None = None, *, age: int = 0, **annotations: int | str) -> Obj:
    keys = {"desired": DESIRED, "maximum": MAXIMUM, "revision": REVISION}
    meta = {
        "name": name,
        "uid": name,
        "creationTimestamp": timestamp(NOW - timedelta(hours=age)),
        "annotations": {keys[key]: str(value) for key, value in annotations.items()},
        "generation": 1,
    }
    counts = {"replicas": size, "availableReplicas": size if available is None else available}
    made = {
        "metadata": meta,
        "spec": {"replicas": size, "template": template()},
        "status": {**counts, "observedGeneration": 1},
    }
    return freeze(made)  # type: ignore[no-any-return]


def sizes(resizes: list[rollout.Resize]) -> dict[str, int]:
    return {entry.replica_set["metadata"]["name"]: entry.size for entry in resizes}


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        (10, "25%", "25%", (3, 2)),
        (1, "25%", "25%", (1, 0)),
        (4, 1, 0, (1, 0)),
        (2, 0, "1%", (0, 1)),
        (1, "0%", "25%", (0, 1)),
        (10, "0%", "0%", (0, 1)),
        (3, 0, 5, (0, 3)),
        (0, "25%", "25%", (0, 0)),
    ],
)
def test_surge_rounds_up_and_unavailability_down_and_one_of_them_is_always_there(
    replicas: int, surge: int | str, unavailable: int | str, expected: tuple[int, int]
) -> None:
    made = web(replicas, surge, unavailable)
    assert (rollout.max_surge(made), rollout.max_unavailable(made)) == expected


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        # The new one grows until there are ten and a surge of three.
        (rs("new", 0), rs("old", 10), {"new": 3}),
        # No room to grow: what is above the minimum of eight goes from the old one.
        (rs("new", 3, 0), rs("old", 10), {"old": 8}),
        (rs("new", 5, 0), rs("old", 8), {}),
        (rs("new", 5, 5), rs("old", 8), {"old": 3}),
        (rs("new", 5, 3), rs("old", 8), {"old": 5}),
        # Old pods that serve nobody go first, and need not be made up for.
        (rs("new", 3, 0), rs("old", 10, 6), {"old": 8}),
        (rs("new", 5, 0), rs("old", 8, 0), {}),
        (rs("new", 0, 0), rs("old", 13, 0), {"old": 8}),
        # The last old ones go when the new ones are there.
        (rs("new", 10), rs("old", 2), {"old": 0}),
        (rs("new", 10), rs("old", 0), {}),
        # A Deployment made smaller meanwhile.
        (rs("new", 12), rs("old", 1), {"new": 10}),
    ],
)
def test_the_next_step_of_a_rolling_update(new: Obj, old: Obj, expected: dict[str, int]) -> None:
    assert sizes(rollout.rolling(web(), new, [old])) == expected


def test_the_oldest_replica_set_shrinks_first() -> None:
    olds = [rs("younger", 4, age=1), rs("older", 4, age=2)]
    assert sizes(rollout.rolling(web(), rs("new", 5), olds)) == {"older": 0, "younger": 3}


def test_unhealthy_old_pods_go_before_healthy_ones_whatever_their_age() -> None:
    olds = [rs("older", 4, age=2), rs("younger", 4, 0, age=1)]
    assert sizes(rollout.rolling(web(), rs("new", 5), olds)) == {"younger": 0, "older": 3}


@pytest.mark.parametrize("replicas", [1, 2, 3, 7, 10])
@pytest.mark.parametrize(("surge", "unavailable"), [(1, 0), (0, 1), ("25%", "25%"), ("100%", 0), (0, "100%")])
def test_a_rollout_ends_and_never_leaves_its_limits(
    replicas: int, surge: int | str, unavailable: int | str
) -> None:
    made = web(replicas, surge, unavailable)
    new, old = 0, replicas
    for _ in range(4 * replicas + 4):
        steps = sizes(rollout.rolling(made, rs("new", new), [rs("old", old)]))
        if not steps:
            break
        new, old = steps.get("new", new), steps.get("old", old)
        assert new + old <= rollout.max_total(made)
        assert new + old >= replicas - rollout.max_unavailable(made)
    assert (new, old) == (replicas, 0)


@pytest.mark.parametrize(
    ("replicas", "holders", "expected"),
    [
        # From ten with a surge of three, in the middle of a rollout.
        (15, [rs("old", 8, age=1, desired=10, maximum=13), rs("new", 5, desired=10, maximum=13)], (11, 7)),
        (5, [rs("old", 8, age=1, desired=10, maximum=13), rs("new", 5, desired=10, maximum=13)], (5, 3)),
        (0, [rs("old", 8, age=1, desired=10, maximum=13), rs("new", 5, desired=10, maximum=13)], (0, 0)),
        # What rounding leaves over goes to the first: of equals the newer grows, and the older shrinks.
        (11, [rs("old", 5, age=1, desired=10, maximum=13), rs("new", 5, desired=10, maximum=13)], (5, 9)),
        (6, [rs("old", 5, age=1, desired=10, maximum=13), rs("new", 5, desired=10, maximum=13)], (4, 5)),
        # Without a record of the last size the Deployment's own status stands in for it.
        (10, [rs("old", 8, age=1), rs("new", 5)], (8, 5)),
    ],
)
def test_several_replica_sets_share_a_change_of_size_by_their_sizes(
    replicas: int, holders: list[Obj], expected: tuple[int, int]
) -> None:
    made = freeze({**web(replicas), "status": {"replicas": 13}})
    old, new = holders
    found = sizes(rollout.scaling(made, new, [old]))
    assert (found["old"], found["new"]) == expected
    assert sum(expected) == (replicas + 3 if replicas else 0)


def test_a_sole_replica_set_takes_the_whole_size() -> None:
    assert sizes(rollout.scaling(web(7), rs("new", 3), [rs("old", 0)])) == {"new": 7}
    assert sizes(rollout.scaling(web(7), rs("new", 0), [rs("old", 3)])) == {"old": 7}
    assert sizes(rollout.scaling(web(7), None, [rs("older", 0, age=2), rs("old", 0, age=1)])) == {"old": 7}
    assert rollout.scaling(web(7), rs("new", 7), [rs("old", 0)]) == []
    assert rollout.scaling(web(7), None, []) == []


def test_a_saturated_new_replica_set_leaves_nothing_to_adopted_old_ones() -> None:
    new = rs("new", 10, desired=10, maximum=13)
    assert sizes(rollout.scaling(web(), new, [rs("old", 2)])) == {"old": 0}


def test_a_change_of_size_is_told_from_a_rollout_by_the_size_last_asked_for() -> None:
    assert not rollout.is_scaling(web(10), [rs("new", 3, desired=10), rs("old", 10, desired=10)])
    assert rollout.is_scaling(web(11), [rs("new", 3, desired=10)])
    assert not rollout.is_scaling(web(11), [rs("gone", 0, desired=10), rs("unmarked", 3)])


def test_templates_are_the_same_whatever_their_hash_and_the_spelling_of_quantities() -> None:
    one, other = template(), template(labels={"app": "web", revisions.HASH: "abc"})
    one["spec"]["containers"][0]["resources"] = {"limits": {"cpu": "1", "memory": "1Gi"}}
    other["spec"]["containers"][0]["resources"] = {"limits": {"cpu": "1000m", "memory": "1024Mi"}}
    other["metadata"]["creationTimestamp"] = None
    assert revisions.same_template(freeze(one), freeze(other))
    other["spec"]["containers"][0]["image"] = "web:2"
    assert not revisions.same_template(one, other)


def test_a_volume_of_another_kind_is_another_template() -> None:
    one = template(volumes=[{"name": "v", "emptyDir": {}}])
    other = template(volumes=[{"name": "v", "configMap": {"name": "x"}}])
    assert not revisions.same_template(one, other)


def test_a_hash_is_stable_and_changes_with_collisions() -> None:
    first = revisions.template_hash(template(), 0)
    assert first == revisions.template_hash(freeze(template()), 0)
    assert first != revisions.template_hash(template(), 1)
    assert first != revisions.template_hash(template("web:2"), 0)
    assert set(first) <= set("bcdfghjklmnpqrstvwxz2456789")


def test_a_long_name_leaves_room_for_the_hash() -> None:
    made = web()
    named = freeze({**made, "metadata": {**made["metadata"], "name": "n" * 253}})
    assert len(revisions.build(named)["metadata"]["name"]) == 253


def test_a_revision_rolled_back_to_keeps_its_earlier_numbers() -> None:
    made = freeze({**web(), "metadata": {**web()["metadata"], "annotations": {"note": "x", REVISION: "3"}}})
    first = revisions.inherited(made, rs("rs", 1, revision=1), 4)
    assert first == {"note": "x", REVISION: "4", HISTORY: "1"}
    again = freeze({"metadata": {"name": "rs", "annotations": first}})
    assert revisions.inherited(made, again, 6)[HISTORY] == "1,4"
    assert revisions.inherited(made, again, 4) == first


def test_a_history_of_revisions_has_a_bounded_length() -> None:
    annotations = {REVISION: "9999", HISTORY: ",".join(str(number) for number in range(1000, 1400))}
    found = revisions.inherited(web(), {"metadata": {"annotations": annotations}}, 10000)[HISTORY]
    assert len(found) <= 2000
    assert found.endswith(",9999")


def test_only_idle_revisions_beyond_the_limit_are_surplus() -> None:
    olds = [rs(f"r{number}", 0, revision=number, age=10 - number) for number in range(1, 5)]
    busy = rs("busy", 1, revision=0, age=20)

    def names(limit: int, *more: Obj) -> list[str]:
        found = revisions.surplus(web(revisionHistoryLimit=limit), [*olds, *more])
        return [entry["metadata"]["name"] for entry in found]

    assert names(2) == ["r1", "r2"]
    assert names(4, busy) == []
    assert revisions.surplus(web(revisionHistoryLimit=2**31 - 1), olds) == []
    assert len(revisions.surplus(web(revisionHistoryLimit=0), olds)) == 4


def progressing(reason: str, seconds_ago: int, value: str = "True") -> Obj:
    when = NOW - timedelta(seconds=seconds_ago)
    return status.condition("Progressing", value, reason, "", when)


def rolled(current: list[Obj], new: Obj, old: Obj, **counts: int) -> Obj:
    made = web(10, progressDeadlineSeconds=60)
    made = freeze({**made, "status": {**counts, "conditions": current}})
    found = status.rollout(made, new, [old], NOW)
    return {**found, "progressing": condition({"status": found}, "Progressing")}


def test_a_rollout_without_progress_is_stuck_after_its_deadline_and_stays_so() -> None:
    counts = {"replicas": 13, "updatedReplicas": 5, "availableReplicas": 8}
    new, old = rs("new", 5, 0), rs("old", 8)
    early = rolled([progressing("ReplicaSetUpdated", 59)], new, old, **counts)["progressing"]
    assert early["reason"] == "ReplicaSetUpdated"
    late = rolled([progressing("ReplicaSetUpdated", 61)], new, old, **counts)["progressing"]
    assert (late["status"], late["reason"]) == ("False", "ProgressDeadlineExceeded")
    assert late["message"] == 'ReplicaSet "new" has timed out progressing.'
    assert late["lastTransitionTime"] == timestamp(NOW)
    kept = progressing("ProgressDeadlineExceeded", 600, "False")
    assert rolled([kept], new, old, **counts)["progressing"] == kept


def test_every_sign_of_progress_renews_the_deadline() -> None:
    found = rolled(
        [progressing("ReplicaSetUpdated", 59)], rs("new", 5, 1), rs("old", 8), replicas=13,
        updatedReplicas=5, availableReplicas=8,
    )["progressing"]  # fmt: skip
    assert found["lastUpdateTime"] == timestamp(NOW)
    assert found["lastTransitionTime"] == timestamp(NOW - timedelta(seconds=59))
    assert found["message"] == 'ReplicaSet "new" is progressing.'


def test_a_complete_rollout_is_not_called_stuck_later() -> None:
    done = rolled([progressing("ReplicaSetUpdated", 5)], rs("new", 10), rs("old", 0))["progressing"]
    assert done["reason"] == "NewReplicaSetAvailable"
    kept = progressing("NewReplicaSetAvailable", 6000)
    counts = {"replicas": 10, "updatedReplicas": 10, "availableReplicas": 10}
    assert rolled([kept], rs("new", 10, 9), rs("old", 0), **counts)["progressing"] == kept


def test_without_a_deadline_there_is_no_progressing_condition() -> None:
    made = web(10, progressDeadlineSeconds=2**31 - 1)
    made = freeze({**made, "status": {"conditions": [progressing("ReplicaSetUpdated", 5)]}})
    found = status.rollout(made, rs("new", 5), [], NOW)
    assert condition({"status": found}, "Progressing") is None
    assert status.next_check(made, found, NOW) is None


def test_a_stalled_rollout_is_looked_at_again_when_its_deadline_has_passed() -> None:
    made = web(10, progressDeadlineSeconds=60)
    found = {"conditions": [progressing("ReplicaSetUpdated", 40)]}
    assert status.next_check(made, found, NOW) == 21
    assert status.next_check(made, {"conditions": [progressing("ProgressDeadlineExceeded", 1)]}, NOW) is None


@pytest.mark.parametrize(("available", "expected"), [(8, "True"), (7, "False")])
def test_a_deployment_is_available_while_its_minimum_is(available: int, expected: str) -> None:
    found = status.calculate(web(), rs("new", 10, available), [], NOW)
    assert condition({"status": found}, "Available")["status"] == expected  # type: ignore[index]
    assert found["unavailableReplicas"] == 10 - available


def test_pausing_and_resuming_is_recorded_once_and_never_over_a_timeout() -> None:
    def found(paused: bool, reason: str) -> str | None:
        conditions = [progressing(reason, 5)] if reason else []
        made = freeze({**web(paused=paused), "status": {"conditions": conditions}})
        return (status.paused(made, NOW) or {}).get("reason")

    assert found(True, "ReplicaSetUpdated") == "DeploymentPaused"
    assert found(True, "DeploymentPaused") is None
    assert found(False, "DeploymentPaused") == "DeploymentResumed"
    assert found(False, "ReplicaSetUpdated") is None
    assert found(True, "ProgressDeadlineExceeded") is None
