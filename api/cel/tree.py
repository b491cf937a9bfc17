"""The nodes of an expression that is nested too deeply for the library's parser, with the names that the
library's own tree has for their parts (cel.expr.Expr)."""

from __future__ import annotations

from typing import Any

KINDS = (
    "const_expr", "ident_expr", "select_expr", "call_expr", "list_expr", "struct_expr", "comprehension_expr",
)  # fmt: skip


class Part:
    """What a node of one kind consists of. What it was not given is empty."""

    def __init__(self, **given: Any) -> None:
        self.__dict__ = given

    def __getattr__(self, name: str) -> Any:
        return _EMPTY.get(name, "")

    def HasField(self, name: str) -> bool:
        return name in self.__dict__

    def WhichOneof(self, group: str) -> str | None:
        """Of a constant, or of an entry's key."""
        return next((name for name in self.__dict__ if name in _ALTERNATIVES[group]), None)


class Expr:
    __slots__ = ("kind", "part")

    def __init__(self, kind: str, **given: Any) -> None:
        self.kind = kind
        self.part = Part(**given)

    def WhichOneof(self, group: str) -> str:
        return self.kind

    def __getattr__(self, name: str) -> Part:
        if name not in KINDS:
            raise AttributeError(name)
        return self.part if name == self.kind else _NOTHING


_EMPTY: dict[str, Any] = {
    "args": (),
    "elements": (),
    "entries": (),
    "optional_indices": (),
    "test_only": False,
    "optional_entry": False,
    "bool_value": False,
}
_ALTERNATIVES = {
    "kind": (
        "null_value",
        "bool_value",
        "int64_value",
        "uint64_value",
        "double_value",
        "string_value",
        "bytes_value",
    ),
    "key": ("field_key", "map_key"),
}
_NOTHING = Part()


def constant(kind: str, value: Any) -> Expr:
    return Expr("const_expr", **{kind: value})


def ident(name: str) -> Expr:
    return Expr("ident_expr", name=name)


def call(function: str, *args: Expr, target: Expr | None = None) -> Expr:
    if target is None:
        return Expr("call_expr", function=function, args=args)
    return Expr("call_expr", target=target, function=function, args=args)


def listed(*elements: Expr, optional: tuple[int, ...] = ()) -> Expr:
    return Expr("list_expr", elements=elements, optional_indices=optional)


def bind(name: str, value: Expr, result: Expr, step: Expr | None = None) -> Expr:
    return Expr(
        "comprehension_expr", iter_var="#unused", iter_range=listed(), accu_var=name, accu_init=value,
        loop_condition=constant("bool_value", False), loop_step=step or ident(name), result=result,
    )  # fmt: skip


_RESULT = "@result"


def fold(over: Expr, variable: str, start: Expr, condition: Expr, step: Expr, result: Expr) -> Expr:
    return Expr(
        "comprehension_expr", iter_var=variable, iter_range=over, accu_var=_RESULT, accu_init=start,
        loop_condition=condition, loop_step=step, result=result,
    )  # fmt: skip


def macro(function: str, target: Expr, args: tuple[Expr, ...]) -> Expr | None:
    """What the common macros stand for; None for what is none."""
    if not args or args[0].kind != "ident_expr":
        return None
    name, rest = args[0].ident_expr.name, args[1:]
    result = ident(_RESULT)
    match function, len(rest):
        case (("all" | "exists"), 1):
            every = function == "all"
            tested = result if every else call("!_", result)
            step = call("_&&_" if every else "_||_", result, rest[0])
            condition = call("@not_strictly_false", tested)
            return fold(target, name, constant("bool_value", every), condition, step, result)
        case "exists_one", 1:
            one = constant("int64_value", 1)
            step = call("_?_:_", rest[0], call("_+_", result, one), result)
            start = constant("int64_value", 0)
            return fold(target, name, start, constant("bool_value", True), step, call("_==_", result, one))
        case ("map", 1) | ("map", 2) | ("filter", 1):
            added = args[0] if function == "filter" else rest[-1]
            step = call("_+_", result, listed(added))
            if function == "filter" or len(rest) == 2:
                step = call("_?_:_", rest[0], step, result)
            return fold(target, name, listed(), constant("bool_value", True), step, result)
        case (("optMap" | "optFlatMap"), 1):
            bound = bind(name, call("value", target=target), rest[0], args[0])
            made = call("optional.of", bound) if function == "optMap" else bound
            return call("_?_:_", call("hasValue", target=target), made, call("optional.none"))
        case "bind", 2 if target.ident_expr.name == "cel":
            return bind(name, rest[0], rest[1], args[0])
    return None
