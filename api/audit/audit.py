"""From requests to events: what is noted of a request while it is served, and the lines that become of it."""

from __future__ import annotations

import gzip
import logging
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from podium.api.audit.policy import LEVELS, VERSION, Asked, Decision, Policy
from podium.api.audit.sinks import Sink
from podium.api.auth.users import User
from podium.api.metrics.exposition import Family
from podium.api.running import is_long_running
from podium.api.schema import decode_body
from podium.api.types import Obj
from podium.api.types.errors import StatusError

if TYPE_CHECKING:
    from podium.api.exchange import Exchange, Message

log = logging.getLogger(__name__)

REQUEST, RESPONSE = LEVELS.index("Request"), LEVELS.index("RequestResponse")
# What is larger is not recorded.
MAX_BODY = 10 << 20
DECISION = "authorization.k8s.io/decision"


def now() -> datetime:
    return datetime.now(UTC)


class Audit:
    """Of one server."""

    def __init__(self, policy: Policy, sink: Sink, clock: Callable[[], datetime] = now) -> None:
        self.policy = policy
        self.sink = sink
        self.clock = clock

    def families(self) -> list[Family]:
        """For /metrics."""
        help = "Audit events {}."
        return [
            Family(
                "apiserver_audit_event_total", "counter", help.format("written"), (),
                [((), self.sink.written)],
            ),
            Family(
                "apiserver_audit_requests_rejected_total", "counter", help.format("dropped"), (),
                [((), self.sink.dropped)],
            ),
        ]  # fmt: skip

    def record(self, exchange: Exchange) -> Record:
        return Record(self, exchange)


class Record:
    """One request. `open` when it is known who wants what, `close` at its end; `annotations` are what
    admission notes of it; `impersonator` is who acts as the user of the request, by what `constraint`."""

    def __init__(self, audit: Audit, exchange: Exchange) -> None:
        self._audit = audit
        self._exchange = exchange
        self._received = audit.clock()
        self._decision: Decision | None = None
        self._event: Obj = {}
        self._request: list[bytes] = []
        self._response: list[bytes] = []
        self._encoding = b""
        self._started = False
        self._send = exchange.send
        self._receive = exchange.receive
        self.impersonator: User | None = None
        self.constraint = ""
        self.annotations: Mapping[str, str] = {}
        self.error: StatusError | None = None

    def open(self, user: User | None) -> None:
        exchange = self._exchange
        asked = _asked(exchange)
        decision = self._decision = self._audit.policy.decide(user, asked)
        if not decision.level:
            exchange.audit = None
            return
        self._event = self._described(user, asked)
        exchange.marks = (*exchange.marks, (b"audit-id", self._event["auditID"].encode("latin-1")))
        self._emit("RequestReceived")
        if decision.level >= REQUEST:
            exchange.receive = self._heard
        if decision.level >= RESPONSE or is_long_running(exchange):
            exchange.overheard(self._said)

    def close(self) -> None:
        """However it ended."""
        if self._decision is None:
            # Nobody knows who it was.
            self.open(None)
            if self._exchange.audit is None:
                return
            if self._exchange.code == 401:
                self._status()
                self._event["responseStatus"]["message"] = _attempted(self._exchange)
                self._emit("ResponseStarted")
                return
        self._status()
        self._emit("ResponseComplete")

    def begun(self) -> None:
        """The answer has; that of a request that lasts is told of."""
        if is_long_running(self._exchange) and not self._started and self._event:
            self._started = True
            self._status()
            self._emit("ResponseStarted")

    async def _heard(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._request.append(message.get("body", b""))
        return message

    async def _said(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._encoding = next((v for k, v in message["headers"] if k == b"content-encoding"), b"")
            self.begun()
        elif self._decision is not None and self._decision.level >= RESPONSE and not self._started:
            self._response.append(message.get("body", b""))
        await self._send(message)

    def _described(self, user: User | None, asked: Asked) -> Obj:
        assert self._decision is not None
        exchange = self._exchange
        query = exchange.scope["query_string"].decode("latin-1")
        who = self.impersonator or user
        event: Obj = {
            "kind": "Event",
            "apiVersion": VERSION,
            "level": LEVELS[self._decision.level],
            "auditID": _audit_id(exchange),
            "stage": "",
            "requestURI": f"{exchange.path}?{query}" if query else exchange.path,
            "verb": asked.verb,
            "user": who.info() if who is not None else {},
        }
        if self.impersonator is not None and user is not None:
            event["impersonatedUser"] = user.info()
            if self.constraint:
                event["authenticationMetadata"] = {"impersonationConstraint": self.constraint}
        if exchange.scope.get("client"):
            event["sourceIPs"] = [exchange.scope["client"][0]]
        if agent := exchange.header(b"user-agent"):
            event["userAgent"] = agent.decode("latin-1")
        if asked.resource:
            event["objectRef"] = _reference(exchange, asked)
        event["requestReceivedTimestamp"] = _micro(self._received)
        return event

    def _status(self) -> None:
        code = self._exchange.code
        status: Obj = {"metadata": {}, "code": code}
        if self.error is not None:
            failure = self.error.status()
            status |= {
                key: failure[key] for key in ("status", "message", "reason", "details") if key in failure
            }
        elif code >= 400:
            status["status"] = "Failure"
        self._event["responseStatus"] = status
        forbidden = self.error is not None and self.error.code == 403 and " cannot " in self.error.message
        if code != 401:
            self._event["annotations"] = {DECISION: "forbid" if forbidden else "allow", **self.annotations}

    def _emit(self, stage: str) -> None:
        decision = self._decision
        if decision is None or stage in decision.omit:
            return
        event = {**self._event, "stage": stage, "stageTimestamp": _micro(self._audit.clock())}
        final = stage != "RequestReceived"
        request = b"".join(self._request) if final and decision.level >= REQUEST else b""
        response = b"".join(self._response) if final and decision.level >= RESPONSE else b""
        content_type = self._exchange.header(b"content-type").decode("latin-1") if request else ""
        encoding, bare = self._encoding, decision.omit_managed_fields

        def render() -> bytes:
            if request:
                _add(event, "requestObject", _parsed(request, content_type), bare)
            if response:
                _add(event, "responseObject", _parsed(_plain(response, encoding), ""), bare)
            return orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)

        self._audit.sink.put(render)


# Of a request that did not get so far that its verb was looked at, by method and whether it names an object.
_VERBS = {
    ("GET", False): "list", ("HEAD", False): "list", ("POST", False): "create",
    ("DELETE", False): "deletecollection", ("GET", True): "get", ("HEAD", True): "get",
    ("PUT", True): "update", ("POST", True): "create",
}  # fmt: skip


def _attempted(exchange: Exchange) -> str:
    """Why nobody knows who it was."""
    tried = []
    if given := exchange.header(b"authorization"):
        tried.append(given.partition(b" ")[0].decode("latin-1").lower())
    if exchange.scope["state"].get("user") is not None:
        tried.append("x509")
    if tried:
        return f"Authentication failed, attempted: {', '.join(tried)}"
    return "Authentication failed, no credentials provided"


def _asked(exchange: Exchange) -> Asked:
    target = exchange.target
    if target is None:
        verb = exchange.verb or ("get" if exchange.method == "HEAD" else exchange.method.lower())
        return Asked(verb, exchange.path)
    verb = exchange.verb or _VERBS.get((exchange.method, bool(target.name)), exchange.method.lower())
    resource = target.kind.resource
    place = (target.subresource, target.namespace, target.name)
    return Asked(verb, exchange.path, resource.group, resource.plural, *place)


def _reference(exchange: Exchange, asked: Asked) -> Obj:
    """audit.k8s.io/v1 ObjectReference."""
    assert exchange.target is not None
    reference = {
        "resource": asked.resource,
        "namespace": asked.namespace,
        "name": asked.name,
        "apiGroup": asked.group,
        "apiVersion": exchange.target.kind.resource.version,
        "subresource": asked.subresource,
    }
    return {key: value for key, value in reference.items() if value}


def _audit_id(exchange: Exchange) -> str:
    """The client's own, where it gave one."""
    given = exchange.header(b"audit-id").decode("latin-1")
    return given[:64] or str(uuid.uuid4())


def _micro(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _plain(body: bytes, encoding: bytes) -> bytes:
    return gzip.decompress(body) if encoding == b"gzip" else body


def _parsed(body: bytes, content_type: str) -> Any:
    """What a body says; None where it is not to be understood, or too much."""
    if len(body) > MAX_BODY:
        return None
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            return decode_body(body, content_type, strict=False)[0] if content_type else None
        except StatusError:
            return None


def _add(event: Obj, field: str, value: Any, bare: bool) -> None:
    if value is None:
        return
    if bare and isinstance(value, dict):
        for obj in (value, *(value.get("items") or ())):
            if isinstance(obj, dict) and isinstance(obj.get("metadata"), dict):
                obj["metadata"].pop("managedFields", None)
    event[field] = value
