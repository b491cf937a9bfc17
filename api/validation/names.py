"""Forms of names. Each rule takes a text and gives the messages of what is wrong with it, none when it is
well formed.

Rules are cached: the same few names pass through them all the time.
Source: apimachinery, api/validate/content and util/validation; RFC 1123, RFC 1035.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from podium.api.types.remembering import remembered

Messages = tuple[str, ...]
NameRule = Callable[[str], Messages]

LABEL_FORM = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN_FORM = rf"{LABEL_FORM}(\.{LABEL_FORM})*"
LABEL_1035_FORM = "[a-z]([-a-z0-9]*[a-z0-9])?"
KEY_FORM = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"

_UNDERSCORED_LABEL = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
UNDERSCORED_FORM = rf"{_UNDERSCORED_LABEL}(\.{_UNDERSCORED_LABEL})*"

_LABEL = re.compile(LABEL_FORM)
_UNDERSCORED = re.compile(UNDERSCORED_FORM)
_SUBDOMAIN = re.compile(SUBDOMAIN_FORM)
_SUBDOMAIN_CASELESS = re.compile(SUBDOMAIN_FORM, re.IGNORECASE)
_WILDCARD = re.compile(rf"\*\.{SUBDOMAIN_FORM}")
_LABEL_1035 = re.compile(LABEL_1035_FORM)
_KEY = re.compile(KEY_FORM)
_CONFIG_KEY = re.compile("[-._a-zA-Z0-9]+")
_PORT_NAME = re.compile("[-a-z0-9]+")
_HTTP_HEADER = re.compile("[-A-Za-z0-9]+")
_PERCENT = re.compile("[0-9]+%")

_LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    "and must start and end with an alphanumeric character"
)
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end with an alphanumeric character"
)
_WILDCARD_TEXT = (
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must "
    "consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character"
)
_LABEL_1035_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
    "character, and end with an alphanumeric character"
)
_KEY_TEXT = (
    "must consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character"
)
_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character"
)
EMPTY = "must be non-empty"


def too_long(limit: int) -> str:
    return f"must be no more than {limit} bytes"


def form_error(text: str, form: str, *examples: str) -> str:
    """Upstream's way to show a form, its odd comma before `or` included."""
    if not examples:
        return f"{text} (regex used for validation is '{form}')"
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{text} (e.g. {shown}regex used for validation is '{form}')"


@remembered(8192)
def dns_label(name: str) -> Messages:
    """An RFC 1123 label: 63 bytes, no dots."""
    messages = [too_long(63)] if len(name) > 63 else []
    if not _LABEL.fullmatch(name):
        if _SUBDOMAIN.fullmatch(name):
            messages.append("must not contain dots")
        else:
            messages.append(form_error(_LABEL_TEXT, LABEL_FORM, "my-name", "123-abc"))
    return tuple(messages)


@remembered(8192)
def dns_subdomain(name: str) -> Messages:
    """An RFC 1123 subdomain: 253 bytes. What most objects are named by."""
    messages = [too_long(253)] if len(name) > 253 else []
    if not _SUBDOMAIN.fullmatch(name):
        messages.append(form_error(_SUBDOMAIN_TEXT, SUBDOMAIN_FORM, "example.com"))
    return tuple(messages)


@remembered(1024)
def underscored_subdomain(name: str) -> Messages:
    """An RFC 1123 subdomain whose labels may have underscores, too: what names are searched in."""
    messages = [too_long(253)] if len(name) > 253 else []
    if not _UNDERSCORED.fullmatch(name):
        text = _SUBDOMAIN_TEXT.replace("'-' or '.'", "'_', '-' or '.'")
        messages.append(form_error(text, UNDERSCORED_FORM, "example.com"))
    return tuple(messages)


@remembered(1024)
def dns_1035_label(name: str) -> Messages:
    """An RFC 1035 label, which starts with a letter: what Services are named by."""
    messages = [too_long(63)] if len(name) > 63 else []
    if not _LABEL_1035.fullmatch(name):
        messages.append(form_error(_LABEL_1035_TEXT, LABEL_1035_FORM, "my-name", "abc-123"))
    return tuple(messages)


@remembered(1024)
def wildcard_subdomain(name: str) -> Messages:
    messages = [too_long(253)] if len(name) > 253 else []
    if not _WILDCARD.fullmatch(name):
        form = rf"\*\.{SUBDOMAIN_FORM}"
        messages.append(form_error(_WILDCARD_TEXT, form, "*.example.com"))
    return tuple(messages)


@remembered(8192)
def qualified(name: str) -> Messages:
    """A label's, annotation's or resource's key: an optional DNS prefix with a slash, and a name of 63
    bytes."""
    prefix, slash, last = name.rpartition("/")
    if "/" in prefix:
        shown = form_error(_KEY_TEXT, KEY_FORM, "MyName", "my.name", "123-abc")
        optional = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        return (f"a valid label key {shown} {optional}",)
    messages = []
    if slash:
        if not prefix:
            messages.append(f"prefix part {EMPTY}")
        messages += [f"prefix part {message}" for message in (dns_subdomain(prefix) if prefix else ())]
    if not last:
        messages.append(f"name part {EMPTY}")
    elif len(last) > 63:
        messages.append(f"name part {too_long(63)}")
    if not _KEY.fullmatch(last):
        messages.append(f"name part {form_error(_KEY_TEXT, KEY_FORM, 'MyName', 'my.name', '123-abc')}")
    return tuple(messages)


@remembered(8192)
def annotation_key(name: str) -> Messages:
    """Like a label's key, but letters of any case in the prefix."""
    return qualified(name.lower())


@remembered(8192)
def label_value(text: str) -> Messages:
    messages = [too_long(63)] if len(text) > 63 else []
    if text and not _KEY.fullmatch(text):
        messages.append(form_error(_VALUE_TEXT, f"({KEY_FORM})?", "MyValue", "my_value", "12345"))
    return tuple(messages)


def path_segment(name: str) -> Messages:
    """The least every name keeps, so that it fits into a path: what roles and bindings are named by."""
    if name in (".", ".."):
        return (f"may not be '{name}'",)
    return tuple(f"may not contain '{part}'" for part in ("/", "%") if part in name)


@remembered(1024)
def config_key(name: str) -> Messages:
    """A key in a ConfigMap's or Secret's data, which becomes a file's name."""
    messages = [too_long(253)] if len(name) > 253 else []
    if not _CONFIG_KEY.fullmatch(name):
        text = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
        messages.append(form_error(text, "[-._a-zA-Z0-9]+", "key.name", "KEY_NAME", "key-name"))
        return tuple(messages)
    if name == ".":
        messages.append("must not be '.'")
    elif name == "..":
        messages.append("must not be '..'")
    elif name.startswith(".."):
        messages.append("must not start with '..'")
    return tuple(messages)


@remembered(1024)
def port_name(name: str) -> Messages:
    """An IANA service name: 15 bytes, at least one letter."""
    messages = []
    if len(name) > 15:
        messages.append(too_long(15))
    if not _PORT_NAME.fullmatch(name):
        messages.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", name):
        messages.append("must contain at least one letter (a-z)")
    if "--" in name:
        messages.append("must not contain consecutive hyphens")
    if name[:1] == "-" or name[-1:] == "-":
        messages.append("must not begin or end with a hyphen")
    return tuple(messages)


@remembered(4096)
def env_name(name: str) -> Messages:
    """Any printable ASCII but `=`."""
    if not name:
        return ("environment variable name " + EMPTY,)
    if all(" " <= letter <= "~" and letter != "=" for letter in name):
        return ()
    return (
        "a valid environment variable name must consist only of printable ASCII characters other than '='",
    )


def http_header(name: str) -> Messages:
    if _HTTP_HEADER.fullmatch(name):
        return ()
    text = "a valid HTTP header must consist of alphanumeric characters or '-'"
    return (form_error(text, "[-A-Za-z0-9]+", "X-Header-Name"),)


def percent(text: str) -> Messages:
    if _PERCENT.fullmatch(text):
        return ()
    message = "a valid percent string must be a numeric string followed by an ending '%'"
    return (form_error(message, "[0-9]+%", "1%", "93%"),)
