"""DNS messages as far as a cluster needs them (RFC 1035, SRV of RFC 2782, EDNS of RFC 6891). No I/O.

Names are lower case strings without the final dot; "" is the root.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

A, NS, CNAME, SOA, PTR, TXT, AAAA, SRV, OPT, ANY = 1, 2, 5, 6, 12, 16, 28, 33, 41, 255
IN = 1
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
RESPONSE, AUTHORITATIVE, TRUNCATED, DESIRED, AVAILABLE = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080
OPCODE = 0x7800
PLAIN_SIZE = 512
# What is offered and used at most over UDP: below every usual MTU, so that no answer is fragmented.
EDNS_SIZE = 1232
HEADER = struct.Struct("!6H")


class WireError(ValueError):
    """A message that cannot be understood."""


class Question(NamedTuple):
    """`raw` is the question section as it came, whose spelling the answer repeats. `size` is how much the
    client takes over UDP; `edns` whether it said so."""

    id: int
    flags: int
    name: str
    type: int
    raw: bytes
    edns: bool
    size: int


class Record(NamedTuple):
    name: str
    type: int
    ttl: int
    data: bytes


def parse(data: bytes) -> Question:
    """Raises WireError."""
    try:
        ident, flags, questions, answers, authorities, additionals = HEADER.unpack_from(data)
        if flags & RESPONSE or questions != 1:
            raise WireError("not a query")
        name, offset = read_name(data, HEADER.size)
        kind, class_ = struct.unpack_from("!HH", data, offset)
        offset += 4
        raw = data[HEADER.size : offset]
        if class_ not in (IN, ANY):
            raise WireError("not of the Internet class")
        size = 0
        for _ in range(answers + authorities + additionals):
            record, offset, klass = _read_record(data, offset)
            if record.type == OPT:
                size = max(klass, PLAIN_SIZE)
        return Question(ident, flags, name, kind, raw, size > 0, size or PLAIN_SIZE)
    except (struct.error, IndexError) as error:
        raise WireError("cut off") from error


def query(ident: int, name: str, kind: int) -> bytes:
    """A recursive query with EDNS."""
    return (
        HEADER.pack(ident, DESIRED, 1, 0, 0, 1)
        + pack_name(name)
        + struct.pack("!HH", kind, IN)
        + _opt(EDNS_SIZE)
    )


def response(
    question: Question,
    rcode: int,
    answers: Sequence[Record] = (),
    authority: Sequence[Record] = (),
    additional: Sequence[Record] = (),
    *,
    limit: int,
    authoritative: bool = True,
) -> bytes:
    """At most `limit` bytes. Records that do not fit are left out; if one was an answer, the answer says
    so."""
    packed = [
        [_pack_record(question, record) for record in part] for part in (answers, authority, additional)
    ]
    opt = _opt(EDNS_SIZE) if question.edns else b""
    room = limit - HEADER.size - len(question.raw) - len(opt)
    counts, body, cut = [], [], 0
    for index, part in enumerate(packed):
        count = 0
        for record in part:
            if len(record) > room:
                cut = TRUNCATED if index == 0 else cut
                break
            room -= len(record)
            body.append(record)
            count += 1
        counts.append(count)
    flags = RESPONSE | AVAILABLE | (question.flags & (OPCODE | DESIRED)) | cut | rcode
    if authoritative:
        flags |= AUTHORITATIVE
    header = HEADER.pack(question.id, flags, 1, counts[0], counts[1], counts[2] + bool(opt))
    return b"".join((header, question.raw, *body, opt))


def answers_of(data: bytes) -> tuple[int, list[Record]]:
    """(rcode, answer section) of a response; names inside of CNAMEs are written out. Raises WireError."""
    try:
        _, flags, questions, answers, _, _ = HEADER.unpack_from(data)
        offset = HEADER.size
        for _ in range(questions):
            _, offset = read_name(data, offset)
            offset += 4
        found = []
        for _ in range(answers):
            start = offset
            record, offset, _ = _read_record(data, offset)
            if record.type == CNAME:
                target, _ = read_name(data, offset - len(record.data))
                record = record._replace(data=pack_name(target))
            elif offset <= start:
                raise WireError("loops")
            found.append(record)
        return flags & 0xF, found
    except (struct.error, IndexError) as error:
        raise WireError("cut off") from error


def read_name(data: bytes, offset: int) -> tuple[str, int]:
    """(name, offset behind it). Pointers must lead backwards, so that they end. Raises WireError,
    IndexError."""
    labels: list[bytes] = []
    end, lowest = 0, offset
    while True:
        length = data[offset]
        if length >= 0xC0:
            target = (length & 0x3F) << 8 | data[offset + 1]
            end = end or offset + 2
            if target >= lowest:
                raise WireError("a name that loops")
            offset = lowest = target
        elif length > 63:
            raise WireError("a label of an unknown kind")
        elif length == 0:
            break
        else:
            label = data[offset + 1 : offset + 1 + length]
            if len(label) < length:
                raise WireError("cut off")
            labels.append(label)
            offset += 1 + length
    return b".".join(labels).decode("latin-1").lower(), end or offset + 1


@lru_cache(4096)
def pack_name(name: str) -> bytes:
    """Raises WireError for what is no name."""
    parts = []
    for label in name.rstrip(".").split(".") if name else ():
        encoded = label.encode("latin-1", "replace")
        if not 0 < len(encoded) < 64:
            raise WireError(f"a bad label in {name!r}")
        parts.append(bytes([len(encoded)]) + encoded)
    return b"".join(parts) + b"\0"


def a(name: str, ttl: int, ip: str) -> Record:
    return Record(name, A, ttl, socket.inet_aton(ip))


def pointer(name: str, kind: int, ttl: int, target: str) -> Record:
    """PTR, CNAME, NS."""
    return Record(name, kind, ttl, pack_name(target))


def srv(name: str, ttl: int, weight: int, port: int, target: str) -> Record:
    return Record(name, SRV, ttl, struct.pack("!HHH", 0, weight, port) + pack_name(target))


def txt(name: str, ttl: int, text: str) -> Record:
    return Record(name, TXT, ttl, bytes([len(text)]) + text.encode())


def soa(zone: str, ttl: int, server: str, mailbox: str, serial: int) -> Record:
    numbers = struct.pack("!5I", serial, 7200, 1800, 86400, ttl)
    return Record(zone, SOA, ttl, pack_name(server) + pack_name(mailbox) + numbers)


def _opt(size: int) -> bytes:
    return b"\0" + struct.pack("!HHIH", OPT, size, 0, 0)


def _pack_record(question: Question, record: Record) -> bytes:
    # The question's name stands right behind the header, so a pointer says it in two bytes.
    name = b"\xc0\x0c" if record.name == question.name else pack_name(record.name)
    return name + struct.pack("!HHIH", record.type, IN, record.ttl, len(record.data)) + record.data


def _read_record(data: bytes, offset: int) -> tuple[Record, int, int]:
    """(record, offset behind it, class)."""
    name, offset = read_name(data, offset)
    kind, class_, ttl, length = struct.unpack_from("!HHIH", data, offset)
    offset += 10
    if offset + length > len(data):
        raise WireError("cut off")
    return Record(name, kind, ttl, data[offset : offset + length]), offset + length, class_
