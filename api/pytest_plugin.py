"""API servers for tests: fixtures of pytest. Whoever asks for none of them pays for none: the server is
imported when the first one is made.

    podium_server       an EmbeddedServer for the whole session
    podium_namespace    the name of a namespace on it, which lives as long as the test
    podium_kubeconfig   the path of a kubeconfig for it, with that namespace; the administrator's
    podium_test_server  an EmbeddedServer of the test's own, empty
    podium_options      what the servers are made of; override it in conftest.py
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from podium.api.embedding import EmbeddedServer, Options


@pytest.fixture(scope="session")
def podium_options() -> Options:
    """`podium.api.embedding.Options` of the session's and of each test's server."""
    from podium.api.embedding import Options

    return Options()


@pytest.fixture(scope="session")
def _podium_options(podium_options: Options, tmp_path_factory: pytest.TempPathFactory) -> Options:
    """Certificates are made once for all servers."""
    if podium_options.pki_dir is not None:
        return podium_options
    return replace(podium_options, pki_dir=tmp_path_factory.mktemp("podium-pki"))


@pytest.fixture(scope="session")
def podium_server(_podium_options: Options) -> Iterator[EmbeddedServer]:
    """A Kubernetes API server for the whole session (`url`, `kubeconfig`, `admin`, `user()`, `client`)."""
    from podium.api.embedding import EmbeddedServer

    with EmbeddedServer(_podium_options) as server:
        yield server


@pytest.fixture
def podium_test_server(_podium_options: Options) -> Iterator[EmbeddedServer]:
    """A Kubernetes API server of the test's own: nothing is in it but what every new cluster has."""
    from podium.api.embedding import EmbeddedServer

    with EmbeddedServer(replace(_podium_options, port=0)) as server:
        yield server


@pytest.fixture
def podium_namespace(podium_server: EmbeddedServer) -> Iterator[str]:
    """A new namespace of the session's server; it and all that is in it goes with the test."""
    name = podium_server.create_namespace()
    yield name
    podium_server.remove_namespace(name)


@pytest.fixture
def podium_kubeconfig(podium_server: EmbeddedServer, podium_namespace: str, tmp_path: Path) -> Path:
    """A kubeconfig file for the session's server, with the test's namespace as its default."""
    return podium_server.admin.within(podium_namespace).write_kubeconfig(tmp_path / "podium.kubeconfig")
