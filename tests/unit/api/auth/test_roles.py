from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from podium.api.server import ApiServer
from podium.api.types.resources import CLUSTER_ROLES
from tests.unit.api.auth.conftest import RBAC, As
from tests.unit.api.http.harness import CORE, DEFAULT, Http

PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}
ROLES, BINDINGS = f"{RBAC}/namespaces/default/roles", f"{RBAC}/namespaces/default/rolebindings"
ACCESS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
GROUP = "rbac.authorization.k8s.io"


def role(name: str, *rules: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": name}, "rules": [*rules]}


def binding(name: str, kind: str, role: str, *users: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": GROUP, "kind": kind, "name": role},
        "subjects": [{"kind": "User", "name": user} for user in users],
    }


async def bind(http: Http, name: str, kind: str, what: str, user: str, *, everywhere: bool = False) -> None:
    await http.made(
        f"{RBAC}/clusterrolebindings" if everywhere else BINDINGS, binding(name, kind, what, user)
    )


async def test_a_role_counts_from_when_it_is_bound_to_when_it_is_not(http: Http, acting: As) -> None:
    path = f"{DEFAULT}/pods"
    assert (await acting("eve", "GET", path)).message == (
        'pods is forbidden: User "eve" cannot list resource "pods" in API group "" in the namespace "default"'
    )
    await bind(http, "eve", "Role", "reader", "eve")
    assert (await acting("eve", "GET", path)).message.endswith(
        ': RBAC: role.rbac.authorization.k8s.io "reader" not found'
    )
    await http.made(ROLES, role("reader", PODS))
    assert (await acting("eve", "GET", path)).code == 200
    assert (await acting("eve", "GET", f"{path}/a")).code == 404
    assert (await acting("eve", "GET", f"{CORE}/pods")).code == 403
    assert (await acting("eve", "GET", f"{CORE}/namespaces/kube-system/pods")).code == 403
    assert (await acting("eve", "DELETE", f"{path}/a")).code == 403
    await http.delete(f"{BINDINGS}/eve")
    assert (await acting("eve", "GET", path)).code == 403


async def test_accounts_and_groups_are_bound_like_users(http: Http, acting: As) -> None:
    await http.made(ROLES, role("reader", PODS))
    subjects = [
        {"kind": "ServiceAccount", "name": "robot"},
        {"kind": "Group", "name": "tenants"},
    ]
    bound = {**binding("them", "Role", "reader"), "subjects": [subjects[1]]}
    await http.made(BINDINGS, bound)
    subjects[0]["namespace"] = "default"
    await http.made(BINDINGS, {**binding("robot", "Role", "reader"), "subjects": [subjects[0]]})
    assert (await acting("system:serviceaccount:default:robot", "GET", f"{DEFAULT}/pods")).code == 200
    assert (await acting("system:serviceaccount:other:robot", "GET", f"{DEFAULT}/pods")).code == 403
    assert (await acting("mallory", "GET", f"{DEFAULT}/pods", None, "tenants")).code == 200
    assert (await acting("mallory", "GET", f"{DEFAULT}/pods")).code == 403


async def test_a_rule_for_one_name_holds_for_a_selector_of_that_name(http: Http, acting: As) -> None:
    rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"], "resourceNames": ["mine"]}
    await http.made(ROLES, role("one", rule))
    await bind(http, "one", "Role", "one", "eve")
    path = f"{DEFAULT}/secrets"
    assert (await acting("eve", "GET", f"{path}/mine")).code == 404
    assert (await acting("eve", "GET", f"{path}?fieldSelector=metadata.name%3Dmine")).code == 200
    assert (await acting("eve", "GET", path)).code == 403
    assert (await acting("eve", "GET", f"{path}/other")).code == 403


async def test_who_may_update_but_not_create_creates_nothing(http: Http, acting: As) -> None:
    rule = {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "verbs": ["update", "patch", "get"],
    }
    await http.made(ROLES, role("writer", rule))
    await bind(http, "writer", "Role", "writer", "eve")
    path = "/apis/coordination.k8s.io/v1/namespaces/default/leases/a"
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "a"}}
    refused = await acting("eve", "PUT", path, lease)
    assert (refused.code, 'cannot create resource "leases"' in refused.message) == (403, True)
    apply = await acting(
        "eve", "PATCH", f"{path}?fieldManager=eve", lease, "", "application/apply-patch+yaml"
    )
    assert (apply.code, 'cannot create resource "leases"' in apply.message) == (403, True)


async def test_paths_are_allowed_by_rules_for_paths(http: Http, acting: As) -> None:
    assert (await acting("eve", "GET", "/metrics")).message == (
        'forbidden: User "eve" cannot get path "/metrics"'
    )
    await bind(http, "eve", "ClusterRole", "system:monitoring", "eve", everywhere=True)
    assert (await acting("eve", "GET", "/metrics")).code == 200


async def test_nobody_passes_on_what_he_does_not_have(http: Http, acting: As) -> None:
    await bind(http, "boss", "ClusterRole", "admin", "boss")
    secrets = {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list"]}
    assert (await acting("boss", "POST", ROLES, role("pods", PODS))).code == 201
    refused = await acting("boss", "POST", ROLES, role("nodes", secrets))
    assert (refused.code, refused.message) == (
        403,
        'roles.rbac.authorization.k8s.io "nodes" is forbidden: user "boss" (groups=["system:authenticated"]) '
        "is attempting to grant RBAC permissions not currently held:\n"
        '{APIGroups:[""], Resources:["nodes"], Verbs:["get" "list"]}',
    )
    widened = await acting("boss", "PUT", f"{ROLES}/pods", role("pods", PODS, secrets))
    assert widened.code == 403
    assert (await acting("boss", "POST", BINDINGS, binding("e", "ClusterRole", "view", "eve"))).code == 201
    refused = await acting("boss", "POST", BINDINGS, binding("f", "ClusterRole", "cluster-admin", "eve"))
    assert 'RBAC permissions not currently held:\n{APIGroups:["*"], Resources:["*"]' in refused.message
    missing = await acting("boss", "POST", BINDINGS, binding("g", "ClusterRole", "missing", "eve"))
    assert missing.message == 'clusterroles.rbac.authorization.k8s.io "missing" not found'


async def test_whoever_may_escalate_or_bind_is_not_held_to_what_he_has(http: Http, acting: As) -> None:
    rule = {"apiGroups": [GROUP], "resources": ["roles"], "verbs": ["create", "escalate"]}
    binds = {
        "apiGroups": [GROUP], "resources": ["clusterroles"], "verbs": ["bind"], "resourceNames": ["view"]
    }  # fmt: skip
    makes = {"apiGroups": [GROUP], "resources": ["rolebindings"], "verbs": ["create"]}
    await http.made(ROLES, role("free", rule, binds, makes))
    await bind(http, "free", "Role", "free", "boss")
    assert (await acting("boss", "POST", ROLES, role("pods", PODS))).code == 201
    assert (await acting("boss", "POST", BINDINGS, binding("v", "ClusterRole", "view", "eve"))).code == 201
    assert (await acting("boss", "POST", BINDINGS, binding("e", "ClusterRole", "edit", "eve"))).code == 403


async def test_only_who_may_everything_gathers_roles(http: Http, acting: As) -> None:
    rule = {"apiGroups": [GROUP], "resources": ["clusterroles"], "verbs": ["create"]}
    await http.made(f"{RBAC}/clusterroles", role("maker", rule))
    await bind(http, "maker", "ClusterRole", "maker", "boss", everywhere=True)
    gathering = {
        "metadata": {"name": "all"},
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]},
    }
    refused = await acting("boss", "POST", f"{RBAC}/clusterroles", gathering)
    assert refused.message == (
        'clusterroles.rbac.authorization.k8s.io "all" is forbidden: must have cluster-admin privileges to '
        "use the aggregationRule"
    )


async def test_reviews_say_who_allowed_it(http: Http, acting: As) -> None:
    await bind(http, "eve", "ClusterRole", "view", "eve")
    asked = {"spec": {"resourceAttributes": {"verb": "list", "resource": "pods", "namespace": "default"}}}
    own = await acting("eve", "POST", ACCESS, asked)
    assert own.obj["status"] == {
        "allowed": True,
        "reason": 'RBAC: allowed by RoleBinding "eve/default" of ClusterRole "view" to User "eve"',
    }
    other = {"spec": {**asked["spec"], "user": "mallory"}}
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    assert (await http.post(path, other)).obj["status"] == {"allowed": False}
    assert (await acting("eve", "POST", path, other)).code == 403
    local = "/apis/authorization.k8s.io/v1/namespaces/default/localsubjectaccessreviews"
    review = {"metadata": {"namespace": "default"}, "spec": {**asked["spec"], "user": "eve"}}
    assert (await http.post(local, review)).obj["status"]["allowed"] is True


async def test_rules_reviews_list_what_is_bound(http: Http, acting: As) -> None:
    await http.made(ROLES, role("reader", PODS))
    await bind(http, "eve", "Role", "reader", "eve")
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    status = (await acting("eve", "POST", path, {"spec": {"namespace": "default"}})).obj["status"]
    assert PODS in status["resourceRules"]
    assert any("/version" in rule["nonResourceURLs"] for rule in status["nonResourceRules"])
    assert status["incomplete"] is False
    elsewhere = (await acting("eve", "POST", path, {"spec": {"namespace": "other"}})).obj["status"]
    assert PODS not in elsewhere["resourceRules"]


@pytest.mark.parametrize(
    ("verb", "resource", "namespace", "role", "allowed"),
    [
        ("list", "pods", "default", "view", True),
        ("list", "secrets", "default", "view", False),
        ("create", "pods", "default", "view", False),
        ("create", "pods", "default", "edit", True),
        ("list", "secrets", "default", "edit", True),
        ("list", "pods", "default", "edit", True),
        ("create", "roles.rbac.authorization.k8s.io", "default", "edit", False),
        ("create", "roles.rbac.authorization.k8s.io", "default", "admin", True),
        ("create", "deployments.apps", "default", "admin", True),
        ("update", "resourcequotas", "default", "admin", False),
        ("list", "nodes", "", "admin", False),
        ("list", "nodes", "", "cluster-admin", True),
        ("create", "tokenreviews.authentication.k8s.io", "", "system:auth-delegator", True),
    ],
)
async def test_the_roles_of_the_start_say_what_upstreams_do(
    http: Http, verb: str, resource: str, namespace: str, role: str, allowed: bool
) -> None:
    await bind(http, "eve", "ClusterRole", role, "eve", everywhere=True)
    plural, _, group = resource.partition(".")
    attributes = {"verb": verb, "resource": plural, "group": group, "namespace": namespace}
    review = {"spec": {"user": "eve", "resourceAttributes": attributes}}
    answer = await http.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    assert answer.obj["status"]["allowed"] is allowed


async def test_roles_of_the_start_get_back_what_they_lack_unless_they_are_somebodys(
    server: ApiServer,
) -> None:
    from podium.api import defaultroles

    client = server.client
    for name, update in (("view", "true"), ("edit", "false"), ("system:discovery", "true")):
        found = await client.get(CLUSTER_ROLES, name)
        annotations = {"rbac.authorization.kubernetes.io/autoupdate": update}
        changed = {**found, "metadata": {**found["metadata"], "annotations": annotations, "labels": {}}}
        if name == "system:discovery":
            changed["rules"] = [PODS]
        await client.update(CLUSTER_ROLES, changed)
    await defaultroles.ensure(server._core)
    label = "rbac.authorization.k8s.io/aggregate-to-edit"
    assert (await client.get(CLUSTER_ROLES, "view"))["metadata"]["labels"][label] == "true"
    assert "labels" not in (await client.get(CLUSTER_ROLES, "edit"))["metadata"]
    rules = (await client.get(CLUSTER_ROLES, "system:discovery"))["rules"]
    assert rules[0] == PODS
    assert "/openapi" in rules[1]["nonResourceURLs"]
    before = server.store.revision
    await defaultroles.ensure(server._core)
    assert server.store.revision == before


async def test_nobody_sees_what_is_public_and_what_is_bound_to_nobody(http: Http, nobody: Http) -> None:
    for path in ("/healthz", "/livez", "/readyz", "/version"):
        assert (await nobody.get(path)).code == 200
    for path in ("/api", "/metrics", f"{DEFAULT}/pods", "/openapi/v2"):
        assert (await nobody.get(path)).code == 403
    await http.made(ROLES, role("reader", PODS))
    everybody = {"kind": "Group", "name": "system:unauthenticated"}
    await http.made(BINDINGS, {**binding("all", "Role", "reader"), "subjects": [everybody]})
    assert (await nobody.get(f"{DEFAULT}/pods")).code == 200
    info = "/api/v1/namespaces/kube-public/configmaps"
    await http.made(info, {"metadata": {"name": "cluster-info"}})
    assert (await nobody.get(f"{info}/cluster-info")).code == 200
    assert (await nobody.get(info)).code == 403


async def test_acting_as_somebody_takes_the_right_to(http: Http, acting: As, server: ApiServer,
    address: tuple[str, int]) -> None:  # fmt: skip
    from tests.unit.api.http.test_auth import as_user

    eve = await as_user(server, address, "eve")
    try:
        headers = {"Impersonate-User": "bob"}
        # What is told is what the mode for such a user takes, which is tried first.
        assert (await eve("GET", "/version", headers=headers)).message == (
            'forbidden: User "eve" cannot impersonate-on:user-info:get path "/version"'
        )
        rule = {"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"], "resourceNames": ["bob"]}
        await http.made(f"{RBAC}/clusterroles", role("as-bob", rule))
        await bind(http, "as-bob", "ClusterRole", "as-bob", "eve", everywhere=True)
        assert (await eve("GET", "/version", headers=headers)).code == 200
        assert (await eve("GET", "/version", headers={"Impersonate-User": "system:admin"})).code == 403
        for more in ("Group", "Extra-scopes", "Uid"):
            assert (await eve("GET", "/version", headers={**headers, f"Impersonate-{more}": "1"})).code == 403
    finally:
        await eve.close()


async def test_who_approves_and_signs_may_do_so_for_that_signer(http: Http, acting: As) -> None:
    requests = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "eve")])
    pem = (
        x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    ).public_bytes(serialization.Encoding.PEM)
    spec = {"request": base64.b64encode(pem).decode(), "signerName": "a.io/b", "usages": ["client auth"]}
    made = await http.made(requests, {"metadata": {"name": "a"}, "spec": spec})
    condition = {"type": "Approved", "status": "True", "reason": "R", "message": "m"}
    approved = {**made, "status": {"conditions": [condition]}}
    group = "certificates.k8s.io"
    parts = ["certificatesigningrequests/approval", "certificatesigningrequests/status"]
    rule = {"apiGroups": [group], "resources": parts, "verbs": ["update"]}
    signer = {
        "apiGroups": [group],
        "resources": ["signers"],
        "verbs": ["approve"],
        "resourceNames": ["a.io/*"],
    }
    await http.made(f"{RBAC}/clusterroles", role("approver", rule))
    await bind(http, "approver", "ClusterRole", "approver", "boss", everywhere=True)
    refused = await acting("boss", "PUT", f"{requests}/a/approval", approved)
    assert refused.message == (
        'certificatesigningrequests.certificates.k8s.io "a" is forbidden: user not permitted to approve '
        'requests with signerName "a.io/b"'
    )
    await http.put(f"{RBAC}/clusterroles/approver", role("approver", rule, signer))
    assert (await acting("boss", "PUT", f"{requests}/a/approval", approved)).code == 200
    found = (await http.get(f"{requests}/a")).obj
    found["status"]["conditions"].append({**condition, "type": "Failed"})
    refused = await acting("boss", "PUT", f"{requests}/a/status", found)
    assert 'user not permitted to sign requests with signerName "a.io/b"' in refused.message


async def test_who_may_only_read_runs_nothing_by_a_websocket(http: Http) -> None:
    rule = {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get"]}
    await http.made(ROLES, role("looks", rule))
    await bind(http, "looks", "Role", "looks", "eve")
    headers = {"Impersonate-User": "eve", "Connection": "Upgrade", "Upgrade": "websocket"}
    refused = await http("GET", f"{DEFAULT}/pods/a/exec?command=true", headers=headers)
    assert refused.message == (
        'pods "a" is forbidden: User "eve" cannot create resource "pods/exec" in API group "" in the '
        'namespace "default"'
    )


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "POST"])
async def test_who_may_only_read_through_a_proxy_changes_nothing_by_an_upgrade(
    http: Http, method: str
) -> None:
    rule = {"apiGroups": [""], "resources": ["pods/proxy"], "verbs": ["get"]}
    await http.made(ROLES, role("looks", rule))
    await bind(http, "looks", "Role", "looks", "eve")
    headers = {"Impersonate-User": "eve", "Connection": "Upgrade", "Upgrade": "websocket"}
    refused = await http(method, f"{DEFAULT}/pods/a/proxy/x", headers=headers)
    verb = {"PUT": "update", "POST": "create"}.get(method, method.lower())
    assert f'User "eve" cannot {verb} resource "pods/proxy"' in refused.message
    headers["Impersonate-User"] = "system:admin"
    headers["Impersonate-Group"] = "system:masters"
    assert (await http("TRACE", f"{DEFAULT}/pods/a/proxy/x", headers=headers)).code == 405


async def test_what_is_missing_is_not_created_by_an_update_of_what_cannot_be(http: Http, acting: As) -> None:
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["update"]}
    await http.made(ROLES, role("updates", rule))
    await bind(http, "updates", "Role", "updates", "eve")
    spec = {"containers": [{"name": "a", "image": "b"}]}
    assert (
        await acting("eve", "PUT", f"{DEFAULT}/pods/a", {"metadata": {"name": "a"}, "spec": spec})
    ).code == 404
