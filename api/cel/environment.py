"""The library's environments, which parse and check expressions: the standard language, optional values,
and the declarations of Kubernetes' own functions."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import permutations
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_bindings, ext_optional
from google.protobuf import descriptor_pb2, descriptor_pool

from podium.api.cel.calls import OPAQUE, overloads

_T = cel.Type
_TYPES: dict[str, Any] = {
    "bool": _T.BOOL, "int": _T.INT, "uint": _T.UINT, "double": _T.DOUBLE, "string": _T.STRING,
    "bytes": _T.BYTES, "dyn": _T.DYN, "list": _T.List(_T.DYN), "strings": _T.List(_T.STRING),
    "map": _T.Map(_T.STRING, _T.List(_T.STRING)), "optional": _T.DYN, "optional:Format": _T.DYN,
    "optional:strings": _T.DYN,
}  # fmt: skip


_ORDERS = {"_<_": "less", "_<=_": "less_equals", "_>_": "greater", "_>=_": "greater_equals"}


def own_file() -> Any:
    """The types of Kubernetes' own, which nobody sees into."""
    file = descriptor_pb2.FileDescriptorProto(
        name="podium/kubernetes.proto", package="kubernetes", syntax="proto3"
    )
    for name in OPAQUE:
        file.message_type.add(name=name)
    return file


def pool_of(*files: Any) -> Any:
    found = descriptor_pool.DescriptorPool()
    for file in files:
        found.Add(file)
    return found


@cache
def pool() -> Any:
    return pool_of(own_file())


def environment(names: tuple[str, ...]) -> Any:
    """Where expressions know the variables `names`, of any type."""
    variables = dict.fromkeys((*names, "variables"), _T.DYN)
    return cel.NewEnv(pool(), variables=variables, extensions=extensions())


def extensions() -> list[Any]:
    return [
        ext_optional.ExtOptional(),
        ext_bindings.ExtBindings(),
        cel.CelExtension("kubernetes", declarations()),
    ]


def _kind(name: str) -> Any:
    return _TYPES.get(name) or _T(f"kubernetes.{name}")


@cache
def declarations() -> list[Any]:
    found: dict[str, list[Any]] = {}
    for index, (name, member, each) in enumerate(overloads()):
        overload = cel.Overload(
            f"podium_{name.replace('.', '_')}_{index}",
            _kind(each.returns),
            [_kind(parameter) for parameter in each.parameters],
            is_member=member,
        )
        found.setdefault(name, []).append(overload)
    found |= {name: [*_orders(name)] for name in ("_<_", "_<=_", "_>_", "_>=_")}
    return [cel.FunctionDecl(name, entries) for name, entries in found.items()]


def _orders(name: str) -> Iterator[Any]:
    """Numbers of different types have an order."""
    for one, other in permutations(("int", "uint", "double"), 2):
        identifier = f"podium_{_ORDERS[name]}_{one}_{other}"
        yield cel.Overload(identifier, _T.BOOL, [_TYPES[one], _TYPES[other]])
