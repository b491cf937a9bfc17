"""Components are killed at random, under churn, for two minutes (PODIUM_SURVIVAL_SECONDS makes it longer): the state
converges and nothing is lost. What is done follows from a seed, which is printed; PODIUM_SURVIVAL_SEED repeats it."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from podium.runtime.containerd import ContainerdError
from tests.conformance.conftest import CGROUP, LocalCluster
from tests.conformance.kubectl import Kubectl
from tests.conformance.survival import invariants
from tests.conformance.survival.churn import Churn
from tests.conformance.survival.havoc import Havoc
from tests.conformance.waiting import eventually

SECONDS = float(os.environ.get("PODIUM_SURVIVAL_SECONDS", "120"))
SEED = int(os.environ.get("PODIUM_SURVIVAL_SEED") or random.SystemRandom().randrange(1_000_000))


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_whatever_is_killed_the_state_converges_and_nothing_acknowledged_is_lost(
    cluster: LocalCluster, kubectl: Kubectl
) -> None:
    print(f"PODIUM_SURVIVAL_SEED={SEED}")
    nodes = cluster.nodes()
    churn = Churn(kubectl, random.Random(SEED))
    churn.prepare()
    havoc = Havoc(cluster, nodes, random.Random(SEED + 1))
    churn.start()
    havoc.start()
    havoc.join(SECONDS)
    havoc.stop()
    havoc.join()
    churn.stop()
    print("\n".join(havoc.story))
    print(f"{len(churn.refused)} refused, such as {churn.refused[:3]}; {churn.told}")
    assert len(havoc.story) > SECONDS / 40
    assert len(churn.told.jobs) > 0

    def wrong() -> list[str]:
        return [
            *said(invariants.workloads(kubectl, churn.told)),
            *said(invariants.memory(kubectl, churn.told)),
            *said(invariants.claims(kubectl, churn.told)),
            *said(invariants.machine(cluster, kubectl, CGROUP)),
        ]

    for name in nodes:
        kubectl.wait(f"node/{name}", "condition=Ready", timeout=60)
    eventually(wrong, lambda found: not found, timeout=120, pause=2)


def said(findings: Iterator[str]) -> list[str]:
    """What is wrong; a question that was refused (a pod that has just ended, say) is no answer yet."""
    found = []
    try:
        found.extend(findings)
    except (AssertionError, ContainerdError) as error:
        found.append(str(error))
    return found
