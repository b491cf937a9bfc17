"""resource.Quantity: `100m`, `1.5Gi`, `2e3`. Source: API reference, apimachinery resource.Quantity."""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal

from podium.api.types.remembering import remembered

_FORM = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([KMGTPE]i|[numkMGTPE])|[eE]([+-]?\d+))?")
_SCALE = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}

MESSAGE = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


def parse(text: str | int | float) -> Decimal:
    """The exact amount. Raises ValueError with upstream's message for a text that is no quantity."""
    return _parsed(text if isinstance(text, str) else str(text))


@remembered(4096)
def _parsed(text: str) -> Decimal:
    found = _FORM.fullmatch(text)
    if not found:
        raise ValueError(MESSAGE)
    number, unit, exponent = found.groups()
    if exponent is not None:
        if abs(int(exponent)) > 30:
            raise ValueError(MESSAGE)
        return Decimal(number).scaleb(int(exponent))
    return Decimal(number) * _SCALE[unit] if unit else Decimal(number)


def value(text: str | int | float) -> int:
    """Whole units, rounded up: bytes of memory, number of pods."""
    return int(parse(text).to_integral_value(ROUND_CEILING))


def milli(text: str | int | float) -> int:
    """Thousandths, rounded up: millicores."""
    return int((parse(text) * 1000).to_integral_value(ROUND_CEILING))
