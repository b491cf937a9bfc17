"""Who may do what: roles, what nodes and machines that join may do, and acting as somebody else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.conformance.conftest import LocalCluster
from tests.conformance.kubectl import Kubectl
from tests.conformance.objects import container, pod, sh

NODES = "--as-group=system:nodes"


@pytest.fixture
def anybody(kubectl: Kubectl) -> Iterator[str]:
    """A name that nothing is bound to, outside of the test's namespace neither afterwards."""
    yield f"user-of-{kubectl.namespace}"
    kubectl.run("delete", "clusterrole,clusterrolebinding", "-l", f"made-by={kubectl.namespace}")


def test_a_user_may_what_a_role_that_is_bound_to_him_says(kubectl: Kubectl, anybody: str) -> None:
    acting = f"--as={anybody}"
    where = f'in the namespace "{kubectl.namespace}"'
    assert kubectl.refused("get", "pods", acting).strip() == (
        f'Error from server (Forbidden): pods is forbidden: User "{anybody}" cannot list resource "pods" in API '
        f'group "" {where}'
    )
    kubectl("create", "role", "reader", "--verb=get,list", "--resource=pods,deployments.apps")
    kubectl("create", "rolebinding", "reader", "--role=reader", f"--user={anybody}")
    assert kubectl("auth", "can-i", "list", "deployments.apps", acting).strip() == "yes"
    assert kubectl.run("auth", "can-i", "delete", "pods", acting).out.strip() == "no"
    kubectl("get", "pods,deployments", acting)
    listed = kubectl("auth", "can-i", "--list", acting)
    assert "deployments.apps" in listed
    assert "selfsubjectaccessreviews.authorization.k8s.io" in listed
    assert "cannot create resource" in kubectl.refused("create", "configmap", "mine", acting)
    kubectl("delete", "rolebinding", "reader")
    kubectl.refused("get", "pods", acting)


def test_a_pods_account_may_nothing_until_it_is_given_a_role(kubectl: Kubectl, tmp_path: Path) -> None:
    kubectl.apply(pod("asks", sh("sleep 600")))
    kubectl.wait("pod/asks", "condition=Ready")
    token = kubectl("exec", "asks", "--", "cat", "/var/run/secrets/kubernetes.io/serviceaccount/token")
    config = yaml.safe_load(Path(kubectl.kubeconfig).read_text())
    config["users"] = [{"name": entry["name"], "user": {"token": token}} for entry in config["users"]]
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    account = Kubectl(str(tmp_path / "config"), kubectl.namespace)
    assert f'User "system:serviceaccount:{kubectl.namespace}:default"' in account.refused("get", "pods")
    who = f"--serviceaccount={kubectl.namespace}:default"
    kubectl("create", "rolebinding", "viewer", "--clusterrole=view", who)
    assert [item["metadata"]["name"] for item in account.get("pods")["items"]] == ["asks"]
    account.refused("get", "secrets")


def test_rules_of_labelled_roles_are_gathered(kubectl: Kubectl, anybody: str) -> None:
    label = f"made-by={kubectl.namespace}"
    name = f"gathered-{kubectl.namespace}"
    kubectl("create", "clusterrole", name, f"--aggregation-rule={label}")
    kubectl("label", "clusterrole", name, label)
    kubectl("create", "rolebinding", "gathered", f"--clusterrole={name}", f"--user={anybody}")
    kubectl("create", "clusterrole", f"{name}-part", "--verb=list", "--resource=secrets")
    kubectl("label", "clusterrole", f"{name}-part", label)
    kubectl.wait(f"clusterrole/{name}", "jsonpath={.rules[0].verbs[0]}=list")
    kubectl("get", "secrets", f"--as={anybody}")


def test_nobody_gives_away_more_than_he_has(kubectl: Kubectl, anybody: str) -> None:
    acting = f"--as={anybody}"
    kubectl("create", "rolebinding", "boss", "--clusterrole=admin", f"--user={anybody}")
    kubectl("create", "role", "fine", "--verb=get", "--resource=secrets", acting)
    refused = kubectl.refused("create", "role", "more", "--verb=create", "--resource=resourcequotas", acting)
    assert "is attempting to grant RBAC permissions not currently held" in refused
    assert '{APIGroups:[""], Resources:["resourcequotas"], Verbs:["create"]}' in refused
    kubectl("create", "rolebinding", "friend", "--clusterrole=edit", "--user=friend", acting)
    refused = kubectl.refused(
        "create", "rolebinding", "all", "--clusterrole=cluster-admin", "--user=friend", acting
    )
    assert "is attempting to grant RBAC permissions not currently held" in refused


def test_a_node_reads_the_secrets_of_its_own_pods(kubectl: Kubectl, cluster: LocalCluster) -> None:
    here, there = cluster.nodes()[:2]
    kubectl("create", "secret", "generic", "mine", "--from-literal=a=b")
    wanted = {"name": "A", "valueFrom": {"secretKeyRef": {"name": "mine", "key": "a"}}}
    kubectl.apply(pod("uses", container(command=["sleep", "600"], env=[wanted]), nodeName=here))
    kubectl.wait("pod/uses", "condition=Ready")
    kubectl("get", "secret", "mine", f"--as=system:node:{here}", NODES)
    refused = kubectl.refused("get", "secret", "mine", f"--as=system:node:{there}", NODES)
    assert f"no relationship found between node '{there}' and this object" in refused
    kubectl.refused("get", "secrets", f"--as=system:node:{here}", NODES)
    refused = kubectl.refused("label", "node", there, "mine=too", f"--as=system:node:{here}", NODES)
    assert f"node '{here}' cannot read '{there}', only its own Node object" in refused
    refused = kubectl.refused("delete", "pod", "uses", f"--as=system:node:{there}", NODES)
    assert f'node "{there}" can only delete pods with spec.nodeName set to itself' in refused


def test_acting_as_somebody_takes_the_right_to(kubectl: Kubectl, anybody: str) -> None:
    assert anybody in kubectl("auth", "whoami", f"--as={anybody}")
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    review = {
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {"user": anybody, "resourceAttributes": {"verb": "impersonate", "resource": "users", "name": "x"}},
    }  # fmt: skip
    answer = json.loads(kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(review)))
    assert answer["status"] == {"allowed": False}


def test_acting_as_somebody_may_be_for_one_thing_only(kubectl: Kubectl, tmp_path: Path) -> None:
    """KEP-5284: as an account, and only to read its pods."""
    kubectl("create", "serviceaccount", "actor")
    token = kubectl("create", "token", "actor").strip()
    config = yaml.safe_load(Path(kubectl.kubeconfig).read_text())
    config["users"] = [{"name": entry["name"], "user": {"token": token}} for entry in config["users"]]
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    actor = Kubectl(str(tmp_path / "config"), kubectl.namespace)
    target = f"--as=system:serviceaccount:{kubectl.namespace}:default"
    viewer = f"--serviceaccount={kubectl.namespace}:default"
    kubectl("create", "rolebinding", "viewer", "--clusterrole=view", viewer)
    # Without discovery, which it would take the right to as well.
    pods, maps = (
        ("get", "--raw", f"/api/v1/namespaces/{kubectl.namespace}/{plural}")
        for plural in ("pods", "configmaps")
    )
    assert "cannot impersonate-on:serviceaccount:list" in actor.refused(*pods, target)
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "acts"}}
    being = {"apiGroups": ["authentication.k8s.io"], "resources": ["serviceaccounts"]}
    rules = [
        {**being, "verbs": ["impersonate:serviceaccount"], "resourceNames": ["default"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["impersonate-on:serviceaccount:list"]},
    ]
    kubectl.apply({**role, "rules": rules})
    kubectl("create", "rolebinding", "acts", "--role=acts", f"--serviceaccount={kubectl.namespace}:actor")
    actor(*pods, target)
    assert "cannot impersonate-on:serviceaccount:list" in actor.refused(*maps, target)
    assert 'cannot list resource "pods"' in actor.refused(*pods)
