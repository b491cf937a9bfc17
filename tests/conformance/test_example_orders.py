"""The walk through examples/orders that the README describes: web, queue, workers that scale, a database with a
volume, a nightly job."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.conftest import LocalCluster
from tests.conformance.kubectl import Kubectl
from tests.conformance.load import Load, fetch
from tests.conformance.objects import Obj
from tests.conformance.waiting import eventually

ORDERS = Path(__file__).parents[2] / "examples" / "orders"
WORKLOADS = ("sts/database", "deploy/queue", "deploy/web", "deploy/worker")


@pytest.fixture(scope="module")
def shop(cluster: LocalCluster) -> Iterator[Kubectl]:
    everywhere = Kubectl(str(cluster.kubeconfig))
    kubectl = Kubectl(str(cluster.kubeconfig), "orders")
    kubectl("apply", "-k", str(ORDERS))
    for name in WORKLOADS:
        kubectl("rollout", "status", name, "--timeout=60s", timeout=70)
    # Who walks through it by hand has the patience for a minute.
    kubectl(
        "patch", "hpa", "worker", "-p", '{"spec":{"behavior":{"scaleDown":{"stabilizationWindowSeconds":2}}}}'
    )
    yield kubectl
    everywhere("delete", "namespace", "orders", "--timeout=60s", timeout=70)


def addresses(kubectl: Kubectl) -> list[str]:
    """Where web is, on each node."""
    service = kubectl.get("service/web")
    port = service["spec"]["ports"][0]["port"]
    return [f"http://{entry['ip']}:{port}/cgi-bin/" for entry in service["status"]["loadBalancer"]["ingress"]]


def page(url: str) -> str:
    """With patience for a script that starts a process for each line of it."""
    return fetch(url, timeout=30)


def counted(kubectl: Kubectl) -> tuple[int, int, int]:
    """Orders in all, done, in the queue."""
    words = page(addresses(kubectl)[0] + "index").split()
    return int(words[0]), int(words[2]), int(words[4])


def pods(kubectl: Kubectl, app: str) -> list[Obj]:
    found: list[Obj] = kubectl.get("pods", "-l", f"app={app}")["items"]
    return [item for item in found if "deletionTimestamp" not in item["metadata"]]


def test_orders_that_are_placed_at_any_node_are_made(shop: Kubectl, cluster: LocalCluster) -> None:
    places = addresses(shop)
    assert len(places) == len(cluster.nodes())
    before, *_ = counted(shop)
    for place in places:
        assert page(place + "orders").startswith("1 taken\n")
    orders, _, queued = eventually(lambda: counted(shop), lambda seen: seen[0] == seen[1])
    assert (orders, queued) == (before + len(places), 0)
    assert "made " in shop("logs", "-l", "app=worker")


def test_web_is_on_every_node_and_answers_while_it_is_rolled_out(
    shop: Kubectl, cluster: LocalCluster
) -> None:
    assert {item["spec"]["nodeName"] for item in pods(shop, "web")} == set(cluster.nodes())
    before = {item["metadata"]["uid"] for item in pods(shop, "web")}
    load = Load(addresses(shop)[-1] + "index")
    with load.running():
        shop("rollout", "restart", "deploy/web")
        shop("rollout", "status", "deploy/web", "--timeout=60s", timeout=70)
        after = eventually(
            lambda: {item["metadata"]["uid"] for item in pods(shop, "web")}, lambda seen: not seen & before
        )
    assert len(after) == 3
    assert not load.failures
    assert load.answers > 20


def test_workers_come_with_the_work_and_go_with_it(shop: Kubectl) -> None:
    assert page(addresses(shop)[0] + "orders?count=12").startswith("12 taken\n")
    eventually(lambda: len(pods(shop, "worker")), lambda count: count >= 4)
    eventually(lambda: counted(shop), lambda seen: seen[0] == seen[1])
    eventually(lambda: len(pods(shop, "worker")), lambda count: count == 1)
    told = shop("get", "events", "--field-selector=reason=SuccessfulRescale")
    assert "reason: cpu resource utilization (percentage of request) above target" in told
    assert "reason: All metrics below target" in told


def test_what_was_ordered_is_kept_when_the_database_and_the_queue_are_killed(shop: Kubectl) -> None:
    assert page(addresses(shop)[0] + "orders?count=3").startswith("3 taken\n")
    before, *_ = counted(shop)
    shop("delete", "pod", "-l", "app in (database,queue)", "--grace-period=0", "--force")
    shop("rollout", "status", "sts/database", "--timeout=60s", timeout=70)
    shop("rollout", "status", "deploy/queue", "--timeout=60s", timeout=70)

    def done() -> int:
        # A page that was asked for too early waits for a database that is not there any more.
        with contextlib.suppress(OSError):
            orders, made, _ = counted(shop)
            return orders if orders == made else 0
        return 0

    assert eventually(done, bool) == before


def test_the_nightly_job_can_be_run_at_any_time_and_keeps_a_copy(shop: Kubectl) -> None:
    shop("create", "job", "--from=cronjob/nightly", "now")
    shop.wait("job/now", "condition=Complete")
    assert "kept: 1, the latest is /backups/orders-" in shop("logs", "job/now")
    assert shop.get("pvc/backups")["status"]["phase"] == "Bound"


def test_the_databases_volume_grows_while_it_is_used(shop: Kubectl) -> None:
    before = shop.get("pod/database-0")["metadata"]["uid"]
    larger = '{"spec":{"resources":{"requests":{"storage":"256Mi"}}}}'
    shop("patch", "pvc", "data-database-0", "-p", larger)
    shop.wait("pvc/data-database-0", "jsonpath={.status.capacity.storage}=256Mi")
    size = shop("exec", "database-0", "--", "df", "-m", "/data").split()[8]
    assert int(size) > 200
    pod = shop.get("pod/database-0")
    assert (pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"]) == (before, 0)


def test_a_drained_node_takes_no_page_away(shop: Kubectl, victim: str) -> None:
    load = Load(addresses(shop)[0] + "index")
    with load.running():
        shop("drain", victim, "--ignore-daemonsets", "--pod-selector=app=web", "--timeout=40s")
        eventually(lambda: shop.get("deploy/web")["status"].get("readyReplicas"), lambda count: count == 3)
    assert victim not in {item["spec"]["nodeName"] for item in pods(shop, "web")}
    assert not load.failures
