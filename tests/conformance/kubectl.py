"""Stock kubectl against the cluster under test."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.kubectl_version import minor

# A fifth of its time goes into collecting the garbage of a process that ends at once.
HASTE = {"GOGC": "400"}


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

    def run(self, *arguments: str, stdin: str | None = None, timeout: float = 90) -> Result:
        """Whatever comes of it."""
        done = subprocess.run(
            self.command(*arguments),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env=os.environ | HASTE,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def __call__(self, *arguments: str, stdin: str | None = None, timeout: float = 90) -> str:
        """Its standard output; fails the test when kubectl fails."""
        result = self.run(*arguments, stdin=stdin, timeout=timeout)
        assert result.code == 0, (
            f"kubectl {' '.join(arguments)}: exit {result.code}\n{result.out}{result.err}"
        )
        return result.out

    def refused(self, *arguments: str, stdin: str | None = None, timeout: float = 90) -> str:
        """What kubectl says when it is refused; fails the test when it is not."""
        result = self.run(*arguments, stdin=stdin, timeout=timeout)
        assert result.code != 0, f"kubectl {' '.join(arguments)} was not refused:\n{result.out}"
        return result.err

    def get(self, *arguments: str) -> Any:
        return json.loads(self("get", *arguments, "-o", "json"))

    def apply(self, *objects: dict[str, Any]) -> str:
        return self("apply", "-f", "-", stdin="\n".join(json.dumps(entry) for entry in objects))

    def wait(self, what: str, condition: str, timeout: int = 60) -> str:
        kind, _, wanted = condition.partition("=")
        if kind == "jsonpath" and minor() < 23:
            return self._watched(what, *wanted.rsplit("=", 1), timeout)
        result = self.run("wait", what, f"--for={condition}", f"--timeout={timeout}s", timeout=timeout + 10)
        # An old kubectl takes it amiss when what it is to see deleted is gone already.
        gone = condition == "delete" and "no matching resources found" in result.err
        assert result.code == 0 or gone, f"kubectl wait {what} --for={condition}: {result.out}{result.err}"
        return result.out

    def _watched(self, what: str, path: str, value: str, timeout: int) -> str:
        """What `kubectl wait --for=jsonpath=` does, for a kubectl without it."""
        seen = []
        with self.background(
            "get", what, "-o", f'jsonpath={path}{{"\\n"}}', "--watch", f"--request-timeout={timeout}s"
        ) as process:
            for line in process.stdout or ():
                seen.append(line.strip())
                if seen[-1] == value:
                    return line
        raise AssertionError(f"{path} of {what} did not become {value}: {seen}")

    @contextmanager
    def background(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """kubectl running beside the test, ended with it."""
        process = subprocess.Popen(
            self.command(*arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | HASTE,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()
