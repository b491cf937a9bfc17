"""The arguments of commands that have actions: `podium node add`, `podium token create`, `podium image
load`."""

from __future__ import annotations

import argparse
from typing import Protocol


class Adder(Protocol):
    def add_parser(self, name: str, *, help: str, description: str) -> argparse.ArgumentParser: ...


def node(parser: argparse.ArgumentParser) -> None:
    """Without an action it is the node daemon."""
    parser.add_argument(
        "--join",
        default="",
        metavar="URL",
        help="become a node of the cluster whose API server is at https://HOST:PORT",
    )
    parser.add_argument(
        "--token",
        default="",
        help="what podium token create gave, for the first time that this machine joins",
    )
    parser.add_argument(
        "--token-file",
        default="",
        metavar="FILE",
        help="the same, in a file, which is removed when it has served",
    )
    parser.add_argument(
        "--images-from", default="", metavar="SOCKET",
        help="copy the images that were imported into the containerd at this socket",
    )  # fmt: skip
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    changes = "podium.cli.nodeactions"
    add = _action(actions, "add", "add a node to the running cluster", changes)
    add.add_argument("--name", default="", help="its name (default: the first free one)")
    remove = _action(actions, "rm", "drain a node and remove it with all that it has", changes)
    remove.add_argument(
        "--drain-timeout", type=seconds, default=60.0, metavar="DURATION",
        help="how long its pods may take to go (default: 60s)",
    )  # fmt: skip
    remove.add_argument("--force", action="store_true", help="remove it although pods are left on it")
    for sub in (add, remove):
        sub.add_argument("-o", "--output", choices=("text", "json"), default="text", help="how to say it")
    named = [
        _action(actions, "stop", "stop a node's daemon; its containers go on", changes),
        _action(actions, "start", "start a node that was stopped or killed", changes),
        _action(
            actions, "kill", "end a node at once, with all that runs on it, as a power cut does", changes
        ),
        _action(actions, "cut", "unplug a node from the network", changes),
        _action(actions, "mend", "plug it in again", changes),
    ]
    for sub in (remove, *named):
        sub.add_argument("name", metavar="NAME", help="name of the node")


def token(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = _action(actions, "create", "make a token and print it")
    create.add_argument(
        "--ttl", type=seconds, default=86400.0, metavar="DURATION",
        help="how long it is good (default: 24h; 0 is for ever)",
    )  # fmt: skip
    create.add_argument(
        "--print-join-command", action="store_true", help="print what to run on the machine that is to join"
    )
    _action(actions, "list", "list the tokens, without their secrets")
    delete = _action(actions, "delete", "delete tokens")
    delete.add_argument("tokens", nargs="+", metavar="TOKEN", help="a token, or its first six characters")


def image(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    load = _action(actions, "load", "import OCI or docker archives")
    load.add_argument(
        "archives", nargs="+", metavar="ARCHIVE", help="a file, the folder of an OCI layout, or - for stdin"
    )
    remove = _action(actions, "rm", "remove images")
    remove.add_argument("images", nargs="+", metavar="IMAGE", help="an image's name")
    remove.add_argument("--force", action="store_true", help="remove it although containers are made of it")
    for sub in (load, _action(actions, "ls", "list images"), remove):
        sub.add_argument("--node", default="", help="of this node only (default: of all)")


def _action(actions: Adder, name: str, text: str, module: str = "") -> argparse.ArgumentParser:
    sub = actions.add_parser(name, help=text, description=text)
    if module:
        sub.set_defaults(module=module)
    # Given before the action or behind it.
    sub.add_argument("--data-dir", default=argparse.SUPPRESS, help="the cluster's data folder")
    return sub


def seconds(text: str) -> float:
    """A duration: 90s, 5m, 1h, or a number of seconds."""
    unit = {"s": 1, "m": 60, "h": 3600}.get(text[-1:], 0)
    number = text[:-1] if unit else text
    if not number.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no duration: write 90s, 5m or 1h")
    return float(int(number) * (unit or 1))
