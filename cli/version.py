"""`podium version`."""

import argparse
from importlib.metadata import version


def run(_options: argparse.Namespace) -> int:
    print(f"podium {version('podium')}")
    return 0
