"""Kinds of one's own with stock kubectl: from the definition to the last object."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.coverage_report import covers
from tests.conformance.kubectl import Kubectl
from tests.conformance.waiting import eventually
from tests.unit.api.admission.webhooks import WebhookServer, webhook_server

Obj = dict[str, Any]
GROUP = "orchestra.podium.test"
NAME = f"players.{GROUP}"
TEXT, NUMBER = {"type": "string"}, {"type": "integer"}


def record(properties: Obj, **more: Any) -> Obj:
    return {"type": "object", "properties": properties, **more}


SPEC = record(
    {
        "instrument": {**TEXT, "default": "triangle", "description": "What is played."},
        "seat": {"x-kubernetes-int-or-string": True},
        "replicas": {**NUMBER, "minimum": 0},
        "rank": NUMBER,
        "address": record({"street": {**TEXT, "pattern": "^[A-Z]"}}),
    },
    **{
        "x-kubernetes-validations": [
            {
                "rule": "!has(self.rank) || self.rank < 100",
                "messageExpression": "self.rank == 100 ? 'one too many' : 'far too many'",
                "fieldPath": ".rank",
            },
            {"rule": "!has(oldSelf.rank) || self.rank >= oldSelf.rank", "message": "nobody is degraded"},
        ]
    },
)
SCHEMA = record(
    {"spec": SPEC, "status": record({"replicas": NUMBER, "selector": TEXT, "mood": TEXT})},
    description="A Player plays.",
)


def version(name: str = "v1", **more: Any) -> Obj:
    return {
        "name": name,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": SCHEMA},
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
        "selectableFields": [{"jsonPath": ".spec.instrument"}],
        "additionalPrinterColumns": [
            {"name": "Instrument", "type": "string", "jsonPath": ".spec.instrument"},
            {"name": "Mood", "type": "string", "jsonPath": ".status.mood", "priority": 1},
        ],
        **more,
    }


def definition(*versions: Obj, **spec: Any) -> Obj:
    names = {
        "plural": "players",
        "singular": "player",
        "kind": "Player",
        "shortNames": ["plr"],
        "categories": ["ensemble"],
    }
    whole = {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [*versions] or [version()]}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME},
        "spec": {**whole, **spec},
    }


def player(name: str, number: str = "v1", **spec: Any) -> Obj:
    return {"apiVersion": f"{GROUP}/{number}", "kind": "Player", "metadata": {"name": name}, "spec": spec}


def define(kubectl: Kubectl, crd: Obj) -> None:
    kubectl.apply(crd)
    kubectl("wait", f"crd/{NAME}", "--for=condition=Established", "--timeout=60s")


@pytest.fixture
def crds(kubectl: Kubectl) -> Iterator[Kubectl]:
    """Definitions are of the whole cluster, and go with the test."""
    yield kubectl
    kubectl("delete", "crd", NAME, "--ignore-not-found", "--timeout=60s")


@pytest.fixture
def players(crds: Kubectl) -> Kubectl:
    define(crds, definition())
    return crds


def refused(kubectl: Kubectl, obj: Obj, *more: str) -> str:
    return kubectl.refused("create", "-f", "-", *more, stdin=json.dumps(obj))


def lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_columns_short_names_and_categories_are_those_of_the_definition(players: Kubectl) -> None:
    players.apply(player("eve", instrument="oboe"))
    assert [line[:2] for line in lines(players("get", "plr"))] == [["NAME", "INSTRUMENT"], ["eve", "oboe"]]
    assert lines(players("get", "player", "-o", "wide"))[0] == ["NAME", "INSTRUMENT", "MOOD"]
    assert "player.orchestra.podium.test/eve" in players("get", "ensemble", "-o", "name")
    resources = players("api-resources", "--categories=ensemble", "--no-headers")
    assert lines(resources) == [["players", "plr", f"{GROUP}/v1", "true", "Player"]]
    assert "Local" in players("get", "apiservice", f"v1.{GROUP}")


@covers("[sig-api-machinery] CustomResourcePublishOpenAPI [Privileged:ClusterAdmin] works for CRD with validation schema [Conformance]")  # fmt: skip
def test_the_schema_is_explained_and_held_against_what_is_sent(players: Kubectl) -> None:
    told = players("explain", "players", "--recursive")
    for text in ("A Player plays.", "instrument\t<string>", "street\t<string>"):
        assert text in told, told
    assert "What is played." in players("explain", "player.spec.instrument")
    assert 'unknown field "spec.instrumnt"' in refused(players, player("a", instrumnt="oboe"))
    wrong = refused(players, player("a", address={"street": "lower"}))
    assert "spec.address.street in body should match '^[A-Z]'" in wrong
    assert "must be of type integer" in refused(players, player("a", rank="first"), "--validate=false")


@covers("[sig-api-machinery] FieldValidation should create/apply an invalid CR with extra properties for CRD with validation schema [Conformance]")  # fmt: skip
def test_what_is_applied_has_to_be_declared(players: Kubectl) -> None:
    apply = ("apply", "--server-side", "-f", "-")
    told = players.refused(*apply, stdin=json.dumps(player("a", instrumnt="oboe")))
    assert ".spec.instrumnt: field not declared in schema" in told
    players(*apply, stdin=json.dumps(player("a", rank=1)))
    told = players.refused(*apply, "--field-manager=other", stdin=json.dumps(player("a", rank=2)))
    assert 'conflict with "kubectl": .spec.rank' in told


@covers("[sig-api-machinery] CustomResourceDefinition resources [Privileged:ClusterAdmin] custom resource defaulting for requests and from storage works [Conformance]")  # fmt: skip
def test_defaults_fill_what_is_sent_and_what_was_stored(players: Kubectl) -> None:
    players.apply(player("eve"))
    assert players.get("player", "eve")["spec"] == {"instrument": "triangle"}
    more = json.loads(json.dumps(version()))
    more["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["rank"]["default"] = 7
    players.apply(definition(more))
    eventually(lambda: players.get("player", "eve")["spec"].get("rank"), lambda rank: rank == 7)


def test_rules_judge_objects_and_their_changes(players: Kubectl) -> None:
    players.apply(player("eve", rank=5))
    assert "spec.rank: Invalid value: one too many" in refused(players, player("bob", rank=100))
    told = players.refused("patch", "player", "eve", "--type=merge", "-p", '{"spec":{"rank":4}}')
    assert "nobody is degraded" in told
    bad = json.loads(json.dumps(version()))
    bad["schema"]["openAPIV3Schema"]["x-kubernetes-validations"] = [{"rule": "self.spec.gone == 1"}]
    told = players.refused("apply", "-f", "-", stdin=json.dumps(definition(bad)))
    assert "undefined field 'gone'" in told


@covers("[sig-api-machinery] CustomResourceFieldSelectors [Privileged:ClusterAdmin] CustomResourceFieldSelectors MUST list and watch custom resources matching the field selector [Conformance]")  # fmt: skip
def test_fields_select_that_were_made_selectable(players: Kubectl) -> None:
    players.apply(player("eve", instrument="oboe"), player("bob", instrument="horn"))
    listed = players("get", "players", "--field-selector=spec.instrument=horn", "-o", "name")
    assert listed.split() == [f"player.{GROUP}/bob"]
    told = players.refused("get", "players", "--field-selector=spec.rank=1")
    assert "field label not supported: spec.rank" in told


def test_status_and_scale_are_subresources(players: Kubectl) -> None:
    players.apply(player("eve", replicas=1))
    players(
        "patch", "player", "eve", "--subresource=status", "--type=merge", "-p",
        '{"status":{"mood":"good","replicas":1,"selector":"app=eve"},"spec":{"rank":3}}',
    )  # fmt: skip
    players.apply(player("eve", replicas=1))
    found = players.get("player", "eve")
    assert (found["status"]["mood"], "rank" in found["spec"]) == ("good", False)
    players("scale", "player/eve", "--replicas=4")
    scaled = players.get("player", "eve", "--subresource=scale")
    assert (scaled["kind"], scaled["spec"], scaled["status"]) == (
        "Scale", {"replicas": 4}, {"replicas": 1, "selector": "app=eve"},
    )  # fmt: skip
    assert players.get("player", "eve")["metadata"]["generation"] == 2


def test_an_autoscaler_scales_a_kind_of_ones_own(players: Kubectl) -> None:
    players.apply(player("eve", replicas=1))
    status = '{"status":{"replicas":1,"selector":"app=eve"}}'
    players("patch", "player", "eve", "--subresource=status", "--type=merge", "-p", status)
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}
    spec = {
        "scaleTargetRef": {"apiVersion": f"{GROUP}/v1", "kind": "Player", "name": "eve"},
        "minReplicas": 3,
        "maxReplicas": 5,
        "metrics": [{"type": "Resource", "resource": cpu}],
    }
    players.apply(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "eve"},
            "spec": spec,
        }
    )
    players.wait("player/eve", "jsonpath={.spec.replicas}=3")


@contextmanager
def webhook_in_a_thread(directory: Path, server: Any) -> Iterator[WebhookServer]:
    """kubectl is waited for: somebody else has to answer meanwhile."""
    found: list[WebhookServer] = []
    loops: list[asyncio.AbstractEventLoop] = []
    there, over = threading.Event(), asyncio.Event()

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        async with webhook_server(directory) as webhook:
            found.append(webhook)
            there.set()
            await over.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert there.wait(10)
        found[0].kind, found[0].answer = "ConversionReview", server
        yield found[0]
    finally:
        loops[0].call_soon_threadsafe(over.set)
        thread.join()


def transposed(request: Obj) -> Obj:
    """v1 has a rank that counts up, v2 a place that counts down."""
    objects = []
    for obj in request["objects"]:
        here, there = ("rank", "place") if request["desiredAPIVersion"].endswith("/v2") else ("place", "rank")
        spec = {there: 100 - obj["spec"][here]} if here in obj["spec"] else {}
        objects.append({**obj, "apiVersion": request["desiredAPIVersion"], "spec": spec})
    return {"result": {"status": "Success"}, "convertedObjects": objects}


@covers(
    "[sig-api-machinery] CustomResourceConversionWebhook [Privileged:ClusterAdmin] should be able to convert from CR v1 to CR v2 [Conformance]",
    "[sig-api-machinery] CustomResourceConversionWebhook [Privileged:ClusterAdmin] should be able to convert a non homogeneous list of CRs [Conformance]",
)  # fmt: skip
def test_a_webhook_converts_between_versions(crds: Kubectl, tmp_path: Path) -> None:
    def parts(stored: str) -> list[Obj]:
        return [
            {
                "name": number,
                "served": True,
                "storage": number == stored,
                "schema": {"openAPIV3Schema": record({"spec": record({field: NUMBER})})},
            }
            for number, field in (("v1", "rank"), ("v2", "place"))
        ]

    with webhook_in_a_thread(tmp_path, transposed) as webhook:
        hook = {"clientConfig": webhook.client_config(), "conversionReviewVersions": ["v1"]}
        conversion = {"strategy": "Webhook", "webhook": hook}
        define(crds, definition(*parts("v1"), conversion=conversion))
        crds.apply(player("eve", rank=10))
        assert crds.get(f"players.v2.{GROUP}", "eve")["spec"] == {"place": 90}
        crds.apply(definition(*parts("v2"), conversion=conversion))
        crds.wait(f"crd/{NAME}", "jsonpath={.status.storedVersions[1]}=v2")
        crds.apply(player("bob", "v2", place=1))
        for number, expected in (("v1", [{"rank": 99}, {"rank": 10}]), ("v2", [{"place": 1}, {"place": 90}])):
            items = crds.get(f"players.{number}.{GROUP}")["items"]
            assert [item["spec"] for item in items] == expected
        crds(
            "patch", f"players.v1.{GROUP}", "bob", "--type=merge", "-p", '{"spec":{"rank":50}}',
        )  # fmt: skip
        assert crds.get(f"players.v2.{GROUP}", "bob")["spec"] == {"place": 50}
        webhook.answer = lambda request: {"result": {"status": "Failed", "message": "out of order"}}
        told = crds.refused("get", f"players.v1.{GROUP}", "bob")
        assert f"conversion webhook for {GROUP}/v2, Kind=Player failed: out of order" in told
        webhook.answer = transposed
        crds("delete", "players", "--all")


def test_users_of_a_deprecated_version_are_warned(crds: Kubectl) -> None:
    old = version("v1beta1", deprecated=True, storage=False)
    define(crds, definition(version(), old))
    found = crds.run("get", f"players.v1beta1.{GROUP}")
    assert f"Warning: {GROUP}/v1beta1 Player is deprecated; use {GROUP}/v1 Player" in found.err


def test_a_definition_waits_for_its_objects(players: Kubectl) -> None:
    kept = player("eve")
    kept["metadata"]["finalizers"] = ["podium.test/wait"]
    players.apply(kept, player("bob"))
    players("delete", "crd", NAME, "--wait=false")
    players.wait(f"crd/{NAME}", "condition=Terminating")
    players.wait("player/bob", "delete")
    told = refused(players, player("new"))
    assert "create not allowed while custom resource definition is terminating" in told
    players("patch", "player", "eve", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    players.wait(f"crd/{NAME}", "delete")
    assert "could not find the requested resource" in players.refused("get", "players")
