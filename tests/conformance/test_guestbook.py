"""The promise of the README: an application that runs, heals, scales, rolls out and answers."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.conformance.coverage_report import covers
from tests.conformance.kubectl import Kubectl
from tests.conformance.load import Load, fetch
from tests.conformance.objects import ECHO_V2, pod
from tests.conformance.waiting import eventually

GUESTBOOK = Path(__file__).parents[2] / "examples" / "guestbook.yaml"


@pytest.fixture
def guestbook(kubectl: Kubectl) -> Kubectl:
    kubectl("apply", "-f", str(GUESTBOOK))
    for name in kubectl("get", "deploy", "-o", "name").split():
        kubectl("rollout", "status", name, "--timeout=120s", timeout=130)
    return kubectl


def web_url(kubectl: Kubectl) -> str:
    spec = kubectl.get("service", "web")["spec"]
    return f"http://{spec['clusterIP']}:{spec['ports'][0]['port']}/"


def web_pods(kubectl: Kubectl) -> list[str]:
    return [item["metadata"]["name"] for item in kubectl.get("pods", "-l", "app=web")["items"]]


def test_every_replica_answers_in_turn_from_the_node_and_from_pods(guestbook: Kubectl) -> None:
    url = web_url(guestbook)
    names = web_pods(guestbook)
    answers = [fetch(url) for _ in range(6 * len(names))]
    assert {name for name in names if any(name in answer for answer in answers)} == set(names)
    guestbook.apply(pod("visitor"))
    guestbook.wait("pod/visitor", "condition=Ready")
    inside = [
        guestbook("exec", "visitor", "--", "wget", "-q", "-O", "-", "http://web/")
        for _ in range(4 * len(names))
    ]
    assert {name for name in names if any(name in answer for answer in inside)} == set(names)


@covers("[sig-apps] Deployment Deployment should have a working scale subresource [Conformance]")
def test_it_scales_to_five_and_back(guestbook: Kubectl) -> None:
    guestbook("scale", "deploy/web", "--replicas=5")
    guestbook("rollout", "status", "deploy/web", "--timeout=60s")
    assert guestbook.get("deploy/web")["status"]["readyReplicas"] == 5
    guestbook("scale", "deploy/web", "--replicas=1")
    eventually(lambda: web_pods(guestbook), lambda names: len(names) == 1)


@covers(
    "[sig-apps] Deployment RollingUpdateDeployment should delete old pods and create new ones [Conformance]"
)
def test_a_rollout_under_load_fails_no_request(guestbook: Kubectl) -> None:
    url = web_url(guestbook)
    before = set(web_pods(guestbook))
    load = Load(url)
    with load.running():
        guestbook("set", "image", "deploy/web", f"web={ECHO_V2}")
        guestbook("rollout", "status", "deploy/web", "--timeout=120s", timeout=130)
        eventually(lambda: set(web_pods(guestbook)), lambda names: not names & before, 60)
    assert load.failures == []
    assert load.answers > 20
    assert "version: v2" in fetch(url)
    assert "revision" in guestbook("rollout", "history", "deploy/web").lower()
    guestbook("rollout", "undo", "deploy/web")
    guestbook("rollout", "status", "deploy/web", "--timeout=120s", timeout=130)
    eventually(lambda: fetch(url), lambda answer: "version: v1" in answer)


def test_a_deleted_pod_is_replaced(guestbook: Kubectl) -> None:
    victim, *rest = web_pods(guestbook)
    guestbook("delete", "pod", victim)
    after = eventually(
        lambda: web_pods(guestbook), lambda names: victim not in names and len(names) == len(rest) + 1
    )
    guestbook("rollout", "status", "deploy/web", "--timeout=60s")
    assert set(rest) <= set(after)


def test_a_killed_process_is_restarted_once(guestbook: Kubectl) -> None:
    name = web_pods(guestbook)[0]
    os.kill(_main_process(guestbook, name), signal.SIGKILL)
    status = eventually(
        lambda: guestbook.get(f"pod/{name}")["status"]["containerStatuses"][0],
        lambda seen: seen["restartCount"] == 1 and seen["ready"],
        60,
    )
    assert status["lastState"]["terminated"]["exitCode"] == 137
    assert status["lastState"]["terminated"]["reason"] == "Error"


def _main_process(kubectl: Kubectl, name: str) -> int:
    """The host's pid of the container's first process, found by its cgroup."""
    container = kubectl.get(f"pod/{name}")["status"]["containerStatuses"][0]["containerID"].removeprefix(
        "containerd://"
    )
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if container in (entry / "cgroup").read_text():
                found.append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return min(found)


def test_what_people_ask_of_it_reads_as_they_know_it(guestbook: Kubectl) -> None:
    name = web_pods(guestbook)[0]
    wide = guestbook("get", "pods", "-o", "wide")
    assert wide.splitlines()[0].split() == [
        "NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE", "NOMINATED", "NODE", "READINESS", "GATES",
    ]  # fmt: skip
    assert "10.42.0." in wide
    described = guestbook("describe", "pod", name)
    assert "Successfully assigned" in described
    assert "Started container" in described or "Container started" in described
    fetch(web_url(guestbook))
    logged = eventually(
        lambda: guestbook("logs", "-l", "app=web", "--tail=-1"), lambda seen: "GET / " in seen
    )
    assert "200" in logged
    everything = guestbook("get", "all")
    assert all(
        entry in everything
        for entry in (f"pod/{name}", "service/web", "deployment.apps/web", "replicaset.apps/web-")
    )


def test_the_web_front_end_reaches_its_store_by_name(guestbook: Kubectl) -> None:
    name = web_pods(guestbook)[0]
    store = guestbook.get("service", "store")["spec"]["clusterIP"]
    assert store in guestbook("exec", name, "--", "getent", "hosts", "store")
