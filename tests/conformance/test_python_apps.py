"""Workloads, services, events, quotas and namespaces, as a program sees them through the official Python client."""

from __future__ import annotations

from typing import Any

from kubernetes import client

from tests.conformance.coverage_report import covers
from tests.conformance.objects import Obj, container, deployment, pod, service
from tests.conformance.test_python_client import apps, core, namespace, owned, ready, refused
from tests.conformance.waiting import eventually

__all__ = ["apps", "core", "namespace"]

MERGE = "application/merge-patch+json"
CONDITION = {"type": "StatusUpdate", "status": "True", "reason": "Test", "message": "set by a test"}


def replica_set(name: str, replicas: int) -> Obj:
    obj = deployment(name, replicas)
    return {**obj, "kind": "ReplicaSet"}


def controller(name: str, replicas: int) -> Obj:
    spec = deployment(name, replicas)["spec"]
    return {"apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": name, "labels": {"rc": name}},
            "spec": {**spec, "selector": spec["selector"]["matchLabels"]}}  # fmt: skip


@covers(
    "[sig-apps] Deployment should run the lifecycle of a Deployment [Conformance]",
    "[sig-apps] Deployment should validate Deployment Status endpoints [Conformance]",
    "[sig-apps] Deployment Deployment should have a working scale subresource [Conformance]",
)
def test_a_deployment_is_made_scaled_patched_and_deleted(
    core: client.CoreV1Api, apps: client.AppsV1Api, namespace: str
) -> None:
    body = deployment("web", 1)
    body["metadata"]["labels"] = {"life": namespace}
    apps.create_namespaced_deployment(namespace, body)
    ready(core, namespace, "app=web", 1)
    scale = apps.read_namespaced_deployment_scale("web", namespace)
    assert (scale.spec.replicas, scale.status.selector) == (1, "app=web")
    scale.spec.replicas = 2
    apps.replace_namespaced_deployment_scale("web", namespace, scale)
    ready(core, namespace, "app=web", 2)
    apps.patch_namespaced_deployment_scale("web", namespace, {"spec": {"replicas": 1}}, _content_type=MERGE)
    ready(core, namespace, "app=web", 1)
    status = apps.patch_namespaced_deployment_status(
        "web", namespace, {"status": {"conditions": [CONDITION]}}, _content_type=MERGE
    ).status
    assert [entry.type for entry in status.conditions] == ["StatusUpdate"]
    current = apps.read_namespaced_deployment_status("web", namespace)
    current.metadata.annotations = {**(current.metadata.annotations or {}), "kept": "yes"}
    assert current.spec.replicas == 1
    eventually(
        lambda: apps.read_namespaced_deployment("web", namespace).status.ready_replicas,
        lambda count: count == 1,
    )
    (listed,) = apps.list_deployment_for_all_namespaces(label_selector=f"life={namespace}").items
    assert listed.metadata.name == "web"
    apps.delete_collection_namespaced_deployment(namespace, label_selector=f"life={namespace}")
    assert apps.list_namespaced_deployment(namespace).items == []


@covers(
    "[sig-apps] ReplicaSet Replace and Patch tests [Conformance]",
    "[sig-apps] ReplicaSet Replicaset should have a working scale subresource [Conformance]",
    "[sig-apps] ReplicaSet should validate Replicaset Status endpoints [Conformance]",
    "[sig-apps] ReplicaSet should list and delete a collection of ReplicaSets [Conformance]",
)
def test_a_replica_set_is_scaled_replaced_and_deleted_with_others(
    core: client.CoreV1Api, apps: client.AppsV1Api, namespace: str
) -> None:
    body = replica_set("web", 1)
    body["metadata"]["labels"] = {"life": namespace}
    apps.create_namespaced_replica_set(namespace, body)
    ready(core, namespace, "app=web", 1)
    scale = apps.read_namespaced_replica_set_scale("web", namespace)
    scale.spec.replicas = 2
    assert apps.replace_namespaced_replica_set_scale("web", namespace, scale).spec.replicas == 2
    ready(core, namespace, "app=web", 2)
    change = {"metadata": {"labels": {"patched": "yes"}}, "spec": {"replicas": 3}}
    patched = apps.patch_namespaced_replica_set("web", namespace, change, _content_type=MERGE)
    assert (patched.spec.replicas, patched.metadata.labels["patched"]) == (3, "yes")
    ready(core, namespace, "app=web", 3)
    status = {"status": {"conditions": [CONDITION]}}
    shown = apps.patch_namespaced_replica_set_status("web", namespace, status, _content_type=MERGE)
    assert [entry.reason for entry in shown.status.conditions] == ["Test"]
    (listed,) = apps.list_replica_set_for_all_namespaces(label_selector=f"life={namespace}").items
    assert listed.spec.replicas == 3
    apps.delete_collection_namespaced_replica_set(namespace, label_selector=f"life={namespace}")
    assert apps.list_namespaced_replica_set(namespace).items == []


@covers(
    "[sig-apps] ReplicaSet should adopt matching pods on creation and release no longer matching pods [Conformance]"
)
def test_a_replica_set_adopts_what_matches_and_releases_what_does_not(
    core: client.CoreV1Api, apps: client.AppsV1Api, namespace: str
) -> None:
    core.create_namespaced_pod(namespace, pod("web", labels={"app": "web"}))
    made = apps.create_namespaced_replica_set(namespace, replica_set("web", 1))
    (adopted,) = eventually(
        lambda: owned(core.list_namespaced_pod(namespace).items, made), lambda items: len(items) == 1
    )
    assert adopted.metadata.name == "web"
    core.patch_namespaced_pod("web", namespace, {"metadata": {"labels": {"app": "free"}}})
    eventually(
        lambda: core.read_namespaced_pod("web", namespace).metadata.owner_references,
        lambda owners: not owners,
    )


@covers(
    "[sig-api-machinery] Garbage collector should delete pods created by rc when not orphaning [Conformance]",
    "[sig-api-machinery] Garbage collector should orphan pods created by rc if delete options say so [Serial] [Conformance]",
    "[sig-api-machinery] Garbage collector should keep the rc around until all its pods are deleted if the deleteOptions says so [Serial] [Conformance]",
    "[sig-apps] ReplicationController should get and update a ReplicationController scale [Conformance]",
)
def test_a_replication_controller_keeps_its_pods_or_leaves_them(
    core: client.CoreV1Api, namespace: str
) -> None:
    made = {
        policy: core.create_namespaced_replication_controller(namespace, controller(policy.lower(), 2))
        for policy in ("Background", "Orphan", "Foreground")
    }
    for policy in made:
        ready(core, namespace, f"app={policy.lower()}", 2)
    scale = core.read_namespaced_replication_controller_scale("orphan", namespace)
    scale.spec.replicas = 1
    core.replace_namespaced_replication_controller_scale("orphan", namespace, scale)
    ready(core, namespace, "app=orphan", 1)
    start = core.list_namespaced_pod(namespace).metadata.resource_version
    for policy in made:
        core.delete_namespaced_replication_controller(policy.lower(), namespace, propagation_policy=policy)
    eventually(lambda: core.list_namespaced_replication_controller(namespace).items, lambda left: not left)
    # Foreground: gone only after its pods were.
    assert core.list_namespaced_pod(namespace, label_selector="app=foreground").items == []
    (left,) = eventually(lambda: core.list_namespaced_pod(namespace).items, lambda items: len(items) == 1)
    assert left.metadata.labels["app"] == "orphan"
    assert not left.metadata.owner_references
    assert int(left.metadata.resource_version) > int(start)


@covers(
    "[sig-instrumentation] Events API should ensure that an event can be fetched, patched, deleted, and listed [Conformance]",
    "[sig-instrumentation] Events API should delete a collection of events [Conformance]",
    "[sig-instrumentation] Events should manage the lifecycle of an event [Conformance]",
    "[sig-instrumentation] Events should delete a collection of events [Conformance]",
)
def test_events_are_the_same_in_both_groups(core: client.CoreV1Api, namespace: str) -> None:
    events = client.EventsV1Api(core.api_client)

    def body(name: str) -> Obj:
        return {
            "metadata": {"name": name, "labels": {"set": "a"}}, "eventTime": "2026-01-01T00:00:00.000001Z",
            "action": "Do", "reason": "Test", "type": "Normal", "reportingController": "test",
            "reportingInstance": "one", "regarding": {"kind": "Pod", "name": "x", "namespace": namespace},
        }  # fmt: skip

    for name in ("a", "b", "c"):
        events.create_namespaced_event(namespace, {**body(name), "note": "first"})
    old = core.read_namespaced_event("a", namespace)
    assert (old.message, old.involved_object.name) == ("first", "x")
    assert core.patch_namespaced_event("a", namespace, {"message": "second"}).message == "second"
    found = events.read_namespaced_event("a", namespace)
    assert found.note == "second"
    series = {"series": {"count": 2, "lastObservedTime": "2026-01-01T00:00:01.000001Z"}}
    assert events.patch_namespaced_event("a", namespace, series).series.count == 2
    listed = core.list_event_for_all_namespaces(field_selector=f"metadata.namespace={namespace}").items
    assert sorted(entry.metadata.name for entry in listed) == ["a", "b", "c"]
    events.delete_namespaced_event("a", namespace)
    refused(404, core.read_namespaced_event, "a", namespace)
    events.delete_collection_namespaced_event(namespace, label_selector="set=a")
    assert core.list_namespaced_event(namespace).items == []


@covers(
    "[sig-network] Endpoints should test the lifecycle of an Endpoint [Conformance]",
    "[sig-network] Services should complete a service status lifecycle [Conformance]",
    "[sig-network] Services should delete a collection of services [Conformance]",
    "[sig-network] Services should find a service from listing all namespaces [Conformance]",
)
def test_services_and_endpoints_go_through_their_verbs(core: client.CoreV1Api, namespace: str) -> None:
    points = {"metadata": {"name": "p", "labels": {"set": namespace}},
              "subsets": [{"addresses": [{"ip": "10.42.0.250"}], "ports": [{"name": "http", "port": 80}]}]}  # fmt: skip
    core.create_namespaced_endpoints(namespace, points)
    change = {"subsets": [{"addresses": [{"ip": "10.42.0.251"}], "ports": [{"port": 8080}]}]}
    assert core.patch_namespaced_endpoints("p", namespace, change).subsets[0].addresses[0].ip == "10.42.0.251"
    assert len(core.list_endpoints_for_all_namespaces(label_selector=f"set={namespace}").items) == 1
    core.delete_collection_namespaced_endpoints(namespace, label_selector=f"set={namespace}")
    refused(404, core.read_namespaced_endpoints, "p", namespace)
    for name in ("a", "b"):
        body = service(name)
        body["metadata"]["labels"] = {"set": namespace}
        # Of a class that is nobody's here, so that its status stays as it is told.
        body["spec"] |= {"type": "LoadBalancer", "loadBalancerClass": "example.test/nobody"}
        core.create_namespaced_service(namespace, body)
    ingress = {"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}}}
    shown = core.patch_namespaced_service_status("a", namespace, ingress, _content_type=MERGE)
    assert shown.status.load_balancer.ingress[0].ip == "203.0.113.1"
    current = core.read_namespaced_service_status("a", namespace)
    current.status.conditions = [{**CONDITION, "lastTransitionTime": "2026-01-01T00:00:00Z"}]
    raw = core.api_client.sanitize_for_serialization(current)
    assert core.replace_namespaced_service_status("a", namespace, raw).status.conditions[0].reason == "Test"
    listed = core.list_service_for_all_namespaces(label_selector=f"set={namespace}").items
    assert sorted(entry.metadata.name for entry in listed) == ["a", "b"]
    core.delete_collection_namespaced_service(namespace, label_selector=f"set={namespace}")
    assert core.list_namespaced_service(namespace).items == []


@covers(
    "[sig-auth] ServiceAccounts should update a ServiceAccount [Conformance]",
    "[sig-auth] ServiceAccounts should create a serviceAccountToken and ensure a successful TokenReview [Conformance]",
)
def test_a_token_of_a_service_account_says_whose_it_is(core: client.CoreV1Api, namespace: str) -> None:
    made = core.create_namespaced_service_account(namespace, {"metadata": {"name": "robot"}})
    made.automount_service_account_token = False
    updated = core.replace_namespaced_service_account("robot", namespace, made)
    assert updated.automount_service_account_token is False
    request = {"spec": {"expirationSeconds": 600, "audiences": []}}
    token = core.create_namespaced_service_account_token("robot", namespace, request).status.token
    review = client.AuthenticationV1Api(core.api_client).create_token_review({"spec": {"token": token}})
    assert review.status.authenticated
    assert review.status.user.username == f"system:serviceaccount:{namespace}:robot"
    assert f"system:serviceaccounts:{namespace}" in review.status.user.groups


@covers(
    "[sig-api-machinery] ResourceQuota should manage the lifecycle of a ResourceQuota [Conformance]",
    "[sig-api-machinery] ResourceQuota should be able to update and delete ResourceQuota. [Conformance]",
    "[sig-api-machinery] ResourceQuota should create a ResourceQuota and ensure its status is promptly calculated. [Conformance]",
    "[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a configMap. [Conformance]",
)
def test_a_quota_counts_and_refuses_what_is_too_much(core: client.CoreV1Api, namespace: str) -> None:
    eventually(lambda: core.list_namespaced_config_map(namespace).items, lambda items: len(items) == 1)

    def used(count: str) -> None:
        def look() -> Any:
            return (core.read_namespaced_resource_quota("q", namespace).status.used or {}).get("configmaps")

        eventually(look, lambda seen: seen == count)

    core.create_namespaced_resource_quota(
        namespace,
        {"metadata": {"name": "q", "labels": {"q": namespace}}, "spec": {"hard": {"configmaps": "2"}}},
    )
    used("1")
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "a"}})
    used("2")
    refusal = refused(403, core.create_namespaced_config_map, namespace, {"metadata": {"name": "b"}})
    assert (
        "exceeded quota: q, requested: configmaps=1, used: configmaps=2, limited: configmaps=2"
        in refusal["message"]
    )
    core.delete_namespaced_config_map("a", namespace)
    used("1")
    change = {"spec": {"hard": {"configmaps": "5"}}}
    assert core.patch_namespaced_resource_quota("q", namespace, change).spec.hard == {"configmaps": "5"}
    eventually(
        lambda: core.read_namespaced_resource_quota("q", namespace).status.hard,
        lambda hard: hard == {"configmaps": "5"},
    )
    assert len(core.list_resource_quota_for_all_namespaces(label_selector=f"q={namespace}").items) == 1
    core.delete_collection_namespaced_resource_quota(namespace, label_selector=f"q={namespace}")
    refused(404, core.read_namespaced_resource_quota, "q", namespace)


@covers(
    "[sig-api-machinery] Namespaces [Serial] should patch a Namespace [Conformance]",
    "[sig-api-machinery] Namespaces [Serial] should apply an update to a Namespace [Conformance]",
    "[sig-api-machinery] Namespaces [Serial] should apply changes to a namespace status [Conformance]",
    "[sig-api-machinery] Namespaces [Serial] should apply a finalizer to a Namespace [Conformance]",
    "[sig-api-machinery] Namespaces [Serial] should ensure that all pods are removed when a namespace is deleted [Conformance]",
    "[sig-api-machinery] Namespaces [Serial] should ensure that all services are removed when a namespace is deleted [Conformance]",
)
def test_a_namespace_goes_with_everything_in_it(core: client.CoreV1Api, namespace: str) -> None:
    name = f"{namespace}-x"
    core.create_namespace({"metadata": {"name": name}})
    patched = core.patch_namespace(name, {"metadata": {"labels": {"patched": "yes"}}})
    assert (patched.metadata.labels["patched"], patched.metadata.labels["kubernetes.io/metadata.name"]) == (
        "yes",
        name,
    )
    patched.metadata.labels["updated"] = "yes"
    assert core.replace_namespace(name, patched).metadata.labels["updated"] == "yes"
    shown = core.patch_namespace_status(name, {"status": {"conditions": [CONDITION]}}, _content_type=MERGE)
    assert shown.status.conditions[0].reason == "Test"
    core.create_namespaced_service(name, service("web"))
    core.create_namespaced_pod(name, pod("web"))
    ready(core, name, "app=web", 1)
    current = core.read_namespace(name)
    current.spec.finalizers = ["kubernetes", "example.com/mine"]
    finalized = core.replace_namespace_finalize(name, current)
    assert finalized.spec.finalizers == ["kubernetes", "example.com/mine"]
    core.delete_namespace(name)
    eventually(lambda: core.read_namespace(name).spec.finalizers, lambda left: left == ["example.com/mine"])
    left = core.read_namespace(name)
    assert left.status.phase == "Terminating"
    assert core.list_namespaced_pod(name).items == core.list_namespaced_service(name).items == []
    assert refused(403, core.create_namespaced_service, name, service("late"))["reason"] == "Forbidden"
    left.spec.finalizers = []
    core.replace_namespace_finalize(name, left)
    eventually(
        lambda: [item.metadata.name for item in core.list_namespace().items],
        lambda names: name not in names,
    )


@covers(
    "[sig-node] Pods should delete a collection of pods [Conformance]",
    "[sig-node] Pods should patch a pod status [Conformance]",
    "[sig-node] Pods should be updated [NodeConformance] [Conformance]",
    "[sig-node] PodTemplates should delete a collection of pod templates [Conformance]",
)
def test_pods_are_updated_and_deleted_as_a_collection(core: client.CoreV1Api, namespace: str) -> None:
    for name in ("a", "b", "c"):
        core.create_namespaced_pod(namespace, pod(name, labels={"set": "one"}))
        core.create_namespaced_pod_template(
            namespace,
            {
                "metadata": {"name": name, "labels": {"set": "one"}},
                "template": {"spec": {"containers": [container()]}},
            },
        )
    ready(core, namespace, "set=one", 3)
    core.patch_namespaced_pod("a", namespace, {"metadata": {"labels": {"time": "now"}}})
    (found,) = core.list_namespaced_pod(namespace, label_selector="time=now").items
    assert found.metadata.name == "a"
    condition = {"status": {"conditions": [{**CONDITION, "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}
    shown = core.patch_namespaced_pod_status("a", namespace, condition)
    assert "StatusUpdate" in [entry.type for entry in shown.status.conditions]
    bad = {"spec": {"containers": [{"name": "main", "command": ["other"]}]}}
    refusal = refused(422, core.patch_namespaced_pod, "a", namespace, bad)
    assert "pod updates may not change fields other than" in refusal["message"]
    core.delete_collection_namespaced_pod_template(namespace, label_selector="set=one")
    assert core.list_namespaced_pod_template(namespace).items == []
    core.delete_collection_namespaced_pod(namespace, label_selector="set=one", grace_period_seconds=0)
    eventually(lambda: core.list_namespaced_pod(namespace).items, lambda left: not left)


@covers(
    "[sig-api-machinery] server version should find the server version [Conformance]",
    "[sig-api-machinery] Discovery should validate PreferredVersion for each APIGroup [Conformance]",
    "[sig-api-machinery] Discovery should locate the groupVersion and a resource within each APIGroup [Conformance]",
)
def test_discovery_names_what_is_there(core: client.CoreV1Api, apps: client.AppsV1Api) -> None:
    version = client.VersionApi(core.api_client).get_code()
    assert (version.major, version.minor) == ("1", "36")
    groups = client.ApisApi(core.api_client).get_api_versions().groups
    assert {"apps", "batch", "events.k8s.io", "networking.k8s.io"} <= {group.name for group in groups}
    for group in groups:
        assert group.preferred_version.group_version in [each.group_version for each in group.versions]
    resources = {entry.name: entry for entry in apps.get_api_resources().resources}
    assert resources["deployments"].kind == "Deployment"
    assert {"deployments/status", "deployments/scale", "replicasets"} <= set(resources)
