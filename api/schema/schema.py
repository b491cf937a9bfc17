"""One kind's schema: decoding an object strictly, with warnings, or silently, and the words for what is wrong
with it.

Source of the texts: the API server's answers to a body that does not fit (sigs.k8s.io/json, apimachinery's
strict decoding).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import orjson

from podium.api.schema.scalars import Malformed, Mismatch
from podium.api.schema.walk import MapKey, Path, Type, Unknown, render, steps
from podium.api.types import Obj, errors
from podium.api.types.errors import Cause, StatusError

Mode = Literal["Strict", "Warn", "Ignore"]

# Upstream stops counting there, so that a hostile body cannot make the answer long.
MAX_STRICT_ERRORS = 100


class DecodeError(ValueError):
    """An object that does not fit its kind, in upstream's words and without the context of the request."""


class Schema:
    """A kind, ready to decode. Immutable; shared by all requests."""

    __slots__ = ("group", "kind", "type", "version")

    def __init__(self, group: str, version: str, kind: str, type_: Type) -> None:
        self.group = group
        self.version = version
        self.kind = kind
        self.type = type_

    def fit(self, obj: Obj) -> list[str]:
        """Makes `obj` fit in place: unknown fields go, nulls go, quantities and times take their canonical
        form. Returns what was unknown (`unknown field "spec.x"`). Raises DecodeError; the object is then half
        changed and of no more use."""
        unknown = self._enter(obj)
        if not unknown:
            return []
        return [f"unknown field {_quoted(render(path))}" for path in unknown[:MAX_STRICT_ERRORS]]

    def _enter(self, obj: Obj) -> Unknown:
        unknown: Unknown = []
        try:
            self.type.enter(obj, None, unknown)
        except Mismatch as mismatch:
            raise DecodeError(self._describe(mismatch)) from None
        except Malformed as malformed:
            raise DecodeError(str(malformed)) from None
        except RecursionError:
            raise DecodeError("json: exceeded max depth") from None
        return unknown

    def decode(self, obj: Obj, mode: Mode = "Ignore", duplicates: Sequence[str] = ()) -> list[str]:
        """Fits a request's object and returns the warnings for the client; `duplicates` are those of
        `decode_body`. Raises 400."""
        try:
            return self._judge(self.fit(obj), mode, duplicates)
        except DecodeError as error:
            raise self.bad_request(str(error)) from None

    def decode_applied(
        self, obj: Obj, mode: Mode = "Ignore", duplicates: Sequence[str] = ()
    ) -> tuple[Unknown, list[str]]:
        """As `decode`, for a configuration that is to be applied: what is unknown in it is given apart,
        because no mode allows it. Raises 400."""
        try:
            unknown = self._enter(obj)
            return unknown[:MAX_STRICT_ERRORS], [] if unknown else self._judge([], mode, duplicates)
        except DecodeError as error:
            raise self.bad_request(str(error)) from None

    def decode_patched(self, obj: Obj, mode: Mode = "Ignore", duplicates: Sequence[str] = ()) -> list[str]:
        """As `decode`, for what a patch made: upstream answers 422 and shows the patched object."""
        try:
            return self._judge(self.fit(obj), mode, duplicates)
        except DecodeError as error:
            shown = orjson.dumps(orjson.dumps(obj).decode()).decode()
            cause = Cause("FieldValueInvalid", f"Invalid value: {shown}: {error}", "patch")
            raise errors.invalid("", "", [cause]) from None

    def bad_request(self, why: str) -> StatusError:
        return errors.bad_request(
            f'{self.kind} in version "{self.version}" cannot be handled as a {self.kind}: {why}'
        )

    @staticmethod
    def _judge(unknown: list[str], mode: Mode, duplicates: Sequence[str]) -> list[str]:
        found = [*unknown, *duplicates]
        if not found or mode == "Ignore":
            return []
        if mode == "Strict":
            raise DecodeError(f"strict decoding error: {', '.join(found)}")
        return found

    def _describe(self, mismatch: Mismatch) -> str:
        owner, field = self._locate(mismatch.path)
        where = f"Go struct field {owner}.{field}" if field else "Go value"
        return f"json: cannot unmarshal {mismatch.value_name} into {where} of type {mismatch.go_type}"

    def _locate(self, path: Path) -> tuple[str, str]:
        """The struct that holds the field, and the field's path as Go gives it: without indices and map
        keys."""
        owner, fields = "", []
        current: Type | None = self.type
        for step in steps(path):
            if current is None:
                break
            if isinstance(step, (int, MapKey)):
                current = current.item
            else:
                owner = current.name.rpartition(".")[2]
                fields.append(step)
                # The metadata of an embedded resource is in no schema.
                known = current.fields.get(step) if current.fields else None
                current = known.type if known else None
        return owner, ".".join(fields)


def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()
