"""Machines join by a token, and certificates are asked for, approved and signed through the API."""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from tests.conformance.conftest import CGROUP, PODIUM, LocalCluster
from tests.conformance.coverage_report import covers
from tests.conformance.kubectl import Kubectl
from tests.conformance.objects import ECHO_V1, container, pod
from tests.conformance.waiting import eventually
from tests.unit import signing

SERVER = "https://10.89.0.1:6443"
ADDRESS = "10.89.0.200"


class Machine:
    """A machine of its own beside the cluster's: a network namespace on the same link, nothing else shared."""

    def __init__(self, root: Path, pin: str) -> None:
        self.root = root
        self.pin = pin
        self.where = ["--data-dir", str(root / "d")]
        self.settings = [
            *self.where, "--run-dir", str(root / "r"), "--log-dir", str(root / "l"), "--node-name", "joiner",
            "--cgroup-root", f"{CGROUP}/joiner", "--dns-upstream", "192.0.2.1:53",
        ]  # fmt: skip

    def command(self, *arguments: str) -> list[str]:
        return ["nsenter", f"--net={self.pin}", *PODIUM, *arguments]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), capture_output=True, text=True, timeout=60, check=False
        )

    @contextmanager
    def node(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """Its node daemon, in the foreground."""
        with (self.root / "log").open("ab") as log:
            process = subprocess.Popen(
                self.command("node", *self.settings, *arguments), stdout=log, stderr=log
            )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture
def machine(cluster: LocalCluster) -> Iterator[Machine]:
    # hack/test removes the namespaces that begin like its own.
    name = f"{CGROUP}-joiner"
    link = ["ip", "link"]
    subprocess.run(["ip", "netns", "add", name], check=True)
    machine = Machine(cluster.root / "j", f"/run/netns/{name}")
    machine.root.mkdir()
    try:
        for command in (
            [*link, "add", "joiner", "type", "veth", "peer", "name", "eth0", "netns", name],
            [*link, "set", "joiner", "master", "podium-nodes", "up"],
            ["ip", "-n", name, "address", "add", f"{ADDRESS}/24", "dev", "eth0"],
            ["ip", "-n", name, "link", "set", "eth0", "up"],
            ["ip", "-n", name, "link", "set", "lo", "up"],
        ):
            subprocess.run(command, check=True)
        yield machine
        done = machine.run("down", "--purge", *machine.where, "--kubeconfig", str(machine.root / "none"))
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)
        subprocess.run([*link, "delete", "joiner"], check=False, capture_output=True)
        shutil.rmtree(machine.root)


def token(cluster: LocalCluster, *arguments: str) -> str:
    done = cluster.podium("token", "create", "--data-dir", str(cluster.data), *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_machine_joins_by_a_token_and_stays_without_one(
    cluster: LocalCluster, kubectl: Kubectl, machine: Machine
) -> None:
    made = token(cluster)
    try:
        with machine.node("--join", SERVER, "--token", made):
            eventually(lambda: kubectl.run("get", "node", "joiner").code, lambda code: code == 0)
            kubectl.wait("node/joiner", "condition=Ready")
            loaded = machine.run("image", "load", "images/echo-v1.tar", *machine.where)
            assert loaded.returncode == 0, loaded.stderr
            kubectl.apply(pod("far", container(image=ECHO_V1), nodeName="joiner"))
            kubectl.wait("pod/far", "condition=Ready")
            # Its certificate is trusted by the API server, which asks it for this.
            assert kubectl("exec", "far", "--", "hostname") == "far\n"
            requested = kubectl.get("csr")["items"]
            asked = {entry["spec"]["username"] for entry in requested}
            assert {f"system:bootstrap:{made[:6]}", "system:node:joiner"} <= asked
        deleted = cluster.podium("token", "delete", made, "--data-dir", str(cluster.data))
        assert deleted.returncode == 0, deleted.stderr
        with machine.node("--join", SERVER):
            eventually(
                lambda: kubectl.run("exec", "far", "--", "hostname"), lambda result: result.out == "far\n"
            )
            kubectl("delete", "pod", "far")
    finally:
        kubectl.run("delete", "node", "joiner")


def test_a_machine_that_must_not_join_is_told_why(cluster: LocalCluster, machine: Machine) -> None:
    made = token(cluster)
    ident, _, ca = made.partition(":")
    wrong = f"{ident[:7]}{'x' * 16}:{ca}"
    other_ca = f"{ident}:sha256:{'0' * 64}"
    for given, why in (
        ([], "joining needs --token"),
        (["--token", "abc"], "not of the form ID.SECRET:sha256:HASH"),
        (["--token", wrong], "the server does not take the token"),
        (["--token", other_ca], "is not the one that the token names"),
    ):
        done = machine.run("node", *machine.settings, "--join", SERVER, *given)
        assert done.returncode == 1
        assert why in done.stderr
    cluster.podium("token", "delete", made, "--data-dir", str(cluster.data))


def test_tokens_are_listed_without_their_secrets_and_go_when_they_expire(
    cluster: LocalCluster, kubectl: Kubectl
) -> None:
    command = token(cluster, "--ttl", "1h", "--print-join-command")
    assert command.startswith(f"podium node --join {SERVER} --token ")
    made = command.rpartition(" ")[2]
    listed = cluster.podium("token", "list", "--data-dir", str(cluster.data)).stdout
    assert made[:6] in listed
    assert made[7:23] not in listed
    name = f"secret/bootstrap-token-{made[:6]}"
    system = Kubectl(kubectl.kubeconfig, "kube-system")
    past = base64.b64encode(b"2020-01-01T00:00:00Z").decode()
    system("patch", name, "-p", f'{{"data":{{"expiration":"{past}"}}}}')
    system.wait(name, "delete")


@covers(
    "[sig-auth] Certificates API [Privileged:ClusterAdmin] should support CSR API operations [Conformance]"
)
def test_an_administrator_approves_and_denies_requests(kubectl: Kubectl) -> None:
    usages = signing.CLIENT_USAGES
    client = "kubernetes.io/kube-apiserver-client"
    wanted = [
        signing.request(
            f"yes-{kubectl.namespace}", signing.pem("alice", ["team"]), client, usages, expirationSeconds=3600
        ),
        signing.request(f"no-{kubectl.namespace}", signing.pem("eve"), client, usages),
        signing.request(f"odd-{kubectl.namespace}", signing.pem("odd"), client, signing.SERVER_USAGES),
        # Somebody who is no node does not get a node's certificate.
        signing.request(
            f"node-{kubectl.namespace}", signing.pem("bob", ["system:nodes"]),
            "kubernetes.io/kube-apiserver-client-kubelet", usages,
        ),
    ]  # fmt: skip
    yes, no, odd, node = (entry["metadata"]["name"] for entry in wanted)
    try:
        kubectl.apply(*wanted)
        assert "Pending" in kubectl("get", "csr", yes)
        kubectl("certificate", "approve", yes, odd)
        kubectl("certificate", "deny", no)
        made = eventually(
            lambda: kubectl.get(f"csr/{yes}")["status"].get("certificate"), lambda certificate: certificate
        )
        cert = x509.load_pem_x509_certificate(base64.b64decode(made))
        assert cert.subject.rfc4514_string() == "CN=alice,O=team"
        assert cert.not_valid_after_utc - cert.not_valid_before_utc == timedelta(hours=1)
        assert "Approved,Issued" in kubectl("get", "csr", yes)
        assert "Denied" in kubectl("get", "csr", no)
        failed = eventually(
            lambda: kubectl.get(f"csr/{odd}")["status"]["conditions"], lambda found: len(found) == 2
        )[-1]
        assert (failed["type"], failed["reason"]) == ("Failed", "SignerValidationFailure")
        assert failed["message"] == "invalid usage for client certificate: server auth"
        assert not kubectl.get(f"csr/{node}").get("status", {}).get("conditions")
        assert "already Approved" in kubectl.refused("certificate", "deny", yes)
    finally:
        kubectl("delete", "csr", yes, no, odd, node)
