"""A parser for expressions that are nested more deeply than the library's goes (32 levels; 250 are allowed).
Whatever is wrong with others, the library tells.

Source: CEL language definition, "Syntax"."""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Any, NamedTuple

from podium.api.cel import tree
from podium.api.cel.errors import CompileError
from podium.api.cel.tree import Expr

DEEPEST = 250
KEYWORDS = ("false", "in", "null", "true")
RESERVED = frozenset({
    "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package",
    "namespace", "return", "var", "void", "while",
})  # fmt: skip
_TOKENS = re.compile(
    r"""(?P<space>[\t \r\n\f]+|//[^\n]*)
    |(?P<float>[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|\.[0-9]+(?:[eE][+-]?[0-9]+)?)
    |(?P<uint>(?:0x[0-9a-fA-F]+|[0-9]+)[uU])
    |(?P<int>0x[0-9a-fA-F]+|[0-9]+)
    |(?P<text>[bB]?[rR]?(?:\"{3}|'{3}|"|'))
    |(?P<escaped>`[A-Za-z0-9_.\-/ ]+`)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>==|!=|<=|>=|&&|\|\||[<>\[\]{}().,\-!?:+*/%])""",
    re.VERBOSE,
)
_ESCAPES = re.compile(
    r"\\(?:x|X)([0-9a-fA-F]{2})|\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})|\\([0-3][0-7]{2})|\\(.)", re.S
)
_LETTERS = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    '"': '"', "'": "'", "\\": "\\", "?": "?", "`": "`",
}  # fmt: skip
_LEVELS = {
    "||": 1, "&&": 2, "<": 3, "<=": 3, ">": 3, ">=": 3, "==": 3, "!=": 3, "in": 3, "+": 4, "-": 4,
    "*": 5, "/": 5, "%": 5,
}  # fmt: skip
_LONGEST_NUMBER = 300
_LOGICAL = ("||", "&&")


# What reads a part: it yields the reading of the parts in it, is sent what they are, and returns its own.
Steps = Generator[Any, Any, Any]


class Token(NamedTuple):
    """`kind` is "end" after the last; `value` is a text's, or what is written; `data` that of bytes."""

    kind: str
    value: str
    position: int
    data: bytes = b""


def parse(source: str, *, macros: bool = True) -> Expr:
    """Without `macros` those are left as the calls that they are written as. Raises CompileError."""
    reader = _Reader(source, macros=macros)
    expr: Expr = _done(reader.expression())
    if reader.token.kind != "end":
        raise reader.unexpected()
    return expr


def _done(steps: Steps) -> Any:
    """What the steps come to. Those that wait for others stand on a stack of their own, which is as high as
    need be."""
    waiting, value = [steps], None
    while waiting:
        try:
            waiting.append(waiting[-1].send(value))
            value = None
        except StopIteration as end:
            waiting.pop()
            value = end.value
    return value


class _Reader:
    def __init__(self, source: str, *, macros: bool) -> None:
        self._source = source
        self._macros = macros
        self._tokens = list(split(source))
        self._at = 0
        self._depth = 0

    @property
    def token(self) -> Token:
        return self._tokens[self._at]

    def unexpected(self) -> CompileError:
        token = self.token
        found = "<EOF>" if token.kind == "end" else token.value
        return fault(self._source, token.position, f"Syntax error: unexpected '{found}'")

    def _too_deep(self) -> CompileError:
        why = f"expression recursion limit exceeded: {DEEPEST}"
        return fault(self._source, self.token.position, why)

    def _takes(self, *signs: str) -> str:
        """The sign, when one of those is next; "" otherwise."""
        token = self.token
        if token.kind == "sign" and token.value in signs:
            self._at += 1
            return token.value
        return ""

    def _wants(self, sign: str) -> None:
        if not self._takes(sign):
            raise self.unexpected()

    # --- a level

    def expression(self) -> Steps:
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._too_deep()
        choices: list[tuple[Expr, Expr]] = []
        found = yield self._chain()
        while self._takes("?"):
            one = yield self._chain()
            self._wants(":")
            choices.append((found, one))
            found = yield self._chain()
        if len(choices) > DEEPEST:
            raise self._too_deep()
        for condition, one in reversed(choices):
            found = tree.call("_?_:_", condition, one, found)
        self._depth -= 1
        return found

    def _chain(self) -> Steps:
        """Operands and what is between them."""
        operands = [(yield self._operand())]
        operators: list[str] = []
        length = 0
        while (operator := self._operator()) is not None:
            self._at += 1
            length += operator not in _LOGICAL
            if length > DEEPEST:
                raise self._too_deep()
            while operators and _LEVELS[operators[-1]] >= _LEVELS[operator]:
                _join(operands, operators, operator)
                if operators and operators[-1] == operator in _LOGICAL:
                    break
            operators.append(operator)
            operands.append((yield self._operand()))
        while operators:
            _join(operands, operators, "")
        return operands[0]

    def _operator(self) -> str | None:
        token = self.token
        written = token.value
        return written if token.kind in ("sign", "name") and written in _LEVELS else None

    def _operand(self) -> Steps:
        sign, times = self.token.value, 0
        while self._takes("!" if sign == "!" else "-"):
            times += 1
        negative = sign == "-" and times % 2 == 1 and self.token.kind in ("int", "float")
        found = yield self._primary("-" if negative else "")
        for _ in range(DEEPEST):
            if self._takes("."):
                found = yield self._member(found)
            elif self._takes("["):
                optional = self._takes("?")
                found = tree.call("_[?_]" if optional else "_[_]", found, (yield self.expression()))
                self._wants("]")
            else:
                break
        else:
            raise self._too_deep()
        if times % 2 and not negative:
            found = tree.call("!_" if sign == "!" else "-_", found)
        return found

    def _member(self, target: Expr) -> Steps:
        optional = self._takes("?")
        token = self.token
        if token.kind not in ("name", "escaped") or token.value in KEYWORDS:
            raise self.unexpected()
        self._at += 1
        name = token.value
        if optional:
            return tree.call("_?._", target, tree.constant("string_value", name))
        if token.kind == "escaped" or not self._takes("("):
            return Expr("select_expr", operand=target, field=name)
        args = yield self._arguments()
        return tree.macro(name, target, args) or tree.call(name, *args, target=target)

    # --- what stands for itself

    def _primary(self, sign: str) -> Steps:
        token = self.token
        self._at += 1
        match token.kind:
            case "name":
                return (yield self._named(token.value, token.position))
            case "string":
                return tree.constant("string_value", token.value)
            case "bytes":
                return tree.constant("bytes_value", token.data)
            case "int" | "uint" | "float":
                return self._number(token, sign)
            case "sign" if token.value == "(":
                found = yield self.expression()
                self._wants(")")
                return found
            case "sign" if token.value == "[":
                return (yield self._list())
            case "sign" if token.value == "{":
                return (yield self._entries(""))
            case "sign" if token.value == "." and self.token.kind == "name":
                self._at += 1
                return (yield self._named(f".{self._tokens[self._at - 1].value}", token.position))
        self._at -= 1
        raise self.unexpected()

    def _number(self, token: Token, sign: str) -> Expr:
        written = token.value
        if len(written) > _LONGEST_NUMBER:
            raise fault(self._source, token.position, f"invalid {token.kind} literal")
        if token.kind == "float":
            return tree.constant("double_value", float(sign + written))
        number = int(sign + written.rstrip("uU"), 16 if written.startswith("0x") else 10)
        if token.kind == "uint":
            if number >= 1 << 64:
                raise fault(self._source, token.position, "invalid uint literal")
            return tree.constant("uint64_value", number)
        if not -(1 << 63) <= number < 1 << 63:
            raise fault(self._source, token.position, "invalid int literal")
        return tree.constant("int64_value", number)

    def _named(self, name: str, position: int) -> Steps:
        if name in ("true", "false"):
            return tree.constant("bool_value", name == "true")
        if name == "null":
            return tree.constant("null_value", 0)
        if name in KEYWORDS:
            self._at -= 1
            raise self.unexpected()
        if name in RESERVED:
            raise fault(self._source, position, f"reserved identifier: {name}")
        if self._takes("("):
            args = yield self._arguments()
            if name == "has" and len(args) == 1:
                return self._has(args[0], position)
            return tree.call(name, *args)
        if (message := self._message(name)) is not None:
            return (yield self._entries(message))
        return tree.ident(name)

    def _has(self, argument: Expr, position: int) -> Expr:
        if argument.kind != "select_expr":
            raise fault(self._source, position, "invalid argument to has() macro")
        select = argument.select_expr
        return Expr("select_expr", operand=select.operand, field=select.field, test_only=True)

    def _message(self, name: str) -> str | None:
        """The name of a message when its fields follow, of which the brace is taken."""
        here = self._at
        while self._takes("."):
            if self.token.kind != "name":
                break
            name += f".{self.token.value}"
            self._at += 1
        if self._takes("{"):
            return name
        self._at = here
        return None

    def _arguments(self) -> Steps:
        found: list[Expr] = []
        while not self._takes(")"):
            if found:
                self._wants(",")
            found.append((yield self.expression()))
        return tuple(found)

    def _list(self) -> Steps:
        found: list[Expr] = []
        optional: list[int] = []
        while not self._takes("]"):
            if self._takes("?"):
                optional.append(len(found))
            found.append((yield self.expression()))
            if not self._takes(","):
                self._wants("]")
                break
        return tree.listed(*found, optional=tuple(optional))

    def _entries(self, message: str) -> Steps:
        entries: list[tree.Part] = []
        while not self._takes("}"):
            optional = bool(self._takes("?"))
            key = {"field_key": self._field_key()} if message else {"map_key": (yield self.expression())}
            self._wants(":")
            entries.append(tree.Part(**key, value=(yield self.expression()), optional_entry=optional))
            if not self._takes(","):
                self._wants("}")
                break
        return Expr("struct_expr", message_name=message, entries=tuple(entries))

    def _field_key(self) -> str:
        token = self.token
        if token.kind not in ("name", "escaped") or token.value in KEYWORDS:
            raise self.unexpected()
        self._at += 1
        return token.value


def _join(operands: list[Expr], operators: list[str], following: str) -> None:
    """Makes one of the last two operands, or, of those that are logical, when the last of them is there: they
    become a tree that is as low as can be."""
    operator = operators[-1]
    if operator not in _LOGICAL:
        operators.pop()
        name = "@in" if operator == "in" else f"_{operator}_"
        right = operands.pop()
        operands[-1] = tree.call(name, operands[-1], right)
        return
    if operator == following:
        return
    count = 1
    while count <= len(operators) and operators[-count] == operator:
        count += 1
    del operators[1 - count :]
    terms = operands[-count:]
    del operands[-count:]
    operands.append(_balanced(f"_{operator}_", terms, 0, count - 2))


def _balanced(name: str, terms: list[Expr], low: int, high: int) -> Expr:
    middle = (low + high + 1) // 2
    left = terms[middle] if middle == low else _balanced(name, terms, low, middle - 1)
    right = terms[middle + 1] if middle == high else _balanced(name, terms, middle + 1, high)
    return tree.call(name, left, right)


# --- tokens


def split(source: str) -> list[Token]:
    found: list[Token] = []
    position = 0
    while position < len(source):
        match = _TOKENS.match(source, position)
        if match is None:
            raise fault(source, position, f"Syntax error: token recognition error at: '{source[position]}'")
        kind, written, start = match.lastgroup or "", match.group(), position
        position = match.end()
        if kind == "text":
            token, position = _text(source, written, start)
            found.append(token)
        elif kind != "space":
            found.append(Token(kind, written.strip("`") if kind == "escaped" else written, start))
    return [*found, Token("end", "", len(source))]


def _text(source: str, opening: str, start: int) -> tuple[Token, int]:
    prefix = opening.rstrip("\"'").lower()
    quote = opening[len(prefix) :]
    inside = r"[^\\]|\\." if len(quote) == 3 else r"[^\\\n\r]|\\."
    if "r" in prefix:
        inside = "." if len(quote) == 3 else r"[^\n\r]"
    match = re.compile(f"((?:{inside})*?){quote}", re.S).match(source, start + len(opening))
    if match is None:
        raise fault(
            source, start, f"Syntax error: token recognition error at: '{source[start : start + 10]}'"
        )
    value: str = match.group(1)
    if "b" in prefix:
        data = value.encode() if "r" in prefix else _bytes(value)
        return Token("bytes", value, start, data), match.end()
    if "r" not in prefix:
        value = _ESCAPES.sub(_character, value)
    return Token("string", value, start), match.end()


def _character(match: re.Match[str]) -> str:
    two, four, eight, octal, letter = match.groups()
    if letter is not None:
        return _LETTERS.get(letter, match.group())
    return chr(int(octal, 8) if octal else int(two or four or eight, 16))


def _bytes(written: str) -> bytes:
    """Escapes by number are bytes, all others characters."""
    found, position = b"", 0
    for match in _ESCAPES.finditer(written):
        found += written[position : match.start()].encode()
        two, _, _, octal, _ = match.groups()
        found += (
            bytes([int(octal, 8) if octal else int(two, 16)]) if two or octal else _character(match).encode()
        )
        position = match.end()
    return found + written[position:].encode()


def fault(source: str, position: int, why: str) -> CompileError:
    before = source[:position]
    line = before.count("\n") + 1
    column = position - (before.rfind("\n") + 1)
    text = source.split("\n")[line - 1]
    return CompileError(f"ERROR: <input>:{line}:{column + 1}: {why}\n | {text}\n | {'.' * column}^")
