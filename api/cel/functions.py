"""The functions that Kubernetes adds to the language: one table.

Source: docs, "Common Expression Language in Kubernetes", CEL options and libraries.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from cel_expr_python import cel
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from podium.api.cel import lists, quantities, texts

_T = cel.Type
_TYPES: dict[str, Any] = {
    "bool": _T.BOOL, "int": _T.INT, "double": _T.DOUBLE, "string": _T.STRING, "dyn": _T.DYN,
    "list": _T.List(_T.DYN), "strings": _T.List(_T.STRING),
}  # fmt: skip
OPAQUE = ("Quantity",)


def own_file() -> Any:
    """The opaque types: messages with their canonical text."""
    file = descriptor_pb2.FileDescriptorProto(
        name="podium/kubernetes.proto", package="kubernetes", syntax="proto3"
    )
    for name in OPAQUE:
        message = file.message_type.add(name=name)
        message.field.add(name="text", number=1, type=9, label=1)
    return file


def pool_of(*files: Any) -> Any:
    found = descriptor_pool.DescriptorPool()
    for file in files:
        found.Add(file)
    return found


@cache
def pool() -> Any:
    return pool_of(own_file())


@cache
def opaque(name: str) -> Any:
    return message_factory.GetMessageClass(pool().FindMessageTypeByName(f"kubernetes.{name}"))


def _kind(name: str) -> Any:
    return _TYPES.get(name) or _T(f"kubernetes.{name}")


def _wrapped(implementation: Callable[..., Any], returns: str) -> Callable[..., Any]:
    """Opaque values go in and out as their texts."""

    def call(*arguments: Any) -> Any:
        plain = [getattr(argument, "text", argument) for argument in arguments]
        result = implementation(*plain)
        return opaque(returns)(text=result) if returns in OPAQUE else result

    return call


@cache
def declarations() -> list[Any]:
    found: dict[str, list[Any]] = {}
    for index, (name, member, parameters, returns, implementation) in enumerate(
        (*lists.FUNCTIONS, *texts.FUNCTIONS, *quantities.FUNCTIONS)
    ):
        overload = cel.Overload(
            f"podium_{name.replace('.', '_')}_{index}",
            _kind(returns),
            [_kind(each) for each in parameters],
            is_member=member,
            impl=_wrapped(implementation, returns),
        )
        found.setdefault(name, []).append(overload)
    return [cel.FunctionDecl(name, overloads) for name, overloads in found.items()]
