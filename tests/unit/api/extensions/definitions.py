"""CustomResourceDefinitions to send, and waiting for what they make."""

from __future__ import annotations

from typing import Any

from podium.api.types import Obj
from podium.api.types.meta import condition_is_true
from tests.unit.api.http.harness import Http

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
GROUP = "stable.example.com"
TABS = f"/apis/{GROUP}/v1/namespaces/default/crontabs"


def text(**more: Any) -> Obj:
    return {"type": "string", **more}


def record(properties: Obj, **more: Any) -> Obj:
    return {"type": "object", "properties": properties, **more}


def definition(
    spec: Obj | None = None, *, versions: tuple[str, ...] = ("v1",), plural: str = "crontabs", **version: Any
) -> Obj:
    """`spec` is the schema of the field of that name; `version` more of each version's entry."""
    schema = record({"spec": spec or {"type": "object", "x-kubernetes-preserve-unknown-fields": True}})
    schema["properties"]["status"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    entries = [
        {
            "name": name,
            "served": True,
            "storage": name == versions[0],
            "schema": {"openAPIV3Schema": schema},
            **version,
        }
        for name in versions
    ]
    singular = plural.removesuffix("s")
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": singular.title(), "shortNames": [plural[:2]]},
            "versions": entries,
        },
    }


async def established(http: Http, crd: Obj) -> Obj:
    """Creates it and waits, by a watch, until its kinds are served."""
    made = await http.made(CRDS, crd)
    name = made["metadata"]["name"]
    version = made["metadata"]["resourceVersion"]
    async with http.watch(CRDS, resourceVersion=version, fieldSelector=f"metadata.name={name}") as events:
        while not condition_is_true(made, "Established"):
            made = (await events.next())["object"]
    return made


def tab(name: str = "a", version: str = "v1", **spec: Any) -> Obj:
    return {"apiVersion": f"{GROUP}/{version}", "kind": "Crontab", "metadata": {"name": name}, "spec": spec}
