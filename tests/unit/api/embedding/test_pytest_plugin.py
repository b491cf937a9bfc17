"""The fixtures, in a pytest of their own that finds the plugin as anybody's does."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest_plugins = ("pytester",)
QUICK = ("-q", "-p", "no:cacheprovider", "-p", "no:schemathesis", "-p", "no:anyio")


def test_a_session_has_one_server_and_each_test_a_namespace(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import subprocess
        from podium.api.types.resources import CONFIG_MAPS

        seen = []

        def names(server, namespace=""):
            found = server.run(server.client.list(CONFIG_MAPS, namespace)).items
            return [item["metadata"]["name"] for item in found if item["metadata"]["name"] == "mine"]

        def make(server, namespace):
            server.run(server.client.create(CONFIG_MAPS, {"metadata": {"name": "mine"}}, namespace))

        def test_one(podium_server, podium_namespace):
            make(podium_server, podium_namespace)
            assert names(podium_server) == ["mine"]
            seen.append((podium_server.url, podium_namespace))

        def test_two(podium_server, podium_namespace, podium_kubeconfig):
            assert names(podium_server) == []
            assert seen[0][0] == podium_server.url
            assert seen[0][1] != podium_namespace
            make(podium_server, podium_namespace)
            got = subprocess.run(
                ["kubectl", "--kubeconfig", podium_kubeconfig, "get", "configmaps", "-o", "name"],
                capture_output=True, text=True, check=True,
            )
            assert got.stdout == "configmap/mine\\n"
        """
    )
    pytester.runpytest_subprocess(*QUICK).assert_outcomes(passed=2)


def test_a_test_may_have_a_server_of_its_own(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("turn", range(3))
        def test_alone(podium_test_server, podium_server, turn):
            assert podium_test_server.url != podium_server.url
            from podium.api.types.resources import NAMESPACES
            found = podium_test_server.run(podium_test_server.client.list(NAMESPACES)).items
            assert len(found) == 4
            podium_test_server.create_namespace()
        """
    )
    pytester.runpytest_subprocess(*QUICK).assert_outcomes(passed=3)


def test_the_servers_are_made_as_conftest_says(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import pytest
        from podium.api.embedding import Options

        @pytest.fixture(scope="session")
        def podium_options():
            return Options(authorization=["RBAC"])
        """
    )
    pytester.makepyfile(
        """
        import pytest
        from kubernetes import client, config

        def test_roles_count(podium_server):
            jane = config.new_client_from_config_dict(podium_server.user("jane").kubeconfig())
            with pytest.raises(client.ApiException) as refused:
                client.CoreV1Api(jane).list_namespace()
            assert refused.value.status == 403
        """
    )
    pytester.runpytest_subprocess(*QUICK).assert_outcomes(passed=1)


def test_who_asks_for_nothing_imports_nothing() -> None:
    script = "import sys, podium.api.pytest_plugin; print([m for m in sys.modules if m.startswith('podium')])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "['podium', 'podium.api', 'podium.api.pytest_plugin']\n"
