"""A cluster that grows and shrinks, beside the one that the other tests share: in a network namespace of its
own."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from tests.conformance.conftest import CGROUP, PODIUM, LocalCluster
from tests.conformance.kubectl import Kubectl


@dataclass(frozen=True)
class ElasticCluster(LocalCluster):
    """`netns` is the name of the network namespace."""

    netns: str = ""

    @property
    def entered(self) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self.netns}"]

    def podium(self, command: str, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.entered, *PODIUM, command, *arguments],
            capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip

    def up(self, *more: str) -> subprocess.CompletedProcess[str]:
        return super().up("--cgroup-root", f"{CGROUP}/elastic", *more)

    def kubectl(self) -> Kubectl:
        return ElsewhereKubectl(str(self.kubeconfig), "default", tuple(self.entered))


@dataclass(frozen=True)
class ElsewhereKubectl(Kubectl):
    entered: tuple[str, ...] = ()

    def command(self, *arguments: str) -> list[str]:
        return [*self.entered, *super().command(*arguments)]
