"""Plugins of the whole run."""

import pytest

from tests.conformance.coverage_report import CoverageReport


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "covers(*codenames): upstream conformance behaviours that the test shows"
    )
    config.pluginmanager.register(CoverageReport(), "upstream-coverage")
