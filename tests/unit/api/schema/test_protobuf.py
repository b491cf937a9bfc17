"""Bodies in protobuf, written here byte by byte as Go clients write them."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from podium.api.schema import decode_body
from podium.api.schema.protobuf import MEDIA_TYPE
from podium.api.types.errors import StatusError


def varint(value: int) -> bytes:
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def message(*fields: tuple[int, Any]) -> bytes:
    return b"".join(field(number, value) for number, value in fields)


def body(api_version: str, kind: str, raw: bytes) -> bytes:
    return b"k8s\x00" + message((1, message((1, api_version), (2, kind))), (2, raw), (3, ""), (4, ""))


def decoded(api_version: str, kind: str, raw: bytes) -> dict[str, Any]:
    obj, duplicates = decode_body(body(api_version, kind, raw), MEDIA_TYPE, strict=True)
    assert duplicates == []
    return obj


def test_a_deployment_keeps_what_was_set_and_drops_what_go_sends_for_nothing() -> None:
    meta = message((1, "web"), (2, ""), (8, b""), (11, message((1, "app"), (2, "web"))))
    container = message((1, "main"), (2, "nginx"), (5, ""), (8, b""), (16, 0))
    template = message((1, message((1, ""))), (2, message((2, container), (4, 30), (11, 0))))
    spec = message((1, 0), (2, message((1, message((1, "app"), (2, "web"))))), (3, template), (5, 0), (7, 0))
    assert decoded("apps/v1", "Deployment", message((1, meta), (2, spec), (3, b""))) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {},
                "spec": {
                    "containers": [{"name": "main", "image": "nginx", "resources": {}}],
                    "terminationGracePeriodSeconds": 30,
                },
            },
        },
        "status": {},
    }


def test_maps_bytes_quantities_times_and_inlined_messages_are_as_in_json() -> None:
    secret = message((1, message((1, "s"))), (2, message((1, "key"), (2, b"\x00\xff"))), (3, "Opaque"))
    assert decoded("v1", "Secret", secret)["data"] == {"key": base64.b64encode(b"\x00\xff").decode()}
    limits = message((1, message((1, "cpu"), (2, message((1, "250m"))))))
    probe = message((1, message((2, message((1, "/"), (2, message((1, 1), (2, 0), (3, "web"))))))), (2, 5))
    container = message((1, "c"), (8, limits), (10, probe))
    volume = message((1, "v"), (2, message((2, message((1, "Memory"))))))
    pod = message((1, message((8, message((1, 86400), (2, 0))))), (2, message((1, volume), (2, container))))
    made = decoded("v1", "Pod", pod)
    assert made["metadata"] == {"creationTimestamp": "1970-01-02T00:00:00Z"}
    assert made["spec"]["volumes"] == [{"name": "v", "emptyDir": {"medium": "Memory"}}]
    (seen,) = made["spec"]["containers"]
    assert seen["resources"] == {"limits": {"cpu": "250m"}}
    assert seen["livenessProbe"] == {"httpGet": {"path": "/", "port": "web"}, "initialDelaySeconds": 5}


def test_delete_options_are_known_in_every_group() -> None:
    assert decoded("policy/v1", "DeleteOptions", message((1, 0), (4, "Foreground"))) == {
        "apiVersion": "policy/v1",
        "kind": "DeleteOptions",
        "gracePeriodSeconds": 0,
        "propagationPolicy": "Foreground",
    }


def test_negative_numbers_and_unknown_fields_are_read() -> None:
    spec = message((1, -5), (99, "later"), (98, 7))
    assert decoded("apps/v1", "Deployment", message((2, spec)))["spec"] == {"replicas": -5}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"k8s\x00\x0a\xff",
        b"k8s\x00\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        body("v1", "Nonsense", b""),
        body("v1", "Pod", b"\x0b"),
        body("v1", "Pod", message((1, 7))),
        body("v1", "Pod", message((1, message((1, b"\xff"))))),
        body("v1", "Event", message((7, message((1, 1 << 62))))),
        body("v1", "List", message((2, message((1, b"{"))))),
    ],
    ids=range(10),
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(StatusError) as refused:
        decode_body(data, MEDIA_TYPE)
    assert refused.value.code == 400
