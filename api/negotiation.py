"""In which form a client wants its answer: plain, as a Table, or only the metadata; JSON or YAML.

Source: API concepts, "Resource representations", "Receiving resources as Tables".
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from podium.api.types.errors import not_acceptable
from podium.api.types.remembering import remembered

Form = Literal["", "Table", "PartialObjectMetadata", "PartialObjectMetadataList"]

JSON = "application/json"
YAML = "application/yaml"
META_GROUP = "meta.k8s.io"
META_VERSIONS = ("v1", "v1beta1")
_FORMS = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")
PROTOBUF = "application/vnd.kubernetes.protobuf"
_JSON_RANGES = (JSON, "*/*", "application/*")
_YAML_RANGES = (YAML, "text/yaml", "application/x-yaml")


class Accepted(NamedTuple):
    """`form` is "" for the objects themselves, `version` that of the form's kind. A `typed` client would have
    had protobuf rather, whose lists do not repeat the kind with each item, and expects no more of JSON."""

    form: Form = ""
    version: str = "v1"
    yaml: bool = False
    typed: bool = False


class MediaRange(NamedTuple):
    """One entry of an Accept header, without its quality."""

    type: str
    parameters: dict[str, str]


PLAIN = Accepted()


@remembered(256)
def negotiate(accept: str) -> Accepted:
    """The first form the client names that there is. Raises 406."""
    if not accept:
        return PLAIN
    typed = False
    for entry in ranges(accept):
        typed |= entry.type == PROTOBUF
        if entry.type in _YAML_RANGES and "as" not in entry.parameters:
            return Accepted(yaml=True)
        if entry.type in _JSON_RANGES and (found := _form(entry.parameters)) is not None:
            return found._replace(typed=True) if typed and found.form else found
    raise not_acceptable(
        "only the following media types are accepted: application/json, application/yaml, "
        "application/json;stream=watch"
    )


def _form(parameters: dict[str, str]) -> Accepted | None:
    wanted = parameters.get("as", "")
    if not wanted:
        return PLAIN
    version = parameters.get("v", "")
    if wanted not in _FORMS or parameters.get("g") != META_GROUP or version not in META_VERSIONS:
        return None
    return Accepted(wanted, version)  # type: ignore[arg-type]


def ranges(accept: str) -> list[MediaRange]:
    """The entries of an Accept header, best quality first and otherwise in order."""
    found: list[tuple[float, MediaRange]] = []
    for part in accept.split(","):
        name, *pairs = part.split(";")
        parameters = dict(_pair(pair) for pair in pairs)
        found.append((_quality(parameters.pop("q", "1")), MediaRange(name.strip().lower(), parameters)))
    found.sort(key=lambda entry: -entry[0])
    return [entry for quality, entry in found if quality > 0]


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name.strip().lower(), value.strip().strip('"')


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
