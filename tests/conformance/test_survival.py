"""Components are killed at random, under churn, for five minutes: the state converges and nothing is lost."""

from __future__ import annotations

import os
import random

from tests.conformance.conftest import CGROUP, LocalCluster
from tests.conformance.kubectl import Kubectl
from tests.conformance.survival import invariants
from tests.conformance.survival.churn import Churn
from tests.conformance.survival.havoc import Havoc
from tests.conformance.waiting import eventually

SECONDS = float(os.environ.get("PODIUM_SURVIVAL_SECONDS", "300"))
SEED = int(os.environ.get("PODIUM_SURVIVAL_SEED") or random.SystemRandom().randrange(1_000_000))


def test_whatever_is_killed_the_state_converges_and_nothing_acknowledged_is_lost(
    cluster: LocalCluster, kubectl: Kubectl
) -> None:
    print(f"PODIUM_SURVIVAL_SEED={SEED}")
    names = [node["metadata"]["name"] for node in kubectl.get("nodes")["items"]]
    first = next(name for name in names if not (cluster.root / "run" / "n" / name).exists())
    nodes = [first, *(name for name in names if name != first)]
    churn = Churn(kubectl, random.Random(SEED))
    churn.prepare()
    havoc = Havoc(cluster, nodes, random.Random(SEED + 1))
    churn.start()
    havoc.start()
    havoc.join(SECONDS)
    havoc.stop()
    havoc.join()
    churn.stop()
    churn.join()
    print("\n".join(havoc.story))
    print(f"{len(churn.refused)} refused, such as {churn.refused[:3]}")
    assert len(havoc.story) > SECONDS / 40
    assert len(churn.told.jobs) > 0

    def wrong() -> list[str]:
        return [
            *invariants.workloads(kubectl, churn.told),
            *invariants.memory(kubectl, churn.told),
            *invariants.claims(kubectl),
            *invariants.machine(cluster, kubectl, CGROUP),
        ]

    for name in nodes:
        kubectl.wait(f"node/{name}", "condition=Ready", timeout=60)
    eventually(wrong, lambda found: not found, timeout=120, pause=2)
