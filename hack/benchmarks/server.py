"""`podium server` by itself, in a network namespace and folders of its own: how soon it is ready, what it
costs idle, and whether memory and database stay bounded while pods come, change and go. Run by
`unshare --net`, as root."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import orjson
import uvloop
from load import Server
from process import Process

import api
from podium.api import pki

TIMES = 5
# Seconds after which what a start leaves to be done is done.
SETTLED = 15.0
# Of the churn: how often is looked, and how many pods there are at a time.
LOOKS = 6
PODS = 500
PODIUM = str(Path(sys.executable).with_name("podium"))
HOST, PORT = "127.0.0.1", 6443
# The cluster knows the server by an address that is no loopback's.
ADDRESS = "10.89.0.1"


class Started:
    """A server of its own, and the seconds until it said that it is ready."""

    def __init__(self, folder: Path) -> None:
        path = folder / "notify"
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(path))
            notify.settimeout(60)
            began = time.perf_counter()
            self._child = subprocess.Popen(
                [PODIUM, "server", "--data-dir", str(folder / "data"), "--run-dir", str(folder / "run"),
                 "--log-dir", str(folder / "log"), "--node-address", ADDRESS, "--api-port", str(PORT)],
                env={**os.environ, "NOTIFY_SOCKET": str(path)},
                stderr=subprocess.DEVNULL,
            )  # fmt: skip
            try:
                notify.recv(100)
            except TimeoutError:
                self.stop()
                raise
            self.seconds = time.perf_counter() - began
        self.process = Process(self._child.pid)

    def stop(self) -> None:
        self._child.terminate()
        self._child.wait()


def measure(seconds: float) -> dict[str, Any]:
    """The churn lasts as long as the look at the idle server, four times over."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "address", "add", ADDRESS, "dev", "lo"], check=True)
    folder = Path(tempfile.mkdtemp(prefix="bench"))
    taken = []
    try:
        for _ in range(TIMES):
            server = Started(folder)
            taken.append(round(server.seconds, 2))
            if len(taken) < TIMES:
                server.stop()
        try:
            time.sleep(SETTLED)
            figures = {"ready_s": {"median": sorted(taken)[TIMES // 2], "all": taken}}
            before = server.process.cpu
            time.sleep(seconds)
            figures["idle"] = {
                "resident_mb": round(server.process.resident, 1),
                "cpu_percent": round((server.process.cpu - before) / seconds * 100, 2),
            }
            figures["churn"] = uvloop.run(_churn(folder, server.process, seconds * 4))
            return figures
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _churn(folder: Path, process: Process, seconds: float) -> dict[str, Any]:
    """Pods are created, changed and deleted as fast as that goes; what is resident, and what lies on the
    disk, is looked at in equal steps."""
    authority = pki.ensure_ca(folder / "data" / "pki")
    admin = pki.issue(
        authority, folder, "admin", common_name="kubernetes-admin", organizations=("system:masters",)
    )
    context = ssl.create_default_context(cafile=str(authority.pair.cert))
    context.load_cert_chain(admin.cert, admin.key)
    server = Server(f"https://{HOST}:{PORT}", context, {})
    await api.prepare(server)
    looks, rounds, began = [], 0, time.perf_counter()
    for look in range(1, LOOKS + 1):
        while time.perf_counter() - began < seconds / LOOKS * look:
            await _round(server)
            rounds += 1
        stored = sum(file.stat().st_size for file in (folder / "data" / "server").glob("podium.db*"))
        looks.append({"resident_mb": round(process.resident, 1), "database_mb": round(stored / 1e6, 1)})
    return {"seconds": round(time.perf_counter() - began, 1), "pods": rounds * PODS, "looks": looks}


async def _round(server: Server) -> None:
    paths = [f"{api.BASE}/bench-{number:05}" for number in range(PODS)]
    bodies = [orjson.dumps(api.pod(number)) for number in range(PODS)]
    for requests in (
        [server.request("POST", api.BASE, body) for body in bodies],
        [api.patch(server, number) for number in range(PODS)],
        [server.request("DELETE", path + "?gracePeriodSeconds=0") for path in paths],
    ):
        if failures := (await server.run(iter(requests), 16)).failures:
            raise SystemExit(failures[0])
    await asyncio.sleep(0)


if __name__ == "__main__":
    print(json.dumps(measure(float(sys.argv[1]))))
