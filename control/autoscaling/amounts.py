"""Amounts in thousandths, as metrics are reckoned with, and their text. Pure."""

from __future__ import annotations

from podium.api.types import quantity

_DECIMAL = ("", "k", "M", "G", "T", "P", "E")
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")


def milli(text: str | int | float) -> int:
    return quantity.milli(text)


def amount(thousandths: int, *, binary: bool = False) -> str:
    """The quantity in its canonical form: `1500m`, `2k`; of memory (`binary`) `100Mi`."""
    if thousandths % 1000:
        return f"{thousandths}m"
    whole, step, units = thousandths // 1000, 1024 if binary else 1000, _BINARY if binary else _DECIMAL
    unit = 0
    while whole and whole % step == 0 and unit < len(units) - 1:
        whole, unit = whole // step, unit + 1
    return f"{whole}{units[unit]}"
