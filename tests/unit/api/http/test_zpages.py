"""What a server says of itself."""

from __future__ import annotations

import re

import pytest

from podium.api.server import ServerConfig
from tests.unit.api.http.harness import Http


@pytest.fixture
def config() -> ServerConfig:
    return ServerConfig(flags={"data-dir": "/d", "api-port": "1"})


def as_(kind: str, version: str = "v1beta1", form: str = "json") -> dict[str, str]:
    return {"Accept": f"application/{form};as={kind};v={version};g=config.k8s.io"}


async def test_the_state_of_the_server_is_told_as_text(http: Http) -> None:
    for accept in ({}, {"Accept": "*/*"}, {"Accept": "text/plain"}):
        reply = await http("GET", "/statusz", headers=accept)
        assert reply.code == 200
        assert reply.headers["content-type"] == "text/plain; charset=utf-8"
        assert reply.text.startswith("\napiserver statusz\nWarning: This endpoint is not meant to be machine")
        assert re.search(r"^Up: 0 hr 0\d min \d\d sec$", reply.text, re.MULTILINE)
        assert "Paths: /flagz /healthz /livez /metrics /readyz /statusz /version\n" in reply.text


async def test_the_state_of_the_server_is_told_as_an_object(http: Http) -> None:
    reply = await http("GET", "/statusz", headers=as_("Statusz"))
    assert (reply.obj["kind"], reply.obj["apiVersion"]) == ("Statusz", "config.k8s.io/v1beta1")
    assert reply.obj["metadata"] == {"name": "apiserver"}
    assert reply.obj["binaryVersion"] == "1.36"
    assert "/healthz" in reply.obj["paths"]
    assert "Warning" not in reply.headers
    older = await http("GET", "/statusz", headers=as_("Statusz", "v1alpha1"))
    assert older.obj["apiVersion"] == "config.k8s.io/v1alpha1"
    assert "deprecated" in older.headers["Warning"]
    written = await http("GET", "/statusz", headers=as_("Statusz", form="yaml"))
    assert "kind: Statusz" in written.text


async def test_what_the_server_was_started_with(http: Http) -> None:
    assert (await http.get("/flagz")).text.endswith("\napi-port=1\ndata-dir=/d\n")
    found = (await http("GET", "/flagz", headers=as_("Flagz"))).obj
    assert found["flags"] == {"data-dir": "/d", "api-port": "1"}


@pytest.mark.parametrize(
    "accept", ["application/json", "application/json;as=Flagz;v=v1;g=config.k8s.io", "image/png"]
)
async def test_in_another_form_it_is_not_told(http: Http, accept: str) -> None:
    reply = await http("GET", "/statusz", headers={"Accept": accept})
    assert (reply.code, reply.reason) == (406, "NotAcceptable")
