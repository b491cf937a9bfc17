"""The `podium` command: parses, then imports just what the chosen command needs, so that each starts fast."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import fields
from importlib import import_module
from typing import Any

from podium.cli import subcommands
from podium.cli.cluster import AUTHORIZATION_MODES, DEFAULT_DATA_DIR, POD_NETWORKS, Cluster
from podium.cli.errors import CommandError

HELP = {
    "data_dir": "where the cluster keeps its objects, certificates, images and pods",
    "run_dir": "sockets, process ids and pinned namespaces",
    "log_dir": "container logs, in CRI format",
    "node_name": "name of this machine's Node (default: the host name)",
    "node_address": "this node's address",
    "node_cidr": "range of the bridge that joins the nodes of this machine",
    "node_bridge": "name of that bridge",
    "pod_bridge": "name of the bridge that the pods of this node are on",
    "cluster_cidr": "range that pod addresses come from",
    "service_cidr": "range that cluster IPs come from",
    "pod_network": "how packets get to pods of other nodes: auto, routes or vxlan; the same on every node",
    "cluster_domain": "DNS domain of the cluster",
    "api_port": "port of the API server",
    "node_port": "port of the node API (logs, exec)",
    "cgroup_root": "cgroup below which `kubepods` is made (default: the root)",
    "dns_upstream": "resolvers for other names, comma separated (default: those of /etc/resolv.conf)",
    "check_contract": "hold traffic against the served OpenAPI documents and log what does not fit; slow",
    "authorization_mode": "what says who may do what: Node,RBAC, or AlwaysAllow for no bounds at all",
    "encryption_provider_config": "file with an EncryptionConfiguration: what is encrypted at rest, and how",
    "encrypt_secrets": "encrypt Secrets at rest with a key that is made for the cluster",
    "audit_policy_file": "file with an audit Policy: which requests are recorded",
    "audit_log_path": "file that they are recorded in; - is the server's output",
    "audit_log_maxsize": "megabytes after which the audit log is rotated; 0: never",
    "audit_log_maxbackup": "how many rotated audit logs are kept; 0: all",
    "audit_log_maxage": "days that rotated audit logs are kept; 0: any number",
    "shutdown_delay_duration": "seconds that the API server still serves, unready, before it ends",
    "scheduler_config": "file with a KubeSchedulerConfiguration (default: one default profile)",
    "nodes": "how many nodes to bring up, N, or MIN:MAX to let the node autoscaler add some",
    "node_lease_duration": "seconds that a node's heartbeat is good for; it is renewed four times as often",
    "node_monitor_grace_period": "seconds without a heartbeat after which a node counts as unreachable",
    "name": "name of the kubeconfig context",
    "hpa_sync_period": "seconds between two looks of a horizontal pod autoscaler",
    "metrics_resolution": "seconds over which the use of nodes and pods is averaged",
    "node_provider": "program that adds and removes nodes (default: nodes of this machine, up to --nodes)",
    "node_scan_interval": "seconds between two looks of the node autoscaler",
    "node_provision_timeout": "seconds in which a node that was added must become Ready",
    "scale_down_unneeded_time": "seconds after which a node that nobody needs is removed",
    "scale_down_delay_after_add": "seconds after the last addition in which no node is removed",
}


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="podium", description="A Kubernetes in Python.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str, module: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(module=module)
        sub.add_argument("--data-dir", default=DEFAULT_DATA_DIR, help=HELP["data_dir"])
        return sub

    up = command("up", "bring up a cluster on this machine", "podium.cli.up")
    _settings(up)
    up.add_argument(
        "--kubeconfig",
        default="",
        help="file to merge the admin context into (default: $KUBECONFIG or ~/.kube/config)",
    )
    up.add_argument(
        "--images", default="", metavar="DIR", help="import the image archives of this folder too"
    )
    up.add_argument("--quiet", action="store_true", help="print only what goes wrong")
    check = command("check", "say what would keep a cluster from coming up", "podium.cli.check")
    _settings(check)
    check.add_argument("--kubeconfig", default="", help=argparse.SUPPRESS)
    check.add_argument("--images", default="", help=argparse.SUPPRESS)
    check.add_argument("--quiet", action="store_true", help=argparse.SUPPRESS)
    down = command(
        "down", "stop the cluster and clear the machine of it; its objects stay", "podium.cli.down"
    )
    down.add_argument("--purge", action="store_true", help="forget the objects, images and certificates too")
    down.add_argument("--kubeconfig", default="", help="file to remove the admin context from")
    status = command("status", "say whether the cluster and its nodes are up", "podium.cli.status")
    status.add_argument("-o", "--output", choices=("text", "json"), default="text", help="how to say it")
    server = command("server", "run the API server, scheduler and controllers", "podium.cli.server")
    _settings(server)
    node = command("node", "run the node daemon, or change the nodes of this machine", "podium.cli.node")
    _settings(node)
    subcommands.node(node)
    subcommands.token(command("token", "tokens that machines join the cluster with", "podium.cli.tokens"))
    subcommands.image(command("image", "images of this machine's nodes", "podium.cli.image"))
    version = commands.add_parser("version", help="print the version")
    version.set_defaults(module="podium.cli.version")
    return top


def _settings(sub: argparse.ArgumentParser) -> None:
    for field in fields(Cluster):
        if field.name == "data_dir":
            continue
        kind = _NAMED.get(field.name) or _TYPES.get(str(field.type), str)
        # A switch without a value is on.
        switch: dict[str, Any] = {"nargs": "?", "const": True, "metavar": "BOOL"} if kind is _switch else {}
        # None tells a setting that was not given from one that was given as its default.
        sub.add_argument(
            f"--{field.name.replace('_', '-')}", type=kind, default=None, **switch,
            help=f"{HELP[field.name]} (default: {field.default})" if field.default else HELP[field.name],
        )  # fmt: skip


def _port(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: must be between 1 and 65535")
    return int(text)


def _count(text: str) -> str:
    least, _, most = text.partition(":")
    if (
        not least.isdigit()
        or (":" in text and not most.isdigit())
        or not 1 <= int(least) <= int(most or least)
    ):
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number of nodes, at least 1, nor MIN:MAX")
    return text


def _pod_network(text: str) -> str:
    if text not in POD_NETWORKS:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(POD_NETWORKS)}")
    return text


def _switch(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def _seconds(text: str) -> float:
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return seconds


def _modes(text: str) -> str:
    if unknown := [mode for mode in text.split(",") if mode not in AUTHORIZATION_MODES]:
        known = ", ".join(AUTHORIZATION_MODES)
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is no authorization mode: must be of {known}")
    return text


def _whole(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no number, 0 or more")
    return int(text)


def _delay(text: str) -> float:
    return 0.0 if text.removesuffix("s") in ("0", "0.0") else _seconds(text)


_NAMED: dict[str, Callable[[str], object]] = {
    "audit_log_maxage": _whole,
    "audit_log_maxbackup": _whole,
    "audit_log_maxsize": _whole,
    "shutdown_delay_duration": _delay,
    "authorization_mode": _modes,
    "nodes": _count,
    "pod_network": _pod_network,
}
_TYPES: dict[str, Callable[[str], object]] = {"int": _port, "bool": _switch, "float": _seconds}


def cluster_of(options: argparse.Namespace) -> Cluster:
    """The settings a command works with: what was given, else what the cluster was brought up with, else the
    defaults."""
    stored = Cluster.load(options.data_dir) or Cluster(data_dir=options.data_dir)
    given = {
        field.name: value
        for field in fields(Cluster)
        if (value := getattr(options, field.name, None)) is not None and field.name != "data_dir"
    }
    return Cluster(
        **{
            **{f.name: getattr(stored, f.name) for f in fields(Cluster)},
            **given,
            "data_dir": options.data_dir,
        }
    )


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        return int(import_module(options.module).run(options))
    except CommandError as error:
        print(f"podium {options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
