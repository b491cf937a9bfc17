"""The server under fire: a process of its own, so that its memory can be looked at and its end be noticed."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import tempfile
import time
from base64 import b64decode
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from yarl import URL

from tests.conformance.fuzz.calls import ELSEWHERE, Call

ROOT = Path(__file__).parents[3]
# What is allowed to fail because somebody else does not answer.
BEYOND = frozenset({502, 503, 504})


class Target:
    """Started at once; `close` ends it."""

    def __init__(self, log: Path) -> None:
        self.log = log
        with log.open("w") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.conformance.fuzz.server"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=ROOT,
            )  # fmt: skip
        assert self.process.stdout is not None
        kubeconfig = yaml.safe_load(Path(self.process.stdout.readline().strip()).read_text())
        cluster, user = kubeconfig["clusters"][0]["cluster"], kubeconfig["users"][0]["user"]
        self.url = str(cluster["server"])
        self.tls = ssl.create_default_context(
            cadata=b64decode(cluster["certificate-authority-data"]).decode()
        )
        with tempfile.NamedTemporaryFile() as pair:
            pair.write(b64decode(user["client-certificate-data"]) + b64decode(user["client-key-data"]))
            pair.flush()
            self.tls.load_cert_chain(pair.name)

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port

    def rss(self) -> float:
        """MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024

    def clock(self) -> float:
        """Seconds. It stands while the server, or this process, is ready to run and has no processor: how much of the machine
        others take is not to be measured."""
        waits = (Path(f"/proc/{pid}/schedstat").read_text().split()[1] for pid in (self.process.pid, "self"))
        return time.monotonic() - sum(map(int, waits)) / 1e9

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(15)
        finally:
            self.process.kill()

    async def send(self, session: Any, call: Call) -> tuple[int, bytes]:
        """Code and body. Raises TimeoutError, aiohttp.ClientError."""
        headers = {
            name: value.encode("utf-8", "surrogateescape").decode("latin-1")
            for name, value in call.headers.items()
        }
        target = URL(call.target, encoded=True)
        async with session.request(call.method, target, headers=headers, data=call.body or None) as answer:
            return answer.status, await answer.read()


def fault(call: Call, code: int, body: bytes) -> str:
    """What is wrong with an answer; "" for nothing."""
    path = call.target.partition("?")[0]
    elsewhere = any(part in path for part in ELSEWHERE)
    if code >= 500:
        if (elsewhere and code in BEYOND) or (code == 504 and b"Too large resource version" in body):
            return ""
        return f"{code}: {body[:300]!r}"
    if code < 400 or elsewhere or call.method == "HEAD":
        return ""
    try:
        status = json.loads(body)
    except ValueError:
        return f"{code} with what is no Status: {body[:200]!r}"
    if status.get("kind") != "Status" or status.get("code") != code or not status.get("reason"):
        return f"{code} with a Status that does not say so: {body[:300]!r}"
    return ""
