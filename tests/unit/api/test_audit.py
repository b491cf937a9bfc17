"""Which requests are recorded, and what the records say."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from podium.api.audit import Audit
from podium.api.audit.log import AuditLog
from podium.api.audit.policy import LEVELS, Asked, PolicyError, read_policy
from podium.api.auth.users import User
from podium.api.server import ApiServer, ServerConfig
from podium.api.types import Obj
from podium.api.types.resources import (
    VALIDATING_ADMISSION_POLICIES,
    VALIDATING_ADMISSION_POLICY_BINDINGS,
)
from tests.unit.api.http.harness import DEFAULT, Http, config_map, pod
from tests.unit.api.http.node import Node

MAPS = f"{DEFAULT}/configmaps"
EVE = User("eve", ("devs", "system:authenticated"))
LOGS = Asked("get", "/x", "", "pods", "log", "default", "web")
SCALES = Asked("update", "/x", "apps", "deployments", "scale", "default", "web")
NODES = Asked("list", "/x", "", "nodes")
HEALTH = Asked("get", "/healthz/ping")


def policy(*rules: Obj, **more: Any) -> str:
    return yaml.safe_dump({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": list(rules), **more})


def resources(group: str, *names: str, **more: Any) -> Obj:
    return {"level": "Metadata", "resources": [{"group": group, "resources": list(names), **more}]}


@pytest.mark.parametrize(
    ("rule", "asked", "fits"),
    [
        ({"level": "Metadata"}, HEALTH, True),
        ({"level": "Metadata", "users": ["eve"]}, LOGS, True),
        ({"level": "Metadata", "users": ["adam"]}, LOGS, False),
        ({"level": "Metadata", "userGroups": ["ops", "devs"]}, LOGS, True),
        ({"level": "Metadata", "userGroups": ["ops"]}, LOGS, False),
        ({"level": "Metadata", "verbs": ["get"]}, SCALES, False),
        ({"level": "Metadata", "namespaces": ["default"]}, LOGS, True),
        ({"level": "Metadata", "namespaces": ["default"]}, NODES, False),
        ({"level": "Metadata", "namespaces": [""]}, NODES, True),
        (resources("", "pods"), LOGS, False),
        (resources("", "pods/log"), LOGS, True),
        (resources("", "pods/*"), LOGS, True),
        (resources("", "*"), LOGS, True),
        (resources("*", "*/scale"), SCALES, True),
        (resources("", "*/scale"), SCALES, False),
        (resources("apps"), SCALES, True),
        (resources("apps"), HEALTH, False),
        (resources("", "pods/log", resourceNames=["web"]), LOGS, True),
        (resources("", "pods/log", resourceNames=["db"]), LOGS, False),
        ({"level": "Metadata", "nonResourceURLs": ["/healthz*"]}, HEALTH, True),
        ({"level": "Metadata", "nonResourceURLs": ["/healthz"]}, HEALTH, False),
        ({"level": "Metadata", "nonResourceURLs": ["*"]}, LOGS, False),
    ],
)
def test_a_rule_fits_what_it_names(rule: Obj, asked: Asked, fits: bool) -> None:
    assert bool(read_policy(policy(rule)).decide(EVE, asked).level) is fits


def test_the_first_rule_that_fits_decides() -> None:
    read = read_policy(
        policy(
            {"level": "None", "users": ["eve"], "verbs": ["get"]},
            {"level": "Request", "omitStages": ["ResponseStarted"], "omitManagedFields": False},
            {"level": "RequestResponse"},
            omitStages=["RequestReceived"],
            omitManagedFields=True,
        )
    )
    assert read.decide(EVE, LOGS).level == 0
    other = read.decide(EVE, SCALES)
    assert LEVELS[other.level] == "Request"
    assert other.omit == {"RequestReceived", "ResponseStarted"}
    assert not other.omit_managed_fields


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (": :", "not YAML"),
        ("[]", "not an object"),
        ("kind: Policy", "apiVersion, kind: must be audit.k8s.io/v1, Policy"),
        (policy(), "rules: Required value"),
        (policy({}), r"rules\[0\]\.level: Required value"),
        (policy({"level": "All"}), r'rules\[0\]\.level: Unsupported value: "All"'),
        (policy({"level": "None", "verb": []}), r"rules\[0\]\.verb: unknown field"),
        (policy({"level": "None", "verbs": "get"}), r"rules\[0\]\.verbs: not a list of strings"),
        (policy({"level": "None"}, omitStages=["Never"]), r"omitStages\[0\]: Invalid value: 'Never'"),
        (
            policy({"level": "None", "nonResourceURLs": ["x"]}),
            r"nonResourceURLs\[0\]: .*must begin with a '/'",
        ),
        (policy({"level": "None", "nonResourceURLs": ["/*/x"]}), "must be the final character"),
        (policy({"level": "None", "nonResourceURLs": ["/x"], "namespaces": ["a"]}), "cannot apply to both"),
        (policy(resources("apps/v1")), r"resources\[0\]\.group: Invalid value"),
        (policy(resources("", resourceNames=["a"])), "requires at least one resource"),
    ],
)
def test_a_bad_policy_is_refused_with_the_place_and_the_reason(text: str, why: str) -> None:
    with pytest.raises(PolicyError, match=why):
        read_policy(text)


RULES = policy(
    {"level": "None", "nonResourceURLs": ["/livez*"]},
    {"level": "Metadata", "verbs": ["watch", "get"]},
    {"level": "RequestResponse", "resources": [{"group": "", "resources": ["configmaps"]}]},
    {"level": "Metadata", "omitStages": ["RequestReceived"]},
    omitManagedFields=True,
)


@pytest.fixture
def sink(tmp_path: Path) -> AuditLog:
    return AuditLog(str(tmp_path / "log" / "audit.log"))


@pytest.fixture
async def recording(sink: AuditLog) -> AsyncIterator[ApiServer]:
    server = ApiServer(ServerConfig(audit=Audit(read_policy(RULES), sink)))
    await server.start()
    yield server
    await server.close()


@pytest.fixture
async def audited(recording: ApiServer, sink: AuditLog) -> AsyncIterator[Http]:
    server = recording
    http = Http(server, await server.serve(), server.admin())
    try:
        yield http
    finally:
        await http.close()
        sink.close()


def events(sink: AuditLog, tmp_path: Path) -> list[Obj]:
    sink.close()
    return [json.loads(line) for line in (tmp_path / "log" / "audit.log").read_text().splitlines()]


async def test_a_write_is_recorded_with_what_was_asked_and_answered(
    audited: Http, sink: AuditLog, tmp_path: Path
) -> None:
    await audited("GET", "/livez")
    await audited("POST", MAPS, config_map("a", x="1"), {"Audit-ID": "mine", "User-Agent": "t/1"}, pretty="x")
    received, complete = events(sink, tmp_path)
    assert [received["stage"], complete["stage"]] == ["RequestReceived", "ResponseComplete"]
    assert {received["auditID"], complete["auditID"]} == {"mine"}
    assert (complete["kind"], complete["apiVersion"], complete["level"]) == (
        "Event", "audit.k8s.io/v1", "RequestResponse",
    )  # fmt: skip
    assert (complete["verb"], complete["requestURI"]) == ("create", f"{MAPS}?pretty=x")
    assert complete["user"]["username"] == "kubernetes-admin"
    assert complete["objectRef"] == {"resource": "configmaps", "namespace": "default", "apiVersion": "v1"}
    assert complete["responseStatus"] == {"metadata": {}, "code": 201}
    assert complete["requestObject"]["data"] == complete["responseObject"]["data"] == {"x": "1"}
    assert "requestObject" not in received
    assert complete["annotations"]["authorization.k8s.io/decision"] == "allow"
    assert (complete["sourceIPs"], complete["userAgent"]) == (["127.0.0.1"], "t/1")
    assert received["requestReceivedTimestamp"] == complete["requestReceivedTimestamp"]
    assert complete["requestReceivedTimestamp"] < complete["stageTimestamp"]


async def test_what_policies_note_and_would_refuse_is_recorded(
    recording: ApiServer, audited: Http, sink: AuditLog, tmp_path: Path
) -> None:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
    spec = {
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": "true"}, {"expression": "has(object.immutable)", "message": "sealed"}],
        "auditAnnotations": [{"key": "name", "valueExpression": "'is ' + object.metadata.name"}],
    }
    bound = {"policyName": "p", "validationActions": ["Warn", "Audit"]}
    client = recording.client
    await client.create(VALIDATING_ADMISSION_POLICIES, {"metadata": {"name": "p"}, "spec": spec})
    await client.create(VALIDATING_ADMISSION_POLICY_BINDINGS, {"metadata": {"name": "b"}, "spec": bound})
    answer = await audited.post(MAPS, config_map("noted"))
    assert answer.code == 201
    assert (
        "Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': sealed"
        in (answer.headers["Warning"])
    )
    written = [event for event in events(sink, tmp_path) if event["verb"] == "create"]
    noted = written[-1]["annotations"]
    assert noted["p/name"] == "is noted"
    assert json.loads(noted["validation.policy.admission.k8s.io/validation_failure"]) == [
        {
            "message": "sealed",
            "policy": "p",
            "binding": "b",
            "expressionIndex": 1,
            "validationActions": ["Warn", "Audit"],
        }
    ]


async def test_a_failure_is_recorded_with_its_status(audited: Http, sink: AuditLog, tmp_path: Path) -> None:
    await audited("GET", f"{MAPS}/nothing")
    status = events(sink, tmp_path)[-1]["responseStatus"]
    assert (status["code"], status["reason"], status["status"]) == (404, "NotFound", "Failure")
    assert status["message"] == 'configmaps "nothing" not found'


async def test_a_watch_is_recorded_when_it_starts_too(
    recording: ApiServer, audited: Http, sink: AuditLog, tmp_path: Path
) -> None:
    async with audited.session.get(f"{audited.base}{MAPS}?watch=1&timeoutSeconds=1") as watch:
        await watch.content.read()
    await recording.close()
    stages = [event["stage"] for event in events(sink, tmp_path) if event["verb"] == "watch"]
    assert stages == ["RequestReceived", "ResponseStarted", "ResponseComplete"]


async def test_whoever_acts_as_somebody_is_recorded_besides(
    audited: Http, sink: AuditLog, tmp_path: Path
) -> None:
    await audited("GET", "/version", headers={"Impersonate-User": "eve"})
    [event] = [each for each in events(sink, tmp_path) if each["stage"] == "ResponseComplete"]
    assert event["user"]["username"] == "kubernetes-admin"
    assert event["impersonatedUser"]["username"] == "eve"


async def test_who_shows_a_bad_token_is_recorded_without_a_name(
    audited: Http, sink: AuditLog, tmp_path: Path
) -> None:
    async with audited.session.post(audited.base + MAPS, headers={"Authorization": "Bearer x"}) as reply:
        code = reply.status
    last = events(sink, tmp_path)[-1]
    assert last["responseStatus"]["code"] == code


async def test_why_nobody_knows_who_it_was_is_recorded(
    recording: ApiServer, audited: Http, sink: AuditLog, tmp_path: Path
) -> None:
    host, port = await recording.serve(tls=False)
    async with aiohttp.ClientSession() as session:
        for headers in ({}, {"Authorization": "Bearer x"}):
            async with session.put(f"http://{host}:{port}{MAPS}/a", headers=headers) as reply:
                assert reply.status == 401
    failed = [event for event in events(sink, tmp_path) if event["stage"] == "ResponseStarted"]
    event = failed[-1]
    assert (event["verb"], event["user"]) == ("update", {})
    assert event["objectRef"] == {
        "resource": "configmaps", "namespace": "default", "name": "a", "apiVersion": "v1"
    }  # fmt: skip
    assert event["responseStatus"]["code"] == 401
    assert event["responseStatus"]["message"] == "Authentication failed, attempted: bearer"


async def test_who_may_not_act_as_somebody_is_recorded_himself(
    audited: Http, sink: AuditLog, tmp_path: Path
) -> None:
    reply = await audited("GET", MAPS, headers={"Impersonate-Group": "admins"})
    assert reply.code == 400
    event = events(sink, tmp_path)[-1]
    assert event["user"]["username"] == "kubernetes-admin"
    assert "impersonatedUser" not in event
    assert (event["verb"], event["responseStatus"]["code"]) == ("list", 400)


async def test_an_upgraded_connection_is_recorded_and_counted(
    recording: ApiServer, audited: Http, sink: AuditLog, tmp_path: Path
) -> None:
    node = Node(recording)
    await node.start(audited)
    await audited.made(f"{DEFAULT}/pods", pod("web", node.name))
    url = f"{audited.base}{DEFAULT}/pods/web/exec?command=true&stdout=1"
    headers = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1"}
    async with audited.session.post(url, headers=headers) as upgraded:
        assert upgraded.status == 101
        labels = 'group="",resource="pods",scope="resource",subresource="exec",verb="CONNECT"'
        assert f"apiserver_longrunning_requests{{{labels}" in (await audited.get("/metrics")).text
    refused = await audited("POST", f"{DEFAULT}/pods/web/exec", headers=headers)
    assert refused.code == 400
    await recording.close()
    node.stop_listening()
    recorded = [each for each in events(sink, tmp_path) if "objectRef" in each]
    found = [each for each in recorded if each["objectRef"].get("subresource") == "exec"]
    told = {(each["stage"], each["responseStatus"]["code"]) for each in found}
    assert told == {("ResponseStarted", 101), ("ResponseComplete", 101), ("ResponseComplete", 400)}
    assert found[0]["verb"] == "create"
    assert found[0]["user"]["username"] == "kubernetes-admin"


async def test_an_answer_names_its_record(audited: Http) -> None:
    reply = await audited("POST", MAPS, config_map("a"), {"Audit-ID": "mine"})
    assert reply.headers["Audit-ID"] == "mine"


def test_the_log_is_rotated_by_size_and_old_ones_go(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    sink = AuditLog(str(path), max_bytes=100, backups=2)
    for number in range(20):
        sink.put(lambda number=number: b"%039d\n" % number)  # type: ignore[misc]
    sink.close()
    rotated = sorted(tmp_path.glob("audit-*.log"))
    assert len(rotated) == 2
    assert [file.stat().st_size for file in rotated] == [80, 80]
    assert path.read_text().split() == [f"{18:039d}", f"{19:039d}"]
    assert (path.stat().st_mode & 0o777, sink.written) == (0o600, 20)


def test_a_log_that_cannot_be_written_in_time_drops_and_counts(tmp_path: Path) -> None:
    import threading

    sink = AuditLog(str(tmp_path / "audit.log"))
    stuck, go = threading.Event(), threading.Event()

    def wait() -> bytes:
        stuck.set()
        go.wait()
        return b"\n"

    sink.put(wait)
    stuck.wait()
    for _ in range(10_010):
        sink.put(lambda: b"\n")
    assert sink.dropped == 10
    go.set()
    sink.close()
