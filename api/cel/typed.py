"""Expressions held against the types of what they speak about, which no evaluation needs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from cel_expr_python import cel
from google.protobuf import descriptor_pb2, duration_pb2, struct_pb2, timestamp_pb2

from podium.api.cel.environment import extensions, own_file, pool_of
from podium.api.cel.errors import CompileError, bare, too_deep
from podium.api.cel.pairs import Plain
from podium.api.cel.programs import count_macros
from podium.api.cel.values import escape
from podium.api.schema.walk import Type

_MESSAGE, _STRING = 11, 9
_FIELDS: dict[type | None, int] = {str: _STRING, int: 3, bool: 8, float: 1, bytes: 12}
_TIMES: dict[type | None, str] = {
    datetime: ".google.protobuf.Timestamp",
    timedelta: ".google.protobuf.Duration",
}
_ONE, _MANY = 1, 3
_PACKAGE = "podium.types"
_ANY = ".google.protobuf.Value"


_SCALARS: dict[type | None, Any] = {
    str: cel.Type.STRING, int: cel.Type.INT, bool: cel.Type.BOOL, float: cel.Type.DOUBLE,
    bytes: cel.Type.BYTES, datetime: cel.Type.TIMESTAMP, timedelta: cel.Type.DURATION,
}  # fmt: skip
# So many macros over two variables are written again.
_MACROS = 20


class Checker:
    """Knows the types of some variables; those without one are of any type."""

    def __init__(self, names: tuple[str, ...], types: Mapping[str, Type]) -> None:
        builder = _Builder()
        known = {name: builder.variable(type_) for name, type_ in types.items()}
        pool = pool_of(own_file(), *_known_files(), builder.file)
        variables = dict.fromkeys((*names, "variables"), cel.Type.DYN) | known
        self._env = cel.NewEnv(pool, variables=variables, extensions=extensions())

    def fault(self, expression: str, returns: str = "") -> str:
        """What is wrong with it, "" for nothing. `returns` is the type that it must have, "" for any."""
        try:
            if macros := count_macros(expression):
                return self._fault_of_pairs(expression, returns) if macros <= _MACROS else ""
            found = self._type(expression)
            if returns and found not in (returns, "dyn"):
                return f"must evaluate to {returns}"
        except CompileError as error:
            return str(error)
        except RuntimeError as error:
            return "" if too_deep(error) else bare(str(error)).rstrip("\n")
        return ""

    def _type(self, expression: str) -> str:
        """Raises RuntimeError."""
        return str(self._env.compile(expression).return_type().name()).lower()

    def _is_map(self, expression: str) -> bool | None:
        try:
            found = self._type(expression)
        except RuntimeError:
            return None
        return found.startswith("map") if found != "dyn" else None

    def _fault_of_pairs(self, expression: str, returns: str) -> str:
        """Macros over two variables are tried over lists, then over maps."""
        faults = []
        for guess in (False, True):
            plain = Plain(expression, self._is_map, guess)
            try:
                found = self._type(plain.text)
            except RuntimeError as error:
                faults.append("" if too_deep(error) else plain.fault(bare(str(error))))
            else:
                wrong = returns and found not in (returns, "dyn")
                faults.append(f"must evaluate to {returns}" if wrong else "")
            if not faults[-1] or not plain.guessed:
                break
        # Of several, some may be over lists and some over maps.
        return faults[-1] if not faults[-1] or plain.guessed < 2 else ""


@cache
def _known_files() -> list[Any]:
    known = (struct_pb2, timestamp_pb2, duration_pb2)
    return [descriptor_pb2.FileDescriptorProto.FromString(each.DESCRIPTOR.serialized_pb) for each in known]


class _Builder:
    """Structs as messages, of which each is made once: types may contain themselves."""

    def __init__(self) -> None:
        self.file = descriptor_pb2.FileDescriptorProto(
            name="podium/types.proto", package=_PACKAGE, syntax="proto3"
        )
        self.file.dependency.extend(file.name for file in _known_files())
        self._names: dict[int, str] = {}

    def variable(self, type_: Type) -> Any:
        """The library's type of a variable, which need not be a struct."""
        if type_.fields:
            return cel.Type(f"{_PACKAGE}.{self.message(type_)}")
        if type_.item is not None:
            item = self.variable(type_.item)
            return cel.Type.List(item) if type_.accepts is list else cel.Type.Map(cel.Type.STRING, item)
        return _SCALARS.get(type_.accepts, cel.Type.DYN)

    def message(self, type_: Type) -> str:
        if id(type_) in self._names:
            return self._names[id(type_)]
        name = self._names[id(type_)] = f"T{len(self._names)}"
        message = self.file.message_type.add(name=name)
        for number, (key, field) in enumerate(type_.fields.items(), 1):
            if (escaped := escape(key)) is not None:
                self._field(message, escaped, number, field.type)
        return name

    def _field(self, message: Any, name: str, number: int, type_: Type) -> None:
        field = message.field.add(name=name, number=number, label=_ONE)
        # Names that differ by their case alone would be the same in JSON, which nobody makes of them.
        field.json_name = f"{name}@{number}"
        item = type_.item
        if type_.accepts is list and item is not None and item.item is None:
            field.label = _MANY
            self._set(field, item)
        elif type_.accepts is dict and item is not None and item.item is None:
            field.label = _MANY
            field.type, field.type_name = _MESSAGE, self._map(message, name, item)
        else:
            self._set(field, type_)

    def _map(self, message: Any, name: str, item: Type) -> str:
        entry = message.nested_type.add(name=_entry_name(name))
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, label=_ONE, type=_STRING)
        self._set(entry.field.add(name="value", number=2, label=_ONE), item)
        return f".{_PACKAGE}.{message.name}.{entry.name}"

    def _set(self, field: Any, type_: Type) -> None:
        if type_.fields:
            field.type, field.type_name = _MESSAGE, f".{_PACKAGE}.{self.message(type_)}"
        elif type_.accepts in _FIELDS and type_.item is None:
            field.type = _FIELDS[type_.accepts]
        elif type_.accepts in _TIMES:
            field.type, field.type_name = _MESSAGE, _TIMES[type_.accepts]
        else:
            field.type, field.type_name = _MESSAGE, _ANY


def _entry_name(field: str) -> str:
    """What a map's entries must be called, by the rules of protocol buffers."""
    return "".join(part[:1].upper() + part[1:] for part in field.split("_")) + "Entry"
