"""Stock kubectl against the cluster under test."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Kubectl:
    """Runs kubectl in `namespace`; every call is bounded by a timeout."""

    kubeconfig: str
    namespace: str = "default"

    def command(self, *arguments: str) -> list[str]:
        return ["kubectl", "--kubeconfig", self.kubeconfig, "--namespace", self.namespace, *arguments]

    def run(self, *arguments: str, stdin: str | None = None, timeout: float = 60) -> Result:
        """Whatever comes of it."""
        done = subprocess.run(
            self.command(*arguments),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def __call__(self, *arguments: str, stdin: str | None = None, timeout: float = 60) -> str:
        """Its standard output; fails the test when kubectl fails."""
        result = self.run(*arguments, stdin=stdin, timeout=timeout)
        assert result.code == 0, (
            f"kubectl {' '.join(arguments)}: exit {result.code}\n{result.out}{result.err}"
        )
        return result.out

    def refused(self, *arguments: str, stdin: str | None = None, timeout: float = 60) -> str:
        """What kubectl says when it is refused; fails the test when it is not."""
        result = self.run(*arguments, stdin=stdin, timeout=timeout)
        assert result.code != 0, f"kubectl {' '.join(arguments)} was not refused:\n{result.out}"
        return result.err

    def get(self, *arguments: str) -> Any:
        return json.loads(self("get", *arguments, "-o", "json"))

    def apply(self, *objects: dict[str, Any]) -> str:
        return self("apply", "-f", "-", stdin="\n".join(json.dumps(entry) for entry in objects))

    def wait(self, what: str, condition: str, timeout: int = 60) -> str:
        return self("wait", what, f"--for={condition}", f"--timeout={timeout}s", timeout=timeout + 10)

    @contextmanager
    def background(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """kubectl running beside the test, ended with it."""
        process = subprocess.Popen(
            self.command(*arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()
