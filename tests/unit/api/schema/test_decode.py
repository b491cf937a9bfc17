"""Decoding requests: what is pruned, normalised, warned about and refused, in upstream's words."""

from __future__ import annotations

from time import process_time
from typing import Any

import orjson
import pytest

from podium.api.schema import Definitions, decode_body
from podium.api.schema.scalars import Malformed, base64_bytes, canonical_quantity, micro_time, time
from podium.api.types.errors import StatusError

DEFINITIONS = Definitions.load()
POD = DEFINITIONS.schema("", "v1", "Pod")
DEPLOYMENT = DEFINITIONS.schema("apps", "v1", "Deployment")


def refusal(obj: dict[str, Any], schema: Any = DEPLOYMENT, mode: Any = "Ignore") -> str:
    with pytest.raises(StatusError) as refused:
        schema.decode(obj, mode)
    assert (refused.value.code, refused.value.reason) == (400, "BadRequest")
    return str(refused.value.message)


def test_a_wrong_type_is_refused_with_the_struct_and_the_path() -> None:
    assert refusal({"spec": {"replicas": "3"}}) == (
        'Deployment in version "v1" cannot be handled as a Deployment: '
        "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"
    )


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "fraction": (
        {"spec": {"activeDeadlineSeconds": 1.5}},
        "number 1.5 into Go struct field PodSpec.spec.activeDeadlineSeconds of type int64",
    ),
    "too big": (
        {"spec": {"containers": [{"ports": [{"containerPort": 2**40}]}]}},
        f"number {2**40} into Go struct "
        "field ContainerPort.spec.containers.ports.containerPort of type int32",
    ),
    "boolean for a number": (
        {"spec": {"priority": True}},
        "bool into Go struct field PodSpec.spec.priority of type int32",
    ),
    "object for a list": (
        {"spec": {"containers": {}}},
        "object into Go struct field PodSpec.spec.containers of type []v1.Container",
    ),
    "list for a struct": ({"spec": []}, "array into Go struct field Pod.spec of type v1.PodSpec"),
    "number in a map": (
        {"metadata": {"labels": {"a": 1}}},
        "number into Go struct field ObjectMeta.metadata.labels of type string",
    ),
    "number for a time": (
        {"metadata": {"creationTimestamp": 1}},
        "number into Go struct field ObjectMeta.metadata.creationTimestamp of type string",
    ),
    "boolean for a port": (
        {"spec": {"containers": [{"livenessProbe": {"httpGet": {"port": True}}}]}},
        "bool into Go struct field HTTPGetAction.spec.containers.livenessProbe.httpGet.port of type int32",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_types_are_named_as_upstream_names_them(name: str) -> None:
    obj, wanted = WRONG[name]
    assert refusal(obj, POD).endswith(f"json: cannot unmarshal {wanted}")


@pytest.mark.parametrize("value", ["1x", "", "--1", "1.2.3", True, {}, [], "1e99999999"])
def test_a_bad_quantity_is_refused_with_the_expression(value: Any) -> None:
    assert "quantities must match the regular expression" in refusal(
        {"spec": {"containers": [{"resources": {"limits": {"cpu": value}}}]}}, POD
    )


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("0.5", "500m"),
        ("1000m", "1"),
        ("1000", "1k"),
        ("1024Mi", "1Gi"),
        ("1000Mi", "1000Mi"),
        ("1.5Gi", "1536Mi"),
        ("0", "0"),
        ("0Gi", "0"),
        ("1e3", "1e3"),
        ("1E3", "1e3"),
        ("-1500m", "-1500m"),
        ("1n", "1n"),
        ("0.1n", "1n"),
        ("100M", "100M"),
        ("1.5k", "1500"),
        ("512Ki", "512Ki"),
        ("512", "512"),
        ("0.5Ki", "512"),
        ("9E99"[:2] + "i", str(2**63 - 1)),
    ],
)
def test_quantities_take_their_canonical_form(given: str, stored: str) -> None:
    assert canonical_quantity(given) == stored
    assert canonical_quantity(stored) == stored


def test_numbers_for_quantities_become_strings() -> None:
    pod = {"spec": {"containers": [{"resources": {"limits": {"cpu": 2, "memory": 0.5}}}]}}
    POD.decode(pod)
    assert pod["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "2", "memory": "500m"}}


def test_times_are_stored_in_utc() -> None:
    assert time("2024-01-01T02:00:00.9+02:00") == "2024-01-01T00:00:00Z"
    assert micro_time("2024-01-01T00:00:00.123456789Z") == "2024-01-01T00:00:00.123456Z"
    assert time("0001-01-01T01:00:02+01:00") == "0001-01-01T00:00:02Z"
    assert micro_time("0001-01-01T00:00:02.000000Z") == "0001-01-01T00:00:02.000000Z"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("yesterday", 'cannot parse "yesterday" as "2006"'),
        ("2024-01-01", 'cannot parse "" as "T"'),
        ("2024-13-01T00:00:00Z", "month out of range"),
        ("2024-01-01T00:00:00", 'cannot parse "" as "Z07:00"'),
    ],
)
def test_bad_times_say_where(text: str, message: str) -> None:
    with pytest.raises(Malformed, match="parsing time") as malformed:
        time(text)
    assert message in str(malformed.value)


def test_bytes_are_base64() -> None:
    secret = DEFINITIONS.schema("", "v1", "Secret")
    assert refusal({"data": {"a": "a%%b"}}, secret).endswith("illegal base64 data at input byte 1")
    assert base64_bytes("aGVs\nbG8=") == "aGVsbG8="
    assert base64_bytes("") == ""


def test_unknown_fields_are_pruned_and_judged_by_the_mode() -> None:
    def fresh() -> dict[str, Any]:
        return {"spec": {"containers": [{"name": "a", "imag": "x"}], "replicas": 1}}

    ignored = fresh()
    assert POD.decode(ignored, "Ignore") == []
    assert ignored == {"spec": {"containers": [{"name": "a"}]}}
    assert POD.decode(fresh(), "Warn") == [
        'unknown field "spec.containers[0].imag"',
        'unknown field "spec.replicas"',
    ]
    assert refusal(fresh(), POD, "Strict") == (
        'Pod in version "v1" cannot be handled as a Pod: strict decoding error: '
        'unknown field "spec.containers[0].imag", unknown field "spec.replicas"'
    )


def test_after_a_patch_the_refusal_is_422_and_shows_the_object() -> None:
    with pytest.raises(StatusError) as refused:
        POD.decode_patched({"spec": {"x": 1}}, "Strict")
    assert (refused.value.code, refused.value.reason) == (422, "Invalid")
    assert 'strict decoding error: unknown field "spec.x"' in refused.value.message


def test_nulls_and_empty_optional_collections_are_absent() -> None:
    pod = {
        "metadata": {"creationTimestamp": None, "labels": {}},
        "spec": {
            "nodeSelector": None,
            "tolerations": [],
            "containers": [{"name": "a", "args": None}],
            "volumes": [{"emptyDir": {}}],
        },
    }
    assert POD.decode(pod) == []
    assert pod == {"metadata": {}, "spec": {"containers": [{"name": "a"}], "volumes": [{"emptyDir": {}}]}}


def test_null_in_a_list_or_map_is_the_zero_value() -> None:
    pod = {"metadata": {"labels": {"a": None}}, "spec": {"containers": [{"args": ["x", None]}, None]}}
    POD.decode(pod)
    assert pod == {"metadata": {"labels": {"a": ""}}, "spec": {"containers": [{"args": ["x", ""]}, {}]}}


def test_free_form_parts_are_left_alone() -> None:
    revision = DEFINITIONS.schema("apps", "v1", "ControllerRevision")
    obj = {"data": {"any": {"thing": [None, {}]}}, "revision": 1}
    assert revision.decode(obj, "Strict") == []
    assert obj == {"data": {"any": {"thing": [None, {}]}}, "revision": 1}


def test_a_schema_within_a_schema_may_be_as_deep_as_a_body_may() -> None:
    crd = DEFINITIONS.schema("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
    deep: dict[str, Any] = {"type": "object", "wrong": 1}
    for _ in range(80):
        deep = {"properties": {"p": deep}}
    obj = {"spec": {"versions": [{"schema": {"openAPIV3Schema": deep}}]}}
    assert len(crd.decode(obj, "Warn")) == 1


def test_every_kind_compiles() -> None:
    for group, version, kind in DEFINITIONS.kinds():
        assert DEFINITIONS.schema(group, version, kind).kind == kind
    with pytest.raises(KeyError):
        DEFINITIONS.schema("", "v1", "Nonsense")


def test_json_duplicates_are_found_with_their_paths() -> None:
    body = b'{"spec": {"a": 1, "b": [{"c": 1, "c": 2}], "a": 2}}'
    assert decode_body(body, "application/json") == ({"spec": {"a": 2, "b": [{"c": 2}]}}, [])
    _, duplicates = decode_body(body, "application/json", strict=True)
    assert duplicates == ['duplicate field "spec.b[0].c"', 'duplicate field "spec.a"']
    assert POD.decode({}, "Warn", duplicates) == duplicates
    with pytest.raises(StatusError, match='strict decoding error: unknown field "x", duplicate field "spec'):
        POD.decode({"x": 1}, "Strict", duplicates)


def test_compact_json_with_escapes_has_no_duplicates() -> None:
    assert decode_body(b'{"a":"\\u003c"}', strict=True) == ({"a": "<"}, [])
    assert decode_body(orjson.dumps({"a": {"b": 1}}), strict=True)[1] == []


MALFORMED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "unexpected end of JSON input"),
    "cut off": (b'{"a":', "json parse error"),
    "trailing": (b"{} x", "json parse error"),
    "not a number": (b'{"a": NaN}', "json parse error"),
    "invalid utf-8": (b'{"a": "\xff"}', "json parse error"),
    "a list": (b"[]", "cannot unmarshal array into Go value"),
    "null": (b"null", "cannot unmarshal null into Go value"),
    "too deep": (b'{"a":' * 300 + b"1" + b"}" * 300, "exceeded max depth"),
    "far too deep": (b"[" * 5000 + b"]" * 5000, "json parse error"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_json_is_400(name: str) -> None:
    body, message = MALFORMED[name]
    with pytest.raises(StatusError) as refused:
        decode_body(body, "application/json", strict=True)
    assert refused.value.code == 400
    assert message in refused.value.message


def test_yaml_reads_as_upstream_reads_it() -> None:
    body = b"""
a: 2024-01-01
b: 1:30
c: yes
d: 1.0
e: ~
f: "1"
1: one
true: t
g: &x {h: 1}
i: {<<: *x, j: 2}
k: 0.5
"""
    assert decode_body(body, "application/yaml")[0] == {
        "a": "2024-01-01",
        "b": "1:30",
        "c": True,
        "d": 1,
        "e": None,
        "f": "1",
        "1": "one",
        "true": "t",
        "g": {"h": 1},
        "i": {"h": 1, "j": 2},
        "k": 0.5,
    }


def test_integers_that_no_integer_has_room_for_are_read_as_json_reads_them() -> None:
    numbers = b"0xffffffffffffffff", b"18446744073709551616", b"0x1" + b"0" * 30, b"-9223372036854775809"
    for number in numbers:
        found, _ = decode_body(b"a: " + number, "application/yaml")
        assert orjson.loads(orjson.dumps(found)) == pytest.approx({"a": int(number, 0)})


def test_yaml_duplicates_carry_their_line() -> None:
    value, duplicates = decode_body(
        b"a: 1\nb:\n  c: 1\n  c: 2\n", "application/yaml; charset=utf-8", strict=True
    )
    assert value == {"a": 1, "b": {"c": 2}}
    assert duplicates == ['yaml: unmarshal errors:\n  line 4: key "c" already set in map']


BOMB = b"a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"a%d: &a%d [%s]\n" % (n, n, b",".join([b"*a%d" % (n - 1)] * 10)) for n in range(1, 9)
)
BAD_YAML: dict[str, tuple[bytes, str]] = {
    "syntax": (b"a: [", "yaml:"),
    "no number": (b"a: 0x1" + b"0" * 300, "yaml:"),
    "tabs": (b"a:\n\t- b", "yaml:"),
    "two documents": (b"a: 1\n---\nb: 1\n", "yaml:"),
    "invalid utf-8": (b"a: \xff", "invalid UTF-8"),
    "infinite": (b"a: .inf", "unsupported value"),
    "a list": (b"- a", "cannot unmarshal array"),
    "empty": (b"", "cannot unmarshal null"),
    "aliases that explode": (BOMB, "excessive aliasing"),
    "an alias of itself": (b"a: &a [*a]", "max depth"),
    "too deep": (b"a: " + b"[" * 300 + b"]" * 300, "max depth"),
    "an object for a key": (b"? {a: 1}\n: 2", "unsupported key"),
    "a python object": (b"a: !!python/object/apply:os.system [x]", ""),
}


@pytest.mark.parametrize("name", [name for name in BAD_YAML if name != "a python object"])
def test_malformed_yaml_is_400(name: str) -> None:
    body, message = BAD_YAML[name]
    with pytest.raises(StatusError) as refused:
        decode_body(body, "application/yaml")
    assert refused.value.code == 400
    assert message in refused.value.message


def test_a_yaml_tag_runs_nothing() -> None:
    assert decode_body(BAD_YAML["a python object"][0], "application/yaml")[0] == {"a": ["x"]}


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_000_000,
        b"- " * 1_000_000,
        b'{"a":' * 20_000,
        b"".join(b" " * n + b"a:\n" for n in range(1000)),
        b"&a [*a]",
        b"x: &x [a,a,a,a,a,a,a,a,a]\n"
        + b"".join(
            b"x%d: &x%d [%s]\n" % (n, n, b",".join([b"*x%d" % (n - 1) if n else b"*x"] * 9)) for n in range(8)
        ),
        b"a: !!bool maybe",
        b"a: !!int ''",
        b"a: *nothing",
    ],
    ids=["flow", "block", "open", "indented", "itself", "laughs", "no bool", "no int", "no anchor"],
)
def test_yaml_that_is_out_for_trouble_is_refused_at_once(body: bytes) -> None:
    began = process_time()
    with pytest.raises(StatusError) as refused:
        decode_body(body, "application/yaml")
    assert refused.value.code == 400
    assert process_time() - began < 1


def test_yaml_that_is_json_means_the_same() -> None:
    body = b'{"a": [1, 1.5, null, true, "x"], "b": {"c": "1"}}'
    assert decode_body(body, "application/yaml") == decode_body(body, "application/json")
    assert decode_body(b'{"a": 1, "a": 2}', "application/yaml")[1] == [
        'yaml: unmarshal errors:\n  line 1: key "a" already set in map'
    ]
