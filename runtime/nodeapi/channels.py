"""The channel protocols of remote commands over WebSockets: which bytes mean what. Pure.

Each message begins with its channel: a byte (binary protocols), or a digit before base64 text (base64
protocols). Version 5 adds channel 255, whose one byte of payload names a channel that its sender will not
use any more. Before version 4 the outcome is plain text, nothing at all on success. Source:
k8s.io/apimachinery, util/remotecommand."""

from __future__ import annotations

import base64
import binascii
from typing import Any, NamedTuple

import orjson

from podium.runtime.nodeapi.interfaces import Resize, Stdin

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255

V5 = "v5.channel.k8s.io"
V4 = "v4.channel.k8s.io"
V4_BASE64 = "v4.base64.channel.k8s.io"
V1 = "channel.k8s.io"
V1_BASE64 = "base64.channel.k8s.io"
PROTOCOLS = (V5, V4, V4_BASE64, V1, V1_BASE64)


class Message(NamedTuple):
    channel: int
    data: bytes


def encode(protocol: str, channel: int, data: bytes) -> bytes | str:
    """A WebSocket message, binary or text."""
    if "base64" in protocol:
        return chr(ord("0") + channel) + base64.b64encode(data).decode()
    return bytes((channel,)) + data


def decode(protocol: str, message: bytes | str) -> Message | None:
    """None for what no protocol has: an empty message, text that is not base64. Under the binary protocols a
    text message is its bytes: the Python client sends text that way."""
    if not message:
        return None
    if isinstance(message, str) and "base64" not in protocol:
        message = message.encode()
    if isinstance(message, bytes):
        return Message(message[0], message[1:])
    try:
        return Message(ord(message[0]) - ord("0"), base64.b64decode(message[1:], validate=True))
    except binascii.Error:
        return None


def outcome(protocol: str, status: dict[str, Any]) -> bytes:
    """What the error channel says at the end."""
    if protocol in (V5, V4, V4_BASE64):
        return orjson.dumps(status)
    return b"" if status["status"] == "Success" else str(status["message"]).encode()


def read_input(protocol: str, message: Message) -> Stdin | Resize | None:
    """The input that a message carries; None for messages that say nothing we use."""
    if message.channel == STDIN and message.data:
        return Stdin(message.data)
    if message.channel == RESIZE:
        return read_size(message.data)
    if message.channel == CLOSE and protocol == V5 and message.data == bytes((STDIN,)):
        return Stdin(b"")
    return None


def read_size(data: bytes) -> Resize | None:
    """`{"Width":80,"Height":24}`; None when it is no size a terminal can have."""
    try:
        size = orjson.loads(data)
        width, height = size["Width"], size["Height"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    if not (isinstance(width, int) and isinstance(height, int) and 0 < width < 65536 and 0 < height < 65536):
        return None
    return Resize(width, height)
