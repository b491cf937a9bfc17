"""The server under test, in a process of its own: prints its kubeconfig's path, and lives until its standard
input ends."""

from __future__ import annotations

import sys

from podium.api.embedding import EmbeddedServer


def main() -> None:
    with EmbeddedServer(authorization=["RBAC"]) as server:
        print(server.kubeconfig, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
