"""Macros over two variables, and `sortBy`, for the library's checker, which does not know them: in their
place it is given what has the same type, made of the macros that it knows.

    list.all(i, v, TEST)          list.all(v, cel.bind(i, 0, TEST))
    map.all(k, v, TEST)           map.all(k, cel.bind(v, map[k], TEST))
    list.transformList(i, v, X)   list.map(v, cel.bind(i, 0, X))
    list.transformMap(i, v, X)    {0: list.map(v, cel.bind(i, 0, X))[0]}
    list.sortBy(v, KEY)           list.filter(v, (KEY) < (KEY))
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from podium.api.cel.errors import CompileError
from podium.api.cel.loops import MACROS
from podium.api.cel.parsing import Token, fault, split

_ERROR = re.compile(r"^ERROR: <input>:(\d+):(\d+): (.*)$", re.MULTILINE)
_OPEN, _CLOSED = {"(": ")", "[": "]", "{": "}"}, {")": "(", "]": "[", "}": "{"}
_NAMES = {
    "existsOne": "exists_one",
    "transformList": "map",
    "transformMap": "map",
    "transformMapEntry": "map",
}
# Whether the source of a target is a map's; None where that cannot be told.
IsMap = Callable[[str], bool | None]


class Piece(NamedTuple):
    """`at` is where the text stands in the source, -1 for what does not."""

    text: str
    at: int = -1


class Plain:
    """An expression without those macros. `guessed` is how many of their targets may be lists or maps."""

    def __init__(self, source: str, is_map: IsMap, guess: bool) -> None:
        self._source, self._is_map, self._guess = source, is_map, guess
        self._tokens = split(source)
        self._pairs = dict(_pairs(self._tokens))
        self.guessed = 0
        self._pieces = list(self._between(0, len(self._tokens) - 1))
        self.text = "".join(piece.text for piece in self._pieces)

    def fault(self, message: str) -> str:
        """What the library says of the text, of the source."""
        # A target may stand there twice, and so may what is wrong with it.
        found = dict.fromkeys(
            str(fault(self._source, self._place(int(line), int(column)), why))
            for line, column, why in _ERROR.findall(message)
        )
        return "\n".join(found) or message

    def _place(self, line: int, column: int) -> int:
        lines = self.text.split("\n")
        offset = sum(len(each) + 1 for each in lines[: line - 1]) + column - 1
        place = 0
        for piece in self._pieces:
            if piece.at >= 0:
                place = piece.at + min(offset, len(piece.text))
            if offset < len(piece.text):
                break
            offset -= len(piece.text)
        return min(place, max(len(self._source) - 1, 0))

    # --- what is written instead

    def _between(self, first: int, end: int) -> Iterator[Piece]:
        """The tokens from `first` up to `end`, with what is between them."""
        # Outermost first: a macro on what a macro gives is outside of it.
        for dot in range(end - 1, first - 1, -1):
            if self._is_macro(dot) and self._pairs[dot + 2] < end and self._depth_is_level(dot, first):
                start = self._target(dot)
                yield from self._between(first, start)
                yield from self._macro(start, dot)
                yield from self._between(self._pairs[dot + 2] + 1, end)
                return
        yield from self._inner(first, end)

    def _inner(self, first: int, end: int) -> Iterator[Piece]:
        """As `_between`, where macros are within brackets alone."""
        index = first
        while index < end:
            token = self._tokens[index]
            closing = self._pairs.get(index) if token.kind == "sign" and token.value in _OPEN else None
            yield self._copy(index)
            if closing is not None and closing < end:
                yield from self._between(index + 1, closing)
                index = closing
                yield self._copy(index)
            index += 1

    def _copy(self, index: int) -> Piece:
        token, following = self._tokens[index], self._tokens[index + 1]
        return Piece(self._source[token.position : following.position], token.position)

    def _depth_is_level(self, dot: int, first: int) -> bool:
        """Whether no bracket that opens at or after `first` is open at `dot`."""
        return not any(
            opened < dot < closed
            for opened, closed in self._pairs.items()
            if first <= opened and self._tokens[opened].value in _OPEN
        )

    def _is_macro(self, dot: int) -> bool:
        signs = [token.value for token in self._tokens[dot : dot + 3]]
        if len(signs) < 3 or signs[0] != "." or signs[2] != "(" or dot + 2 not in self._pairs:
            return False
        count = len(self._arguments(dot))
        names = 1 if signs[1] == "sortBy" else 2
        wanted = self._tokens[dot + 3 : dot + 2 + 2 * names : 2]
        return count in MACROS.get(signs[1], ()) and all(token.kind == "name" for token in wanted)

    def _arguments(self, dot: int) -> list[tuple[int, int]]:
        """Each one's first token, and the one after its last."""
        found, first, closing = [], dot + 3, self._pairs[dot + 2]
        index = first
        while index < closing:
            if self._tokens[index].kind == "sign" and self._tokens[index].value == ",":
                found.append((first, index))
                first = index + 1
            index = self._pairs.get(index, index) if self._tokens[index].value in _OPEN else index
            index += 1
        return [*found, (first, closing)] if first < closing else found

    def _target(self, dot: int) -> int:
        """Where that begins which the macro is called on."""
        index = dot - 1
        while index > 0:
            if self._tokens[index].kind == "sign" and self._tokens[index].value in _CLOSED:
                index = self._pairs[index]
                before = self._tokens[index - 1]
                callable_ = before.kind in ("name", "escaped") and before.value != "in"
                if index and (callable_ or before.value in ("]", ")")) and self._tokens[index].value != "{":
                    index -= 1
                    continue
            if index > 0 and self._tokens[index - 1].value == ".":
                index -= 2
            elif index > 1 and self._tokens[index - 1].value == "?" and self._tokens[index - 2].value == ".":
                index -= 3
            else:
                break
        return max(index, 0)

    def _macro(self, start: int, dot: int) -> Iterator[Piece]:
        target = list(self._between(start, dot))
        name = self._tokens[dot + 1].value
        arguments = [list(self._between(*each)) for each in self._arguments(dot)]
        if name == "sortBy":
            variable, key = arguments
            yield from (*target, self._copy(dot), Piece("filter("), *variable, Piece(", ("), *key)
            yield from (Piece(") < ("), *key, Piece("))"))
            return
        one, two, *bodies = arguments
        over_map = self._over_map(start, dot)
        key_text, over = "".join(piece.text for piece in one).strip(), "".join(piece.text for piece in target)
        loop, bound = (one, two) if over_map else (two, one)
        value = f"({over})[{key_text}]" if over_map else "0"
        if name == "transformMap":
            yield Piece("{'': " if over_map else "{0: ")
        yield from (*target, self._copy(dot), Piece(f"{_NAMES.get(name, name)}("), *loop)
        for body in bodies:
            yield from (Piece(", cel.bind("), *bound, Piece(f", {value}, "), *body, Piece(")"))
        yield Piece({"transformMap": ")[0]}", "transformMapEntry": ")[0]"}.get(name, ")"))

    def _over_map(self, start: int, dot: int) -> bool:
        known = self._is_map(self._source[self._tokens[start].position : self._tokens[dot].position])
        if known is None:
            self.guessed += 1
        return self._guess if known is None else known


def _pairs(tokens: list[Token]) -> Iterator[tuple[int, int]]:
    """Where brackets close, and where they opened. Raises CompileError where they do not."""
    open_: list[int] = []
    for index, token in enumerate(tokens):
        if token.kind != "sign":
            continue
        if token.value in _OPEN:
            open_.append(index)
        elif token.value in _CLOSED:
            if not open_ or tokens[open_[-1]].value != _CLOSED[token.value]:
                raise CompileError("the brackets do not match")
            yield open_[-1], index
            yield index, open_.pop()
