"""The query and path parameters of every verb. Source: API reference, "Common Parameters"."""

from __future__ import annotations

from typing import NamedTuple


class Parameter(NamedTuple):
    name: str
    description: str
    type: str = "string"
    place: str = "query"


NAMESPACE = Parameter("namespace", "namespace of the object", place="path")
NAME = Parameter("name", "name of the object", place="path")
PATH = Parameter("path", "path to the resource behind the proxy", place="path")
PRETTY = Parameter("pretty", "indent the answer when 'true'")

DRY_RUN = Parameter("dryRun", "'All' runs every stage of the request and persists nothing")
FIELD_MANAGER = Parameter(
    "fieldManager", "name of the actor that makes the change, at most 128 printable characters"
)
FIELD_VALIDATION = Parameter(
    "fieldValidation",
    "what happens to unknown and duplicate fields: 'Ignore' drops them silently, 'Warn' drops them and warns,"
    " 'Strict' refuses the request",
)
FORCE = Parameter("force", "take over the fields of other managers; for apply patches only", "boolean")

ALLOW_BOOKMARKS = Parameter("allowWatchBookmarks", "send BOOKMARK events in a watch", "boolean")
CONTINUE = Parameter(
    "continue", "token of the previous page, to get the next one of the same consistent list"
)
FIELD_SELECTOR = Parameter("fieldSelector", "restricts the objects by their fields")
LABEL_SELECTOR = Parameter("labelSelector", "restricts the objects by their labels")
LIMIT = Parameter("limit", "most objects in one page", "integer")
RESOURCE_VERSION = Parameter("resourceVersion", "revision that the answer must be at least as new as")
RESOURCE_VERSION_MATCH = Parameter(
    "resourceVersionMatch", "how resourceVersion applies to a list: Exact, NotOlderThan"
)
SEND_INITIAL = Parameter(
    "sendInitialEvents", "begin a watch with an event for each present object", "boolean"
)
TIMEOUT = Parameter("timeoutSeconds", "ends the list or watch after so many seconds", "integer")
WATCH = Parameter("watch", "stream the changes instead of listing", "boolean")

GRACE = Parameter("gracePeriodSeconds", "seconds before the object is deleted; 0 deletes at once", "integer")
ORPHAN = Parameter("orphanDependents", "deprecated: use propagationPolicy", "boolean")
PROPAGATION = Parameter("propagationPolicy", "what happens to dependents: Orphan, Background, Foreground")

LIST = (
    ALLOW_BOOKMARKS,
    CONTINUE,
    FIELD_SELECTOR,
    LABEL_SELECTOR,
    LIMIT,
    RESOURCE_VERSION,
    RESOURCE_VERSION_MATCH,
    SEND_INITIAL,
    TIMEOUT,
    WATCH,
)
DELETE = (DRY_RUN, GRACE, ORPHAN, PROPAGATION)
DELETE_COLLECTION = (
    CONTINUE,
    DRY_RUN,
    FIELD_SELECTOR,
    GRACE,
    LABEL_SELECTOR,
    LIMIT,
    ORPHAN,
    PROPAGATION,
    RESOURCE_VERSION,
    RESOURCE_VERSION_MATCH,
    TIMEOUT,
)
WRITE = (DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION)
PATCH = (DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION, FORCE)

CONTAINER = Parameter("container", "container of the pod; the only one when left out")
COMMAND = Parameter("command", "the command's words, given once each", "array")
STREAMS = tuple(
    Parameter(name, f"whether {name} is connected", "boolean")
    for name in ("stdin", "stdout", "stderr", "tty")
)
LOG = (
    CONTAINER,
    Parameter("follow", "keep streaming", "boolean"),
    Parameter("insecureSkipTLSVerifyBackend", "do not check the node's serving certificate", "boolean"),
    Parameter("limitBytes", "most bytes to return", "integer"),
    Parameter("previous", "the log of the previous, terminated container", "boolean"),
    Parameter("sinceSeconds", "only lines younger than this", "integer"),
    Parameter("sinceTime", "only lines after this moment (RFC 3339)"),
    Parameter("stream", "Stdout, Stderr or All"),
    Parameter("tailLines", "only so many last lines", "integer"),
    Parameter("timestamps", "begin each line with its time", "boolean"),
)
CONNECT: dict[str, tuple[Parameter, ...]] = {
    "exec": (COMMAND, CONTAINER, *STREAMS),
    "attach": (CONTAINER, *STREAMS),
    "portforward": (Parameter("ports", "ports to forward", "integer"),),
    "proxy": (Parameter("path", "path to the resource behind the proxy"),),
}
