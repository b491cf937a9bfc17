"""Counts which upstream conformance behaviours the tests of this folder show.

A test names the behaviours it covers by upstream's codename, `@covers("[sig-node] Pods should get a host IP
[NodeConformance] [Conformance]")`; a behaviour counts once every test that names it has passed. The totals
are those of Kubernetes v1.36.

Runs that go side by side leave what they found in the files that PODIUM_TEST_OUTCOMES names, and this module, started
with those files, tells the sum.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections import defaultdict
from pathlib import Path

import pytest

TOTALS = {
    "sig-api-machinery": 99,
    "sig-apps": 60,
    "sig-architecture": 1,
    "sig-auth": 10,
    "sig-cli": 17,
    "sig-instrumentation": 4,
    "sig-network": 47,
    "sig-node": 106,
    "sig-scheduling": 11,
    "sig-storage": 91,
}
TITLE = "upstream conformance behaviours covered"
_SIG = re.compile(r"\[(sig-[a-z-]+)\] ")


def covers(*codenames: str) -> pytest.MarkDecorator:
    """Marks a test with the upstream behaviours it shows."""
    for codename in codenames:
        found = _SIG.match(codename)
        if not found or found[1] not in TOTALS or not codename.endswith("[Conformance]"):
            raise ValueError(f"not an upstream codename: {codename!r}")
    return pytest.mark.covers(*codenames)


class CoverageReport:
    """A pytest plugin: collects outcomes, prints one line a SIG at the end of the run."""

    def __init__(self) -> None:
        self.outcomes: dict[str, list[bool]] = defaultdict(list)
        self._named: dict[str, tuple[str, ...]] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            names = [name for mark in item.iter_markers("covers") for name in mark.args]
            if names:
                self._named[item.nodeid] = tuple(names)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            for name in self._named.get(report.nodeid, ()):
                self.outcomes[name].append(report.outcome == "passed")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if left := os.environ.get("PODIUM_TEST_OUTCOMES"):
            Path(left).write_text(json.dumps(self.outcomes))
        elif self._named:
            self._tell(terminalreporter)

    def _tell(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section(TITLE)
        for line in self.lines():
            terminalreporter.write_line(line)

    def lines(self) -> list[str]:
        shown: dict[str, int] = defaultdict(int)
        for name, outcomes in self.outcomes.items():
            found = _SIG.match(name)
            if found and all(outcomes):
                shown[found[1]] += 1
        lines = [f"{sig:<20} {shown[sig]:>3} of {total:>3}" for sig, total in TOTALS.items()]
        lines.append(f"{'all':<20} {sum(shown.values()):>3} of {sum(TOTALS.values()):>3}")
        return lines


def main(files: list[str]) -> None:
    """Prints the sum of what runs have left. One that broke down has left nothing."""
    report = CoverageReport()
    for file in filter(os.path.exists, files):
        for name, outcomes in json.loads(Path(file).read_text()).items():
            report.outcomes[name] += outcomes
    print(f" {TITLE} ".center(80, "="))
    print("\n".join(report.lines()))


if __name__ == "__main__":
    main(sys.argv[1:])
