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

import cluster
import idle
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
    "api": "the API server with 8,000 pods",
    "idle": "memory and CPU of this machine's cluster while nothing happens",
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
    parser.add_argument("--run-dir", default="/run/podium", help="for `idle`")
    parser.add_argument("--pods", type=int, default=20, help="how many for `pods`")
    parser.add_argument("--seconds", type=float, default=30, help="how long for `idle`")
    options = parser.parse_args()
    if unknown := set(options.what) - set(WHAT):
        parser.error(f"nothing to measure is called {', '.join(sorted(unknown))}")
    chosen = options.what or [name for name in WHAT if name != "up"]
    print(json.dumps({name: _measure(name, options) for name in chosen}, indent=2))


def _measure(name: str, options: argparse.Namespace) -> Any:
    print(f"measuring: {WHAT[name]}", file=sys.stderr)
    if name == "idle":
        return idle.measure(options.run_dir, options.seconds)
    if name == "up":
        return _up(options)
    return uvloop.run(_through_api(name, options))


async def _through_api(name: str, options: argparse.Namespace) -> Any:
    connection = kubeconfig.read(options.kubeconfig, options.context)
    if name == "api":
        headers = {"Authorization": f"Bearer {connection.token}"} if connection.token else {}
        return await api.measure(Server(connection.server, client_context(connection), headers))
    client = HttpsClient(connection)
    try:
        async with cluster.namespace(client):
            if name == "pods":
                return await cluster.pod_start(client, options.pods)
            if name == "scale":
                return await cluster.scale(client, 30)
            return await cluster.services(client, 500)
    finally:
        await client.close()
        await asyncio.sleep(0)


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
