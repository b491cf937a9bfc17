"""Which kubectl is on PATH. Debian 12's is 1.20: it lacks commands and options that some tests are about."""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import cache

import pytest


@cache
def minor() -> int:
    """Of version 1.N the N; 0 without a kubectl."""
    if shutil.which("kubectl") is None:
        return 0
    done = subprocess.run(
        ["kubectl", "version", "--client", "-o", "json"], capture_output=True, text=True, check=True
    )
    return int(json.loads(done.stdout)["clientVersion"]["minor"].rstrip("+"))


def needs_kubectl(least: int) -> pytest.MarkDecorator:
    """Skips a test that uses what came with kubectl 1.`least`."""
    return pytest.mark.skipif(
        minor() < least, reason=f"the kubectl on PATH is older than 1.{least}, which brought what this uses"
    )
