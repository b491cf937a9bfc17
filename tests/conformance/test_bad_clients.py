"""Bad clients of a real server: what they do is refused or survived, and stock kubectl goes on as if nothing
were."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from tests.conformance.kubectl import Kubectl
from tests.conformance.objects import config_map

POST = b"POST /api HTTP/1.1\r\nhost: x\r\n"


@contextmanager
def connection(kubectl: Kubectl) -> Iterator[ssl.SSLSocket]:
    """To the API server, as nobody."""
    url = urlsplit(kubectl("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}"))
    assert url.hostname
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((url.hostname, url.port or 443), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname=url.hostname) as wrapped,
    ):
        yield wrapped


def answer(kubectl: Kubectl, request: bytes) -> bytes:
    with connection(kubectl) as client:
        client.sendall(request)
        said = b""
        while b"\r\n" not in said and (data := client.recv(1 << 16)):
            said += data
        return said.split(b"\r\n")[0]


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (POST + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"content-length: 3\r\ncontent-length: 4\r\n\r\nabc", 400),
        (b"GET /api\xff HTTP/1.1\r\nhost: x\r\n\r\n", 400),
        (b"\x00\x01\x02\r\n\r\n", 400),
        (b"GET /version HTTP/1.1\r\nhost: x\r\nx: " + b"y" * (2 << 20) + b"\r\n\r\n", 431),
        (b"GET /api/v1/namespaces/default/secrets/..%2f..%2fx HTTP/1.1\r\nhost: x\r\n\r\n", 403),
    ],
    ids=["two lengths of a kind", "two lengths", "no ASCII", "no HTTP", "a large head", "a traversal"],
)  # fmt: skip
def test_what_is_no_request_is_refused(kubectl: Kubectl, request_: bytes, code: int) -> None:
    assert answer(kubectl, request_).startswith(b"HTTP/1.1 %d " % code)


@pytest.mark.parametrize("name", ["..", "%2e%2e", ".", "a%25b"])
def test_a_name_that_means_another_place_is_no_name(kubectl: Kubectl, name: str) -> None:
    path = f"/api/v1/namespaces/{kubectl.namespace}/configmaps/{name}"
    said = kubectl.refused("get", "--raw", path)
    assert "Name parameter invalid" in said or "NotFound" in said


def test_a_timeout_that_is_none_is_named(kubectl: Kubectl) -> None:
    said = kubectl.refused("get", "--raw", "/api/v1/nodes?timeout=soon")
    assert 'invalid timeout specified in the request URL - time: invalid duration "soon"' in said


def test_an_object_over_the_limit_of_the_store_is_refused(kubectl: Kubectl) -> None:
    env = [{"name": f"A{number}", "value": "x" * 100_000} for number in range(16)]
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "huge"},
        "spec": {"containers": [{"name": "main", "image": "busybox", "env": env}]},
    }  # fmt: skip
    assert "request is too large" in kubectl.refused("create", "-f", "-", stdin=json.dumps(pod))
    assert "NotFound" in kubectl.refused("get", "pod", "huge")


def test_connections_that_say_nothing_are_in_nobodys_way(kubectl: Kubectl) -> None:
    with connection(kubectl) as silent, connection(kubectl) as slow:
        slow.sendall(b"GET /version HTTP/1.1\r\nhost: ")
        kubectl.apply(config_map("a", word="one"))
        assert kubectl.get("configmap", "a")["data"] == {"word": "one"}
        slow.sendall(b"x\r\n\r\n")
        assert slow.recv(12) == b"HTTP/1.1 200"
        assert silent.pending() == 0


def test_a_watch_of_a_client_that_is_killed_leaves_nothing_behind(kubectl: Kubectl) -> None:
    path = f"/api/v1/namespaces/{kubectl.namespace}/configmaps?watch=1"
    watches = [
        subprocess.Popen(kubectl.command("get", "--raw", path), stdout=subprocess.DEVNULL) for _ in range(3)
    ]
    for watch in watches:
        watch.kill()
        watch.wait()
    kubectl.apply(config_map("b", word="two"))
    assert kubectl.get("configmap", "b")["data"] == {"word": "two"}
