"""The `podium` command: parses, then imports just what the chosen command needs, so that each starts fast."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Callable
from dataclasses import fields
from importlib import import_module
from types import ModuleType
from typing import Any

from podium.cli import subcommands
from podium.cli.cluster import (
    AUTHORIZATION_MODES,
    CGROUP_DRIVERS,
    DEFAULT_DATA_DIR,
    POD_NETWORKS,
    PULL_VERIFICATIONS,
    Cluster,
)
from podium.cli.errors import CommandError
from podium.cli.jsonlog import LOG_FORMATS

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
    "service_account_issuer": "issuer of service account tokens; further ones behind it are still known",
    "service_account_key_file": "keys in PEM that tokens were signed with before, comma separated",
    "api_audiences": "audiences of tokens that are for the API server (default: the issuers)",
    "token_auth_file": 'file with a line `token,user,uid,"groups"` for each token that is known',
    "anonymous_auth": "look at requests without credentials, as those of system:anonymous",
    "authentication_config": "file with an AuthenticationConfiguration: issuers of JWTs, anonymous requests",
    "authentication_token_webhook_config_file": "kubeconfig of the server that is asked about tokens",
    "authentication_token_webhook_version": "version of the TokenReviews that it is sent: v1 or v1beta1",
    "authentication_token_webhook_cache_ttl": "seconds that its answers are kept",
    "authorization_mode": "what says who may do what, in this order: Node,RBAC,Webhook, or AlwaysAllow",
    "authorization_config": "file with an AuthorizationConfiguration, instead of --authorization-mode",
    "authorization_webhook_config_file": "kubeconfig of the server that --authorization-mode Webhook asks",
    "authorization_webhook_version": "version of the SubjectAccessReviews that it is sent: v1 or v1beta1",
    "authorization_webhook_cache_authorized_ttl": "seconds that it is not asked again after a yes",
    "authorization_webhook_cache_unauthorized_ttl": "seconds that it is not asked again after a no",
    "enable_admission_plugins": "admission plugins to use besides the default ones, comma separated",
    "disable_admission_plugins": "admission plugins to leave out, comma separated",
    "admission_control_config_file": "file with an AdmissionConfiguration (of PodSecurity, ResourceQuota)",
    "encryption_provider_config": "file with an EncryptionConfiguration: what is encrypted at rest, and how",
    "encrypt_secrets": "encrypt Secrets at rest with a key that is made for the cluster",
    "audit_policy_file": "file with an audit Policy: which requests are recorded",
    "audit_log_path": "file that they are recorded in; - is the server's output",
    "audit_log_maxsize": "megabytes after which the audit log is rotated; 0: never",
    "audit_log_maxbackup": "how many rotated audit logs are kept; 0: all",
    "audit_log_maxage": "days that rotated audit logs are kept; 0: any number",
    "audit_webhook_config_file": "kubeconfig of a server that audit events are sent to, too",
    "audit_webhook_batch_buffer_size": "audit events that wait to be sent; more are dropped",
    "audit_webhook_batch_max_size": "audit events that are sent at once",
    "audit_webhook_batch_max_wait": "seconds after which those that wait are sent, however few",
    "audit_webhook_batch_throttle_qps": "times a second that audit events are sent; 0: any number",
    "audit_webhook_batch_throttle_burst": "times that they are sent at once after a pause",
    "audit_webhook_initial_backoff": "seconds after which a batch that was not taken is sent again",
    "shutdown_delay_duration": "seconds that the API server still serves, unready, before it ends",
    "request_timeout": "seconds in which a request is answered, watches and connections apart",
    "max_requests_inflight": "how many requests are served at once; more wait for their turn",
    "max_mutating_requests_inflight": "how many more there may be of those; the sum of both counts",
    "logging_format": "how the server and the node daemon log: text, or json, a line per entry",
    "scheduler_config": "file with a KubeSchedulerConfiguration (default: one default profile)",
    "nodes": "how many nodes to bring up, N, or MIN:MAX to let the node autoscaler add some",
    "eviction_hard": "below what of a node's memory, disk and process ids pods are ended, SIGNAL<AMOUNT,...",
    "eviction_soft": "the same, for what holds longer than --eviction-soft-grace-period",
    "eviction_soft_grace_period": "how long soft thresholds may be crossed, SIGNAL=DURATION,...",
    "eviction_minimum_reclaim": "how much more than a threshold is to be free again, SIGNAL=AMOUNT,...",
    "eviction_pressure_transition_period": "seconds that a node tells of pressure after it was last seen",
    "eviction_max_pod_grace_period": "the most seconds that pods get to end at a soft threshold",
    "kube_reserved": "what a node keeps from pods for itself, cpu=...,memory=...,pid=...",
    "system_reserved": "what a node keeps from pods for the rest of the machine, as above",
    "cgroup_driver": "who makes the control groups of pods: cgroupfs, systemd, or auto to see for itself",
    "allowed_unsafe_sysctls": "sysctls that pods may set although they are not safe, NAME or NAME*,...",
    "runtime_handlers": "file that maps handlers of RuntimeClasses to runtimes of containerd",
    "max_container_restart_period": "the most seconds, 1 to 300, that a container waits to start again",
    "pod_max_pids": "how many processes a pod may have; -1: any number",
    "registry_config": "what containerd is to know about registries: a folder with HOST/hosts.toml",
    "images": "folder whose image archives all nodes import, whenever some come (default: DATA/images)",
    "pod_manifest_path": "folder with a node's static pods, a file for each (default: DATA/manifests)",
    "max_parallel_image_pulls": "how many images a node pulls at once",
    "image_pull_credentials_verification": "for which images that a node has a pod must show credentials",
    "image_pull_credentials_allowlist": "repositories, or REPOSITORY/*, that need none, comma separated",
    "image_gc_high_threshold": "percent of the disk at which unused images are removed; 100: never",
    "image_gc_low_threshold": "percent of the disk at which that ends",
    "minimum_image_ttl_duration": "seconds that an unused image is kept at least",
    "maximum_image_gc_age": "seconds after its last use that an image is removed anyhow; 0: never",
    "node_labels": "labels that nodes give themselves when they come, KEY=VALUE,...",
    "register_with_taints": "taints that nodes come with, KEY=VALUE:EFFECT,...",
    "container_log_max_size": "size at which a container's log is rotated",
    "container_log_max_files": "how many files of a container's log are kept; at least 2",
    "shutdown_grace_period": "seconds that a machine that goes down waits for its pods to end; 0: none",
    "shutdown_grace_period_critical_pods": "how many of those are for critical pods",
    "shutdown_grace_period_by_pod_priority": "the finer way to say so, PRIORITY=SECONDS,...",
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
    up.add_argument("--quiet", action="store_true", help="print only what goes wrong")
    check = command("check", "say what would keep a cluster from coming up", "podium.cli.check")
    _settings(check)
    check.add_argument("--kubeconfig", default="", help=argparse.SUPPRESS)
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
            help=_help(field.name, field.default),
        )  # fmt: skip


def _help(name: str, default: object) -> str:
    text = f"{HELP[name]} (default: {default})" if default else HELP[name]
    return text.replace("%", "%%")


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


def _review_version(text: str) -> str:
    if text not in ("v1", "v1beta1"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither v1 nor v1beta1")
    return text


def _whole(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no number, 0 or more")
    return int(text)


def _delay(text: str) -> float:
    return 0.0 if text.removesuffix("s") in ("0", "0.0") else _seconds(text)


def _cgroup_driver(text: str) -> str:
    if text not in CGROUP_DRIVERS:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(CGROUP_DRIVERS)}")
    return text


def _most(text: str) -> int:
    return -1 if text == "-1" else _whole(text)


def _restart_period(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 300:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 1 to 300")
    return int(text)


def _log_format(text: str) -> str:
    if text not in LOG_FORMATS:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(LOG_FORMATS)}")
    return text


def _percent(text: str) -> int:
    if not text.isdigit() or int(text) > 100:
        raise argparse.ArgumentTypeError(f"{text!r} is no percentage: must be between 0 and 100")
    return int(text)


def _some(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number, 1 or more")
    return int(text)


def _verification(text: str) -> str:
    if text not in PULL_VERIFICATIONS:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(PULL_VERIFICATIONS)}")
    return text


def _folder(text: str) -> str:
    """Daemons have a working directory of their own."""
    return os.path.abspath(text) if text else ""


_NAMED: dict[str, Callable[[str], object]] = {
    "cgroup_driver": _cgroup_driver,
    "eviction_max_pod_grace_period": _whole,
    "eviction_pressure_transition_period": _delay,
    "pod_max_pids": _most,
    "runtime_handlers": _folder,
    "max_container_restart_period": _restart_period,
    "registry_config": _folder,
    "images": _folder,
    "pod_manifest_path": _folder,
    "max_parallel_image_pulls": _some,
    "image_pull_credentials_verification": _verification,
    "image_gc_high_threshold": _percent,
    "image_gc_low_threshold": _percent,
    "minimum_image_ttl_duration": _delay,
    "maximum_image_gc_age": _delay,
    "audit_log_maxage": _whole,
    "audit_log_maxbackup": _whole,
    "audit_log_maxsize": _whole,
    "audit_webhook_batch_buffer_size": _some,
    "audit_webhook_batch_max_size": _some,
    "audit_webhook_batch_max_wait": _delay,
    "audit_webhook_batch_throttle_qps": _delay,
    "audit_webhook_batch_throttle_burst": _some,
    "audit_webhook_initial_backoff": _delay,
    "max_requests_inflight": _whole,
    "max_mutating_requests_inflight": _whole,
    "logging_format": _log_format,
    "shutdown_delay_duration": _delay,
    "shutdown_grace_period": _delay,
    "shutdown_grace_period_critical_pods": _delay,
    "authorization_mode": _modes,
    "authentication_token_webhook_version": _review_version,
    "authorization_webhook_version": _review_version,
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


def _loaded(module: str) -> ModuleType:
    """Without the collector: it would look, time and again, at modules that are there to stay."""
    gc.disable()
    try:
        return import_module(module)
    finally:
        gc.freeze()
        gc.enable()


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        return int(_loaded(options.module).run(options))
    except CommandError as error:
        print(f"podium {options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
