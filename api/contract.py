"""Holds live traffic against the served OpenAPI documents: what a client was promised, and what it got.

Meant for tests and for hunting, not for every day: it keeps a copy of each request and answer until they
are checked, in a thread of its own and after the answer was sent. openapi-core takes 50 MB, so that nothing
imports this module before somebody asks for the check.

The documents say less than the API does, as upstream's do. Added here, and only for the check: an error is a
Status, and so may be the answer to a binding and to an eviction; a JSON patch is a list; a DELETE answers
with the object for as long as that stays; in a request, null and an empty parameter mean that nothing was
given. Who may ask is not checked.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import orjson
from openapi_core import Config, OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.templating.paths.exceptions import PathError

from podium.api.exchange import Message, Receive, Scope, Send
from podium.api.schema.openapi import Documents
from podium.api.schema.openapi.builders import JSON
from podium.api.schema.openapi.operations import PATCH_TYPES
from podium.api.types import Obj
from podium.api.whole import WHOLE

log = logging.getLogger(__name__)

Asgi = Callable[[Scope, Receive, Send], Any]

JSON_PATCH = "application/json-patch+json"
STATUS = "io.k8s.apimachinery.pkg.apis.meta.v1.Status"
# Beyond these an exchange is let pass unchecked: bytes of a body, exchanges that wait for their check.
MAX_BODY = 4 << 20
MAX_WAITING = 256
_MESSAGE = 300
_CONNECTIONS = ("exec", "attach", "portforward", "proxy", "log")


@dataclass
class Call:
    """A request with its answer, in the form that openapi-core takes: it is both."""

    method: str
    path: str
    parameters: RequestParameters
    content_type: str
    body: bytes | None
    status_code: int
    data: bytes
    headers: Mapping[str, Any] = field(default_factory=dict)
    host_url: str = "https://kubernetes"


class Fault(NamedTuple):
    method: str
    path: str
    code: int
    what: str

    def __str__(self) -> str:
        return f"{self.method} {self.path} ({self.code}): {self.what}"


class Contract:
    """The documents in checkable form, one per group version, each built at its first use (about 10 ms)."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._built: dict[str, OpenAPI | None] = {}

    def faults(self, call: Call) -> Iterator[Fault]:
        """What of `call` the document does not allow. Of a request that was refused only the refusal is
        looked at. Takes about a millisecond; blocks."""
        openapi = self._of(call.path)
        if openapi is None:
            return
        refused = call.status_code >= 400
        found = [] if refused else [("request", error) for error in openapi.iter_request_errors(call)]
        found += [("answer", error) for error in openapi.iter_response_errors(call, _Answer(call))]
        for part, error in found:
            # Both halves have the same path, and a path that is not there is what a refusal may be about.
            if isinstance(error, PathError) and (refused or part == "answer"):
                continue
            for what in _explained(error):
                yield Fault(call.method.upper(), call.path, call.status_code, f"{part}: {what}"[:_MESSAGE])

    def _of(self, path: str) -> OpenAPI | None:
        parts = path.split("/")
        group = "/".join(parts[1:3] if parts[1] == "api" else parts[1:4])
        if group not in self._built:
            document = self._documents.v3(group)
            self._built[group] = None if document is None else _checkable(orjson.loads(document.body()))
        return self._built[group]


class _Answer:
    """The answer's half of a call: a body's type has the same name in both."""

    def __init__(self, call: Call) -> None:
        self.status_code, self.data, self.headers = call.status_code, call.data, call.headers
        self.content_type = JSON


def _checkable(document: Obj) -> OpenAPI:
    del document["security"]
    schemas = document["components"]["schemas"]
    status: Obj = {"$ref": f"#/components/schemas/{STATUS}"} if STATUS in schemas else {"type": "object"}
    for path, item in document["paths"].items():
        kept = item.get("get", {}).get("responses", {}).get("200", {}).get("content", {}).get(JSON)
        for method, operation in item.items():
            if method == "parameters":
                continue
            _amend(operation["responses"], {JSON: {"schema": status}})
            if method == "delete" and path.endswith("{name}") and kept:
                _allow(operation["responses"], kept["schema"])
            elif path.endswith(("/binding", "/bindings", "/eviction")):
                _allow(operation["responses"], status)
            content = operation.get("requestBody", {}).get("content", {})
            if JSON_PATCH in content:
                content[JSON_PATCH] = {"schema": {"type": "array", "items": {"type": "object"}}}
    # That the document is one at all is for a test to say, not for each start.
    patches: dict[str, Callable[[bytes], Any]] = dict.fromkeys(PATCH_TYPES, orjson.loads)
    config = Config(spec_validator_cls=None, extra_media_type_deserializers=patches)
    return OpenAPI.from_dict(document, config=config)


def _amend(responses: Obj, error: Obj) -> None:
    responses.pop("401", None)
    responses |= {code: {"description": "error", "content": error} for code in ("4XX", "5XX")}


def _allow(responses: Obj, schema: Obj) -> None:
    """Another answer where there is success, beside what the document says."""
    for code in ("200", "201", "202"):
        if code in responses:
            known = responses[code]["content"][JSON]["schema"]
            responses[code] |= {"content": {JSON: {"schema": {"anyOf": [known, schema]}}}}


def _explained(error: Exception) -> Iterator[str]:
    cause = error.__cause__
    found = getattr(cause, "schema_errors", None)
    if not found:
        yield f"{error}: {cause}" if cause else str(error)
        return
    for entry in found:
        where = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in entry.absolute_path)
        yield f"{where.lstrip('.') or 'body'}: {entry.message}"


class ContractCheck:
    """An ASGI application around the server's own, that lets everything pass unchanged. `faults` are the last
    ones, `found` counts all of them; `passed` counts what was too large or came too fast. `close` it."""

    def __init__(self, app: Asgi, documents: Documents) -> None:
        self._app = app
        self._contract = Contract(documents)
        self._thread = ThreadPoolExecutor(1, "contract")
        self._waiting: set[asyncio.Future[None]] = set()
        self.faults: list[Fault] = []
        self.found = self.checked = self.passed = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _applies(scope):
            await self._app(scope, receive, send)
            return
        scope.pop(WHOLE, None)
        copy = _Copy(receive, send)
        await self._app(scope, copy.receive, copy.send)
        call = copy.call(scope)
        if call is not None:
            self._submit(call)

    async def settle(self) -> None:
        """Waits until everything that was answered is checked."""
        while self._waiting:
            await asyncio.wait(self._waiting)

    def close(self) -> None:
        """What waits is not checked any more."""
        log.info("contract: %d checked, %d not, %d faults", self.checked, self.passed, self.found)
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _submit(self, call: Call) -> None:
        if len(self._waiting) >= MAX_WAITING or max(len(call.data), len(call.body or b"")) > MAX_BODY:
            self.passed += 1
            return
        future = asyncio.get_running_loop().run_in_executor(self._thread, self._check, call)
        self._waiting.add(future)
        future.add_done_callback(self._waiting.discard)

    def _check(self, call: Call) -> None:
        """In the thread, one after the other."""
        try:
            faults = list(self._contract.faults(call))
        except Exception:  # openapi-core raises what it likes for a document that it cannot read
            log.exception("%s %s could not be checked", call.method.upper(), call.path)
            return
        self.checked += 1
        self.found += len(faults)
        self.faults = [*self.faults, *faults][-MAX_WAITING:]
        for fault in faults:
            log.warning("contract: %s", fault)


def _applies(scope: Scope) -> bool:
    """Requests on resources with one JSON answer."""
    parts = scope["path"].split("/")
    below = 3 if parts[1] == "api" else 4
    if parts[1] not in ("api", "apis") or len(parts) <= below or not parts[below]:
        return False
    query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
    if query.get("watch", "false").lower() not in ("false", "0", "f"):
        return False
    # Of a connection, the subresource's name stands behind the object's.
    return not any(name in parts[below + 2 :] for name in _CONNECTIONS)


class _Copy:
    """What passes through one exchange. Bodies beyond MAX_BODY are cut: their check is left out."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._asked, self._answered = bytearray(), bytearray()
        self._start: Message = {"status": 0, "headers": ()}

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            _append(self._asked, message)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        elif message["type"] == "http.response.body":
            _append(self._answered, message)
        await self._send(message)

    def call(self, scope: Scope) -> Call | None:
        """None for what is not JSON."""
        headers = _headers(self._start["headers"])
        if headers.get("content-type", "").partition(";")[0] != JSON:
            return None
        data = bytes(self._answered)
        if headers.get("content-encoding") == "gzip" and len(data) <= MAX_BODY:
            data = gzip.decompress(data)
        sent = _headers(scope["headers"])
        asked = sent.get("content-type", "").partition(";")[0].strip() or JSON
        # A form like Table is another document than the kind's own.
        if "as=" in sent.get("accept", "") or (self._asked and not asked.endswith("json")):
            return None
        pairs = parse_qsl(scope["query_string"].decode("latin-1"))
        body = bytes(self._asked) or None
        return Call(
            method=scope["method"].lower(),
            path=scope["path"].rstrip("/"),
            parameters=RequestParameters(dict(reversed(pairs)), {}, {}, {}),
            content_type=asked,
            body=_given(body) if body and asked == JSON else body,
            status_code=self._start["status"],
            data=data,
        )


def _append(body: bytearray, message: Message) -> None:
    if len(body) <= MAX_BODY:
        body += message.get("body", b"")


def _headers(headers: Any) -> dict[str, str]:
    return {bytes(name).decode().lower(): bytes(value).decode("latin-1") for name, value in headers}


def _given(body: bytes) -> bytes:
    """Without the nulls. What cannot be read stays as it is: the server has refused it."""
    try:
        return orjson.dumps(_without_nulls(orjson.loads(body)))
    except orjson.JSONDecodeError:
        return body


def _without_nulls(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_nulls(value) for key, value in node.items() if value is not None}
    if isinstance(node, list):
        return [_without_nulls(entry) for entry in node]
    return node
