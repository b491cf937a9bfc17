"""What a conversion webhook is asked, and what is made of its answer. Pure.

Source: API reference, apiextensions.k8s.io/v1 ConversionReview; docs, "Versions in
CustomResourceDefinitions".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from podium.api.ask import copied
from podium.api.types import Obj
from podium.api.validation import metadata

GROUP = "apiextensions.k8s.io"
# What ConversionReviews there are.
VERSIONS = ("v1", "v1beta1")
_GO_TYPES: dict[type, str] = {
    str: "string", bool: "bool", int: "int64", float: "float64", list: "[]interface {}",
    dict: "map[string]interface {}", type(None): "<nil>",
}  # fmt: skip


# Where an object of an answer is wrong.
VERSION, OBJECT, METADATA = "version", "object", "metadata"


class Malformed(Exception):
    """The answer is none that can be used; the text says why, and `place` of what in an object."""

    def __init__(self, why: str, place: str = "") -> None:
        super().__init__(why)
        self.place = place

    def told(self, index: int, count: int) -> str:
        """What is said of one object among `count`."""
        if count > 1:
            what = "metadata in object" if self.place == METADATA else "converted object"
            return f"returned invalid {what} at index {index}: {self}"
        where = {VERSION: "object at index 0", METADATA: "metadata"}.get(self.place, "object")
        return f"returned invalid {where}: {self}"


def review(objs: Sequence[Obj], api_version: str, uid: str, version: str) -> Obj:
    """Asks for the objects as `api_version` has them."""
    request = {"uid": uid, "desiredAPIVersion": api_version, "objects": list(objs)}
    return {"kind": "ConversionReview", "apiVersion": f"{GROUP}/{version}", "request": request}


def answered(answer: Any, uid: str, version: str) -> list[Any]:
    """The objects of an answer. Raises Malformed."""
    if not isinstance(answer, dict):
        raise Malformed("the answer is no object")
    told = (answer.get("apiVersion") or "", answer.get("kind") or "")
    # The beta version was never looked at that closely.
    strict = version == "v1"
    if strict and told != (f"{GROUP}/v1", "ConversionReview"):
        wanted = f"{GROUP}/v1, Kind=ConversionReview"
        raise Malformed(f"expected webhook response of {wanted}, got {told[0] or '/'}, Kind={told[1]}")
    response = answer.get("response")
    if not isinstance(response, dict):
        raise Malformed("no response provided")
    if strict and response.get("uid") != uid:
        raise Malformed(f'expected response.uid="{uid}", got "{response.get("uid") or ""}"')
    result = response.get("result")
    status = result.get("status") if isinstance(result, dict) else ""
    if status != "Success":
        message = result.get("message") if isinstance(result, dict) else ""
        raise Malformed(str(message or f"response.result.status was '{status or ''}', not 'Success'"))
    objects = response.get("convertedObjects") or []
    if not isinstance(objects, list):
        raise Malformed("response.convertedObjects is no list")
    return objects


def converted(original: Obj, made: Any, api_version: str) -> Obj:
    """The converted object with the metadata of the original one, of which a webhook may change the labels
    and the annotations only. Raises Malformed."""
    if not isinstance(made, dict) or not isinstance(made.get("kind"), str) or not made["kind"]:
        raise Malformed("Object 'Kind' is missing", VERSION)
    told = made.get("apiVersion") or ""
    if told != api_version:
        raise Malformed(f"invalid groupVersion (expected {api_version}, received {told})", VERSION)
    if made["kind"] != original["kind"]:
        raise Malformed(f"invalid kind (expected {original['kind']}, received {made['kind']})", VERSION)
    given = made.get("metadata")
    meta = given if isinstance(given, dict) else {}
    for field, name in (("name", "name"), ("namespace", "namespace"), ("uid", "UID")):
        before, now = original["metadata"].get(field) or "", meta.get(field) or ""
        if before != now:
            raise Malformed(f"must have the same {name}: {before} != {now}", OBJECT)
    return {**made, "metadata": _restored(original["metadata"], given)}


def _restored(original: Obj, given: Any) -> Obj:
    if given is None:
        raise Malformed("missing metadata in converted object", METADATA)
    if not isinstance(given, dict):
        raise Malformed(f"invalid metadata of type {_go_type(given)} in converted object", METADATA)
    made = copied(original)
    for field, check in (("labels", metadata.check_labels), ("annotations", metadata.check_annotations)):
        wanted = given.get(field)
        if wanted is None:
            made.pop(field, None)
            continue
        _check_texts(wanted, field)
        if wanted != original.get(field) and (wrong := check(wanted, f"metadata.{field}")):
            texts = [str(cause) for cause in wrong]
            raise Malformed(texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]", METADATA)
        made[field] = wanted
    return made


def _check_texts(given: Any, field: str) -> None:
    if not isinstance(given, dict):
        raise Malformed(f"invalid metadata.{field} of type {_go_type(given)} in converted object", METADATA)
    for key, value in given.items():
        if not isinstance(value, str):
            why = f"must be a string, but is {_go_type(value)} in converted object"
            raise Malformed(f"metadata.{field}[{key}] {why}", METADATA)


def _go_type(value: Any) -> str:
    return _GO_TYPES.get(type(value), "interface {}")
