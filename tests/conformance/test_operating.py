"""A server that somebody operates: health, numbers, secrets at rest, the audit log, and its end."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml

from podium.cli import credentials
from podium.cli.cluster import Cluster
from podium.cli.process import Daemon, Notify
from tests.conformance.kubectl import Kubectl
from tests.conformance.waiting import eventually

# Of this test alone: what a Service leads to is no loopback address.
ADDRESS = "192.0.2.77"
POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "Metadata", "resources": [{"group": "", "resources": ["secrets"]}]},
        {"level": "RequestResponse", "resources": [{"group": "", "resources": ["configmaps"]}]},
    ],
}


def key(name: str, byte: int) -> dict[str, str]:
    return {"name": name, "secret": base64.b64encode(bytes([byte]) * 32).decode()}


@dataclass
class Server:
    """`podium server` alone, with folders of its own."""

    root: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def cluster(self) -> Cluster:
        loaded = Cluster.load(str(self.root / "data"))
        assert loaded is not None
        return loaded

    @property
    def kubectl(self) -> Kubectl:
        return Kubectl(str(self.cluster.admin_kubeconfig))

    def prepare(self) -> None:
        with socket.create_server((ADDRESS, 0)) as free:
            port = free.getsockname()[1]
        cluster = Cluster(
            data_dir=str(self.root / "data"), run_dir=str(self.root / "run"), node_name="none",
            node_address=ADDRESS, api_port=port, encryption_provider_config=str(self.root / "keys.yaml"),
            audit_policy_file=str(self.root / "policy.yaml"), audit_log_path=str(self.root / "audit.log"),
            shutdown_delay_duration=0.5,
        )  # fmt: skip
        cluster.save()
        credentials.ensure(cluster)
        (self.root / "policy.yaml").write_text(yaml.safe_dump(POLICY))

    def keys(self, *keys: dict[str, str]) -> None:
        entry = {"resources": ["secrets"], "providers": [{"aesgcm": {"keys": list(keys)}}, {"identity": {}}]}
        version = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "EncryptionConfiguration"}
        (self.root / "keys.yaml").write_text(yaml.safe_dump({**version, "resources": [entry]}))

    def start(self) -> None:
        daemon = Daemon("server", self.root / "run", self.root / "server.log")
        notify = Notify(self.root / "run", "server")
        self.process = daemon.start(
            [sys.executable, "-m", "podium.cli.main", "server", "--data-dir", self.cluster.data_dir], notify
        )
        try:
            notify.wait(daemon, self.process, 60)
        finally:
            notify.close()

    def stop(self) -> int:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGTERM)
        return self.process.wait(30)

    def stored(self, text: bytes) -> bool:
        folder = self.root / "data" / "server"
        return any(text in path.read_bytes() for path in folder.iterdir())


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="operating") as root:
        subprocess.run(["ip", "address", "add", f"{ADDRESS}/32", "dev", "lo"], check=True)
        server = Server(Path(root))
        server.prepare()
        server.keys(key("one", 1))
        server.start()
        try:
            yield server
        finally:
            if server.process is not None and server.process.poll() is None:
                server.process.kill()
                server.process.wait()
            subprocess.run(["ip", "address", "del", f"{ADDRESS}/32", "dev", "lo"], check=True)


def test_health_and_numbers_are_read_with_kubectl(server: Server) -> None:
    kubectl = server.kubectl
    assert kubectl("get", "--raw", "/livez") == "ok"
    assert kubectl("get", "--raw", "/readyz?verbose").endswith("[+]shutdown ok\nreadyz check passed\n")
    assert kubectl("get", "--raw", "/readyz/ping") == "ok"
    numbers = kubectl("get", "--raw", "/metrics")
    for name in ("apiserver_request_total", "apiserver_request_duration_seconds_bucket", "process_open_fds"):
        assert f"\n{name}" in numbers


def test_what_is_done_is_recorded_as_the_policy_says(server: Server) -> None:
    kubectl = server.kubectl
    kubectl("create", "configmap", "told", "--from-literal=a=b")
    kubectl("create", "secret", "generic", "untold", "--from-literal=a=not-for-the-log")
    kubectl("get", "nodes")
    text = (server.root / "audit.log").read_text()
    events = [json.loads(line) for line in text.splitlines()]
    created = {e["objectRef"]["resource"]: e for e in events if e["verb"] == "create"}
    assert created["configmaps"]["requestObject"]["data"] == {"a": "b"}
    assert created["configmaps"]["responseStatus"]["code"] == 201
    assert created["secrets"]["user"]["username"] == "kubernetes-admin"
    assert "requestObject" not in created["secrets"]
    assert not [event for event in events if event["objectRef"]["resource"] == "nodes"]


def test_what_the_controllers_do_is_among_the_numbers(server: Server) -> None:
    kubectl = server.kubectl
    kubectl("create", "deployment", "counted", "--image=busybox")
    line = 'scheduler_pending_pods{queue="unschedulable"} 1.0'
    eventually(lambda: line in kubectl("get", "--raw", "/metrics").splitlines(), bool)
    numbers = kubectl("get", "--raw", "/metrics")
    for line in (
        'workqueue_adds_total{name="deployment-controller"}',
        'workqueue_work_duration_seconds_bucket{le="0.01",name="deployment-controller"}',
        'workqueue_depth{name="replicaset-controller"}',
        'scheduler_schedule_attempts_total{profile="default-scheduler",result="unschedulable"} 1.0',
        'apiserver_flowcontrol_nominal_limit_seats{priority_level="workload-low"} 245.0',
    ):
        assert f"\n{line}" in numbers
    kubectl("delete", "deployment", "counted")


def test_flow_schemas_and_their_levels_are_shown(server: Server) -> None:
    rows = server.kubectl("get", "flowschemas", "--no-headers").splitlines()
    shown = {row.split()[0]: row.split() for row in rows}
    assert shown["exempt"][1:4] == ["exempt", "1", "<none>"]
    assert {row[-1] for row in shown.values()} == {"False"}
    levels = server.kubectl("get", "prioritylevelconfigurations", "--no-headers")
    assert "workload-low" in levels


def test_a_key_is_rotated_and_a_watch_ends_in_order_meanwhile(server: Server) -> None:
    kubectl = server.kubectl
    kubectl("create", "secret", "generic", "hidden", "--from-literal=a=open-sesame")
    assert server.stored(b"k8s:enc:aesgcm:v1:one:")
    assert not server.stored(base64.b64encode(b"open-sesame"))
    watch = subprocess.Popen(
        kubectl.command("get", "--raw", "/api/v1/namespaces/default/configmaps?watch=1&resourceVersion=0"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert watch.stdout is not None
    assert b"ADDED" in watch.stdout.readline()
    server.keys(key("two", 2), key("one", 1))
    assert server.stop() == 0
    # An answer that has no end would be an error.
    _, errors = watch.communicate(timeout=30)
    assert (watch.returncode, errors) == (0, b"")
    server.start()
    kubectl("replace", "-f", "-", stdin=kubectl("get", "secrets", "-A", "-o", "json"))
    server.stop()
    server.keys(key("two", 2))
    server.start()
    shown = kubectl("get", "secret", "hidden", "-o", "jsonpath={.data.a}")
    assert base64.b64decode(shown) == b"open-sesame"
    server.stop()
    server.keys(key("three", 3))
    server.start()
    assert 'unable to transform key "/registry/core/secrets/default/hidden"' in kubectl.refused(
        "get", "secret", "hidden"
    )
    assert kubectl.get("configmap", "told")["data"] == {"a": "b"}


def test_a_bad_file_keeps_the_server_from_starting_and_is_told(server: Server) -> None:
    server.stop()
    server.keys({"name": "one", "secret": "c2hvcnQ="})
    done = subprocess.run(
        [sys.executable, "-m", "podium.cli.main", "server", "--data-dir", server.cluster.data_dir],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "resources[0].providers[0].aesgcm.keys[0].secret: Invalid value: " in done.stderr
    assert "c2hvcnQ=" not in done.stderr


def test_a_watch_with_kubectl_ends_without_an_error_when_the_server_does(server: Server) -> None:
    server.keys(key("three", 3))
    server.start()
    kubectl = server.kubectl
    kubectl("create", "configmap", "seen")
    watch = subprocess.Popen(
        kubectl.command("get", "configmaps", "-A", "--watch", "-o", "name"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert watch.stdout is not None
    try:
        while b"seen" not in watch.stdout.readline():
            assert watch.poll() is None
        assert server.stop() == 0
        _, errors = watch.communicate(timeout=30)
        assert (watch.returncode, errors) == (0, b"")
    finally:
        watch.kill()
        watch.wait()
    server.start()


def test_keys_are_changed_while_the_server_runs(server: Server) -> None:
    kubectl = server.kubectl
    kubectl("create", "secret", "generic", "rotated", "--from-literal=a=b")
    server.keys(key("four", 4), key("three", 3))
    reloads = 'apiserver_encryption_config_controller_automatic_reloads_total{status="success"} 1.0'
    eventually(lambda: reloads in kubectl("get", "--raw", "/metrics"), bool)
    kubectl("replace", "-f", "-", stdin=kubectl("get", "secret", "rotated", "-o", "json"))
    server.stop()
    server.keys(key("four", 4))
    server.start()
    shown = server.kubectl("get", "secret", "rotated", "-o", "jsonpath={.data.a}")
    assert base64.b64decode(shown) == b"b"


def test_a_log_of_lines_of_json_is_what_shippers_read(server: Server) -> None:
    server.stop()
    cluster = replace(server.cluster, logging_format="json")
    cluster.save()
    (server.root / "server.log").write_text("")
    server.start()
    server.stop()
    lines = (server.root / "server.log").read_text().splitlines()
    entries = [json.loads(line) for line in lines if line]
    assert all({"ts", "msg", "logger"} <= entry.keys() for entry in entries)
    server.start()
