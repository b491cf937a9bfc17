"""Named formats of texts.

Source: docs, "Kubernetes format library".
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar

from podium.api.cel.errors import EvaluationError
from podium.api.cel.kinds import NONE, Optional
from podium.api.cel.times import moment
from podium.api.cel.urls import uri_fault
from podium.api.validation import names

_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
Judge = Callable[[str], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Format:
    name: str
    TYPE: ClassVar[str] = "kubernetes.NamedFormat"


def _prefix(judge: Judge) -> Judge:
    """The start of a name, which may end with what a name may not end with."""
    return lambda text: judge(f"{text[:-1]}a" if text.endswith(("-", ".")) else text)


def _holds(test: Callable[[str], object], message: str) -> Judge:
    def judge(text: str) -> Iterable[str]:
        try:
            return () if test(text) else (message,)
        except (ValueError, EvaluationError):
            return (message,)

    return judge


def _uri(text: str) -> Iterable[str]:
    fault = uri_fault(text)
    return (fault,) if fault else ()


_FORMATS: dict[str, Judge] = {
    "dns1123Label": names.dns_label,
    "dns1123Subdomain": names.dns_subdomain,
    "dns1035Label": names.dns_1035_label,
    "qualifiedName": names.qualified,
    "dns1123LabelPrefix": _prefix(names.dns_label),
    "dns1123SubdomainPrefix": _prefix(names.dns_subdomain),
    "dns1035LabelPrefix": _prefix(names.dns_1035_label),
    "labelValue": names.label_value,
    "uri": _uri,
    "uuid": _holds(_UUID.fullmatch, "does not match the UUID format"),
    "byte": _holds(lambda text: base64.b64decode(text, validate=True) is not None, "invalid base64"),
    "date": _holds(lambda text: _DATE.fullmatch(text) and date.fromisoformat(text), "invalid date"),
    "datetime": _holds(moment, "invalid datetime"),
}


def _named(name: str) -> Optional:
    return Optional(True, Format(name)) if name in _FORMATS else NONE


def _validate(given: Format, text: str) -> Optional:
    found = list(_FORMATS[given.name](text))
    return Optional(True, found) if found else NONE


def _constant(name: str) -> Callable[[], Format]:
    return lambda: Format(name)


# Name, whether it is a method, parameters, result, implementation.
FUNCTIONS: tuple[tuple[str, bool, tuple[str, ...], str, Any], ...] = (
    ("format.named", False, ("string",), "optional:Format", _named),
    ("validate", True, ("Format", "string"), "optional:strings", _validate),
    *((f"format.{name}", False, (), "Format", _constant(name)) for name in _FORMATS),
)
