"""`hack/bench` takes a kubeconfig and prints figures; that they are good is not a test's business."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.conformance.conftest import LocalCluster

BENCH = Path(__file__).parents[2] / "hack" / "benchmarks" / "main.py"


def test_it_measures_the_start_of_pods_and_prints_json(cluster: LocalCluster) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCH), "pods", "--pods", "2", "--kubeconfig", str(cluster.kubeconfig)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["pods"]["median_ms"] > 0


def test_it_measures_the_chosen_parts_of_a_node_and_tells_each_when_it_is_known(
    cluster: LocalCluster,
) -> None:
    parts = ["--parts", "exec,logs", "--log-mb", "1", "--run-dir", str(cluster.root / "run")]
    done = subprocess.run(
        [sys.executable, str(BENCH), "node", *parts, "--kubeconfig", str(cluster.kubeconfig)],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)["node"]
    assert figures["exec"]["median_ms"] > 0
    assert figures["logs"]["log_mb"] == 1.0
    assert [line.partition(" ")[0] for line in done.stderr.splitlines()[1:]] == ["exec", "logs"]


def test_it_measures_the_scheduler_on_nodes_that_are_not_there(cluster: LocalCluster) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCH), "scheduler", "--nodes", "20", "--kubeconfig", str(cluster.kubeconfig)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)["scheduler"]["20_nodes"]
    assert (figures["pods"], figures["created"]["requests"]) == (2000, 2000)


def test_it_names_what_it_cannot_measure(cluster: LocalCluster) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCH), "karma"], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 2
    assert "nothing to measure is called karma" in done.stderr
