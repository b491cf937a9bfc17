from __future__ import annotations

from typing import Any

import pytest

from tests.unit.api.auth.conftest import As
from tests.unit.api.http.harness import CORE, DEFAULT, MERGE, STRATEGIC, Http, Reply

ONE, OTHER = "system:node:one", "system:node:other"


@pytest.fixture
def node(acting: As) -> As:
    async def ask(user: str, method: str, path: str, body: Any = None, media_type: str = "") -> Reply:
        return await acting(user, method, path, body, "system:nodes", media_type)

    return ask


async def pod(http: Http, name: str, where: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "echo"}
    made: dict[str, Any] = await http.made(
        f"{DEFAULT}/pods",
        {"metadata": {"name": name}, "spec": {"containers": [container], "nodeName": where, **spec}},
    )
    return made


async def test_a_node_reads_what_its_pods_refer_to_while_they_are_there(http: Http, node: As) -> None:
    await http.made(f"{DEFAULT}/secrets", {"metadata": {"name": "mine"}})
    secret, configs = f"{DEFAULT}/secrets/mine", f"{DEFAULT}/configmaps"
    refused = await node(ONE, "GET", secret)
    assert refused.message == (
        'secrets "mine" is forbidden: User "system:node:one" cannot get resource "secrets" in API group "" '
        "in the namespace \"default\": no relationship found between node 'one' and this object"
    )
    volumes = [{"name": "s", "secret": {"secretName": "mine"}}, {"name": "c", "configMap": {"name": "conf"}}]
    await pod(http, "a", "one", volumes=volumes)
    assert (await node(ONE, "GET", secret)).code == 200
    assert (await node(ONE, "GET", f"{DEFAULT}/secrets?fieldSelector=metadata.name%3Dmine")).code == 200
    assert (await node(ONE, "GET", f"{configs}/conf")).code == 404
    assert (await node(ONE, "GET", f"{DEFAULT}/secrets")).code == 403
    assert (await node(OTHER, "GET", secret)).code == 403
    assert (await node(ONE, "DELETE", secret)).code == 403
    await http.delete(f"{DEFAULT}/pods/a", {"gracePeriodSeconds": 0})
    assert (await node(ONE, "GET", secret)).code == 403


async def test_a_node_writes_its_own_node_and_no_other(http: Http, node: As) -> None:
    nodes = f"{CORE}/nodes"
    assert (await node(ONE, "POST", nodes, {"metadata": {"name": "one"}})).code == 201
    refused = await node(ONE, "POST", nodes, {"metadata": {"name": "other"}})
    assert refused.message == 'nodes "other" is forbidden: node "one" is not allowed to modify node "other"'
    status = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    assert (await node(ONE, "PATCH", f"{nodes}/one/status", status, STRATEGIC)).code == 200
    await http.made(nodes, {"metadata": {"name": "other"}})
    assert (await node(ONE, "PATCH", f"{nodes}/other/status", status, STRATEGIC)).code == 403
    assert (await node(ONE, "DELETE", f"{nodes}/one")).code == 403
    taints = {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}}
    refused = await node(ONE, "PATCH", f"{nodes}/one", taints, MERGE)
    assert refused.message == 'nodes "one" is forbidden: node "one" is not allowed to modify taints'


@pytest.mark.parametrize(
    ("label", "code"),
    [
        ("kubernetes.io/hostname", 200),
        ("topology.kubernetes.io/zone", 200),
        ("mine.node.kubernetes.io/x", 200),
        ("example.com/x", 200),
        ("node-restriction.kubernetes.io/x", 403),
        ("node-role.kubernetes.io/control-plane", 403),
        ("x.k8s.io/y", 403),
    ],
)
async def test_a_node_labels_itself_within_bounds(http: Http, node: As, label: str, code: int) -> None:
    await http.made(f"{CORE}/nodes", {"metadata": {"name": "one"}})
    patch = {"metadata": {"labels": {label: "v"}}}
    reply = await node(ONE, "PATCH", f"{CORE}/nodes/one", patch, MERGE)
    assert reply.code == code
    if code == 403:
        assert reply.message == f'nodes "one" is forbidden: is not allowed to modify labels: {label}'


async def test_a_node_writes_the_status_of_its_own_pods(http: Http, node: As) -> None:
    await pod(http, "a", "one")
    status = {"status": {"phase": "Running"}}
    path = f"{DEFAULT}/pods/a"
    assert (await node(ONE, "PATCH", f"{path}/status", status, STRATEGIC)).code == 200
    refused = await node(OTHER, "PATCH", f"{path}/status", status, STRATEGIC)
    assert refused.message == (
        'pods "a" is forbidden: node "other" can only update pod status for pods with '
        "spec.nodeName set to itself"
    )
    assert (await node(OTHER, "DELETE", path)).code == 403
    assert (await node(ONE, "PATCH", path, {"metadata": {"labels": {"a": "b"}}}, MERGE)).code == 403
    assert (await node(ONE, "POST", f"{DEFAULT}/pods", {"metadata": {"name": "b"}, "spec": {}})).code == 403
    assert (await node(ONE, "DELETE", path, {"gracePeriodSeconds": 0})).code == 200


async def test_a_node_gets_tokens_for_its_own_pods(http: Http, node: As) -> None:
    made = await pod(http, "a", "one")
    path = f"{DEFAULT}/serviceaccounts/default/token"
    reference = {"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": made["metadata"]["uid"]}
    asked = {"spec": {"boundObjectRef": reference}}
    assert (await node(ONE, "POST", path, asked)).code == 201
    assert (await node(OTHER, "POST", path, asked)).code == 403
    unbound = await node(ONE, "POST", path, {"spec": {}})
    assert unbound.message == (
        'serviceaccounts "default" is forbidden: node requested token not bound to a pod'
    )
    vault = await node(ONE, "POST", path, {"spec": {"boundObjectRef": reference, "audiences": ["vault"]}})
    assert 'audience "vault" not found in pod spec volume' in vault.message
    assert (await node(ONE, "POST", f"{DEFAULT}/serviceaccounts/other/token", asked)).code == 403


async def test_a_node_has_one_lease(http: Http, node: As) -> None:
    def lease(name: str) -> dict[str, Any]:
        return {"metadata": {"name": name}, "spec": {"holderIdentity": name}}

    path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
    assert (await node(ONE, "POST", path, lease("one"))).code == 201
    assert (await node(ONE, "POST", path, lease("other"))).code == 403
    assert (await node(OTHER, "GET", f"{path}/one")).code == 403
    elsewhere = path.replace("kube-node-lease", "default")
    assert (await node(ONE, "POST", elsewhere, lease("one"))).code == 403


async def test_a_node_makes_volumes_of_its_own_disk(http: Http, node: As) -> None:
    def volume(name: str, host: str) -> dict[str, Any]:
        wanted = {"key": "kubernetes.io/hostname", "operator": "In", "values": [host]}
        return {
            "metadata": {"name": name},
            "spec": {
                "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
                "local": {"path": "/disk"},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [wanted]}]}},
            },
        }  # fmt: skip

    path = f"{CORE}/persistentvolumes"
    assert (await node(ONE, "POST", path, volume("a", "one"))).code == 201
    assert (await node(ONE, "POST", path, volume("b", "other"))).message == (
        'persistentvolumes "b" is forbidden: node "one" can only write volumes that are on it'
    )
    assert (await node(OTHER, "DELETE", f"{path}/a")).code == 403
    # By a volume that a pod of its own uses it would read any secret that the volume names.
    greedy = volume("c", "one")
    secret = {"name": "root", "namespace": "kube-system"}
    greedy["spec"]["csi"] = {"driver": "d", "volumeHandle": "h", "nodeStageSecretRef": secret}
    del greedy["spec"]["local"]
    refused = await node(ONE, "POST", path, greedy)
    assert refused.message.endswith('node "one" can only write volumes that refer to no secret')
    await http.made(path, greedy)
    patched = await node(ONE, "PATCH", f"{path}/c", {"metadata": {"labels": {"a": "b"}}}, media_type=MERGE)
    assert patched.code == 403


async def test_who_only_calls_himself_a_node_is_none(acting: As) -> None:
    assert (await acting(ONE, "GET", f"{CORE}/nodes", None, "musicians")).code == 403


async def test_a_bootstrap_token_is_for_signing_requests(acting: As) -> None:
    async def joins(method: str, path: str) -> int:
        return (await acting("system:bootstrap:abcdef", method, path, None, "system:bootstrappers")).code

    requests = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
    assert await joins("GET", requests) == 200
    assert await joins("GET", f"{DEFAULT}/pods") == 403
    assert await joins("GET", f"{CORE}/nodes") == 403
    assert await joins("DELETE", f"{requests}/a") == 403


async def test_a_node_lists_its_own_pods_and_gets_no_others(http: Http, node: As) -> None:
    await pod(http, "a", "one")
    await pod(http, "b", "other")
    await http.delete("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/podium:node")
    pods = f"{CORE}/pods"
    assert (await node(ONE, "GET", f"{pods}?fieldSelector=spec.nodeName%3Done")).names == ["a"]
    assert (await node(ONE, "GET", f"{DEFAULT}/pods/a")).code == 200
    assert (await node(ONE, "GET", f"{DEFAULT}/pods/b")).code == 403
    for query in ("", "?fieldSelector=spec.nodeName%3Dother", "?fieldSelector=spec.nodeName%21%3Done"):
        refused = await node(ONE, "GET", pods + query)
        assert refused.message == (
            'pods is forbidden: User "system:node:one" cannot list resource "pods" in API group "" at the '
            "cluster scope: can only list/watch pods with spec.nodeName field selector"
        )


async def test_a_node_has_its_own_slices_and_attachments(http: Http, node: As) -> None:
    slices = "/apis/resource.k8s.io/v1/resourceslices"
    assert (await node(ONE, "GET", f"{slices}?fieldSelector=spec.nodeName%3Done")).code == 200
    assert (await node(ONE, "GET", slices)).code == 403
    attachments = "/apis/storage.k8s.io/v1/volumeattachments"
    spec = {"attacher": "a.example", "nodeName": "one", "source": {"persistentVolumeName": "v"}}
    await http.made(attachments, {"metadata": {"name": "x"}, "spec": spec})
    assert (await node(ONE, "GET", f"{attachments}/x")).code == 200
    assert (await node(OTHER, "GET", f"{attachments}/x")).code == 403


async def test_a_node_reads_the_secrets_of_its_volumes(http: Http, node: As) -> None:
    await http.made(f"{DEFAULT}/secrets", {"metadata": {"name": "s"}})
    source = {"driver": "d.example", "volumeHandle": "h",
              "nodePublishSecretRef": {"name": "s", "namespace": "default"}}  # fmt: skip
    spec = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "csi": source,
            "claimRef": {"namespace": "default", "name": "c"}}  # fmt: skip
    await http.made(f"{CORE}/persistentvolumes", {"metadata": {"name": "v"}, "spec": spec})
    assert (await node(ONE, "GET", f"{DEFAULT}/secrets/s")).code == 403
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]
    await pod(http, "a", "one", volumes=volumes)
    assert (await node(ONE, "GET", f"{DEFAULT}/secrets/s")).code == 200
    assert (await node(OTHER, "GET", f"{DEFAULT}/secrets/s")).code == 403


async def test_a_node_makes_slices_of_its_own_devices_only(http: Http, node: As) -> None:
    slices = "/apis/resource.k8s.io/v1/resourceslices"

    def of(where: str) -> dict[str, Any]:
        pool = {"name": where, "generation": 1, "resourceSliceCount": 1}
        spec = {"driver": "d.example", "nodeName": where, "pool": pool, "devices": []}
        return {"metadata": {"name": f"slice-{where}"}, "spec": spec}

    assert (await node(ONE, "POST", slices, of("one"))).code == 201
    refused = await node(ONE, "POST", slices, of("other"))
    assert refused.code == 403
    assert "can only create ResourceSlice with the same NodeName as the requesting node" in refused.message
    await http.made(slices, of("other"))
    assert (await node(ONE, "DELETE", f"{slices}/slice-other")).code == 403
    assert (await node(ONE, "DELETE", f"{slices}/slice-one")).code == 200


async def test_a_node_gets_tokens_for_whom_a_driver_or_a_role_names(http: Http, node: As) -> None:
    await http.made(f"{DEFAULT}/serviceaccounts", {"metadata": {"name": "robot"}})
    driver = {"metadata": {"name": "d.example"}, "spec": {"tokenRequests": [{"audience": "vault"}]}}
    await http.made("/apis/storage.k8s.io/v1/csidrivers", driver)
    volumes = [{"name": "v", "csi": {"driver": "d.example"}}]
    made = await pod(http, "a", "one", serviceAccountName="robot", volumes=volumes)
    bound = {"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": made["metadata"]["uid"]}

    async def asked(audience: str) -> Reply:
        spec = {"audiences": [audience], "boundObjectRef": bound}
        return await node(ONE, "POST", f"{DEFAULT}/serviceaccounts/robot/token", {"spec": spec})

    assert (await asked("vault")).code == 201
    refused = await asked("bank")
    assert refused.code == 403
    assert 'audience "bank" not found in pod spec volume, system:node:one is not' in refused.message
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    rule = {"apiGroups": [""], "resources": ["bank"], "verbs": ["request-serviceaccounts-token-audience"]}
    await http.made(f"{rbac}/clusterroles", {"metadata": {"name": "bank"}, "rules": [rule]})
    group = "rbac.authorization.k8s.io"
    await http.made(
        f"{rbac}/clusterrolebindings",
        {
            "metadata": {"name": "bank"},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "bank"},
            "subjects": [{"kind": "Group", "name": "system:nodes", "apiGroup": group}],
        },
    )
    assert (await asked("bank")).code == 201
