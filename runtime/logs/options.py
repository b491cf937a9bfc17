"""What of a log a client wants: v1.PodLogOptions as the node API gets it in the query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from podium.runtime.logs.cri import stamp

_TRUE = {"1", "t", "T", "true", "TRUE", "True"}
_FALSE = {"", "0", "f", "F", "false", "FALSE", "False"}
_STREAMS = {"", "All", "Stdout", "Stderr"}


@dataclass(frozen=True)
class LogOptions:
    """`tail` lines from the end, `limit` bytes at most; None for all. `since_ns` since the epoch, 0 for the
    beginning. `stream` is "stdout" or "stderr", "" for both."""

    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    tail: int | None = None
    limit: int | None = None
    since_ns: int = 0
    stream: str = ""

    @property
    def since(self) -> bytes:
        """The earliest time stamp wanted; b"" for all."""
        return stamp(self.since_ns) if self.since_ns > 0 else b""

    @classmethod
    def from_query(cls, query: Mapping[str, str], now_ns: int) -> LogOptions:
        """Raises ValueError naming the parameter."""
        tail = _count(query, "tailLines")
        stream = query.get("stream", "")
        if stream not in _STREAMS:
            raise ValueError(
                f'stream: Unsupported value: "{stream}": supported values: "All", "Stderr", "Stdout"'
            )
        if stream not in ("", "All") and tail is not None:
            raise ValueError("`tailLines` and specific `stream` are mutually exclusive for now")
        limit = _count(query, "limitBytes")
        if limit == 0:
            raise ValueError("limitBytes: Invalid value: 0: must be greater than 0")
        return cls(
            follow=_flag(query, "follow"),
            previous=_flag(query, "previous"),
            timestamps=_flag(query, "timestamps"),
            tail=tail,
            limit=limit,
            since_ns=_since(query, now_ns),
            stream="" if stream in ("", "All") else stream.lower(),
        )


def _flag(query: Mapping[str, str], name: str) -> bool:
    value = query.get(name, "")
    if value not in _TRUE and value not in _FALSE:
        raise ValueError(f'{name}: Invalid value: "{value}": must be a boolean')
    return value in _TRUE


def _count(query: Mapping[str, str], name: str) -> int | None:
    value = query.get(name, "")
    if not value:
        return None
    try:
        count = int(value)
    except ValueError:
        raise ValueError(f'{name}: Invalid value: "{value}": must be an integer') from None
    if count < 0:
        raise ValueError(f"{name}: Invalid value: {count}: must be greater than or equal to 0")
    return count


def _since(query: Mapping[str, str], now_ns: int) -> int:
    seconds = _count(query, "sinceSeconds")
    when = query.get("sinceTime", "")
    if seconds is not None and when:
        raise ValueError("at most one of `sinceTime` or `sinceSeconds` may be specified")
    if seconds is not None:
        if seconds == 0:
            raise ValueError("sinceSeconds: Invalid value: 0: must be greater than 0")
        return now_ns - seconds * 1_000_000_000
    if not when:
        return 0
    try:
        moment = datetime.fromisoformat(when)
    except ValueError:
        raise ValueError(f'sinceTime: Invalid value: "{when}": must be an RFC 3339 time') from None
    if moment.tzinfo is None:
        raise ValueError(f'sinceTime: Invalid value: "{when}": must have a time zone')
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000
