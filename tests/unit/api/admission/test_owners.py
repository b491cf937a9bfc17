"""Plugins that ask who may: owners of objects, and subjects of certificates."""

from __future__ import annotations

from typing import Any

import pytest

from podium.api.server import ServerConfig
from podium.api.types import Obj
from tests.unit import signing
from tests.unit.api.http.harness import DEFAULT, MERGE, Http, Reply

RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"
REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"


@pytest.fixture
def config() -> ServerConfig:
    return ServerConfig(authorization=("RBAC",), enabled_admission=["OwnerReferencesPermissionEnforcement"])


async def allow(http: Http, *rules: tuple[str, str]) -> None:
    """Lets ann do that in the namespace: (verbs, resources), separated by commas."""
    listed = [
        {"apiGroups": [""], "verbs": verbs.split(","), "resources": resources.split(",")}
        for verbs, resources in rules
    ]
    await http.delete(f"{RBAC}/roles/some")
    await http.made(f"{RBAC}/roles", {"metadata": {"name": "some"}, "rules": listed})
    binding = {
        "metadata": {"name": "some"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "some"},
        "subjects": [{"kind": "User", "name": "ann", "apiGroup": "rbac.authorization.k8s.io"}],
    }
    await http.post(f"{RBAC}/rolebindings", binding)


async def ann(http: Http, method: str, path: str, body: Any) -> Reply:
    kind = MERGE if method == "PATCH" else "application/json"
    return await http(method, path, body, {"Impersonate-User": "ann", "Content-Type": kind})


def owned(owner: Obj, *, blocks: bool = False, name: str = "mine") -> Obj:
    meta = owner["metadata"]
    reference = {
        "apiVersion": "v1",
        "kind": "Secret",
        "name": meta["name"],
        "uid": meta["uid"],
        "blockOwnerDeletion": blocks,
    }
    return {"metadata": {"name": name, "ownerReferences": [reference]}}


async def test_who_names_an_owner_may_delete_what_is_owned(http: Http) -> None:
    secret = await http.made(f"{DEFAULT}/secrets", {"metadata": {"name": "owner"}})
    await allow(http, ("create,patch", "configmaps"))
    configs = f"{DEFAULT}/configmaps"
    assert (await ann(http, "POST", configs, owned(secret))).code == 201
    await http.made(configs, {"metadata": {"name": "other"}})
    refused = await ann(http, "PATCH", f"{configs}/other", owned(secret, name="other"))
    assert refused.code == 403
    assert "cannot set an ownerRef on a resource you can't delete" in refused.message
    assert (await ann(http, "PATCH", f"{configs}/other", {"data": {"a": "b"}})).code == 200
    await allow(http, ("create,patch,delete", "configmaps"))
    assert (await ann(http, "PATCH", f"{configs}/other", owned(secret, name="other"))).code == 200


async def test_who_blocks_an_owner_may_set_its_finalizers(http: Http) -> None:
    secret = await http.made(f"{DEFAULT}/secrets", {"metadata": {"name": "owner"}})
    await allow(http, ("create", "configmaps"))
    configs = f"{DEFAULT}/configmaps"
    refused = await ann(http, "POST", configs, owned(secret, blocks=True))
    assert refused.code == 403
    why = (
        "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on"
    )
    assert why in refused.message
    await allow(http, ("create", "configmaps"), ("update", "secrets/finalizers"))
    assert (await ann(http, "POST", configs, owned(secret, blocks=True))).code == 201
    unknown = owned(secret, blocks=True, name="else")
    unknown["metadata"]["ownerReferences"][0]["kind"] = "Nothing"
    refused = await ann(http, "POST", configs, unknown)
    assert 'no matches for kind "Nothing" in version "v1"' in refused.message


async def test_nobody_asks_for_a_certificate_of_those_who_may_everything(http: Http) -> None:
    def request(name: str, signer: str, *groups: str) -> Obj:
        return signing.request(name, signing.pem(name, groups), signer, ["client auth"])

    client = "kubernetes.io/kube-apiserver-client"
    refused = await http.post(REQUESTS, request("a", client, "system:masters"))
    assert refused.message == (
        'certificatesigningrequests.certificates.k8s.io "a" is forbidden: use of '
        "kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed"
    )
    assert (await http.post(REQUESTS, request("b", client, "devs"))).code == 201
    assert (await http.post(REQUESTS, request("c", "example.com/own", "system:masters"))).code == 201
