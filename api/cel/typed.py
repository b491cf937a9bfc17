"""Expressions held against the types of what they speak about, which no evaluation needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cel_expr_python import cel
from google.protobuf import descriptor_pb2, struct_pb2

from podium.api.cel.environment import extensions, own_file, pool_of
from podium.api.cel.errors import CompileError, bare
from podium.api.cel.programs import has_macros
from podium.api.cel.values import escape
from podium.api.schema.walk import Type

_STRING, _MESSAGE, _INT64, _BOOL = 9, 11, 3, 8
_ONE, _MANY = 1, 3
_PACKAGE = "podium.types"
_ANY = ".google.protobuf.Value"


class Checker:
    """Knows the types of some variables; those without one are of any type."""

    def __init__(self, names: tuple[str, ...], types: Mapping[str, Type]) -> None:
        struct = descriptor_pb2.FileDescriptorProto.FromString(struct_pb2.DESCRIPTOR.serialized_pb)
        builder = _Builder()
        messages = {name: builder.message(type_) for name, type_ in types.items()}
        pool = pool_of(own_file(), struct, builder.file)
        variables = dict.fromkeys((*names, "variables"), cel.Type.DYN)
        for name, message in messages.items():
            variables[name] = cel.Type(f"{_PACKAGE}.{message}")
        self._env = cel.NewEnv(pool, variables=variables, extensions=extensions())

    def fault(self, expression: str, returns: str = "") -> str:
        """What is wrong with it, "" for nothing. `returns` is the type that it must have, "" for any."""
        try:
            if has_macros(expression):
                return ""
            found = str(self._env.compile(expression).return_type().name()).lower()
            if returns and found not in (returns, "dyn"):
                return f"must evaluate to {returns}"
        except CompileError as error:
            return str(error)
        except RuntimeError as error:
            return bare(str(error)).rstrip("\n")
        return ""


class _Builder:
    """Structs as messages, of which each is made once: types may contain themselves."""

    def __init__(self) -> None:
        self.file = descriptor_pb2.FileDescriptorProto(
            name="podium/types.proto", package=_PACKAGE, syntax="proto3"
        )
        self.file.dependency.append("google/protobuf/struct.proto")
        self._names: dict[int, str] = {}

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
        # A double may be compared with an int, which the library's checker would not have.
        scalars = {str: _STRING, int: _INT64, bool: _BOOL}
        if type_.fields:
            field.type, field.type_name = _MESSAGE, f".{_PACKAGE}.{self.message(type_)}"
        elif type_.accepts in scalars and type_.item is None:
            field.type = scalars[type_.accepts]
        else:
            field.type, field.type_name = _MESSAGE, _ANY


def _entry_name(field: str) -> str:
    """What a map's entries must be called, by the rules of protocol buffers."""
    return "".join(part[:1].upper() + part[1:] for part in field.split("_")) + "Entry"
