"""Measures a cluster and prints JSON. Benchmarks, never timed tests: they assert nothing about speed."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import autoscaling
import cluster
import idle
import node
import rollout
import scheduling
import uvloop
from load import Server

import api
from podium.client import kubeconfig
from podium.client.https import HttpsClient
from podium.client.tls import client_context

WHAT = {
    "pods": "start of one pod, POST answered to Ready",
    "scale": "a Deployment from 0 to 30 Ready and back",
    "service": "until a new Service answers, alone and with 500 others",
    "rollout": "requests lost while a Deployment of 10 replicas is rolled out at 500 requests a second",
    "hpa": "from load to a scaled up Deployment, with the default sync period",
    "api": "the API server with 8,000 pods",
    "server": "the server's process: ready, idle, and bounded while pods come and go (one of its own)",
    "scheduler": "pods bound to simulated nodes, up to 10,000 on 1,000 (not unless asked for)",
    "node": "a node's figures: pods that start, stop and crash, exec and logs, its daemon empty and full",
    "idle": "memory and CPU of this machine's cluster while nothing happens",
    "nodes": "three nodes: `podium up --nodes 3` to all Ready, and the idle cluster (one of its own)",
    "up": "`podium down` and `podium up` to a Ready node (of this machine's cluster; stops its pods)",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="hack/bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "what", nargs="*", metavar="WHAT", help="\n".join(f"{name}: {text}" for name, text in WHAT.items())
    )
    parser.add_argument(
        "--kubeconfig", default=os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    )
    parser.add_argument("--context", default="", help="default: the current context")
    parser.add_argument("--data-dir", default="/var/lib/podium", help="for `up`")
    parser.add_argument("--run-dir", default="/run/podium", help="for `idle`, `node` and `scheduler`")
    parser.add_argument("--pods", type=int, default=20, help="how many for `pods`")
    parser.add_argument("--nodes", type=int, default=1000, help="at most how many for `scheduler`")
    parser.add_argument(
        "--seconds",
        type=float,
        default=None,
        help="how long for `idle`, `nodes` and `server` (30), and `node` (15)",
    )
    parser.add_argument(
        "--parts", default=",".join(node.PARTS), metavar="PARTS", help="of `node`; default: %(default)s"
    )
    parser.add_argument(
        "--probes",
        default="http",
        metavar="KINDS",
        help="of `node`'s many pods: http,tcp,exec (default: http)",
    )
    parser.add_argument("--log-mb", type=int, default=6, help="of the log that `node` reads (default: 6)")
    parser.add_argument(
        "--crash-seconds", type=float, default=node.CRASHING, help="for `node` (default: %(default)s)"
    )
    options = parser.parse_args()
    if unknown := set(options.what) - set(WHAT):
        parser.error(f"nothing to measure is called {', '.join(sorted(unknown))}")
    if unknown := set(options.parts.split(",")) - set(node.PARTS):
        parser.error(f"no part of `node` is called {', '.join(sorted(unknown))}")
    if unknown := set(options.probes.split(",")) - set(node.PROBES):
        parser.error(f"no probe is called {', '.join(sorted(unknown))}")
    chosen = options.what or [name for name in WHAT if name not in ("up", "nodes", "scheduler", "server")]
    print(json.dumps({name: _measure(name, options) for name in chosen}, indent=2))


def _measure(name: str, options: argparse.Namespace) -> Any:
    print(f"measuring: {WHAT[name]}", file=sys.stderr)
    if name == "idle":
        return idle.measure(options.run_dir, options.seconds or 30)
    if name == "up":
        return _up(options)
    if name in ("nodes", "server"):
        return _apart(name, options.seconds or 30)
    return uvloop.run(_through_api(name, options))


async def _through_api(name: str, options: argparse.Namespace) -> Any:
    connection = kubeconfig.read(options.kubeconfig, options.context)
    headers = {"Authorization": f"Bearer {connection.token}"} if connection.token else {}
    server = Server(connection.server, client_context(connection), headers)
    if name == "api":
        return await api.measure(server)
    client = HttpsClient(connection)
    try:
        if name == "scheduler":
            return await scheduling.measure(server, client, options.run_dir, options.nodes)
        async with cluster.namespace(client):
            if name == "pods":
                return await cluster.pod_start(client, options.pods)
            if name == "scale":
                return await cluster.scale(client, 30)
            if name == "rollout":
                return await rollout.rollout(client, 500)
            if name == "node":
                return await node.measure(
                    client, server, options.kubeconfig, options.run_dir, _node_plan(options)
                )
            if name == "hpa":
                return await autoscaling.reaction(client)
            return await cluster.services(client, 500)
    finally:
        await client.close()
        await asyncio.sleep(0)


def _node_plan(options: argparse.Namespace) -> node.Plan:
    return node.Plan(
        parts=options.parts.split(","),
        seconds=options.seconds or 15,
        probes=options.probes.split(","),
        log_mb=options.log_mb,
        crashing=options.crash_seconds,
    )


def _apart(name: str, seconds: float) -> Any:
    script = str(Path(__file__).with_name(f"{name}.py"))
    done = subprocess.run(
        ["unshare", "--net", sys.executable, script, str(seconds)], check=True, stdout=subprocess.PIPE
    )
    return json.loads(done.stdout)


def _up(options: argparse.Namespace) -> dict[str, float]:
    podium = str(Path(sys.executable).with_name("podium"))
    where = ["--data-dir", options.data_dir, "--kubeconfig", options.kubeconfig]
    taken = []
    for _ in range(3):
        subprocess.run([podium, "down", *where], check=True, stdout=subprocess.DEVNULL)
        started = time.perf_counter()
        subprocess.run([podium, "up", "--quiet", *where], check=True, stdout=subprocess.DEVNULL)
        taken.append(round(time.perf_counter() - started, 2))
    return {"median_s": sorted(taken)[1], "all_s": taken}  # type: ignore[dict-item]


if __name__ == "__main__":
    main()
