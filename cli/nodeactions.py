"""`podium node ACTION`: nodes of this machine's cluster are added, removed, stopped, started, killed and cut
off while it runs."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from podium.api.types.errors import StatusError
from podium.api.types.resources import NODES
from podium.cli import daemons, draining, launch, nodes, preflight
from podium.cli.administrator import administrator
from podium.cli.cluster import OF_NODE, Cluster
from podium.cli.errors import CommandError
from podium.cli.lock import alone
from podium.cli.nodes import LocalNode
from podium.cli.service import configure_logging
from podium.netd import nodelinks

STOP_TIMEOUT = 20.0


def run(options: argparse.Namespace) -> int:
    preflight.root()
    cluster = Cluster.load(options.data_dir)
    if cluster is None:
        raise CommandError(f"there is no cluster in {options.data_dir}: bring one up with podium up")
    with alone(Path(options.data_dir), lambda: _say("==> Waiting for another podium command")):
        ACTIONS[options.action](cluster, options)
    return 0


def _add(cluster: Cluster, options: argparse.Namespace) -> None:
    _needs_server(cluster)
    node = nodes.register(cluster, options.name, asyncio.run(_names(cluster)))
    try:
        launch.bring_up(cluster, [node], _say)
    except BaseException:
        from podium.cli import clearing

        asyncio.run(clearing.clear(node))
        clearing.discard(node)
        # Why it could not be added matters more than a Node that is left.
        with suppress(ConnectionError, StatusError):
            asyncio.run(_forget(cluster, node.name))
        raise
    _tell(options, {"name": node.name, "address": node.address}, f"Node {node.name} is Ready.")


def _remove(cluster: Cluster, options: argparse.Namespace) -> None:
    """First of all the pods are given a chance to go elsewhere: there is none on a node whose daemon does not
    run, where nobody could say that they have ended."""
    # The whole of a node's daemon: all else that is done to nodes takes half as long without it.
    from podium.cli import clearing

    node = _other(cluster, options.name, "removed: it is this machine; podium down ends the cluster")
    _needs_server(cluster)
    configure_logging()
    asyncio.run(_empty(cluster, node, options))
    node.daemon.stop(STOP_TIMEOUT)
    asyncio.run(clearing.clear(node))
    asyncio.run(_forget(cluster, node.name))
    clearing.discard(node)
    _tell(options, {"name": node.name, "address": node.address}, f"Node {node.name} is removed.")


async def _empty(cluster: Cluster, node: LocalNode, options: argparse.Namespace) -> None:
    async with administrator(cluster) as client:
        if not await draining.cordon(client, node.name) or node.daemon.pid() is None:
            return
        left = await draining.drain(client, node.name, options.drain_timeout)
    if left and not options.force:
        raise CommandError(
            f"node {node.name} is not empty after {options.drain_timeout:g} s: {', '.join(left)}; it stays "
            "cordoned; --force removes it with them"
        )


async def _names(cluster: Cluster) -> list[str]:
    """Those of all Nodes, machines that have joined from elsewhere included."""
    try:
        async with administrator(cluster) as client:
            return [entry["metadata"]["name"] for entry in (await client.list(NODES)).items]
    except ConnectionError as error:
        raise CommandError(f"the API server does not answer: {error}") from error


async def _forget(cluster: Cluster, name: str) -> None:
    async with administrator(cluster) as client:
        try:
            await client.delete(NODES, name)
        except StatusError as error:
            if error.code != 404:
                raise


def _stop(cluster: Cluster, options: argparse.Namespace) -> None:
    node = nodes.find(cluster, options.name)
    stopped = node.daemon.stop(STOP_TIMEOUT)
    _say(
        f"Node {node.name} is stopped; its containers go on." if stopped else f"Node {node.name} did not run."
    )


def _start_again(cluster: Cluster, options: argparse.Namespace) -> None:
    node = nodes.find(cluster, options.name)
    if node.daemon.pid() is not None:
        _say(f"Node {node.name} runs already.")
        return
    _needs_server(cluster)
    own = {name: value for name in OF_NODE if (value := getattr(options, name, None)) is not None}
    if own:
        node = nodes.adjust(node, own)
    launch.bring_up(cluster, [node], _say)
    _say(f"Node {node.name} is Ready.")


def _kill(cluster: Cluster, options: argparse.Namespace) -> None:
    from podium.cli import clearing

    node = nodes.find(cluster, options.name)
    clearing.power_off(node)
    _say(f"Node {node.name} is dead.")


def _cut(cluster: Cluster, options: argparse.Namespace) -> None:
    node = _other(cluster, options.name, "cut off: it is this machine")
    _cable(node, nodelinks.cut)
    _say(f"Node {node.name} is cut off.")


def _mend(cluster: Cluster, options: argparse.Namespace) -> None:
    node = _other(cluster, options.name, "cut off: it is this machine")
    _cable(node, nodelinks.mend)
    _say(f"Node {node.name} is connected.")


def _cable(node: LocalNode, change: Callable[[nodelinks.NodeLink], None]) -> None:
    try:
        change(node.link)
    except OSError as error:
        raise CommandError(f"node {node.name} has no link: start it with podium node start") from error


def _other(cluster: Cluster, name: str, why: str) -> LocalNode:
    node = nodes.find(cluster, name)
    if node.first:
        raise CommandError(f"the first node, {name}, cannot be {why}")
    return node


def _needs_server(cluster: Cluster) -> None:
    if daemons.server(cluster).pid() is None:
        raise CommandError("the API server does not run: podium up starts it")


def _tell(options: argparse.Namespace, result: dict[str, str], text: str) -> None:
    print(json.dumps(result) if options.output == "json" else text)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


ACTIONS: dict[str, Callable[[Cluster, argparse.Namespace], None]] = {
    "add": _add,
    "rm": _remove,
    "stop": _stop,
    "start": _start_again,
    "kill": _kill,
    "cut": _cut,
    "mend": _mend,
}
